//! Where the broker is and how to get there, from the flags to the builder.

use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use everlink::{Builder, Credentials, Road, Tls, TlsFiles, Version};
use everlink_link::endpoint::{MQTT_PORT, MQTTS_PORT};
use everlink_link::tcp::TcpOptions;
use everlink_link::{Endpoint, Url};

use crate::args::{ConnectionArgs, TlsArgs};
use crate::exit::{Failure, say};
use crate::secret::{self, Secret};

/// Broker and credentials, from `-h` and `-p` or from `-L`.
#[derive(Debug)]
pub(crate) struct Target {
    road: Road,
    /// Where else, if not there.
    others: Vec<Road>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    /// What the URL says behind the host.
    pub(crate) topic: Option<String>,
}

impl Target {
    /// Reads the flags.
    pub(crate) fn of(args: &ConnectionArgs) -> Result<Self, Failure> {
        let mut target = match args.urls.first() {
            Some(url) => Self::of_url(url)?,
            None => Self::of_host(args)?,
        };
        for url in args.urls.iter().skip(1) {
            let Self { road, user, password, topic, .. } = Self::of_url(url)?;
            if user.is_some() || password.is_some() || topic.is_some() {
                let why = "user, password and topic belong to the first of several addresses";
                return Err(Failure::usage(format!("-L: {why}")));
            }
            target.others.push(road);
        }
        target.check(args)?;
        Ok(target)
    }

    /// Flags that have nothing to say about any of these roads.
    fn check(&self, args: &ConnectionArgs) -> Result<(), Failure> {
        if let Some(flag) = args.tls.given().filter(|_| !self.has_tls()) {
            let why = "the broker's address has no TLS; it begins with mqtts:// or wss:// then";
            return Err(Failure::usage(format!("{flag}: {why}")));
        }
        let local = !self.roads().any(|road| matches!(road, Road::Net { .. }));
        for (flag, given) in [
            ("-A", args.bind.is_some()),
            ("--proxy", args.road.proxy.is_some()),
            ("--link", !args.link.links.is_empty()),
        ] {
            if given && local {
                let why = "this broker is not reached over the network";
                return Err(Failure::usage(format!("{flag}: {why}")));
            }
        }
        let websocket =
            self.roads().any(|road| matches!(road, Road::Net { websocket: Some(_), .. }));
        let sn = self.roads().any(|road| matches!(road, Road::Sn(_)));
        for (flag, given) in [
            ("--trace", args.taps.trace),
            ("--pcap", args.taps.pcap.is_some()),
            ("--record", args.taps.record.is_some()),
        ] {
            if given && sn {
                let why = "it reads MQTT, not the MQTT-SN that goes to a gateway (mqttsn://)";
                return Err(Failure::usage(format!("{flag}: {why}")));
            }
        }
        if !args.road.ws_header.is_empty() && !websocket {
            return Err(Failure::usage(
                "--ws-header: the broker's address is no WebSocket (ws://, wss://)",
            ));
        }
        Ok(())
    }

    fn roads(&self) -> impl Iterator<Item = &Road> {
        std::iter::once(&self.road).chain(&self.others)
    }

    fn has_tls(&self) -> bool {
        self.roads().any(Road::is_tls)
    }

    fn of_url(url: &str) -> Result<Self, Failure> {
        let url: Url = url.parse().map_err(|e| Failure::usage(format!("-L: {e}")))?;
        Ok(Self {
            road: url.road,
            others: Vec::new(),
            user: url.user,
            password: url.password.map(Secret),
            topic: Some(url.path).filter(|path| !path.is_empty()),
        })
    }

    fn of_host(args: &ConnectionArgs) -> Result<Self, Failure> {
        // As mosquitto's clients do, and nobody is surprised to be safe.
        let tls = args.tls.given().is_some() || args.port == Some(MQTTS_PORT);
        let port = args.port.unwrap_or(if tls { MQTTS_PORT } else { MQTT_PORT });
        let endpoint = Endpoint::new(&args.host, port)
            .map_err(|e| Failure::usage(format!("-h: {e}{}", hint(&args.host))))?;
        let road = Road::Net { endpoint, tls, websocket: None };
        Ok(Self { road, others: Vec::new(), user: None, password: None, topic: None })
    }

    /// The broker in one word.
    pub(crate) fn name(&self) -> String {
        match &self.road {
            Road::Net { endpoint, tls: false, websocket: None } => endpoint.to_string(),
            Road::EspAt(road) => format!("{} through {}", road.broker, road.port.device),
            road => road.to_string(),
        }
    }

    /// What the broker's name stands for, if it is one that is looked up here.
    pub(crate) async fn addresses(&self) -> Option<String> {
        let Road::Net { endpoint, .. } = &self.road else { return None };
        let found = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await.ok()?;
        let mut found: Vec<String> = found.map(|address| address.ip().to_string()).collect();
        found.dedup();
        Some(format!("{} is {}", endpoint.host, found.join(", ")))
    }

    /// For the builder.
    pub(crate) fn url(&self) -> String {
        self.road.to_string()
    }

    pub(crate) fn credentials(&self, args: &ConnectionArgs) -> Result<Credentials, Failure> {
        let from_file = args.password_file.as_deref().map(read_password).transpose()?;
        let given = args.password.clone().or(from_file).or_else(|| self.password.clone());
        let username = args.username.clone().or_else(|| self.user.clone());
        let password = given.or_else(|| {
            // For whoever has a name: one variable may serve several brokers, some of them open.
            let variable = std::env::var_os(secret::PASSWORD).filter(|_| username.is_some());
            variable.map(|p| Secret(p.into_vec()))
        });
        if args.version == Version::V311 && username.is_none() && password.is_some() {
            return Err(Failure::usage("MQTT 3.1.1 has a password only with a user name (-u)"));
        }
        Ok(Credentials { username, password: password.map(|p| p.0) })
    }

    /// Tells the builder what the flags say about the road.
    pub(crate) fn road(&self, builder: Builder, args: &ConnectionArgs) -> Result<Builder, Failure> {
        let mut tcp = TcpOptions::default();
        tcp.local_address = args.bind;
        let mut builder = builder.tcp(tcp);
        for road in &self.others {
            builder = builder.endpoint(road.to_string());
        }
        if let Some(proxy) = &args.road.proxy {
            builder = builder.proxy(proxy);
        }
        for header in &args.road.ws_header {
            builder = builder.websocket_header(header);
        }
        if !self.has_tls() {
            return Ok(builder);
        }
        if args.tls.insecure && !args.quiet {
            say(
                "warning: with --insecure anybody can be the broker, and read and change everything",
            );
        }
        tls(builder, &args.tls)
    }
}

/// Files are read now, so that a mistake is told at once, and again before each connection.
fn tls(builder: Builder, args: &TlsArgs) -> Result<Builder, Failure> {
    let mut tls = Tls::new();
    if args.insecure {
        tls = tls.accept_any_certificate();
    }
    if let Some(name) = &args.server_name {
        tls = tls
            .server_name(name)
            .map_err(|error| Failure::usage(format!("--server-name: {error}")))?;
    }
    if let Some(protocol) = &args.tls_alpn {
        tls = tls
            .protocols([protocol])
            .map_err(|error| Failure::usage(format!("--tls-alpn: {error}")))?;
    }
    let mut files = TlsFiles::new(tls.clone());
    if let Some(path) = &args.cafile {
        files = files.authorities(path);
    }
    if let (Some(chain), Some(key)) = (&args.cert, &args.key) {
        files = files.identity(chain, key);
    }
    let first = files.changed().map_err(|error| Failure::usage(error.to_string()))?;
    let mut told = None;
    Ok(builder.tls(first.unwrap_or(tls)).refresh_tls(move || match files.changed() {
        Ok(changed) => {
            told = None;
            Ok(changed)
        }
        // What was read before may still do, and files are often replaced one after the other.
        Err(error) => {
            if told.replace(error.clone()) != Some(error.clone()) {
                say(format_args!("{error}; going on with what was read before"));
            }
            Ok(None)
        }
    }))
}

/// For those who write `-h host:1883`.
fn hint(host: &str) -> &'static str {
    match host.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => " (the port is given with -p)",
        _ if host.contains("://") => " (a URL is given with -L)",
        _ => "",
    }
}

fn read_password(path: &Path) -> Result<Secret, Failure> {
    let mut bytes = std::fs::read(path)
        .map_err(|e| Failure::usage(format!("--password-file {}: {e}", path.display())))?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        bytes.pop_if(|b| *b == b'\r');
    }
    Ok(Secret(bytes))
}
