//! How connections, sessions and the broker itself end; wills.

use everlink_proto::time::Duration;
use everlink_proto::wire::{Disconnect, Properties, Property, ReasonCode, Version};

use super::*;

impl Broker {
    pub(super) fn on_disconnect(&mut self, id: PipeId, disconnect: &Disconnect<'_>) {
        let client = self.client_of(id);
        if let Some(session) = self.sessions.get_mut(&client)
            && let Some(expiry) = disconnect.props.session_expiry()
        {
            if session.expiry == 0 && expiry > 0 {
                // 3.14.2.2.2
                let what = format!("Session Expiry Interval {expiry} after 0");
                return self.offend(id, "3.14.2.2.2", what, ReasonCode::PROTOCOL_ERROR);
            }
            session.expiry = expiry;
        }
        // [MQTT-3.14.4-3]
        let will = disconnect.reason != ReasonCode::NORMAL_DISCONNECTION;
        self.end(id, None, will);
    }

    /// Ends a connection: says why if there is something to say, and lets go of its session.
    pub(super) fn end(&mut self, id: PipeId, tell: Option<ReasonCode>, will: bool) {
        let Some(conn) = self.conns.get_mut(&id).filter(|c| !c.closing) else { return };
        if let Some(reason) = tell.filter(|_| conn.version == Version::V5) {
            self.send(id, Disconnect { reason, props: Properties::EMPTY });
        }
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.closing = true;
        let (client, will) = (conn.client.clone(), conn.will.take().filter(|_| will));
        let Some(session) = self.sessions.get_mut(&client).filter(|s| s.conn == Some(id)) else {
            return;
        };
        session.disconnected(self.now);
        let expiry = session.expiry;
        if let Some((delay, message)) = will {
            let at = self.now + Duration::from_secs(u64::from(delay.min(expiry)));
            self.wills.insert(client, (at, message));
        }
        self.publish_due_wills();
        self.expire_sessions();
    }

    /// The session ends, and what was to be said then is said.
    pub(super) fn end_session(&mut self, client: &str) {
        if self.sessions.remove(client).is_some()
            && let Some((_, will)) = self.wills.remove(client)
        {
            self.route(Some(client), will);
        }
    }

    pub(super) fn expire_sessions(&mut self) {
        let now = self.now;
        let due = |s: &Session| s.expires_at.is_some_and(|at| at <= now);
        let gone: Vec<_> =
            self.sessions.iter().filter(|(_, s)| due(s)).map(|(c, _)| c.clone()).collect();
        for client in gone {
            self.end_session(&client);
        }
    }

    pub(super) fn publish_due_wills(&mut self) {
        let now = self.now;
        let due: Vec<_> =
            self.wills.iter().filter(|(_, (at, _))| *at <= now).map(|(c, _)| c.clone()).collect();
        for client in due {
            if let Some((_, will)) = self.wills.remove(&client) {
                self.route(Some(&client), will);
            }
        }
    }

    /// [MQTT-3.1.2-22]: one and a half times the Keep Alive without a packet.
    pub(super) fn check_keep_alives(&mut self) {
        let now = self.now;
        let dead = |c: &Conn| c.deadline().is_some_and(|at| at <= now);
        let dead: Vec<_> = self.conns.iter().filter(|(_, c)| dead(c)).map(|(id, _)| *id).collect();
        for id in dead {
            self.end(id, Some(ReasonCode::KEEP_ALIVE_TIMEOUT), true);
        }
    }

    pub(super) fn send_delayed(&mut self) {
        let now = self.now;
        let (due, later) = self.delayed.drain(..).partition::<Vec<_>, _>(|(at, ..)| *at <= now);
        self.delayed = later;
        for (_, id, bytes) in due {
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.put(&bytes);
            }
        }
    }

    /// Disconnects a client, with a reason in MQTT 5 and perhaps a Server Reference.
    pub fn disconnect(&mut self, client: &str, reason: ReasonCode, server: Option<&str>) {
        let Some(id) = self.connection(client) else { return };
        if self.conns.get(&id).is_some_and(|c| c.version == Version::V5) {
            let list = server.map(Property::ServerReference);
            let props = Properties::from_list(list.as_slice());
            self.send(id, Disconnect { reason, props });
        }
        self.end(id, None, false);
    }

    /// The broker starts again, with or without its sessions; connections are gone at once. The
    /// network must be told too: see [`Pair::restart_broker`](crate::pair::Pair::restart_broker).
    pub fn restart(&mut self, keep_sessions: bool) {
        self.conns.clear();
        self.delayed.clear();
        self.wills.clear();
        for session in self.sessions.values_mut() {
            session.disconnected(self.now);
        }
        // A session without Session Expiry Interval ends with its connection, kept or not.
        self.sessions.retain(|_, s| keep_sessions && s.expiry > 0);
        if !keep_sessions {
            self.retained.clear();
        }
    }
}
