//! The roads to a broker: over what its bytes go.

#[cfg(feature = "esp-at")]
mod esp_at;
#[cfg(feature = "tokio")]
mod layers;
#[cfg(feature = "tokio")]
mod link;
#[cfg(all(unix, feature = "tokio"))]
mod local;
#[cfg(all(unix, feature = "esp-at"))]
mod modem;
#[cfg(feature = "tokio")]
mod pipe;
#[cfg(all(unix, feature = "serial"))]
mod serial;

use std::fmt;
use std::string::{String, ToString};

use crate::endpoint::Endpoint;

#[cfg(feature = "esp-at")]
pub use esp_at::{ModemReset, ModemRoad};
#[cfg(feature = "tokio")]
pub use link::RoadLink;
#[cfg(feature = "ws")]
pub(crate) use pipe::LINGER;
#[cfg(feature = "tokio")]
pub use pipe::RoadPipe;
#[cfg(any(feature = "tls", feature = "ws"))]
pub(crate) use pipe::Wire;

/// The path of a WebSocket request when the URL names none.
pub const WEBSOCKET_PATH: &str = "/mqtt";

/// Over what a broker is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Road {
    /// TCP, and what lies above it.
    Net {
        /// The server.
        endpoint: Endpoint,
        /// Whether TLS protects it.
        tls: bool,
        /// The target of the WebSocket request (path and query), if it is a WebSocket.
        websocket: Option<String>,
    },
    /// UDP, to an MQTT-SN gateway.
    Sn(Endpoint),
    /// A socket in the file system: its path.
    Unix(String),
    /// A serial line, with something at its other end that speaks MQTT over bytes.
    Serial(SerialPort),
    /// A WiFi module with AT firmware at a serial port.
    #[cfg(feature = "esp-at")]
    EspAt(std::boxed::Box<ModemRoad>),
}

/// A serial port: 8 data bits, no parity, one stop bit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SerialPort {
    /// Path of the device.
    pub device: String,
    /// Bits per second; 115 200 by default.
    pub baud: u32,
    /// How the receiver holds back the sender; not at all by default.
    pub flow: Flow,
}

/// How the receiver on a serial line holds back the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Flow {
    /// Not at all: bytes are lost when nobody reads in time.
    #[default]
    None,
    /// By the RTS and CTS lines.
    Hardware,
}

impl Road {
    /// TCP without anything above it.
    pub fn tcp(endpoint: Endpoint) -> Self {
        Self::Net { endpoint, tls: false, websocket: None }
    }

    /// Whether TLS protects it.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Net { tls: true, .. })
    }

    /// Whether MQTT-SN is spoken over it.
    pub fn is_sn(&self) -> bool {
        matches!(self, Self::Sn(_))
    }

    /// The scheme of its URL.
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Net { tls: false, websocket: None, .. } => "mqtt",
            Self::Net { tls: true, websocket: None, .. } => "mqtts",
            Self::Net { tls: false, websocket: Some(_), .. } => "ws",
            Self::Net { tls: true, websocket: Some(_), .. } => "wss",
            Self::Sn(_) => "mqttsn",
            Self::Unix(_) => "unix",
            Self::Serial(_) => "serial",
            #[cfg(feature = "esp-at")]
            Self::EspAt(_) => "esp-at",
        }
    }
}

impl fmt::Display for Road {
    /// As a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme())?;
        match self {
            Self::Net { endpoint, websocket, .. } => {
                write!(f, "{endpoint}{}", websocket.as_deref().unwrap_or_default())
            }
            Self::Sn(endpoint) => endpoint.fmt(f),
            Self::Unix(path) => f.write_str(path),
            Self::Serial(port) => port.fmt(f),
            #[cfg(feature = "esp-at")]
            Self::EspAt(road) => road.fmt(f),
        }
    }
}

impl SerialPort {
    /// A port at 115 200 bits per second without flow control.
    pub fn new(device: impl Into<String>) -> Self {
        Self { device: device.into(), baud: 115_200, flow: Flow::None }
    }

    /// Reads `/dev/ttyUSB0?baud=115200&flow=hardware`; the error is the part that is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (device, query) = text.split_once('?').unwrap_or((text, ""));
        let mut port = Self::new(device);
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let wrong = || part.to_string();
            let (name, value) = part.split_once('=').ok_or_else(wrong)?;
            port.set(name, value).ok_or_else(wrong)?;
        }
        Ok(port)
    }

    /// Changes a setting; `None` if it means nothing.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match (name, value) {
            ("baud", rate) => self.baud = rate.parse().ok().filter(|b| *b > 0)?,
            ("flow", "none") => self.flow = Flow::None,
            ("flow", "hardware" | "rtscts") => self.flow = Flow::Hardware,
            _ => return None,
        }
        Some(())
    }
}

impl fmt::Display for SerialPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}?baud={}", self.device, self.baud)?;
        match self.flow {
            Flow::None => Ok(()),
            Flow::Hardware => f.write_str("&flow=hardware"),
        }
    }
}
