//! What the programs for real boards share: whom to talk to, given when they are built; the board's
//! own names; readings as text. MQTT itself is in the `main.rs` of each.
#![no_std]

mod text;

use core::fmt::Write;

use everlink_link::embedded::tcp::Endpoint;
use everlink_link::embedded::wifi::Network;

pub use text::{Celsius, Text};

/// The broker: `MQTT_HOST`, a name or an address, and `MQTT_PORT` (1883) of the environment of the
/// build. Without them the program links, but finds no broker.
pub static BROKER: [Endpoint<'static>; 1] = [Endpoint::new(
    match option_env!("MQTT_HOST") {
        Some(host) => host,
        None => "MQTT_HOST.was.not.set.when.this.was.built.invalid",
    },
    match option_env!("MQTT_PORT") {
        Some(port) => number(port),
        None => 1883,
    },
)];

/// The WiFi networks in the order in which they are tried: `WIFI_SSID` and `WIFI_PASSWORD`,
/// `WIFI_SSID_2` and `WIFI_PASSWORD_2` of the environment of the build.
pub fn networks() -> &'static [Network<'static>] {
    static NETWORKS: [Network<'static>; 2] = [
        network(option_env!("WIFI_SSID"), option_env!("WIFI_PASSWORD")),
        network(option_env!("WIFI_SSID_2"), option_env!("WIFI_PASSWORD_2")),
    ];
    let count = NETWORKS.iter().take_while(|network| !network.ssid.is_empty()).count();
    &NETWORKS[..count]
}

const fn network(ssid: Option<&'static str>, password: Option<&'static str>) -> Network<'static> {
    let ssid = match ssid {
        Some(ssid) => ssid,
        None => "",
    };
    let passphrase = match password {
        Some(password) => password,
        None => "",
    };
    Network { ssid, passphrase }
}

/// The number that `digits` are; the build fails if they are none.
const fn number(digits: &str) -> u16 {
    let (digits, mut number, mut at) = (digits.as_bytes(), 0, 0);
    while at < digits.len() {
        assert!(digits[at].is_ascii_digit(), "MQTT_PORT is a number");
        number = number * 10 + (digits[at] - b'0') as u16;
        at += 1;
    }
    number
}

/// The board's Client Identifier and its topics.
#[derive(Debug)]
pub struct Names {
    /// `KIND-SERIAL`, for instance `pico-w-28cdc1000001`.
    pub id: Text<40>,
    /// `ID/status`: `online` or `offline`, retained.
    pub status: Text<56>,
    /// `ID/temperature`: readings.
    pub temperature: Text<56>,
    /// `ID/led`: commands `on` and `off`.
    pub led: Text<56>,
}

impl Names {
    /// The names of the board with this serial number, at most 8 bytes of it.
    pub fn new(kind: &str, serial: &[u8]) -> Self {
        let mut id = Text::new();
        let _ = write!(id, "{kind}-");
        for byte in serial.iter().take(8) {
            let _ = write!(id, "{byte:02x}");
        }
        let topic = |name: &str| {
            let mut topic = Text::new();
            let _ = write!(topic, "{id}/{name}");
            topic
        };
        Self { status: topic("status"), temperature: topic("temperature"), led: topic("led"), id }
    }

    /// A number of the board's own: brothers must not all return at the same moment after an outage.
    pub fn seed(&self) -> u64 {
        let bytes = self.id.bytes();
        // FNV-1a.
        bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
    }
}
