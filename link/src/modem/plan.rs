//! Where a modem is to go.

use core::time::Duration;

pub use crate::network::Network;

/// The networks to join and the broker to reach, as a modem is told each time.
pub trait Plan {
    /// The network of this number, counted from 0 in the order to try them; `None` after the last.
    /// Without any, the module goes to the one it has in its own memory.
    fn network(&self, number: usize) -> Option<Network<'_>>;

    /// The broker.
    fn broker(&self) -> Broker<'_>;
}

/// A broker as the module reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broker<'b> {
    /// Name or IPv4 address. Names are resolved by the module, at every attempt.
    pub host: &'b str,
    /// TCP port.
    pub port: u16,
    /// What protects the bytes between the module and the broker.
    pub tls: ModemTls,
}

impl<'b> Broker<'b> {
    /// A broker over TCP.
    pub const fn tcp(host: &'b str, port: u16) -> Self {
        Self { host, port, tls: ModemTls::Off }
    }
}

/// TLS as the module speaks it. The wire between us and the module is never protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ModemTls {
    /// TCP only.
    #[default]
    Off,
    /// The certificate must be issued by the authority in the module's flash (partition
    /// `client_ca`) and bear the broker's name as its common name. A module that cannot check both,
    /// such as any with firmware 1.x, is refused. Dates are checked by few firmwares.
    Verified,
    /// The same, and the module shows its own certificate (partitions `client_cert`, `client_key`).
    Mutual,
    /// TLS with anybody who answers.
    Unverified,
}

/// How long things may take, and what there is.
#[derive(Clone, Copy, Debug)]
pub struct ModemOptions {
    /// How long joining one network may take; 20 s by default, a little more than the module itself
    /// takes before it gives up.
    pub patience: Duration,
    /// How long an association must hold before it is trusted; 2 s by default. At the edge of the
    /// range a radio joins and is thrown out again for hours.
    pub stable: Duration,
    /// An open connection on which nothing moves is looked at this often, which shows that the module
    /// lives and finds what a lost notice was about; 2 s by default.
    pub check: Duration,
    /// There is a pin that resets the module; without one it is told to restart.
    pub has_reset_pin: bool,
}

impl Default for ModemOptions {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(20),
            stable: Duration::from_secs(2),
            check: Duration::from_secs(2),
            has_reset_pin: false,
        }
    }
}
