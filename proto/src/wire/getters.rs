//! The properties by name. What repeats has an iterator; of the rest there is at most one in a
//! packet, and the first is told.

use super::properties::SUBSCRIPTION_IDENTIFIER;
use super::property_table::Value;
use super::{Properties, Property, QoS, WireError};

/// From the value of a property, for the macro below.
macro_rules! from_value {
    ($($type:ty: $($pattern:pat => $value:expr),*;)*) => {
        $(impl<'a> TryFrom<Value<'a>> for $type {
            type Error = WireError;

            fn try_from(value: Value<'a>) -> Result<Self, WireError> {
                match value {
                    $($pattern => $value,)*
                    _ => Err(WireError::BadPropertyValue),
                }
            }
        })*
    };
}

from_value! {
    bool: Value::Byte(v) => Ok(v != 0);
    QoS: Value::Byte(v) => QoS::try_from(v);
    u16: Value::Two(v) => Ok(v);
    u32: Value::Four(v) | Value::Var(v) => Ok(v);
    &'a str:
        Value::Text(text) => Ok(text),
        Value::Binary(bytes) => core::str::from_utf8(bytes).map_err(|_| WireError::BadString);
    &'a [u8]: Value::Binary(bytes) => Ok(bytes);
}

macro_rules! getters {
    ($($(#[$doc:meta])* $id:literal $name:ident -> $type:ty;)*) => {
        impl<'a> Properties<'a> {
            $($(#[$doc])*
            pub fn $name(&self) -> Option<$type> {
                <$type>::try_from(self.find($id)?).ok()
            })*
        }
    };
}

getters! {
    /// Payload Format Indicator: whether the payload is UTF-8 text.
    0x01 payload_format -> bool;
    /// Message Expiry Interval in seconds.
    0x02 message_expiry -> u32;
    /// Content Type.
    0x03 content_type -> &'a str;
    /// Response Topic.
    0x08 response_topic -> &'a str;
    /// Correlation Data.
    0x09 correlation_data -> &'a [u8];
    /// Session Expiry Interval in seconds; `u32::MAX` is for ever.
    0x11 session_expiry -> u32;
    /// Assigned Client Identifier.
    0x12 assigned_client_id -> &'a str;
    /// Server Keep Alive in seconds.
    0x13 server_keep_alive -> u16;
    /// Authentication Method.
    0x15 authentication_method -> &'a str;
    /// Authentication Data.
    0x16 authentication_data -> &'a [u8];
    /// Request Problem Information; absent means `true`.
    0x17 request_problem_information -> bool;
    /// Will Delay Interval in seconds.
    0x18 will_delay -> u32;
    /// Request Response Information; absent means `false`.
    0x19 request_response_information -> bool;
    /// Response Information.
    0x1A response_information -> &'a str;
    /// Server Reference.
    0x1C server_reference -> &'a str;
    /// Reason String.
    0x1F reason_string -> &'a str;
    /// Receive Maximum; absent means 65 535.
    0x21 receive_maximum -> u16;
    /// Topic Alias Maximum; absent means 0.
    0x22 topic_alias_maximum -> u16;
    /// Topic Alias.
    0x23 topic_alias -> u16;
    /// Maximum QoS; absent means 2.
    0x24 maximum_qos -> QoS;
    /// Retain Available; absent means `true`.
    0x25 retain_available -> bool;
    /// Maximum Packet Size in bytes; absent means no limit.
    0x27 maximum_packet_size -> u32;
    /// Wildcard Subscription Available; absent means `true`.
    0x28 wildcard_subscription_available -> bool;
    /// Subscription Identifier Available; absent means `true`.
    0x29 subscription_identifier_available -> bool;
    /// Shared Subscription Available; absent means `true`.
    0x2A shared_subscription_available -> bool;
}

impl<'a> Properties<'a> {
    /// Every Subscription Identifier, 1 to 268 435 455.
    pub fn subscription_ids(&self) -> impl Iterator<Item = u32> + 'a {
        self.items().filter_map(|item| match item {
            (SUBSCRIPTION_IDENTIFIER, Value::Var(id)) => Some(id),
            _ => None,
        })
    }

    /// Name and value of every User Property.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }
}
