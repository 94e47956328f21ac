//! What the module is told, one command after the other, and how long it may take.

use core::fmt::{self, Write};
use core::net::Ipv4Addr;
use core::time::Duration;

use everlink_proto::engine::Step;

use crate::modem::plan::{Broker, ModemOptions, ModemTls, Network};

/// Where a modem stands: one command each, or a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Nobody wants anything.
    Off,
    /// The reset pin is low.
    PinLow,
    /// It restarts.
    Restart,
    /// It starts.
    Boot,
    /// Is it there?
    Attention,
    /// It may wait for bytes of a message that was given up.
    Rinse,
    /// What it still has to say about earlier commands is not for us.
    Settle,
    Quiet,
    Version,
    Forgetful,
    Station,
    Where,
    /// Which network is next?
    Choose,
    Join,
    /// Does the association hold?
    Hold,
    /// The network in its own memory.
    Await,
    Hangup,
    Plain,
    Single,
    Bare,
    Passive,
    Resolve,
    Certificate,
    CommonName,
    ServerName,
    Start,
    /// Connected, and nothing to do.
    Ready,
    Announce,
    Payload,
    Confirm,
    Fetch,
    Length,
    /// The orderly end.
    Close,
    Leave,
}

/// The longest command: a name and a passphrase with every byte escaped, or a host name.
pub(crate) const LONGEST_COMMAND: usize = 320;

/// How long the module may try to send what it has: TCP may have to do so again and again.
pub(super) const SENDING: Duration = Duration::from_secs(15);

/// Bytes that no message to send can exceed.
pub(super) const LONGEST_SEND: usize = 2048;

/// What a command needs besides.
pub(super) struct Facts<'p> {
    pub(super) network: Option<Network<'p>>,
    pub(super) broker: Broker<'p>,
    pub(super) address: Option<Ipv4Addr>,
    /// Major version of the firmware.
    pub(super) version: u8,
    pub(super) bytes: usize,
}

impl Stage {
    /// The step of the connection it belongs to.
    pub(super) fn step(self, tls: ModemTls) -> Step {
        match self {
            Self::Resolve => Step::Resolve,
            Self::Certificate | Self::CommonName | Self::ServerName => Step::Tls,
            Self::Start if tls != ModemTls::Off => Step::Tls,
            Self::Start => Step::Transport,
            _ => Step::Link,
        }
    }

    /// How long the module may take to answer, or how long to wait.
    pub(super) fn bound(self, options: &ModemOptions) -> Duration {
        let millis = match self {
            Self::PinLow => 100,
            Self::Attention => 300,
            Self::Settle => 60,
            Self::Hold => return options.stable,
            Self::Join => return options.patience,
            // Each look.
            Self::Await => 500,
            Self::Boot => 3000,
            Self::Resolve => 15_000,
            Self::Start => 20_000,
            // Until all bytes are with the module, over a slow line.
            Self::Confirm => 5000,
            _ => 2000,
        };
        Duration::from_millis(millis)
    }

    /// Whether it only takes time.
    pub(super) fn is_wait(self) -> bool {
        matches!(self, Self::PinLow | Self::Boot | Self::Settle | Self::Hold)
    }

    /// Writes the command; `None` if there is none, or no room for it.
    pub(super) fn command(self, facts: &Facts<'_>, out: &mut [u8]) -> Option<usize> {
        let mut text = Text { out, len: 0 };
        self.write(facts, &mut text).ok()?;
        if text.len == 0 {
            return None;
        }
        text.write_str("\r\n").ok()?;
        Some(text.len)
    }

    fn write(self, facts: &Facts<'_>, out: &mut Text<'_>) -> fmt::Result {
        let old = facts.version < 2;
        // Firmware 1.x keeps in its flash what it is told without these letters. Later ones are told to
        // forget by SYSSTORE.
        let current = if old { "_CUR" } else { "" };
        match self {
            Self::Restart => out.write_str("AT+RST"),
            Self::Attention => out.write_str("AT"),
            Self::Quiet => out.write_str("ATE0"),
            Self::Version => out.write_str("AT+GMR"),
            Self::Forgetful => out.write_str("AT+SYSSTORE=0"),
            Self::Station => write!(out, "AT+CWMODE{current}=1"),
            Self::Where | Self::Await => write!(out, "AT+CWJAP{current}?"),
            Self::Join => {
                let network = facts.network.ok_or(fmt::Error)?;
                let (ssid, passphrase) = (Quoted(network.ssid), Quoted(network.passphrase));
                write!(out, "AT+CWJAP{current}={ssid},{passphrase}")
            }
            Self::Hangup | Self::Close => out.write_str("AT+CIPCLOSE"),
            Self::Plain => out.write_str("AT+CIPMODE=0"),
            Self::Single => out.write_str("AT+CIPMUX=0"),
            Self::Bare => out.write_str("AT+CIPDINFO=0"),
            Self::Passive => out.write_str("AT+CIPRECVMODE=1"),
            Self::Resolve => write!(out, "AT+CIPDOMAIN={}", Quoted(facts.broker.host)),
            // What 1.x has by default is too little for most servers.
            Self::Certificate if old => out.write_str("AT+CIPSSLSIZE=4096"),
            Self::Certificate => {
                let mode = match facts.broker.tls {
                    ModemTls::Off | ModemTls::Unverified => "0",
                    ModemTls::Verified => "2,0,0",
                    ModemTls::Mutual => "3,0,0",
                };
                write!(out, "AT+CIPSSLCCONF={mode}")
            }
            Self::CommonName => write!(out, "AT+CIPSSLCCN={}", Quoted(facts.broker.host)),
            Self::ServerName => write!(out, "AT+CIPSSLCSNI={}", Quoted(facts.broker.host)),
            Self::Start => start(facts, out),
            Self::Announce => write!(out, "AT+CIPSEND={}", facts.bytes),
            Self::Fetch => write!(out, "AT+CIPRECVDATA={}", facts.bytes),
            Self::Length => out.write_str("AT+CIPRECVLEN?"),
            Self::Leave => out.write_str("AT+CWQAP"),
            _ => Ok(()),
        }
    }
}

fn start(facts: &Facts<'_>, out: &mut Text<'_>) -> fmt::Result {
    let Broker { host, port, tls } = facts.broker;
    match (tls, facts.address) {
        (ModemTls::Off, Some(address)) => write!(out, "AT+CIPSTART=\"TCP\",\"{address}\",{port}"),
        (ModemTls::Off, None) => write!(out, "AT+CIPSTART=\"TCP\",{},{port}", Quoted(host)),
        // By name, for the module takes it from here into the handshake.
        _ => write!(out, "AT+CIPSTART=\"SSL\",{},{port}", Quoted(host)),
    }
}

/// In quotation marks, with a backslash before what means something to the module.
struct Quoted<'t>(&'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            // Whatever else this may be, it is not another command.
            if c.is_control() {
                return Err(fmt::Error);
            }
            if matches!(c, '"' | '\\' | ',') {
                f.write_str("\\")?;
            }
            f.write_char(c)?;
        }
        f.write_str("\"")
    }
}

/// Text in a buffer of fixed size.
struct Text<'o> {
    out: &'o mut [u8],
    len: usize,
}

impl Write for Text<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let to = self.out.get_mut(self.len..self.len + s.len()).ok_or(fmt::Error)?;
        to.copy_from_slice(s.as_bytes());
        self.len += s.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn said(stage: Stage, version: u8, network: Network<'_>, tls: ModemTls) -> Option<String> {
        let broker = Broker { host: "broker.local", port: 8883, tls };
        let address = Some(Ipv4Addr::new(192, 0, 2, 7));
        let facts = Facts { network: Some(network), broker, address, version, bytes: 42 };
        let mut out = [0; LONGEST_COMMAND];
        let n = stage.command(&facts, &mut out)?;
        Some(String::from_utf8(out[..n].to_vec()).unwrap())
    }

    #[test]
    fn commands() {
        let shed = Network { ssid: "sh\"ed", passphrase: "a,b\\c" };
        for (stage, version, tls, text) in [
            (Stage::Station, 1, ModemTls::Off, "AT+CWMODE_CUR=1\r\n"),
            (Stage::Station, 3, ModemTls::Off, "AT+CWMODE=1\r\n"),
            (Stage::Join, 1, ModemTls::Off, "AT+CWJAP_CUR=\"sh\\\"ed\",\"a\\,b\\\\c\"\r\n"),
            (Stage::Join, 2, ModemTls::Off, "AT+CWJAP=\"sh\\\"ed\",\"a\\,b\\\\c\"\r\n"),
            (Stage::Start, 2, ModemTls::Off, "AT+CIPSTART=\"TCP\",\"192.0.2.7\",8883\r\n"),
            (Stage::Start, 2, ModemTls::Mutual, "AT+CIPSTART=\"SSL\",\"broker.local\",8883\r\n"),
            (Stage::Certificate, 1, ModemTls::Unverified, "AT+CIPSSLSIZE=4096\r\n"),
            (Stage::Certificate, 2, ModemTls::Unverified, "AT+CIPSSLCCONF=0\r\n"),
            (Stage::Certificate, 2, ModemTls::Verified, "AT+CIPSSLCCONF=2,0,0\r\n"),
            (Stage::CommonName, 2, ModemTls::Verified, "AT+CIPSSLCCN=\"broker.local\"\r\n"),
            (Stage::Announce, 2, ModemTls::Off, "AT+CIPSEND=42\r\n"),
            (Stage::Fetch, 2, ModemTls::Off, "AT+CIPRECVDATA=42\r\n"),
        ] {
            assert_eq!(said(stage, version, shed, tls).as_deref(), Some(text));
        }
        assert_eq!(said(Stage::Hold, 2, shed, ModemTls::Off), None);
    }

    #[test]
    fn no_name_becomes_a_command() {
        let evil = Network { ssid: "a\"\r\nAT+RESTORE\r\n", passphrase: "" };
        assert_eq!(said(Stage::Join, 2, evil, ModemTls::Off), None);
        let (long, longer) = ("\"".repeat(64), "\"".repeat(400));
        let network = Network { ssid: &long[..32], passphrase: &long };
        assert!(said(Stage::Join, 1, network, ModemTls::Off).is_some());
        let network = Network { ssid: &longer, passphrase: "" };
        assert_eq!(said(Stage::Join, 1, network, ModemTls::Off), None);
    }
}
