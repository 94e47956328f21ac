//! `-D PACKET PROPERTY VALUE`: properties of MQTT 5, typed and checked.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{Arg, ArgAction, ArgMatches, Command};
use everlink::{Property, TopicName};

use super::connection::IDENTITY;

const FLAG: &str = "property";
const LETTER: char = 'D';
/// The property that takes two values.
const USER_PROPERTY: &str = "user-property";
/// Goes before a value that begins with `-`, so that clap does not take it for a flag. No argument
/// can contain it.
const SHIELD: &str = "\0";

/// What properties can be given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    Connect,
    Publish,
    Subscribe,
    Will,
    Disconnect,
}

/// A property that owns its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnedProperty {
    PayloadFormatIndicator(bool),
    MessageExpiryInterval(u32),
    ContentType(String),
    ResponseTopic(String),
    CorrelationData(String),
    SessionExpiryInterval(u32),
    AuthenticationMethod(String),
    AuthenticationData(crate::secret::Secret),
    RequestProblemInformation(bool),
    RequestResponseInformation(bool),
    WillDelayInterval(u32),
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    MaximumPacketSize(u32),
    UserProperty(String, String),
}

impl OwnedProperty {
    /// The property as the client takes it.
    pub(crate) fn borrow(&self) -> Property<'_> {
        match self {
            Self::PayloadFormatIndicator(v) => Property::PayloadFormatIndicator(*v),
            Self::MessageExpiryInterval(v) => Property::MessageExpiryInterval(*v),
            Self::ContentType(v) => Property::ContentType(v),
            Self::ResponseTopic(v) => Property::ResponseTopic(v),
            Self::CorrelationData(v) => Property::CorrelationData(v.as_bytes()),
            Self::SessionExpiryInterval(v) => Property::SessionExpiryInterval(*v),
            Self::AuthenticationMethod(v) => Property::AuthenticationMethod(v),
            Self::AuthenticationData(v) => Property::AuthenticationData(&v.0),
            Self::RequestProblemInformation(v) => Property::RequestProblemInformation(*v),
            Self::RequestResponseInformation(v) => Property::RequestResponseInformation(*v),
            Self::WillDelayInterval(v) => Property::WillDelayInterval(*v),
            Self::ReceiveMaximum(v) => Property::ReceiveMaximum(*v),
            Self::TopicAliasMaximum(v) => Property::TopicAliasMaximum(*v),
            Self::MaximumPacketSize(v) => Property::MaximumPacketSize(*v),
            Self::UserProperty(name, value) => Property::UserProperty(name, value),
        }
    }
}

/// All properties given, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Properties(Vec<(Packet, OwnedProperty)>);

impl Properties {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of one packet, in order.
    pub(crate) fn of(&self, packet: Packet) -> impl Iterator<Item = &OwnedProperty> {
        self.0.iter().filter(move |(p, _)| *p == packet).map(|(_, property)| property)
    }

    fn add(&mut self, words: &[&str]) -> Result<(), String> {
        let [packet, name, values @ ..] = words else {
            return Err("PACKET PROPERTY VALUE is wanted".into());
        };
        let packet = packet_named(packet)?;
        let property = parse(packet, name, values)?;
        let again = self.of(packet).any(|p| p.borrow().id() == property.borrow().id());
        if again && !matches!(property, OwnedProperty::UserProperty(..)) {
            return Err(format!("{name} is given twice"));
        }
        self.0.push((packet, property));
        Ok(())
    }
}

fn packet_named(name: &str) -> Result<Packet, String> {
    match name.to_ascii_lowercase().as_str() {
        "connect" => Ok(Packet::Connect),
        "publish" => Ok(Packet::Publish),
        "subscribe" => Ok(Packet::Subscribe),
        "will" => Ok(Packet::Will),
        "disconnect" => Ok(Packet::Disconnect),
        "auth" | "puback" | "pubrec" | "pubrel" | "pubcomp" | "unsubscribe" => {
            Err(format!("properties of {} cannot be set", name.to_ascii_uppercase()))
        }
        _ => Err(format!("{name:?} is none of connect, publish, subscribe, will, disconnect")),
    }
}

fn parse(packet: Packet, name: &str, values: &[&str]) -> Result<OwnedProperty, String> {
    use OwnedProperty as P;
    use Packet::*;
    if name == USER_PROPERTY {
        let [key, value] = values else {
            return Err("user-property takes a name and a value".into());
        };
        return Ok(P::UserProperty(text(name, key)?, text(name, value)?));
    }
    let [value] = values else {
        return Err(format!("{name} takes one value"));
    };
    match (packet, name) {
        (Publish | Will, "payload-format-indicator") => {
            flag(name, value).map(P::PayloadFormatIndicator)
        }
        (Publish | Will, "message-expiry-interval") => {
            number(name, value, 0).map(P::MessageExpiryInterval)
        }
        (Publish | Will, "content-type") => text(name, value).map(P::ContentType),
        (Publish | Will, "response-topic") => {
            TopicName::new(value).map_err(|e| format!("{name}: {e}"))?;
            Ok(P::ResponseTopic((*value).to_owned()))
        }
        (Publish | Will, "correlation-data") => text(name, value).map(P::CorrelationData),
        (Will, "will-delay-interval") => number(name, value, 0).map(P::WillDelayInterval),
        (Connect | Disconnect, "session-expiry-interval") => {
            number(name, value, 0).map(P::SessionExpiryInterval)
        }
        (Connect, "receive-maximum") => number(name, value, 1).map(P::ReceiveMaximum),
        (Connect, "maximum-packet-size") => number(name, value, 64).map(P::MaximumPacketSize),
        (Connect, "topic-alias-maximum") => number(name, value, 0).map(P::TopicAliasMaximum),
        (Connect, "request-problem-information") => {
            flag(name, value).map(P::RequestProblemInformation)
        }
        (Connect, "request-response-information") => {
            flag(name, value).map(P::RequestResponseInformation)
        }
        (Connect, "authentication-method") => text(name, value).map(P::AuthenticationMethod),
        (Connect, "authentication-data") => {
            Ok(P::AuthenticationData(crate::secret::Secret(value.as_bytes().to_vec())))
        }
        (Publish, "topic-alias") => {
            Err("topic-alias: aliases are used by themselves where the broker allows them".into())
        }
        (Subscribe, "subscription-identifier") => {
            Err("subscription-identifier: the client numbers its subscriptions itself".into())
        }
        _ => Err(format!("{name} is no property of {packet:?}").to_lowercase()),
    }
}

fn text(name: &str, value: &str) -> Result<String, String> {
    // [MQTT-1.5.4-2]; the shell cannot pass U+0000.
    if value.len() > usize::from(u16::MAX) {
        return Err(format!("{name}: more than 65535 bytes"));
    }
    Ok(value.to_owned())
}

fn flag(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(format!("{name} is 0 or 1")),
    }
}

fn number<T>(name: &str, value: &str, least: u32) -> Result<T, String>
where
    T: TryFrom<u64> + Bounded,
{
    let number = value.parse::<u64>().ok().filter(|n| *n >= u64::from(least));
    number
        .and_then(|n| T::try_from(n).ok())
        .ok_or_else(|| format!("{name} is a number from {least} to {}", T::MOST))
}

/// The largest value of a type.
trait Bounded {
    const MOST: u64;
}

impl Bounded for u16 {
    const MOST: u64 = u16::MAX as u64;
}

impl Bounded for u32 {
    const MOST: u64 = u32::MAX as u64;
}

/// Shields the values behind each `-D` that begin with `-`. How many values there are depends on
/// the property, which clap has no way to say.
pub(crate) fn shield(mut arguments: Vec<OsString>, command: &Command) -> Vec<OsString> {
    let mut at = 1;
    while let Some(word) = arguments.get(at) {
        at += 1;
        if takes_anything(word, command) {
            at += 1;
        } else if is_flag(word, Some(FLAG), Some(LETTER)) {
            let name = arguments.get(at + 1).map_or(OsStr::new("-"), OsString::as_os_str);
            if name.as_bytes().starts_with(b"-") {
                continue;
            }
            let values = if name == USER_PROPERTY { 2 } else { 1 };
            for value in arguments.iter_mut().skip(at + 2).take(values) {
                if value.as_bytes().starts_with(b"-") {
                    *value = OsString::from_vec([SHIELD.as_bytes(), value.as_bytes()].concat());
                }
            }
            at += 2 + values;
        }
    }
    arguments
}

/// Whether the next word is the value of this one even if it is `-D`.
fn takes_anything(word: &OsStr, command: &Command) -> bool {
    let mut flags = command.get_subcommands().flat_map(Command::get_arguments);
    flags.any(|f| f.is_allow_hyphen_values_set() && is_flag(word, f.get_long(), f.get_short()))
}

fn is_flag(word: &OsStr, long: Option<&str>, short: Option<char>) -> bool {
    let Some(word) = word.to_str() else { return false };
    match word.strip_prefix("--") {
        Some(name) => Some(name) == long,
        None => word.strip_prefix('-').is_some_and(|w| w.chars().eq(short)),
    }
}

impl clap::Args for Properties {
    fn augment_args(command: Command) -> Command {
        command.arg(
            Arg::new(FLAG)
                .short(LETTER)
                .long(FLAG)
                .num_args(3..=4)
                .value_names(["PACKET", "PROPERTY", "VALUE"])
                .action(ArgAction::Append)
                .help_heading(IDENTITY)
                .help(
                    "A property of connect, publish, subscribe, will or disconnect, with \
                     mosquitto's names; user-property takes a name and a value, and may be \
                     given several times [MQTT 5]",
                ),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Properties {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut properties = Self::default();
        for words in matches.get_occurrences::<String>(FLAG).into_iter().flatten() {
            let words: Vec<&str> =
                words.map(|word| word.strip_prefix(SHIELD).unwrap_or(word)).collect();
            properties.add(&words).map_err(|message| {
                clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("-D: {message}"))
            })?;
        }
        Ok(properties)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &[&str]) -> Result<Properties, String> {
        let mut properties = Properties::default();
        for line in lines {
            properties.add(&line.split(' ').collect::<Vec<_>>())?;
        }
        Ok(properties)
    }

    #[test]
    fn typed_and_in_order() {
        let p = all(&[
            "publish user-property a 1",
            "PUBLISH content-type text/plain",
            "publish user-property a 2",
            "will will-delay-interval 5",
            "connect receive-maximum 65535",
        ])
        .expect("all are right");
        let of_publish: Vec<_> = p.of(Packet::Publish).cloned().collect();
        let user = |v: &str| OwnedProperty::UserProperty("a".into(), v.into());
        let kind = OwnedProperty::ContentType("text/plain".into());
        assert_eq!(of_publish, [user("1"), kind, user("2")]);
        assert_eq!(p.of(Packet::Will).count(), 1);
        assert_eq!(p.of(Packet::Subscribe).count(), 0);
    }

    #[test]
    fn only_values_of_properties_are_shielded() {
        use clap::CommandFactory;
        let command = Command::new("everlink").subcommand(crate::args::PubArgs::command());
        for (typed, shielded) in [
            ("-D publish content-type -x -q 1", "-D publish content-type \0-x -q 1"),
            ("-D publish user-property -a --b -c", "-D publish user-property \0-a \0--b -c"),
            ("--property will user-property a -b", "--property will user-property a \0-b"),
            ("-m -D publish content-type -x", "-m -D publish content-type -x"),
            ("-m -m -D publish content-type -x", "-m -m -D publish content-type \0-x"),
            ("-D -q 1", "-D -q 1"),
            ("-D publish -q 1", "-D publish -q 1"),
            ("-D", "-D"),
        ] {
            let line = |text: &str| -> Vec<OsString> {
                format!("pub {text}").split(' ').map(OsString::from).collect()
            };
            assert_eq!(shield(line(typed), &command), line(shielded), "{typed}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (line, words) in [
            ("fish content-type x", "\"fish\" is none of"),
            ("puback user-property a b", "PUBACK cannot be set"),
            ("connect content-type x", "content-type is no property of connect"),
            ("subscribe topic-alias 1", "topic-alias is no property of subscribe"),
            ("connect receive-maximum 0", "from 1 to 65535"),
            ("connect receive-maximum 65536", "from 1 to 65535"),
            ("connect maximum-packet-size x", "from 64 to 4294967295"),
            ("publish payload-format-indicator 2", "is 0 or 1"),
            ("publish response-topic a/#", "response-topic: "),
            ("publish user-property a", "takes a name and a value"),
            ("publish content-type a b", "takes one value"),
            ("publish topic-alias 1", "by themselves"),
            ("subscribe subscription-identifier 1", "itself"),
        ] {
            let error = all(&[line]).expect_err(line);
            assert!(error.contains(words), "{line}: {error}");
        }
        let twice = all(&["publish content-type a", "publish content-type b"]);
        assert!(twice.is_err_and(|e| e.contains("twice")));
        assert!(all(&["publish content-type a", "will content-type b"]).is_ok());
    }
}
