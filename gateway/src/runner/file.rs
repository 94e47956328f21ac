//! The configuration file: TOML, checked, with errors that name the line.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use everlink::TopicName;
use serde::Deserialize;

use super::config::{Config, Listen};
use crate::core::{Limits, Settings, WhenFull};

/// What is wrong with a configuration file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("{0}: {1}")]
    Read(String, #[source] std::io::Error),
    /// Something in it is wrong.
    #[error("{file}, line {line} ({text}): {problem}")]
    Content {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What stands there.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`FileError`] names the file, the line, and what stands there.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let name = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|error| FileError::Read(name.clone(), error))?;
        Self::parse(&name, &text)
    }

    /// Reads a configuration from `text`; `file` is for errors.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(file: &str, text: &str) -> Result<Self, FileError> {
        toml::from_str::<File>(text).map(File::into_config).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start).min(text.len());
            let line = text.get(..at).unwrap_or_default().matches('\n').count();
            FileError::Content {
                file: file.to_owned(),
                line: line + 1,
                text: text.lines().nth(line).unwrap_or_default().trim().to_owned(),
                problem: error.message().replace('\n', ", "),
            }
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    listen: Vec<Listen>,
    broker: Broker,
    state: Option<PathBuf>,
    name: Option<Text>,
    status: Option<Text>,
    gateway_id: Option<u8>,
    nodes: Option<Count>,
    max_message: Option<Count>,
    allow: Option<Vec<String>>,
    #[serde(default)]
    timers: Timers,
    #[serde(default)]
    buffer: Buffer,
    #[serde(default)]
    predefined: BTreeMap<Id, Topic>,
    #[serde(default)]
    node: BTreeMap<String, Single>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Timers {
    retry: Option<Seconds>,
    retries: Option<u8>,
    patience: Option<Seconds>,
    session_expiry: Option<Seconds>,
    advertise: Option<u16>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Buffer {
    messages: Option<Count>,
    bytes: Option<Count>,
    when_full: Option<WhenFull>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Single {
    #[serde(default)]
    predefined: BTreeMap<Id, Topic>,
    #[serde(default)]
    buffer: Buffer,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Broker(String);

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Text(String);

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Topic(String);

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String")]
struct Id(u16);

#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct Count(usize);

#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
struct Seconds(Duration);

impl File {
    fn into_config(self) -> Config {
        let mut config = Config::new(self.broker.0, self.listen);
        config.state = self.state;
        config.allow = self.allow;
        let set = |to: &mut String, from: Option<Text>| from.map(|text| *to = text.0);
        set(&mut config.name, self.name);
        set(&mut config.status, self.status);
        config.nodes = self.nodes.map_or(config.nodes, |count| count.0);
        let default = Settings::default();
        let timers = self.timers;
        let time = |given: Option<Seconds>, or| given.map_or(or, |seconds| seconds.0);
        config.settings = Settings {
            gateway: self.gateway_id.unwrap_or(default.gateway),
            retry: time(timers.retry, default.retry),
            retries: timers.retries.unwrap_or(default.retries),
            patience: time(timers.patience, default.patience),
            session_expiry: time(timers.session_expiry, default.session_expiry),
            advertise: timers
                .advertise
                .map_or(default.advertise, |seconds| Duration::from_secs(seconds.into())),
            max_message: self.max_message.map_or(default.max_message, |count| count.0),
            ..default
        };
        config.limits = self.buffer.over(config.limits);
        for (id, topic) in self.predefined {
            config.predefined.add(id.0, topic.0);
        }
        for (name, single) in self.node {
            config.single.insert(name.clone(), single.buffer.over(config.limits));
            for (id, topic) in single.predefined {
                config.predefined.add_for(name.as_str(), id.0, topic.0);
            }
        }
        config
    }
}

impl Buffer {
    fn over(self, limits: Limits) -> Limits {
        Limits {
            messages: self.messages.map_or(limits.messages, |count| count.0),
            bytes: self.bytes.map_or(limits.bytes, |count| count.0),
            when_full: self.when_full.unwrap_or(limits.when_full),
        }
    }
}

impl std::str::FromStr for Listen {
    type Err = String;

    /// `udp://ADDRESS:PORT`, perhaps with `?multicast=ADDRESS:PORT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "an address such as udp://0.0.0.0:10000 is wanted".to_owned();
        let rest = text.strip_prefix("udp://").ok_or_else(wrong)?;
        let (address, options) = rest.split_once('?').unwrap_or((rest, ""));
        let address: SocketAddr = address.parse().map_err(|_| wrong())?;
        let multicast = match options.split_once('=') {
            None if options.is_empty() => None,
            Some(("multicast", group)) => Some(group.parse().map_err(|_| {
                "multicast takes an address and a port, such as 239.255.18.84:10000".to_owned()
            })?),
            _ => return Err(format!("`{options}` is no option; there is multicast=ADDRESS:PORT")),
        };
        Ok(Self { address, multicast })
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for WhenFull {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "hold" => Ok(Self::Hold),
            "drop-oldest" => Ok(Self::DropOldest),
            "drop-newest" => Ok(Self::DropNewest),
            "latest" => Ok(Self::Latest),
            _ => Err(serde::de::Error::custom(
                "the policies are hold, drop-oldest, drop-newest and latest",
            )),
        }
    }
}

impl TryFrom<String> for Broker {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // Whether it can be understood is for who builds the client to say.
        match everlink::Client::builder(text.as_str()).build() {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || TopicName::new(&text).is_ok() {
            Ok(Self(text))
        } else {
            Err("it is part of topics, and has no wildcard ('+' or '#')".to_owned())
        }
    }
}

impl TryFrom<String> for Topic {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        TopicName::new(&text).map(drop).map_err(|error| error.to_string())?;
        Ok(Self(text))
    }
}

impl TryFrom<String> for Id {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let id = text.parse().ok().filter(|id| (1..=0xFFFE).contains(id));
        id.map(Self).ok_or_else(|| "a topic id is a number from 1 to 65534".to_owned())
    }
}

impl TryFrom<i64> for Count {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let count = usize::try_from(number).ok().filter(|count| (1..=1 << 30).contains(count));
        count.map(Self).ok_or_else(|| "a number from 1 to 1073741824 is wanted".to_owned())
    }
}

impl TryFrom<f64> for Seconds {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        let wrong = || "a number of seconds is wanted, more than 0, such as 10 or 0.5".to_owned();
        let time = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
        if time.is_zero() { Err(wrong()) } else { Ok(Self(time)) }
    }
}
