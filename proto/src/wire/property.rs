//! One property: its type, its range, and the packets that may have it.

use core::fmt;

use super::property_table::{Kind, Value, allowed, rule};
use super::reader::Reader;
use super::writer::{Writer, field_len, varint_len};
use super::{QoS, WireError};

/// A property of MQTT 5, with the specification's name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Property<'a> {
    /// Whether the payload is UTF-8 text.
    PayloadFormatIndicator(bool),
    /// Lifetime of the message in seconds.
    MessageExpiryInterval(u32),
    /// What the payload is, for example a MIME type.
    ContentType(&'a str),
    /// The Topic Name to send a response to.
    ResponseTopic(&'a str),
    /// What the requester needs to recognise the response.
    CorrelationData(&'a [u8]),
    /// The number of a subscription, 1 to 268 435 455.
    SubscriptionIdentifier(u32),
    /// How long the session is kept after the connection, in seconds; `u32::MAX` is for ever.
    SessionExpiryInterval(u32),
    /// The Client Identifier that the server chose.
    AssignedClientIdentifier(&'a str),
    /// The Keep Alive to use instead of the one asked for, in seconds; 0 is none.
    ServerKeepAlive(u16),
    /// Name of the authentication method.
    AuthenticationMethod(&'a str),
    /// Data of the authentication method. Never shown by `Debug`.
    AuthenticationData(&'a [u8]),
    /// Whether Reason Strings and User Properties are welcome on every packet.
    RequestProblemInformation(bool),
    /// How long the server waits before it publishes the Will Message, in seconds.
    WillDelayInterval(u32),
    /// Whether Response Information is wanted.
    RequestResponseInformation(bool),
    /// The basis of a Response Topic.
    ResponseInformation(&'a str),
    /// Another server to use.
    ServerReference(&'a str),
    /// A reason for people to read.
    ReasonString(&'a str),
    /// Most QoS 1 and 2 messages in flight towards the sender of this, not 0.
    ReceiveMaximum(u16),
    /// Highest Topic Alias that the sender of this accepts; 0 is none.
    TopicAliasMaximum(u16),
    /// A number that stands for the Topic Name, not 0.
    TopicAlias(u16),
    /// Highest QoS that the server supports: 0 or 1; absent means 2.
    MaximumQoS(QoS),
    /// Whether the server supports retained messages.
    RetainAvailable(bool),
    /// A name and a value; may be repeated.
    UserProperty(&'a str, &'a str),
    /// Most bytes of a packet that the sender of this accepts, not 0.
    MaximumPacketSize(u32),
    /// Whether the server supports wildcards in Topic Filters.
    WildcardSubscriptionAvailable(bool),
    /// Whether the server supports Subscription Identifiers.
    SubscriptionIdentifierAvailable(bool),
    /// Whether the server supports Shared Subscriptions.
    SharedSubscriptionAvailable(bool),
}

/// What can have properties: a packet, or the Will Message inside CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the packets")]
pub enum PropertyContext {
    Will = 0,
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    Disconnect = 14,
    Auth = 15,
}

impl<'a> Property<'a> {
    /// The identifier on the wire.
    pub fn id(&self) -> u8 {
        self.split().0
    }

    /// The name, as mosquitto's command line spells it.
    pub fn name(&self) -> &'static str {
        use Property::*;
        match self {
            PayloadFormatIndicator(_) => "payload-format-indicator",
            MessageExpiryInterval(_) => "message-expiry-interval",
            ContentType(_) => "content-type",
            ResponseTopic(_) => "response-topic",
            CorrelationData(_) => "correlation-data",
            SubscriptionIdentifier(_) => "subscription-identifier",
            SessionExpiryInterval(_) => "session-expiry-interval",
            AssignedClientIdentifier(_) => "assigned-client-identifier",
            ServerKeepAlive(_) => "server-keep-alive",
            AuthenticationMethod(_) => "authentication-method",
            AuthenticationData(_) => "authentication-data",
            RequestProblemInformation(_) => "request-problem-information",
            WillDelayInterval(_) => "will-delay-interval",
            RequestResponseInformation(_) => "request-response-information",
            ResponseInformation(_) => "response-information",
            ServerReference(_) => "server-reference",
            ReasonString(_) => "reason-string",
            ReceiveMaximum(_) => "receive-maximum",
            TopicAliasMaximum(_) => "topic-alias-maximum",
            TopicAlias(_) => "topic-alias",
            MaximumQoS(_) => "maximum-qos",
            RetainAvailable(_) => "retain-available",
            UserProperty(..) => "user-property",
            MaximumPacketSize(_) => "maximum-packet-size",
            WildcardSubscriptionAvailable(_) => "wildcard-subscription-available",
            SubscriptionIdentifierAvailable(_) => "subscription-identifier-available",
            SharedSubscriptionAvailable(_) => "shared-subscription-available",
        }
    }

    /// Whether a packet of this kind may have a property of this type. Whether a client or a server
    /// may send it is for the session to know.
    pub fn allowed_in(&self, context: PropertyContext) -> bool {
        allowed(self.id(), context)
    }

    /// Bytes on the wire, identifier included.
    pub fn encoded_len(&self) -> usize {
        1 + match self.split().1 {
            Value::Byte(_) => 1,
            Value::Two(_) => 2,
            Value::Four(_) => 4,
            Value::Var(v) => varint_len(v as usize),
            Value::Text(text) => field_len(text.len()),
            Value::Binary(bytes) => field_len(bytes.len()),
            Value::Pair(name, value) => {
                field_len(name.len()).saturating_add(field_len(value.len()))
            }
        }
    }

    /// Reads one property, with its range checked.
    pub(super) fn read(r: &mut Reader<'a>) -> Result<Self, WireError> {
        let (id, value) = item(r, true)?;
        Self::join(id, value).ok_or(WireError::UnknownProperty)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        let (id, value) = self.split();
        w.u8(id);
        match value {
            Value::Byte(v) => w.u8(v),
            Value::Two(v) => w.u16(v),
            Value::Four(v) => w.u32(v),
            Value::Var(v) => w.varint(v),
            Value::Text(text) => w.binary(text.as_bytes()),
            Value::Binary(bytes) => w.binary(bytes),
            Value::Pair(name, value) => {
                w.binary(name.as_bytes());
                w.binary(value.as_bytes());
            }
        }
    }

    /// Whether a peer would accept the value.
    pub(super) fn check(&self) -> Result<(), WireError> {
        let (id, value) = self.split();
        let strings = match value {
            Value::Text(text) => [text, ""],
            Value::Pair(name, value) => [name, value],
            _ => ["", ""],
        };
        if strings.iter().any(|s| crate::topic::contains(s.as_bytes(), [0])) {
            return Err(WireError::BadString);
        }
        rule(id)?.kind.check(value)
    }

    /// The identifier and the untyped value; [`join`](Self::join) is the inverse.
    pub(super) fn split(&self) -> (u8, Value<'a>) {
        use Property::*;
        match *self {
            PayloadFormatIndicator(v) => (0x01, Value::Byte(v.into())),
            MessageExpiryInterval(v) => (0x02, Value::Four(v)),
            ContentType(v) => (0x03, Value::Text(v)),
            ResponseTopic(v) => (0x08, Value::Text(v)),
            CorrelationData(v) => (0x09, Value::Binary(v)),
            SubscriptionIdentifier(v) => (0x0B, Value::Var(v)),
            SessionExpiryInterval(v) => (0x11, Value::Four(v)),
            AssignedClientIdentifier(v) => (0x12, Value::Text(v)),
            ServerKeepAlive(v) => (0x13, Value::Two(v)),
            AuthenticationMethod(v) => (0x15, Value::Text(v)),
            AuthenticationData(v) => (0x16, Value::Binary(v)),
            RequestProblemInformation(v) => (0x17, Value::Byte(v.into())),
            WillDelayInterval(v) => (0x18, Value::Four(v)),
            RequestResponseInformation(v) => (0x19, Value::Byte(v.into())),
            ResponseInformation(v) => (0x1A, Value::Text(v)),
            ServerReference(v) => (0x1C, Value::Text(v)),
            ReasonString(v) => (0x1F, Value::Text(v)),
            ReceiveMaximum(v) => (0x21, Value::Two(v)),
            TopicAliasMaximum(v) => (0x22, Value::Two(v)),
            TopicAlias(v) => (0x23, Value::Two(v)),
            MaximumQoS(v) => (0x24, Value::Byte(v as u8)),
            RetainAvailable(v) => (0x25, Value::Byte(v.into())),
            UserProperty(name, value) => (0x26, Value::Pair(name, value)),
            MaximumPacketSize(v) => (0x27, Value::Four(v)),
            WildcardSubscriptionAvailable(v) => (0x28, Value::Byte(v.into())),
            SubscriptionIdentifierAvailable(v) => (0x29, Value::Byte(v.into())),
            SharedSubscriptionAvailable(v) => (0x2A, Value::Byte(v.into())),
        }
    }

    fn join(id: u8, value: Value<'a>) -> Option<Self> {
        use Property::*;
        Some(match (id, value) {
            (0x01, Value::Byte(v)) => PayloadFormatIndicator(v != 0),
            (0x02, Value::Four(v)) => MessageExpiryInterval(v),
            (0x03, Value::Text(v)) => ContentType(v),
            (0x08, Value::Text(v)) => ResponseTopic(v),
            (0x09, Value::Binary(v)) => CorrelationData(v),
            (0x0B, Value::Var(v)) => SubscriptionIdentifier(v),
            (0x11, Value::Four(v)) => SessionExpiryInterval(v),
            (0x12, Value::Text(v)) => AssignedClientIdentifier(v),
            (0x13, Value::Two(v)) => ServerKeepAlive(v),
            (0x15, Value::Text(v)) => AuthenticationMethod(v),
            (0x16, Value::Binary(v)) => AuthenticationData(v),
            (0x17, Value::Byte(v)) => RequestProblemInformation(v != 0),
            (0x18, Value::Four(v)) => WillDelayInterval(v),
            (0x19, Value::Byte(v)) => RequestResponseInformation(v != 0),
            (0x1A, Value::Text(v)) => ResponseInformation(v),
            (0x1C, Value::Text(v)) => ServerReference(v),
            (0x1F, Value::Text(v)) => ReasonString(v),
            (0x21, Value::Two(v)) => ReceiveMaximum(v),
            (0x22, Value::Two(v)) => TopicAliasMaximum(v),
            (0x23, Value::Two(v)) => TopicAlias(v),
            (0x24, Value::Byte(v)) => MaximumQoS(QoS::try_from(v).ok()?),
            (0x25, Value::Byte(v)) => RetainAvailable(v != 0),
            (0x26, Value::Pair(name, value)) => UserProperty(name, value),
            (0x27, Value::Four(v)) => MaximumPacketSize(v),
            (0x28, Value::Byte(v)) => WildcardSubscriptionAvailable(v != 0),
            (0x29, Value::Byte(v)) => SubscriptionIdentifierAvailable(v != 0),
            (0x2A, Value::Byte(v)) => SharedSubscriptionAvailable(v != 0),
            _ => return None,
        })
    }
}

/// Reads the identifier and the value of a property; `checked` with its range and as text, else as it
/// comes.
pub(super) fn item<'a>(r: &mut Reader<'a>, checked: bool) -> Result<(u8, Value<'a>), WireError> {
    let id = r.u8()?;
    let kind = rule(id)?.kind;
    let value = match kind {
        Kind::Flag => Value::Byte(r.u8()?),
        Kind::Two | Kind::TwoNotZero | Kind::Alias => Value::Two(r.u16()?),
        Kind::Four | Kind::FourNotZero => Value::Four(r.u32()?),
        Kind::VarNotZero => Value::Var(r.varint()?),
        // [MQTT-3.3.2-13], [MQTT-3.3.2-19], [MQTT-1.5.7-1]: text is text in properties, too.
        Kind::Text | Kind::Topic if checked => Value::Text(r.string()?),
        Kind::Pair if checked => Value::Pair(r.string()?, r.string()?),
        Kind::Pair => {
            r.binary()?;
            Value::Binary(r.binary()?)
        }
        Kind::Text | Kind::Topic | Kind::Binary => Value::Binary(r.binary()?),
    };
    if checked {
        kind.check(value)?;
    }
    Ok((id, value))
}

impl fmt::Debug for Property<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, value) = self.split();
        let value: &dyn fmt::Debug = match &value {
            // Authentication Data is a secret; it must not end in a log.
            _ if matches!(self, Self::AuthenticationData(_)) => &"***",
            Value::Byte(v) => v,
            Value::Two(v) => v,
            Value::Four(v) | Value::Var(v) => v,
            Value::Text(v) => v,
            Value::Binary(v) => v,
            Value::Pair(name, value) => return write!(f, "{}: {name:?}={value:?}", self.name()),
        };
        write!(f, "{}: {value:?}", self.name())
    }
}
