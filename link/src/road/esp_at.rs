//! What a road through a WiFi module says.

use std::fmt;
use std::string::{String, ToString};
use std::time::Duration;

use super::SerialPort;
use crate::endpoint::{Endpoint, MQTT_PORT, MQTTS_PORT};
use crate::modem::ModemTls;

/// How long an association must hold, unless told otherwise.
const STABLE: Duration = Duration::from_secs(2);

/// A module with AT firmware at a serial port, and the broker it is to reach.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ModemRoad {
    /// The serial port.
    pub port: SerialPort,
    /// The broker.
    pub broker: Endpoint,
    /// What protects the way from the module to the broker.
    pub tls: ModemTls,
    /// Path of a file with the networks to join, in the order to try them: a line `NAME=PASSPHRASE`
    /// each. Read again at every attempt. Without one the module goes to the network that it has in its
    /// own memory.
    pub networks: Option<String>,
    /// How to reset it.
    pub reset: ModemReset,
    /// How long an association must hold before it is trusted; 2 s by default.
    pub stable: Duration,
}

/// How a module is reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ModemReset {
    /// It is told to restart, which a module that hangs does not hear.
    #[default]
    Told,
    /// By the RTS line of the port: asserted is low at the module's reset pin.
    Rts,
    /// By the DTR line of the port.
    Dtr,
    /// By running this program, for a pin of the machine; without arguments.
    Program(String),
}

impl ModemRoad {
    /// A broker over TCP, through a module at this port that knows its network.
    pub fn new(port: SerialPort, broker: Endpoint) -> Self {
        Self {
            port,
            broker,
            tls: ModemTls::Off,
            networks: None,
            reset: ModemReset::Told,
            stable: STABLE,
        }
    }

    /// Reads the settings behind the device; the error is the part that is wrong, or the name of it where
    /// it may hold a secret. What stands before the host in `to=` is handed out.
    pub(crate) fn parse(
        device: String,
        settings: &[(String, String)],
    ) -> Result<(Self, Option<String>), String> {
        let mut road =
            Self::new(SerialPort::new(device), Endpoint { host: String::new(), port: 0 });
        let (mut user_info, mut to) = (None, None);
        for (name, value) in settings {
            let wrong = || std::format!("{name}={value}");
            match (name.as_str(), value.as_str()) {
                ("to", url) => {
                    let hidden = || "to=...".to_string();
                    let secure;
                    (secure, user_info, road.broker) = broker(url).ok_or_else(hidden)?;
                    to = Some(secure);
                }
                ("networks", path) if !path.is_empty() => road.networks = Some(value.clone()),
                ("tls", "verified") => road.tls = ModemTls::Verified,
                ("tls", "mutual") => road.tls = ModemTls::Mutual,
                ("tls", "unverified") => road.tls = ModemTls::Unverified,
                ("reset", "rts") => road.reset = ModemReset::Rts,
                ("reset", "dtr") => road.reset = ModemReset::Dtr,
                ("reset", path) if path.starts_with('/') => {
                    road.reset = ModemReset::Program(value.clone());
                }
                ("stable", seconds) => {
                    let seconds = seconds.parse::<u32>().map_err(|_| wrong())?;
                    road.stable = Duration::from_secs(seconds.into());
                }
                _ => road.port.set(name, value).ok_or_else(wrong)?,
            }
        }
        match (to, road.tls) {
            (None, _) => return Err("to=".to_string()),
            (Some(true), ModemTls::Off) => road.tls = ModemTls::Verified,
            (Some(true), _) | (Some(false), ModemTls::Off) => {}
            (Some(false), _) => return Err("tls=".to_string()),
        }
        Ok((road, user_info))
    }
}

/// Whether it is to be protected, who we are, and where it is.
fn broker(url: &str) -> Option<(bool, Option<String>, Endpoint)> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("mqtt", url));
    let (secure, port) = match scheme {
        "mqtt" | "tcp" => (false, MQTT_PORT),
        "mqtts" | "ssl" | "tls" => (true, MQTTS_PORT),
        _ => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (user_info, host) = match rest.rsplit_once('@') {
        Some((user_info, host)) => (Some(user_info.to_string()), host),
        None => (None, rest),
    };
    Some((secure, user_info, Endpoint::parse(host, port).ok()?))
}

impl fmt::Display for ModemRoad {
    /// All of it, as it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = SerialPort { device: escaped(&self.port.device), ..self.port.clone() };
        port.fmt(f)?;
        if let Some(path) = &self.networks {
            write!(f, "&networks={}", escaped(path))?;
        }
        match &self.reset {
            ModemReset::Told => {}
            ModemReset::Rts => f.write_str("&reset=rts")?,
            ModemReset::Dtr => f.write_str("&reset=dtr")?,
            ModemReset::Program(path) => write!(f, "&reset={}", escaped(path))?,
        }
        if self.stable != STABLE {
            write!(f, "&stable={}", self.stable.as_secs())?;
        }
        f.write_str(match self.tls {
            ModemTls::Off | ModemTls::Verified => "",
            ModemTls::Mutual => "&tls=mutual",
            ModemTls::Unverified => "&tls=unverified",
        })?;
        let scheme = if self.tls == ModemTls::Off { "mqtt" } else { "mqtts" };
        write!(f, "&to={scheme}://{}", self.broker)
    }
}

/// A path between the marks of a URL.
fn escaped(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '%' | '&' | '?' | '#' => text.push_str(&std::format!("%{:02X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text
}
