//! Who we are: everything CONNECT says that the application chooses.

use std::fmt;
use std::time::Duration;

use everlink_proto::topic::{TopicError, TopicName};
use everlink_proto::wire::{
    Connect, EncodeError, Properties, Property, QoS, Version, Will as WireWill,
};

/// User Name and Password. `Debug` shows neither.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User Name.
    pub username: Option<String>,
    /// Password: any bytes. MQTT 3.1.1 allows it only together with a user name.
    pub password: Option<Vec<u8>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials { .. }")
    }
}

impl Credentials {
    /// User name and password.
    pub fn new(username: impl Into<String>, password: impl Into<Vec<u8>>) -> Self {
        Self { username: Some(username.into()), password: Some(password.into()) }
    }
}

/// The message the broker publishes for us when we vanish. A graceful close suppresses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    topic: String,
    payload: Vec<u8>,
    qos: QoS,
    retain: bool,
    props: Vec<u8>,
}

impl Will {
    /// A will at QoS 0, not retained.
    ///
    /// # Errors
    /// If `topic` is not a valid Topic Name.
    pub fn new(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Result<Self, TopicError> {
        let topic = topic.into();
        TopicName::new(&topic)?;
        Ok(Self {
            topic,
            payload: payload.into(),
            qos: QoS::AtMostOnce,
            retain: false,
            props: Vec::new(),
        })
    }

    /// Sets the quality of service.
    pub fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// Sets the RETAIN flag.
    pub fn retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }

    /// MQTT 5: the broker waits so long, in whole seconds, before it publishes the will, and does
    /// not if we are back by then.
    pub fn delay(self, delay: Duration) -> Self {
        self.property(Property::WillDelayInterval(seconds(delay)))
    }

    /// MQTT 5: adds a property: expiry, content type, response topic, correlation data, payload
    /// format, user property. Properties that a will cannot have are refused when connecting.
    pub fn property(mut self, property: Property<'_>) -> Self {
        push(&mut self.props, property);
        self
    }
}

/// Whole seconds, at most what a property can say.
pub(crate) fn seconds(d: Duration) -> u32 {
    u32::try_from(d.as_secs()).unwrap_or(u32::MAX)
}

/// Adds an encoded property.
pub(crate) fn push(props: &mut Vec<u8>, property: Property<'_>) {
    let list = [property];
    let list = Properties::from_list(&list);
    let start = props.len();
    props.resize(start + list.encoded_len(), 0);
    // Fails only for strings beyond 65 535 bytes, which are left out rather than cut.
    let n = list.encode_raw(&mut props[start..]).unwrap_or(0);
    props.truncate(start + n);
}

/// Called before each attempt, to refresh what expires.
pub(crate) type Refresh = Box<dyn FnMut() -> Credentials + Send>;

#[derive(Default)]
pub(crate) struct ConnectOptions {
    pub(crate) client_id: String,
    pub(crate) credentials: Credentials,
    pub(crate) will: Option<Will>,
    pub(crate) props: Vec<u8>,
    pub(crate) refresh: Option<Refresh>,
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl ConnectOptions {
    /// The packet, as far as the application chooses it. `props` are to be added to ours.
    pub(crate) fn packet<'a>(&'a self, props: &'a [u8]) -> Connect<'a> {
        Connect {
            client_id: &self.client_id,
            clean_start: false,
            keep_alive: 0,
            username: self.credentials.username.as_deref(),
            password: self.credentials.password.as_deref(),
            will: self.will.as_ref().map(|w| WireWill {
                topic: &w.topic,
                payload: &w.payload,
                qos: w.qos,
                retain: w.retain,
                props: Properties::from_trusted_raw(&w.props),
            }),
            props: Properties::from_trusted_raw(props),
        }
    }

    /// Whether CONNECT could be written at all, and how long it would be.
    pub(crate) fn check(&self, version: Version) -> Result<usize, EncodeError> {
        let packet = self.packet(&self.props);
        let mut scratch = vec![0; packet.encoded_len(version)];
        packet.encode(version, &mut scratch)
    }
}
