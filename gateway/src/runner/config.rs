//! What a gateway is told: by the program, or by a file.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::core::{Limits, Predefined, Settings};

/// A socket for datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address; port 0 is any free one.
    pub address: SocketAddr,
    /// Where ADVERTISE and GWINFO go, and SEARCHGW may come from.
    pub multicast: Option<SocketAddr>,
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self { address, multicast: None }
    }
}

/// A gateway's configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen for datagrams.
    pub listen: Vec<Listen>,
    /// The broker's address, as for `Client::builder`.
    pub broker: String,
    /// The gateway's own client identifier, and the name in its topics; `everlink-gateway`.
    pub name: String,
    /// Times and counts.
    pub settings: Settings,
    /// Most nodes, connected or not; 10 000.
    pub nodes: usize,
    /// What a node may use.
    pub limits: Limits,
    /// Pre-defined topics.
    pub predefined: Topics,
    /// The client identifiers that may connect, or with `*` at the end how they begin; `None`: all.
    pub allow: Option<Vec<String>>,
    /// Limits of single nodes.
    pub single: HashMap<String, Limits>,
    /// The gateway tells what happens below this topic; empty: nowhere. `everlink`.
    pub status: String,
    /// A directory for what is to survive a restart, kill -9 included; `None`: nothing does.
    pub state: Option<PathBuf>,
}

impl Config {
    /// A gateway to `broker` that listens at `listen`.
    pub fn new(broker: impl Into<String>, listen: Vec<Listen>) -> Self {
        Self {
            listen,
            broker: broker.into(),
            name: "everlink-gateway".to_owned(),
            settings: Settings::default(),
            nodes: 10_000,
            limits: Limits::default(),
            predefined: Topics::default(),
            allow: None,
            single: HashMap::new(),
            status: "everlink".to_owned(),
            state: None,
        }
    }

    /// What a node may use; `None`: it may not connect.
    pub fn admit(&self, client_id: &str) -> Option<Limits> {
        let allowed = |entry: &String| match entry.strip_suffix('*') {
            Some(start) => client_id.starts_with(start),
            None => entry == client_id,
        };
        let admitted = self.allow.as_ref().is_none_or(|list| list.iter().any(allowed));
        admitted.then(|| self.single.get(client_id).copied().unwrap_or(self.limits))
    }

    /// Takes over from `changed` what can change while the gateway runs. What else differs, by name.
    pub(super) fn reload(&mut self, changed: Self) -> Vec<&'static str> {
        let fixed = [
            ("listen", self.listen != changed.listen),
            ("broker", self.broker != changed.broker),
            ("state", self.state != changed.state),
            ("name", self.name != changed.name),
            ("status", self.status != changed.status),
            ("nodes", self.nodes != changed.nodes),
            ("timers", self.settings != changed.settings),
        ];
        self.limits = changed.limits;
        self.allow = changed.allow;
        self.single = changed.single;
        self.predefined = changed.predefined;
        fixed.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

/// Pre-defined topics: for all nodes, and for single ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    all: HashMap<u16, String>,
    single: HashMap<String, HashMap<u16, String>>,
}

impl Topics {
    /// `id` means `topic` for all nodes that have no other meaning of it.
    pub fn add(&mut self, id: u16, topic: impl Into<String>) {
        self.all.insert(id, topic.into());
    }

    /// `id` means `topic` for one node.
    pub fn add_for(&mut self, client_id: impl Into<String>, id: u16, topic: impl Into<String>) {
        self.single.entry(client_id.into()).or_default().insert(id, topic.into());
    }
}

impl Predefined for Topics {
    fn topic(&self, client_id: &str, id: u16) -> Option<&str> {
        let own = self.single.get(client_id).and_then(|topics| topics.get(&id));
        own.or_else(|| self.all.get(&id)).map(String::as_str)
    }
}
