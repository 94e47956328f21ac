//! Flags of `everlink sub`.

use std::time::Duration;

use clap::Parser;
use everlink::{QoS, RetainHandling};

use super::connection::{ConnectionArgs, OUTPUT};
use super::values;
use crate::exit;

const WHAT: &str = "What to receive";
const MQTT5: &str = "Subscription options [MQTT 5]";

/// Subscribe, and print what arrives
///
/// The subscriptions are restored after every outage. A message is acknowledged to the broker when it
/// was written to standard output, so with QoS 1 or 2 and -c nothing is lost when the command is
/// killed and run again.
#[derive(Parser)]
#[command(disable_help_flag = true, after_help = after_help())]
#[command(override_usage = "everlink sub [-h HOST | -L URL] -t FILTER ... [FLAGS]")]
pub(crate) struct SubArgs {
    /// Topic Filter to subscribe to; may be given several times, or be the end of the URL
    #[arg(short, long = "topic", value_name = "FILTER", allow_hyphen_values = true, help_heading = WHAT)]
    pub(crate) topics: Vec<String>,

    /// Do not print what matches this filter
    #[arg(short = 'T', long = "filter-out", value_name = "FILTER", help_heading = WHAT)]
    pub(crate) filter_out: Vec<String>,

    /// Unsubscribe from this filter, of a session that was kept. Without -t that is all
    #[arg(short = 'U', long = "unsubscribe", value_name = "FILTER", help_heading = WHAT)]
    pub(crate) unsubscribe: Vec<String>,

    /// Highest quality of service: 0, 1 or 2
    #[arg(short, long, value_name = "QOS", default_value = "0", allow_negative_numbers = true, help_heading = WHAT,
        value_parser = values::qos)]
    pub(crate) qos: QoS,

    /// Print no retained messages
    #[arg(short = 'R', conflicts_with = "retained_only", help_heading = WHAT)]
    pub(crate) no_retained: bool,

    /// Print the retained messages only, and end when the first other one comes
    #[arg(long, help_heading = WHAT)]
    pub(crate) retained_only: bool,

    /// End after so many messages
    #[arg(short = 'C', value_name = "COUNT", allow_negative_numbers = true, help_heading = WHAT,
        value_parser = values::whole(1..=u64::MAX))]
    pub(crate) count: Option<u64>,

    /// End after so many seconds, counted from the start
    #[arg(short = 'W', value_name = "SECS", allow_negative_numbers = true, help_heading = WHAT,
        value_parser = values::some_seconds)]
    pub(crate) wait: Option<Duration>,

    /// End as soon as the broker has granted all subscriptions
    #[arg(short = 'E', help_heading = WHAT)]
    pub(crate) only_subscribe: bool,

    /// Keep the RETAIN flag as it was published
    #[arg(long, help_heading = MQTT5)]
    pub(crate) retain_as_published: bool,

    /// Send nothing back that this client published
    #[arg(long, help_heading = MQTT5)]
    pub(crate) no_local: bool,

    /// When to send retained messages: always, new (if the subscription is new) or never
    #[arg(long, value_name = "WHEN", help_heading = MQTT5, value_parser = values::retain_handling)]
    pub(crate) retain_handling: Option<RetainHandling>,

    /// Print the topic before the payload
    #[arg(short, long, help_heading = OUTPUT, conflicts_with_all = ["format", "json"])]
    pub(crate) verbose: bool,

    /// Print messages like this; see below
    #[arg(short = 'F', value_name = "FORMAT", allow_hyphen_values = true, help_heading = OUTPUT, conflicts_with = "json")]
    pub(crate) format: Option<String>,

    /// No line end after each message
    #[arg(short = 'N', help_heading = OUTPUT, conflicts_with = "json")]
    pub(crate) no_newline: bool,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

fn after_help() -> String {
    format!(
        "FORMAT is text with these escapes, as in mosquitto_sub:
  %t topic            %p payload          %l its length       %x %X payload in hexadecimal
  %q QoS              %r RETAIN flag      %I date and time    %U Unix time
  %j JSON             %J JSON whose payload is JSON           %% a percent sign
  %m Packet Identifier, which the broker soon uses again      %A Topic Alias
  %C content type     %D correlation data                     %E expiry in seconds
  %F payload format   %P user properties  %R response topic   %S Subscription Identifiers
  @Y @m @d @H @M @S ... as strftime(3)    @N nanoseconds      @@ an at sign
  \\n \\r \\t \\0 \\a \\e \\v \\\\
Between % and letter may stand 0 or - and a width, and a precision for %C %I %R %t: %-20.20t

With --json, one object per message; a payload that is not text comes as payload_base64:
  {{\"topic\":\"a\",\"payload\":\"x\",\"qos\":1,\"retain\":false,\"dup\":false,\"properties\":{{}}}}

The broker may be away at the start (--first-connect forever). A refusal that only a person can
mend, such as a wrong password, ends the command unless --first-connect says otherwise.
SIGINT and SIGTERM end the connection properly.

{}",
        exit::CODES
    )
}
