//! How the value of each property is written, its range, and the packets that may have it.

use super::writer::MAX_REMAINING;
use super::{PropertyContext, WireError};
use crate::topic::TopicName;

/// A property's value without its meaning.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Byte(u8),
    Two(u16),
    Four(u32),
    Var(u32),
    Text(&'a str),
    Binary(&'a [u8]),
    Pair(&'a str, &'a str),
}

/// How a property's value is written, and its range.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// One byte, 0 or 1.
    Flag,
    Two,
    TwoNotZero,
    /// As `TwoNotZero`, with a Reason Code of its own.
    Alias,
    Four,
    FourNotZero,
    VarNotZero,
    Text,
    /// Text that is a Topic Name.
    Topic,
    Binary,
    Pair,
}

impl Kind {
    pub(super) fn check(self, value: Value<'_>) -> Result<(), WireError> {
        match (self, value) {
            // [MQTT-3.3.2-8]: the receiver answers with Topic Alias invalid.
            (Self::Alias, Value::Two(0)) => Err(WireError::BadTopicAlias),
            (Self::Flag, Value::Byte(2..))
            | (Self::TwoNotZero, Value::Two(0))
            | (Self::FourNotZero, Value::Four(0))
            | (Self::VarNotZero, Value::Var(0)) => Err(WireError::BadPropertyValue),
            (_, Value::Var(v)) if v as usize > MAX_REMAINING => Err(WireError::BadPropertyValue),
            // [MQTT-3.3.2-14] A Response Topic has no wildcard.
            (Self::Topic, Value::Text(topic)) if TopicName::new(topic).is_err() => {
                Err(WireError::BadTopicName)
            }
            _ => Ok(()),
        }
    }
}

/// Whether a packet of this kind may have the property `id`.
pub(super) fn allowed(id: u8, context: PropertyContext) -> bool {
    rule(id).is_ok_and(|rule| rule.allowed >> context as u8 & 1 != 0)
}

#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) kind: Kind,
    /// One bit for each [`PropertyContext`].
    allowed: u16,
}

pub(super) fn rule(id: u8) -> Result<Rule, WireError> {
    TABLE.get(usize::from(id)).copied().flatten().ok_or(WireError::UnknownProperty)
}

/// Table 2-4 of the specification.
static TABLE: [Option<Rule>; 0x2B] = {
    use Kind::*;
    const WILL: u16 = 1 << PropertyContext::Will as u8;
    const CONNECT: u16 = 1 << PropertyContext::Connect as u8;
    const CONNACK: u16 = 1 << PropertyContext::ConnAck as u8;
    const PUBLISH: u16 = 1 << PropertyContext::Publish as u8;
    const ACKS: u16 = 0xF << PropertyContext::PubAck as u8;
    const SUBSCRIBE: u16 = 1 << PropertyContext::Subscribe as u8;
    const SUBACK: u16 = 1 << PropertyContext::SubAck as u8;
    const UNSUBSCRIBE: u16 = 1 << PropertyContext::Unsubscribe as u8;
    const UNSUBACK: u16 = 1 << PropertyContext::UnsubAck as u8;
    const DISCONNECT: u16 = 1 << PropertyContext::Disconnect as u8;
    const AUTH: u16 = 1 << PropertyContext::Auth as u8;
    const REASONED: u16 = CONNACK | ACKS | SUBACK | UNSUBACK | DISCONNECT | AUTH;
    const ALL: u16 = REASONED | WILL | CONNECT | PUBLISH | SUBSCRIBE | UNSUBSCRIBE;
    const fn some(kind: Kind, allowed: u16) -> Option<Rule> {
        Some(Rule { kind, allowed })
    }
    let mut table = [None; 0x2B];
    table[0x01] = some(Flag, WILL | PUBLISH);
    table[0x02] = some(Four, WILL | PUBLISH);
    table[0x03] = some(Text, WILL | PUBLISH);
    table[0x08] = some(Topic, WILL | PUBLISH);
    table[0x09] = some(Binary, WILL | PUBLISH);
    table[0x0B] = some(VarNotZero, PUBLISH | SUBSCRIBE);
    table[0x11] = some(Four, CONNECT | CONNACK | DISCONNECT);
    table[0x12] = some(Text, CONNACK);
    table[0x13] = some(Two, CONNACK);
    table[0x15] = some(Text, CONNECT | CONNACK | AUTH);
    table[0x16] = some(Binary, CONNECT | CONNACK | AUTH);
    table[0x17] = some(Flag, CONNECT);
    table[0x18] = some(Four, WILL);
    table[0x19] = some(Flag, CONNECT);
    table[0x1A] = some(Text, CONNACK);
    table[0x1C] = some(Text, CONNACK | DISCONNECT);
    table[0x1F] = some(Text, REASONED);
    table[0x21] = some(TwoNotZero, CONNECT | CONNACK);
    table[0x22] = some(Two, CONNECT | CONNACK);
    table[0x23] = some(Alias, PUBLISH);
    table[0x24] = some(Flag, CONNACK);
    table[0x25] = some(Flag, CONNACK);
    table[0x26] = some(Pair, ALL);
    table[0x27] = some(FourNotZero, CONNECT | CONNACK);
    table[0x28] = some(Flag, CONNACK);
    table[0x29] = some(Flag, CONNACK);
    table[0x2A] = some(Flag, CONNACK);
    table
};
