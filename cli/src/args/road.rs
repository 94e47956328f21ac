//! Flags about the road to the broker.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::connection::BROKER;
use super::values;

/// Between us and the broker.
#[derive(Args)]
pub(crate) struct RoadArgs {
    /// Go through a proxy, which is asked for the broker by name: http://[USER:PASSWORD@]HOST:PORT or
    /// socks5://[USER:PASSWORD@]HOST[:PORT]
    #[arg(long, value_name = "URL", help_heading = BROKER)]
    pub(crate) proxy: Option<String>,

    /// Send this header with a WebSocket request (may be repeated)
    #[arg(long, value_name = "NAME: VALUE", help_heading = BROKER)]
    pub(crate) ws_header: Vec<String>,
}

/// Links below the road.
#[derive(Args)]
pub(crate) struct LinkArgs {
    /// Connect through this network interface, or from this local address (may be repeated: the first one that
    /// leads to a broker is used, and gone back to when it does so again)
    #[arg(long = "link", value_name = "LINK", value_parser = values::link, help_heading = LINKS)]
    pub(crate) links: Vec<String>,

    /// Program that brings a link up; no shell reads it. With LINK= in front it is for that --link only
    #[arg(long = "link-up", value_name = "[LINK=]PROGRAM", help_heading = LINKS)]
    pub(crate) up: Vec<String>,

    /// Program that takes it down: with --link-up what is done when nothing answers over it
    #[arg(long = "link-down", value_name = "[LINK=]PROGRAM", help_heading = LINKS)]
    pub(crate) down: Vec<String>,

    /// Program that resets its device, the last resort
    #[arg(long = "link-reset", value_name = "[LINK=]PROGRAM", help_heading = LINKS)]
    pub(crate) reset: Vec<String>,

    /// Program that fails if the link is down, asked before each attempt
    #[arg(long = "link-status", value_name = "[LINK=]PROGRAM", help_heading = LINKS)]
    pub(crate) status: Vec<String>,

    /// How long these programs may take before they are killed
    #[arg(long = "link-time", value_name = "SECS", default_value = "30", allow_negative_numbers = true,
        value_parser = values::some_seconds, help_heading = LINKS)]
    pub(crate) time: Duration,

    /// NetworkManager brings each --link up and down (nmcli)
    #[arg(long, requires = "links", conflicts_with_all = ["up", "down", "status"], help_heading = LINKS)]
    pub(crate) network_manager: bool,

    /// While connected elsewhere, look so often whether the first choice can be reached again; 0 for never
    #[arg(long, value_name = "SECS", default_value = "60", allow_negative_numbers = true,
        value_parser = values::seconds, help_heading = LINKS)]
    pub(crate) return_after: Duration,
}

impl LinkArgs {
    /// Whether a link has to be brought up first, which may take longer than one attempt.
    pub(crate) fn brings_up(&self) -> bool {
        self.network_manager || !self.up.is_empty()
    }
}

/// TLS.
#[derive(Args, Debug)]
pub(crate) struct TlsArgs {
    /// Trust the authorities in this file (PEM), not those of the system. With -h, this and the
    /// other flags about TLS ask for TLS
    #[arg(long, value_name = "FILE", help_heading = TLS)]
    pub(crate) cafile: Option<PathBuf>,

    /// Our certificate (PEM, our own first), if the broker asks for one. The files are read again
    /// before each connection
    #[arg(long, value_name = "FILE", requires = "key", help_heading = TLS)]
    pub(crate) cert: Option<PathBuf>,

    /// The private key of our certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = TLS)]
    pub(crate) key: Option<PathBuf>,

    /// The name that the broker's certificate must bear [default: the host]
    #[arg(long, value_name = "NAME", help_heading = TLS)]
    pub(crate) server_name: Option<String>,

    /// Offer this application protocol (ALPN), such as mqtt
    #[arg(long, value_name = "PROTOCOL", help_heading = TLS)]
    pub(crate) tls_alpn: Option<String>,

    /// Ask for TLS with -h, trusting the authorities of the system; so does port 8883
    #[arg(long, visible_alias = "tls", conflicts_with = "cafile", help_heading = TLS)]
    pub(crate) tls_use_os_certs: bool,

    /// Believe anybody to be the broker. Whoever is in between can read and change everything
    #[arg(long, conflicts_with_all = ["cafile", "tls_use_os_certs"], help_heading = TLS)]
    pub(crate) insecure: bool,
}

impl TlsArgs {
    /// The first of the flags that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        [
            ("--cafile", self.cafile.is_some()),
            ("--cert", self.cert.is_some()),
            ("--server-name", self.server_name.is_some()),
            ("--tls-alpn", self.tls_alpn.is_some()),
            ("--tls-use-os-certs", self.tls_use_os_certs),
            ("--insecure", self.insecure),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag))
    }
}

const TLS: &str = "TLS";
const LINKS: &str = "Links";
