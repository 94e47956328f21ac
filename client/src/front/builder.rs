//! From wishes to a client.

use std::time::Duration;

use everlink_link::url::UrlError;
use everlink_link::{Link, RoadLink};
use everlink_proto::engine::WhenFull;
use everlink_proto::session::{Backoff, Config, FirstConnect, Ladder};
use everlink_proto::wire::{Property, Version};

use super::auth::Authenticator;
use super::connect::{ConnectOptions, Credentials, Will, push};
use super::engine::Engine_;
use super::handle::{Client, Driver};
use super::inbox::Front;
#[cfg(feature = "store")]
use super::keeper;
use super::links::Links;
use super::roads::Roads;
use super::shared::Shared;
#[cfg(feature = "record")]
use crate::record::{Recorder, Tape};
#[cfg(feature = "store")]
use crate::store::{FileStore, StoreError};

/// Why a client cannot be built as wished.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The broker's address cannot be understood.
    #[error("broker address: {0}")]
    Url(UrlError),
    /// Some addresses are of brokers, some of MQTT-SN gateways.
    #[error("brokers (mqtt://) and MQTT-SN gateways (mqttsn://) cannot be mixed")]
    Mixed,
    /// No broker was named.
    #[error("no broker was named")]
    NoBroker,
    /// The client identifier, credentials or will cannot be sent with this protocol version.
    #[error("CONNECT cannot be written: {0}")]
    Connect(String),
    /// A value is out of its range.
    #[error("{0} must be {1}")]
    Range(&'static str, &'static str),
    /// TLS options or a certificate were given, but no address has TLS.
    #[error("there are options for TLS, but no broker has TLS in its address (mqtts://, wss://)")]
    NoTls,
    /// The proxy's address cannot be understood.
    #[cfg(feature = "proxy")]
    #[error("proxy: {0}")]
    Proxy(everlink_link::proxy::ProxyError),
    /// An HTTP header for the WebSocket request cannot be one.
    #[cfg(feature = "ws")]
    #[error("{0}")]
    Header(#[from] everlink_link::ws::BadHeader),
    /// Only MQTT 5 has it.
    #[error("{0} needs MQTT 5")]
    NeedsV5(&'static str),
    /// A store and a recording were asked for.
    #[cfg(all(feature = "record", feature = "store"))]
    #[error("a client with a store cannot be recorded: what the store holds would be missing")]
    RecordedStore,
    /// The store cannot be used.
    #[cfg(feature = "store")]
    #[error("store: {0}")]
    Store(String),
}

#[cfg(feature = "store")]
impl From<StoreError> for BuildError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<UrlError> for BuildError {
    fn from(error: UrlError) -> Self {
        Self::Url(error)
    }
}

/// Builds a [`Client`] and its driver. Made by [`Client::builder`].
#[derive(Debug)]
#[must_use]
pub struct Builder {
    pub(super) roads: Roads,
    pub(super) links: Links,
    pub(super) config: Config,
    pub(super) options: ConnectOptions,
    authenticator: Option<Box<dyn Authenticator>>,
    follow_redirects: bool,
    pub(super) ephemeral: Option<bool>,
    /// The limits of the queue were asked for.
    queue_given: bool,
    /// MQTT-SN, in messages of at most so many octets.
    pub(super) sn: Option<usize>,
    #[cfg(feature = "store")]
    pub(super) store: Option<FileStore>,
    #[cfg(feature = "record")]
    pub(super) recorder: Option<Recorder>,
}

impl Builder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            roads: Roads::new(url),
            links: Links::default(),
            config: Config { seed: random(), ..Config::default() },
            options: ConnectOptions::default(),
            authenticator: None,
            follow_redirects: true,
            ephemeral: None,
            queue_given: false,
            sn: None,
            #[cfg(feature = "store")]
            store: None,
            #[cfg(feature = "record")]
            recorder: None,
        }
    }

    /// Client Identifier. Without one an identifier is made up for as long as the client lives,
    /// and the broker is asked to forget the session when the client is closed with nothing held.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.options.client_id = id.into();
        self
    }

    /// Protocol version; the default is MQTT 5.
    pub fn version(mut self, version: Version) -> Self {
        self.config.version = version;
        self
    }

    /// User name and password. Those in the URL take second place.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.options.credentials = credentials;
        self
    }

    /// Asks for credentials before each attempt, for tokens that expire. Must be quick.
    pub fn refresh_credentials(
        mut self,
        refresh: impl FnMut() -> Credentials + Send + 'static,
    ) -> Self {
        self.options.refresh = Some(Box::new(refresh));
        self
    }

    /// The will.
    pub fn will(mut self, will: Will) -> Self {
        self.options.will = Some(will);
        self
    }

    /// Enhanced authentication (MQTT 5).
    pub fn authenticator(mut self, authenticator: impl Authenticator + 'static) -> Self {
        self.authenticator = Some(Box::new(authenticator));
        self
    }

    /// Keep Alive, 0 (off) to 65 535 s; the default is 60 s. Pings go every quarter of it.
    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.config.keep_alive = seconds;
        self
    }

    /// Longest pause between pings, if shorter than a quarter of the keep-alive.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.config.ping_interval = interval;
        self
    }

    /// Longest wait for any reply and for any progress of a write; the default is 10 s.
    pub fn response_time(mut self, time: Duration) -> Self {
        self.config.response_time = time;
        self
    }

    /// Judges silence by measured round trips, between 1 s and the response time.
    pub fn adaptive(mut self, adaptive: bool) -> Self {
        self.config.adaptive = adaptive;
        self
    }

    /// Longest time to open a connection, name resolution included; the default is 10 s, and 45 s if a
    /// broker is reached through a WiFi module, which has to join a network first.
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.config.open_timeout = time;
        self
    }

    /// 3.1.1: how often a packet is sent again on a live connection before it is given up; the
    /// default is 4. MQTT 5 allows no second sending, so the connection is given up at once.
    pub fn max_repeats(mut self, times: u8) -> Self {
        self.config.max_repeats = times;
        self
    }

    /// Whether the first connection starts without an old session (the default) or resumes it.
    pub fn clean_start(mut self, clean: bool) -> Self {
        self.config.clean_start = clean;
        self
    }

    /// Whether each reconnection starts without the session. The default is to resume it: without,
    /// messages can be lost or doubled in an outage.
    pub fn clean_reconnect(mut self, clean: bool) -> Self {
        self.config.clean_reconnect = clean;
        self
    }

    /// Whether the broker is asked to forget the session when the client is closed with nothing
    /// held. The default is yes for an identifier that was made up, no for a given one. With 3.1.1
    /// it takes one more short connection.
    pub fn ephemeral(mut self, ephemeral: bool) -> Self {
        self.ephemeral = Some(ephemeral);
        self
    }

    /// MQTT 5: how long the broker keeps the session after the connection is lost, in whole
    /// seconds; `u32::MAX` s is for ever. The default is a day.
    pub fn session_expiry(mut self, expiry: Duration) -> Self {
        self.config.session_expiry = super::connect::seconds(expiry);
        self
    }

    /// Most QoS 1 and 2 messages under way to the broker at a time, 1 to 65 535; the default is 100.
    pub fn window(mut self, messages: u16) -> Self {
        self.config.window = messages;
        self
    }

    /// MQTT 5: most QoS 1 and 2 messages the broker may have under way to us; the default is 1024.
    pub fn receive_maximum(mut self, messages: u16) -> Self {
        self.config.receive_maximum = messages;
        self
    }

    /// Largest packet to receive, and size of the receive buffer, in bytes; the default is 64 KiB.
    /// Larger ones are skipped and reported.
    pub fn maximum_packet_size(mut self, bytes: u32) -> Self {
        self.config.maximum_packet_size = bytes;
        self
    }

    /// Limits of the queue of messages not yet sent; the default is 1000 messages, 16 MiB.
    ///
    /// With a store, memory holds as much at the most, and what is beyond is on disk: without these limits
    /// up to the limit of the store.
    pub fn queue(mut self, messages: usize, bytes: usize) -> Self {
        self.queue_given = true;
        (self.config.queue.messages, self.config.queue.bytes) = (messages, bytes);
        self
    }

    /// What a full queue does; the default is to make the publisher wait.
    pub fn when_full(mut self, policy: WhenFull) -> Self {
        self.config.queue.when_full = policy;
        self
    }

    /// Keeps unfinished messages and the session in files: what is stored survives the end of the process
    /// and a loss of power. The store knows its client: without [`client_id`](Self::client_id) it is the one
    /// of before. A session that was begun is resumed, whatever [`clean_start`](Self::clean_start) says.
    #[cfg(feature = "store")]
    pub fn store(mut self, store: FileStore) -> Self {
        self.store = Some(store);
        self
    }

    /// Pauses between attempts.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.config.backoff = backoff;
        self
    }

    /// What to do when the first connection cannot be made; the default is to give up at once.
    pub fn first_connect(mut self, policy: FirstConnect) -> Self {
        self.config.first_connect = policy;
        self
    }

    /// When to cut deeper than the connection, for links that can be cycled.
    pub fn ladder(mut self, ladder: Ladder) -> Self {
        self.config.ladder = ladder;
        self
    }

    /// MQTT 5: Topic Aliases to use towards the broker, and to allow it; 32 and 16 by default.
    pub fn topic_aliases(mut self, to_broker: u16, from_broker: u16) -> Self {
        (self.config.topic_aliases, self.config.topic_alias_maximum) = (to_broker, from_broker);
        self
    }

    /// MQTT 5: a user property of CONNECT. May be called several times; the order is kept.
    pub fn user_property(mut self, name: &str, value: &str) -> Self {
        push(&mut self.options.props, Property::UserProperty(name, value));
        self
    }

    /// MQTT 5: asks for Response Information.
    pub fn request_response_information(mut self) -> Self {
        push(&mut self.options.props, Property::RequestResponseInformation(true));
        self
    }

    /// MQTT 5: asks the broker to leave out reason strings and user properties.
    pub fn no_problem_information(mut self) -> Self {
        push(&mut self.options.props, Property::RequestProblemInformation(false));
        self
    }

    /// Whether to go where the broker sends us (MQTT 5 Server Reference); the default is yes.
    pub fn follow_redirects(mut self, follow: bool) -> Self {
        self.follow_redirects = follow;
        self
    }

    /// Seed of the random pauses and of a generated client identifier, for tests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Builds a client.
    ///
    /// # Errors
    /// If a value is out of range, an address cannot be understood, or CONNECT could not be written.
    pub fn build(self) -> Result<(Client, Driver<RoadLink>), BuildError> {
        self.build_wrapped(|link| link)
    }

    /// Builds a client over any link; the broker's address is then the link's business.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_over<L: Link>(mut self, link: L) -> Result<(Client, Driver<L>), BuildError> {
        if self.sn.is_some() {
            self.prepare_node()?;
        }
        #[cfg(feature = "store")]
        if let Some(store) = &self.store {
            keeper::prepare(store, &mut self.options, &mut self.config)?;
            self.ephemeral = self.ephemeral.or(Some(false));
        }
        // Nobody could come back to the session of an identifier that was made up.
        self.config.ephemeral = self.ephemeral.unwrap_or(self.options.client_id.is_empty());
        // [MQTT-3.1.3-7] of 3.1.1: who keeps a session needs one.
        if self.options.client_id.is_empty() && self.options.client_id_needed(&self.config) {
            self.options.client_id = format!("everlink-{:016x}", self.config.seed ^ random());
        }
        let connect = self.check()?;
        #[cfg(feature = "store")]
        let limits = self
            .store
            .as_ref()
            .map(|store| keeper::limits(store, &mut self.config.queue, self.queue_given));
        // All but payloads must fit into the transmit buffer: CONNECT, and the longest topic.
        self.config.transmit_buffer = self.config.transmit_buffer.max(connect + 1024).max(70_000);
        let (receive, transmit) =
            (self.config.maximum_packet_size as usize, self.config.transmit_buffer);
        let park = usize::from(self.config.receive_maximum);
        if !self.config.clean_start {
            // The session may be older than this process.
            self.config.first_packet_id = random() as u16;
        }
        let mut front = Front {
            options: self.options,
            authenticator: self.authenticator,
            follow_redirects: self.follow_redirects,
            words: link.words(),
            links: self.links,
            ..Front::default()
        };
        front.streams.park = park;
        let when_full = self.config.queue.when_full;
        let version = self.config.version;
        #[cfg(feature = "record")]
        let tape = self.recorder.as_ref().map(|recorder| Tape::new(recorder, &self.config));
        #[cfg(not(feature = "record"))]
        let tape = None;
        #[cfg_attr(not(feature = "store"), expect(unused_mut))]
        let mut engine = Engine_::new(self.config, self.sn, tape);
        #[cfg(feature = "store")]
        let keeper = match (self.store.zip(limits), engine.session_mut()) {
            (Some((store, limits)), Some(session)) => {
                Some(keeper::restore(store, session, &mut front, limits)?)
            }
            _ => None,
        };
        let shared = Shared::new(engine, front);
        #[cfg(feature = "store")]
        if let Some(keeper) = keeper {
            keeper.start(&shared)?;
        }
        let driver = Driver::new(link, shared.clone(), receive, transmit);
        Ok((Client::new(shared, when_full, version), driver))
    }

    fn check(&mut self) -> Result<usize, BuildError> {
        #[cfg(all(feature = "record", feature = "store"))]
        if self.recorder.is_some() && self.store.is_some() {
            return Err(BuildError::RecordedStore);
        }
        let c = &self.config;
        for (name, value) in [("the window", c.window), ("the receive maximum", c.receive_maximum)]
        {
            if value == 0 {
                return Err(BuildError::Range(name, "1 to 65535"));
            }
        }
        if c.maximum_packet_size < 64 {
            return Err(BuildError::Range("the maximum packet size", "at least 64 bytes"));
        }
        if c.queue.messages == 0 || c.queue.bytes == 0 {
            return Err(BuildError::Range("the queue's limits", "at least 1"));
        }
        if c.response_time < Duration::from_millis(100) {
            return Err(BuildError::Range("the response time", "at least 0.1 s"));
        }
        if c.version == Version::V311 {
            if self.authenticator.is_some() {
                return Err(BuildError::NeedsV5("enhanced authentication"));
            }
            if !self.options.props.is_empty() {
                tracing::warn!("MQTT 3.1.1 has no properties; those of CONNECT are left out");
                self.options.props.clear();
            }
        }
        self.options.check(c.version).map_err(|e| BuildError::Connect(e.to_string()))
    }
}

impl ConnectOptions {
    /// MQTT 5 lets the broker choose; 3.1.1 allows that only for sessions that are not kept.
    fn client_id_needed(&self, config: &Config) -> bool {
        config.version == Version::V311 || !config.clean_start
    }
}

/// A number that differs between processes, hosts and calls; not for secrets.
pub(super) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
