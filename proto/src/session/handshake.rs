//! From an open pipe to a session: CONNECT, enhanced authentication, CONNACK.

use super::abilities::AUTHENTICATION;
use super::phase::Phase;
use super::*;
use crate::engine::Step;
use crate::wire::{Auth, ConnAck, Property, QoS};

/// What the broker offers on this connection. A 3.1.1 broker says nothing, so the defaults hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// QoS 1 and 2 messages that may be unacknowledged at a time.
    pub receive_maximum: u16,
    /// Highest QoS for publishing.
    pub maximum_qos: QoS,
    /// Whether retained messages are taken.
    pub retain_available: bool,
    /// Largest packet in bytes.
    pub maximum_packet_size: u32,
    /// Topic Aliases we may use.
    pub topic_alias_maximum: u16,
    /// Whether filters may have wildcards.
    pub wildcard_subscription_available: bool,
    /// Whether subscriptions may have identifiers.
    pub subscription_identifier_available: bool,
    /// Whether shared subscriptions are offered.
    pub shared_subscription_available: bool,
    /// Keep Alive in force, in seconds.
    pub keep_alive: u16,
    /// Session Expiry Interval in force, in seconds.
    pub session_expiry: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            receive_maximum: u16::MAX,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            maximum_packet_size: u32::MAX,
            topic_alias_maximum: 0,
            wildcard_subscription_available: true,
            subscription_identifier_available: true,
            shared_subscription_available: true,
            keep_alive: 0,
            session_expiry: 0,
        }
    }
}

impl Limits {
    fn of(ack: &ConnAck<'_>, cfg: &Settings) -> Self {
        let p = &ack.props;
        let v5 = cfg.version() == Version::V5;
        Self {
            receive_maximum: p.receive_maximum().unwrap_or(u16::MAX),
            maximum_qos: p.maximum_qos().unwrap_or(QoS::ExactlyOnce),
            retain_available: p.retain_available().unwrap_or(true),
            maximum_packet_size: p.maximum_packet_size().unwrap_or(u32::MAX),
            topic_alias_maximum: p.topic_alias_maximum().unwrap_or(0),
            wildcard_subscription_available: p.wildcard_subscription_available().unwrap_or(true),
            subscription_identifier_available: v5
                && p.subscription_identifier_available().unwrap_or(true),
            shared_subscription_available: p.shared_subscription_available().unwrap_or(true),
            keep_alive: p.server_keep_alive().unwrap_or(cfg.keep_alive),
            session_expiry: p.session_expiry().unwrap_or(if v5 {
                cfg.session_expiry
            } else {
                u32::MAX
            }),
        }
    }
}

/// 3.1.1 ties "start clean" to "keep nothing afterwards". To begin with an empty session and
/// yet keep it across outages takes, if the broker still has an old one, a connection in between
/// that wipes it (feature B10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dance {
    /// No detour needed, or it is behind us.
    None,
    /// Connected without Clean Session to see whether there is an old session.
    Look,
    /// Connecting with Clean Session to wipe it.
    Wipe,
    /// Wiped; now for real.
    Wiped,
    /// Closing: connecting with Clean Session so that the broker keeps nothing of us.
    Farewell,
}

impl<S: Store> Session<'_, S> {
    pub(super) fn write_connect(
        &mut self,
        now: Instant,
        with: &Connect<'_>,
        tx: &mut [u8],
    ) -> Result<usize, Refused> {
        let own = self.own_properties();
        self.clean_start = self.choose_clean_start();
        let packet = Connect {
            clean_start: self.clean_start,
            keep_alive: self.cfg.keep_alive,
            props: with.props.with_list(&own),
            ..*with
        };
        let n = packet.encode(self.cfg.version(), tx).map_err(|_| Refused::TooLarge);
        match n {
            Ok(n) => {
                self.unanswered = true;
                self.enter(now, Phase::Handshake);
                self.live.sent(now, n);
                self.stats.bytes_out += n as u64;
            }
            // Nobody can mend this but the application; try again slowly.
            Err(_) => self.break_off(
                now,
                Fault::new(
                    Step::Handshake,
                    Cause::RefusedByBroker(ReasonCode::BAD_USER_NAME_OR_PASSWORD),
                ),
                None,
            ),
        }
        n
    }

    fn own_properties(&self) -> [Property<'static>; 4] {
        [
            Property::SessionExpiryInterval(self.cfg.session_expiry),
            Property::ReceiveMaximum(self.received.maximum(&self.cfg)),
            Property::MaximumPacketSize(
                self.cfg.maximum_packet_size.max(self.cfg.largest_in_pieces).max(1),
            ),
            Property::TopicAliasMaximum(self.inbound_aliases.maximum()),
        ]
    }

    fn choose_clean_start(&mut self) -> bool {
        if self.dance == Dance::Farewell {
            return true;
        }
        // Also when opened again after a close: messages may still be under way.
        if self.recovery.has_session {
            // A session without Session Expiry Interval ended with its connection. Another one may be
            // there, of a CONNECT whose answer was lost; it must not be taken for ours.
            let over = self.cfg.version() == Version::V5 && self.limits.session_expiry == 0;
            return self.cfg.clean_reconnect || over;
        }
        if self.cfg.version() == Version::V5 || self.cfg.clean_reconnect || !self.cfg.clean_start {
            return self.cfg.clean_start;
        }
        if self.dance == Dance::None {
            self.dance = Dance::Look;
        }
        self.dance == Dance::Wipe
    }

    pub(super) fn on_connack(&mut self, now: Instant, ack: &ConnAck<'_>, inbox: &mut impl Inbox) {
        if ack.reason.is_error() {
            self.unanswered = false;
            // [MQTT-4.13.2-1]
            inbox.refused(ack.reason, ack.props);
            self.follow_redirect(ack.reason, ack.props.server_reference(), inbox);
            self.break_off(
                now,
                Fault::new(Step::Handshake, Cause::RefusedByBroker(ack.reason)),
                None,
            );
            return;
        }
        // Our own CONNECT, whose answer was lost, may have begun a session since it was wiped.
        let resumed = ack.session_present && self.dance != Dance::Wiped;
        if self.dance_on(now, ack.session_present) {
            return;
        }
        // [MQTT-3.2.2-2], [MQTT-3.2.2-4] We asked for no session, so there must be none.
        if ack.session_present && self.clean_start {
            return self.violation(now, ReasonCode::PROTOCOL_ERROR);
        }
        if !inbox.connected(ack) {
            return self.violation(now, ReasonCode::NOT_AUTHORIZED);
        }
        self.come_up(now, ack, resumed);
    }

    /// Takes the next step of the 3.1.1 detour; `true` if this connection only served that.
    fn dance_on(&mut self, now: Instant, session_present: bool) -> bool {
        let next = match self.dance {
            Dance::Look if session_present => Dance::Wipe,
            Dance::Wipe => Dance::Wiped,
            Dance::Farewell => Dance::Farewell,
            Dance::Look | Dance::Wiped | Dance::None => return false,
        };
        self.dance = next;
        let leave = Phase::Leaving { reason: ReasonCode::SUCCESS, expiry: None, said: false };
        self.enter(now, leave);
        true
    }

    fn come_up(&mut self, now: Instant, ack: &ConnAck<'_>, resumed: bool) {
        self.limits = Limits::of(ack, &self.cfg);
        // [MQTT-3.1.2-21], [MQTT-3.2.2-21]
        self.live.keep_alive(&self.cfg, self.limits.keep_alive);
        self.live.accepted(now);
        self.connection = self.connection.wrapping_add(1);
        self.outbound_aliases.reset(self.limits.topic_alias_maximum);
        let down = self.recovery.up(&self.cfg.plan, now, self.achieved());
        if self.stats.connections > 0 {
            self.stats.longest_outage = self.stats.longest_outage.max(down);
        }
        self.stats.connections += 1;
        self.resumed = resumed;
        self.dance = Dance::None;
        self.enter(now, Phase::Up);
        // [MQTT-4.1.0-1] Only here is Session State discarded, before anything is sent.
        if resumed {
            self.resume(now);
        } else {
            self.session_lost();
        }
        self.unanswered = false;
        self.event(Event::Up { resumed });
    }

    /// [MQTT-4.4.0-1] everything unacknowledged goes again, with its identifiers.
    fn resume(&mut self, now: Instant) {
        self.sending.start_resending(&self.store, None);
        self.received.resumed(now, self.doubt);
        if self.doubt {
            self.subs.session_lost();
        }
    }

    /// [MQTT-3.2.2-5], [MQTT-3.1.2-4] The broker knows nothing of us: what was under way starts
    /// anew, and it must be told the subscriptions again. Even what it had answered with PUBREC: it
    /// may have been going to pass that on at PUBREL only, and a message that comes twice is better
    /// than one that never comes.
    fn session_lost(&mut self) {
        // Last first, so that each becomes the new head and the order stays.
        for stage in [Stage::Sent, Stage::Released] {
            while let Some(key) = self.store.last(stage) {
                self.store.requeue(key);
            }
        }
        self.waiting.recount(&self.store);
        self.sending.narrowed = 0;
        self.kept.changed();
        self.flights.clear();
        self.received.session_lost();
        self.subs.session_lost();
    }

    fn follow_redirect(&mut self, reason: ReasonCode, to: Option<&str>, inbox: &mut impl Inbox) {
        let permanent = reason == ReasonCode::SERVER_MOVED;
        let moved = permanent || reason == ReasonCode::USE_ANOTHER_SERVER;
        self.recovery.redirected =
            moved && to.is_some_and(|server| inbox.redirect(server, permanent));
        if permanent && self.recovery.redirected {
            // The list is another one.
            self.recovery.failover.endpoint = 0;
        }
    }

    pub(super) fn on_disconnect(
        &mut self,
        now: Instant,
        packet: &Disconnect<'_>,
        inbox: &mut impl Inbox,
    ) {
        // [MQTT-3.14.0-1] only after CONNACK, and a 3.1.1 server never sends it.
        if self.cfg.version() == Version::V311 || matches!(self.phase, Phase::Handshake) {
            return self.violation(now, ReasonCode::PROTOCOL_ERROR);
        }
        // [MQTT-4.13.2-1]
        inbox.refused(packet.reason, packet.props);
        self.follow_redirect(packet.reason, packet.props.server_reference(), inbox);
        self.break_off(now, Fault::new(Step::Up, Cause::DisconnectedByBroker(packet.reason)), None);
    }

    pub(super) fn on_auth(&mut self, now: Instant, auth: &Auth<'_>, inbox: &mut impl Inbox) {
        // The first exchange begins with CONNECT and ends with CONNACK, a later one begins with an
        // AUTH of ours and ends with Success; the broker begins none (MQTT 5, 4.12).
        let first = matches!(self.phase, Phase::Handshake);
        let asked = first || self.auth_awaited.take().is_some();
        let accepted = match auth.reason {
            _ if !AUTHENTICATION || self.cfg.version() == Version::V311 || !asked => false,
            // [MQTT-4.12.0-3]
            ReasonCode::CONTINUE_AUTHENTICATION => {
                self.auth = Some(ReasonCode::CONTINUE_AUTHENTICATION);
                inbox.challenge(auth)
            }
            ReasonCode::SUCCESS if !first => inbox.challenge(auth),
            _ => false,
        };
        if first {
            // Each round has its own time.
            self.since = now;
        }
        // [MQTT-4.12.1-2]
        if !accepted {
            self.auth = None;
            let reason = match self.cfg.version() {
                Version::V311 => ReasonCode::PROTOCOL_ERROR,
                Version::V5 => ReasonCode::NOT_AUTHORIZED,
            };
            self.violation(now, reason);
        }
    }

    /// Writes the AUTH that is due, if any. The inbox writes its properties.
    pub(super) fn write_auth(
        &mut self,
        now: Instant,
        tx: &mut [u8],
        inbox: &mut impl Inbox,
    ) -> usize {
        let Some(reason) = self.auth.filter(|_| AUTHENTICATION) else { return 0 };
        // [MQTT-4.12.0-7] Without a method the inbox has nothing to say, which ends the connection.
        // The second half is scratch space for the inbox, so wait until there is some.
        if tx.len() < self.cfg.transmit_buffer / 2 {
            return 0;
        }
        let (tx, scratch) = tx.split_at_mut(tx.len() / 2);
        self.auth = None;
        let raw = inbox.authenticate(scratch).and_then(|n| scratch.get(..n));
        let props = raw.and_then(|raw| crate::wire::Properties::from_raw(raw).ok());
        let packet = props.map(|props| Auth { reason, props });
        // [MQTT-3.2.2-15], [MQTT-3.15.2-2], [MQTT-3.15.2-3] Before CONNACK no limit is known.
        let limit = match self.phase {
            Phase::Up => self.limits.maximum_packet_size as usize,
            _ => usize::MAX,
        };
        let written =
            packet.and_then(|p| p.encode(self.cfg.version(), tx).ok()).filter(|n| *n <= limit);
        if written.is_none() {
            // The application has no answer, so the exchange cannot go on.
            self.violation(now, ReasonCode::NOT_AUTHORIZED);
        } else if matches!(self.phase, Phase::Up) {
            self.auth_awaited = Some(now);
        }
        written.unwrap_or(0)
    }
}
