//! The links below the roads: Ethernet, WiFi, LTE; how to bind to one, and the programs that drive it.

#[cfg(all(unix, feature = "commands"))]
mod keeper;
#[cfg(all(unix, feature = "commands"))]
mod program;

use std::net::IpAddr;
use std::string::{String, ToString};

use crate::tcp::TcpOptions;

#[cfg(all(unix, feature = "commands"))]
pub(crate) use keeper::Keeper;
#[cfg(all(unix, feature = "commands"))]
pub use program::{Program, ProgramError};

/// A link to the network: an interface or an address of this machine that connections go out from, and the
/// programs that bring it up and down.
///
/// Several of them are tried in their order, as brokers are: first all brokers over the first link, then all
/// over the second.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Uplink {
    /// Connect through this network interface only (Linux and Android).
    pub interface: Option<String>,
    /// Connect from this address; remote addresses of the other family are not tried.
    pub local_address: Option<IpAddr>,
    /// Programs that drive it.
    #[cfg(all(unix, feature = "commands"))]
    pub commands: Commands,
}

/// Programs that drive a link, all of them optional. They run beside the application and are
/// killed when they take too long; what they print is told if they fail.
#[cfg(all(unix, feature = "commands"))]
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Commands {
    /// Brings the link up: run before the first attempt over it, and whenever `status` says that it is down.
    pub up: Option<Program>,
    /// Takes the link down: with `up`, the rung "link" of the recovery ladder.
    pub down: Option<Program>,
    /// Resets the device that makes the link: the last rung of the ladder.
    pub reset: Option<Program>,
    /// Succeeds if the link is up: run before each attempt.
    pub status: Option<Program>,
}

impl Uplink {
    /// Whatever way the system's routes lead.
    pub fn any() -> Self {
        Self::default()
    }

    /// Through this interface.
    pub fn interface(name: impl Into<String>) -> Self {
        Self { interface: Some(name.into()), ..Self::default() }
    }

    /// From this address.
    pub fn address(address: IpAddr) -> Self {
        Self { local_address: Some(address), ..Self::default() }
    }

    /// Reads an address or the name of an interface.
    pub fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(address) => Self::address(address),
            Err(_) => Self::interface(text),
        }
    }

    /// What it is called in messages, and in the environment of its programs.
    pub fn name(&self) -> String {
        let address = self.local_address.map(|address| address.to_string());
        self.interface.clone().or(address).unwrap_or_else(|| "link".to_string())
    }

    /// `options` with its interface and address.
    pub(crate) fn options(&self, options: &TcpOptions) -> TcpOptions {
        let mut options = options.clone();
        if self.interface.is_some() {
            options.interface.clone_from(&self.interface);
        }
        if self.local_address.is_some() {
            options.local_address = self.local_address;
        }
        options
    }
}

#[cfg(all(unix, feature = "commands"))]
impl Uplink {
    /// The programs that drive it.
    #[must_use]
    pub fn commands(mut self, commands: Commands) -> Self {
        self.commands = commands;
        self
    }
}

#[cfg(all(unix, feature = "commands"))]
impl Commands {
    /// NetworkManager drives this interface, through its program `nmcli`.
    pub fn network_manager(interface: &str) -> Self {
        let nmcli = |arguments: &[&str]| {
            let arguments = arguments.iter().copied().chain([interface]);
            Some(Program::new("nmcli").arguments(arguments))
        };
        Self {
            up: nmcli(&["--wait", "25", "device", "connect"]),
            down: nmcli(&["--wait", "10", "device", "disconnect"]),
            reset: None,
            // "100 (connected)"; it succeeds in any state.
            status: nmcli(&["--terse", "--get-values", "GENERAL.STATE", "device", "show"])
                .map(|program| program.expect("100")),
        }
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    fn all(&self) -> impl Iterator<Item = &Program> {
        [&self.up, &self.down, &self.reset, &self.status].into_iter().flatten()
    }
}
