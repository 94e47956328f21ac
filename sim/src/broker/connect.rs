//! CONNECT, and the CONNACK it gets.

use everlink_proto::wire::{
    ConnAck, Connect, Packet, Properties, Property, QoS, ReasonCode, Version, WireError,
};

use super::config::Refusal;
use super::*;

impl Broker {
    pub(super) fn on_connect(&mut self, id: PipeId, bytes: &[u8]) {
        let (version, connect) = match Packet::decode_connect(bytes) {
            Ok(decoded) => decoded,
            Err(fault) => {
                if fault == WireError::UnsupportedVersion {
                    self.refuse(id, &ReasonCode::UNSUPPORTED_PROTOCOL_VERSION.into());
                }
                return self.malformed(id, fault);
            }
        };
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.version = version;
        }
        if let Some(refusal) = self.faults.refuse_connect.pop_front() {
            return self.refuse(id, &refusal);
        }
        let login = connect.username.map(str::to_owned).zip(connect.password.map(<[u8]>::to_vec));
        if self.cfg.login.is_some() && login != self.cfg.login {
            return self.refuse(id, &ReasonCode::BAD_USER_NAME_OR_PASSWORD.into());
        }
        match connect.props.authentication_method() {
            Some(method) => self.start_auth(id, method, bytes),
            None => self.accept(id, version, &connect),
        }
    }

    pub(super) fn refuse(&mut self, id: PipeId, refusal: &Refusal) {
        let server = refusal.server.as_deref().map(Property::ServerReference);
        let props = Properties::from_list(server.as_slice());
        self.send(id, ConnAck { session_present: false, reason: refusal.reason, props });
        self.end(id, None, false);
    }

    /// The connection is in order: the session is found or made, and the client told.
    pub(super) fn accept(&mut self, id: PipeId, version: Version, connect: &Connect<'_>) {
        let mut client = connect.client_id.to_owned();
        if client.is_empty() {
            // [MQTT-3.1.3-8] of 3.1.1
            if version == Version::V311 && !connect.clean_start {
                return self.refuse(id, &ReasonCode::CLIENT_IDENTIFIER_NOT_VALID.into());
            }
            self.assigned += 1;
            client = format!("auto-{}", self.assigned);
        }
        if let Some(old) = self.connection(&client) {
            // [MQTT-3.1.4-3]
            self.end(old, Some(ReasonCode::SESSION_TAKEN_OVER), true);
        }
        self.expire_sessions();
        if connect.clean_start {
            self.end_session(&client);
        }
        // [MQTT-3.1.3-9] The session goes on: a delayed will is not published.
        self.wills.remove(&client);
        let session_present = self.sessions.contains_key(&client);
        let expiry = match version {
            Version::V311 if connect.clean_start => 0,
            Version::V311 => u32::MAX,
            Version::V5 => connect.props.session_expiry().unwrap_or(0),
        };
        let expiry = self.cfg.session_expiry.filter(|_| version == Version::V5).unwrap_or(expiry);
        self.sessions.entry(client.clone()).or_default().connected(id, expiry);
        self.connects.push(Connected {
            at: self.now,
            client: client.clone(),
            clean_start: connect.clean_start,
            session_present,
            username: connect.username.map(str::to_owned),
        });
        let server_keep_alive = self.cfg.server_keep_alive.filter(|_| version == Version::V5);
        if let Some(conn) = self.conns.get_mut(&id) {
            let keep_alive = server_keep_alive.unwrap_or(connect.keep_alive);
            conn.accept(&client, &Connect { keep_alive, ..*connect }, &self.cfg);
        }
        self.send_connack(id, session_present, &client, connect);
        if let Some(Refusal { reason, server }) = self.faults.send_away.pop_front() {
            return self.disconnect(&client, reason, server.as_deref());
        }
        self.pump(&client);
    }

    fn send_connack(
        &mut self,
        id: PipeId,
        session_present: bool,
        client: &str,
        connect: &Connect<'_>,
    ) {
        let cfg = self.cfg.clone();
        let mut list = Vec::new();
        let mut tell = |told: bool, property| {
            if told {
                list.push(property);
            }
        };
        tell(cfg.receive_maximum < u16::MAX, Property::ReceiveMaximum(cfg.receive_maximum));
        let size = cfg.maximum_packet_size;
        tell(size.is_some(), Property::MaximumPacketSize(size.unwrap_or(0)));
        let aliases = cfg.topic_alias_maximum;
        tell(aliases > 0, Property::TopicAliasMaximum(aliases));
        tell(cfg.maximum_qos < QoS::ExactlyOnce, Property::MaximumQoS(cfg.maximum_qos));
        tell(!cfg.retain_available, Property::RetainAvailable(false));
        tell(!cfg.wildcards_available, Property::WildcardSubscriptionAvailable(false));
        tell(!cfg.subscription_ids_available, Property::SubscriptionIdentifierAvailable(false));
        tell(!cfg.shared_available, Property::SharedSubscriptionAvailable(false));
        let keep_alive = cfg.server_keep_alive;
        tell(keep_alive.is_some(), Property::ServerKeepAlive(keep_alive.unwrap_or(0)));
        let expiry = cfg.session_expiry;
        tell(expiry.is_some(), Property::SessionExpiryInterval(expiry.unwrap_or(0)));
        tell(connect.client_id.is_empty(), Property::AssignedClientIdentifier(client));
        if let (Some(plan), Some(_)) = (&cfg.auth, connect.props.authentication_method()) {
            tell(true, Property::AuthenticationMethod(&plan.method));
            tell(!plan.last.is_empty(), Property::AuthenticationData(&plan.last));
        }
        let (reason, props) = (ReasonCode::SUCCESS, Properties::from_list(&list));
        self.send(id, ConnAck { session_present, reason, props });
    }
}
