//! Flags about the connection, shared by all commands.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use everlink::{FirstConnect, QoS, Version};

use super::property::Properties;
use super::road::{LinkArgs, RoadArgs, TlsArgs};
use super::store::StoreArgs;
use super::tap::TapArgs;
use super::values;
use super::watch::WatchArgs;
use crate::secret::Secret;

/// Where the broker is, who we are, and how patient.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct ConnectionArgs {
    /// Broker to connect to
    #[arg(short = 'h', long, value_name = "HOST", default_value = "localhost", help_heading = BROKER)]
    pub(crate) host: String,

    /// Its port [default: 1883, with TLS 8883]
    #[arg(short, long, value_name = "PORT", help_heading = BROKER,
        allow_negative_numbers = true, value_parser = values::whole(1..=u16::MAX))]
    pub(crate) port: Option<u16>,

    /// Broker, credentials and topic in one: mqtt://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC, mqtts://...
    /// with TLS, ws://HOST[:PORT][/PATH] and wss://... for a WebSocket, unix:///PATH,
    /// serial:///dev/ttyUSB0?baud=115200, esp-at:///dev/ttyUSB0?networks=FILE&to=mqtt://HOST. May be
    /// repeated: further brokers are tried when those before cannot be reached; credentials and topic
    /// are the first one's
    #[arg(short = 'L', long = "url", value_name = "URL", conflicts_with_all = ["host", "port"], help_heading = BROKER)]
    pub(crate) urls: Vec<String>,

    /// Protocol version: 5 or 311
    #[arg(short = 'V', long = "protocol-version", value_name = "VERSION", default_value = "5", help_heading = BROKER,
        value_parser = values::version)]
    pub(crate) version: Version,

    /// Connect from this local address
    #[arg(short = 'A', value_name = "ADDRESS", help_heading = BROKER)]
    pub(crate) bind: Option<IpAddr>,

    #[command(flatten)]
    pub(crate) road: RoadArgs,

    #[command(flatten)]
    pub(crate) link: LinkArgs,

    #[command(flatten)]
    pub(crate) tls: TlsArgs,

    /// User name
    #[arg(short, long, value_name = "USER", allow_hyphen_values = true, help_heading = IDENTITY)]
    pub(crate) username: Option<String>,

    /// Password. Other users can see it for some milliseconds: better is the environment variable
    /// EVERLINK_PASSWORD, or a file
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD", allow_hyphen_values = true, help_heading = IDENTITY,
        value_parser = values::secret())]
    pub(crate) password: Option<Secret>,

    /// Read the password from a file; a line end at its end does not count
    #[arg(long, value_name = "FILE", conflicts_with = "password", help_heading = IDENTITY)]
    pub(crate) password_file: Option<PathBuf>,

    /// Client Identifier; without one it is random, or with -c or --store derived from the machine,
    /// the command, the broker and the topics; an existing store knows its own
    #[arg(short = 'i', long, value_name = "ID", help_heading = IDENTITY)]
    pub(crate) id: Option<String>,

    /// Client Identifier that begins so, followed by the process id
    #[arg(short = 'I', long, value_name = "PREFIX", conflicts_with = "id", help_heading = IDENTITY)]
    pub(crate) id_prefix: Option<String>,

    /// Keep the session: resume the one of an earlier run, and leave it to the next
    #[arg(short = 'c', long = "disable-clean-session", help_heading = IDENTITY)]
    pub(crate) keep_session: bool,

    /// How long the broker keeps the session after we left, in seconds; -1 is for ever, which is
    /// the default with -c [MQTT 5]
    #[arg(short = 'x', long = "session-expiry-interval", value_name = "SECS", allow_negative_numbers = true,
        help_heading = IDENTITY, value_parser = values::session_expiry)]
    pub(crate) session_expiry: Option<u32>,

    #[command(flatten)]
    pub(crate) properties: Properties,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// Topic of the will, which the broker publishes if we vanish
    #[arg(long, value_name = "TOPIC", help_heading = WILL)]
    pub(crate) will_topic: Option<String>,

    /// Its payload; without this it is empty
    #[arg(long, value_name = "MESSAGE", requires = "will_topic", allow_hyphen_values = true, help_heading = WILL)]
    pub(crate) will_payload: Option<OsString>,

    /// Its quality of service
    #[arg(long, value_name = "QOS", default_value = "0", requires = "will_topic", help_heading = WILL,
        value_parser = values::qos)]
    pub(crate) will_qos: QoS,

    /// The broker is to retain it
    #[arg(long, requires = "will_topic", help_heading = WILL)]
    pub(crate) will_retain: bool,

    /// Keep-alive in seconds; 0 switches it off
    #[arg(short, long, value_name = "SECS", default_value_t = 60, help_heading = PATIENCE,
        allow_negative_numbers = true, value_parser = values::whole(0..=u16::MAX))]
    pub(crate) keepalive: u16,

    /// Longest pause between pings, if shorter than a quarter of the keep-alive
    #[arg(long, value_name = "SECS", allow_negative_numbers = true, help_heading = PATIENCE,
        value_parser = values::some_seconds)]
    pub(crate) ping_interval: Option<Duration>,

    /// Longest wait for any reply before the connection counts as lost
    #[arg(long, value_name = "SECS", default_value = "10", allow_negative_numbers = true, help_heading = PATIENCE,
        value_parser = values::some_seconds)]
    pub(crate) response_time: Duration,

    /// Judge silence by measured round trips, between 1 s and --response-time
    #[arg(long, help_heading = PATIENCE)]
    pub(crate) adaptive: bool,

    /// What to do when the first connection fails: fail, retry:N or forever. Later ones are always
    /// made again for ever
    #[arg(long, value_name = "POLICY", help_heading = PATIENCE, value_parser = values::first_connect)]
    pub(crate) first_connect: Option<FirstConnect>,

    #[command(flatten)]
    pub(crate) taps: TapArgs,

    #[command(flatten)]
    pub(crate) watch: WatchArgs,

    /// Print one JSON object per line on standard output
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) json: bool,

    /// Say nothing on standard error but why the command failed
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) quiet: bool,

    /// Tell on standard error what the connection does
    #[arg(short, long, help_heading = OUTPUT)]
    pub(crate) debug: bool,

    /// Print this help
    #[arg(long, action = clap::ArgAction::Help, help_heading = OUTPUT)]
    help: Option<bool>,
}

impl ConnectionArgs {
    /// Whether the session outlives this run.
    pub(crate) fn keeps_session(&self) -> bool {
        self.keep_session || self.store.directory.is_some()
    }
}

pub(super) const BROKER: &str = "Broker";
pub(super) const IDENTITY: &str = "Identity and session";
pub(super) const WILL: &str = "Will";
pub(super) const PATIENCE: &str = "Patience";
pub(super) const OUTPUT: &str = "Output";
