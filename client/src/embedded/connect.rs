//! Who we are: everything CONNECT says that the application chooses.

use everlink_proto::wire::{Connect as Packet, Properties, Will};

/// Client Identifier, credentials, will and properties. All borrowed for as long as the hub lives.
///
/// Give a Client Identifier of the device's own: one that the broker assigns is not remembered, so
/// every reconnection would begin a new session. `Debug` shows neither user name nor password.
#[derive(Clone, Copy, Default)]
pub struct Connect<'m> {
    packet: Packet<'m>,
}

impl core::fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connect").field("client_id", &self.packet.client_id).finish_non_exhaustive()
    }
}

impl<'m> Connect<'m> {
    /// With this Client Identifier and nothing else.
    pub fn new(client_id: &'m str) -> Self {
        Self { packet: Packet { client_id, ..Packet::default() } }
    }

    /// User name and password.
    pub fn credentials(mut self, username: &'m str, password: &'m [u8]) -> Self {
        (self.packet.username, self.packet.password) = (Some(username), Some(password));
        self
    }

    /// The message the broker publishes for us when we vanish. A graceful close suppresses it.
    pub fn will(mut self, will: Will<'m>) -> Self {
        self.packet.will = Some(will);
        self
    }

    /// MQTT 5: further properties, in encoded form ([`Properties::encode_raw`] and
    /// [`Properties::from_raw`]; those of a list do not count). Session Expiry Interval, Receive
    /// Maximum, Maximum Packet Size and Topic Alias Maximum are set by the client itself.
    pub fn properties(mut self, properties: Properties<'m>) -> Self {
        self.packet.props = properties;
        self
    }

    pub(super) fn packet(&self) -> &Packet<'m> {
        &self.packet
    }
}
