//! The properties by name. What repeats has an iterator; of the rest there is at most one in a
//! packet, and the first is told.

use super::{Properties, Property, QoS};

macro_rules! getters {
    ($($(#[$doc:meta])* $id:literal $name:ident -> $variant:ident $type:ty;)*) => {
        impl<'a> Properties<'a> {
            $($(#[$doc])*
            pub fn $name(&self) -> Option<$type> {
                match self.find($id)? {
                    Property::$variant(value) => Some(value),
                    _ => None,
                }
            })*
        }
    };
}

getters! {
    /// Payload Format Indicator: whether the payload is UTF-8 text.
    0x01 payload_format -> PayloadFormatIndicator bool;
    /// Message Expiry Interval in seconds.
    0x02 message_expiry -> MessageExpiryInterval u32;
    /// Content Type.
    0x03 content_type -> ContentType &'a str;
    /// Response Topic.
    0x08 response_topic -> ResponseTopic &'a str;
    /// Correlation Data.
    0x09 correlation_data -> CorrelationData &'a [u8];
    /// Session Expiry Interval in seconds; `u32::MAX` is for ever.
    0x11 session_expiry -> SessionExpiryInterval u32;
    /// Assigned Client Identifier.
    0x12 assigned_client_id -> AssignedClientIdentifier &'a str;
    /// Server Keep Alive in seconds.
    0x13 server_keep_alive -> ServerKeepAlive u16;
    /// Authentication Method.
    0x15 authentication_method -> AuthenticationMethod &'a str;
    /// Authentication Data.
    0x16 authentication_data -> AuthenticationData &'a [u8];
    /// Request Problem Information; absent means `true`.
    0x17 request_problem_information -> RequestProblemInformation bool;
    /// Will Delay Interval in seconds.
    0x18 will_delay -> WillDelayInterval u32;
    /// Request Response Information; absent means `false`.
    0x19 request_response_information -> RequestResponseInformation bool;
    /// Response Information.
    0x1A response_information -> ResponseInformation &'a str;
    /// Server Reference.
    0x1C server_reference -> ServerReference &'a str;
    /// Reason String.
    0x1F reason_string -> ReasonString &'a str;
    /// Receive Maximum; absent means 65 535.
    0x21 receive_maximum -> ReceiveMaximum u16;
    /// Topic Alias Maximum; absent means 0.
    0x22 topic_alias_maximum -> TopicAliasMaximum u16;
    /// Topic Alias.
    0x23 topic_alias -> TopicAlias u16;
    /// Maximum QoS; absent means 2.
    0x24 maximum_qos -> MaximumQoS QoS;
    /// Retain Available; absent means `true`.
    0x25 retain_available -> RetainAvailable bool;
    /// Maximum Packet Size in bytes; absent means no limit.
    0x27 maximum_packet_size -> MaximumPacketSize u32;
    /// Wildcard Subscription Available; absent means `true`.
    0x28 wildcard_subscription_available -> WildcardSubscriptionAvailable bool;
    /// Subscription Identifier Available; absent means `true`.
    0x29 subscription_identifier_available -> SubscriptionIdentifierAvailable bool;
    /// Shared Subscription Available; absent means `true`.
    0x2A shared_subscription_available -> SharedSubscriptionAvailable bool;
}

impl<'a> Properties<'a> {
    /// Every Subscription Identifier, 1 to 268 435 455.
    pub fn subscription_ids(&self) -> impl Iterator<Item = u32> + 'a {
        self.iter().filter_map(|property| match property {
            Property::SubscriptionIdentifier(id) => Some(id),
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
