//! What goes out next, and how much of it fits.
//!
//! Order within one connection: a packet once begun is finished; then acknowledgements (so that
//! the broker's window never starves behind our own traffic), pings, authentication,
//! subscriptions, what a resumed session owes, and last the queue.

use super::liveness::{came_out, is_out};
use super::phase::Phase;
use super::*;
use crate::store::Key;
use crate::wire::{Bare, EncodeError, PacketId, PacketType, Properties, Property, encode};

#[derive(Debug, Default)]
pub(super) struct Sending {
    /// A PUBLISH of which the payload up to this offset is written.
    pub(super) partial: Option<(Key, usize)>,
    /// It was sent before, on this connection or an earlier one.
    pub(super) partial_again: bool,
    /// The next message to be sent again; new ones wait until there is none `[MQTT-4.6.0-1]`.
    pub(super) resend: Option<Key>,
    /// The next PUBREL to be sent again.
    pub(super) rerelease: Option<Key>,
    /// Of what was sent on this connection, only what was last sent at or before this instant is
    /// sent again.
    resend_before: Option<Instant>,
    /// QoS 1 and 2 messages under way on this connection.
    pub(super) open: u16,
    /// The most that may be in this session, if the broker was found to take fewer than it said;
    /// else 0.
    pub(super) narrowed: u16,
    pub(super) ping_wanted: bool,
    pub(super) suspicious: bool,
    /// There was more to write than room when last asked.
    pub(super) starved: bool,
    /// Since when the oldest unacknowledged message has been the oldest.
    pub(super) sent_head_since: Instant,
    released_head_since: Instant,
}

impl Sending {
    pub(super) fn connection_lost(&mut self) {
        *self = Self { narrowed: self.narrowed, ..Self::default() };
    }

    /// The message that is begun and not finished.
    pub(super) fn begun(&self) -> Option<Key> {
        self.partial.map(|(key, _)| key)
    }

    pub(super) fn is_mid_packet(&self) -> bool {
        self.partial.is_some()
    }

    pub(super) fn is_partial(&self, key: Key) -> bool {
        self.partial.is_some_and(|(k, _)| k == key)
    }

    /// Starts sending again what was sent on an earlier connection, and, if it was at or before
    /// `before`, on this one.
    pub(super) fn start_resending(&mut self, store: &impl Store, before: Option<Instant>) {
        self.rerelease = store.first(Stage::Released);
        self.resend = store.first(Stage::Sent);
        self.resend_before = before;
    }

    /// Whether a message that was last sent on this connection need not be sent again now.
    pub(super) fn is_recent(&self, sent: Instant) -> bool {
        self.resend_before.is_none_or(|before| sent > before)
    }

    /// `key` is about to leave its place in the store.
    pub(super) fn leaving(&mut self, store: &impl Store, key: Key, now: Instant) {
        if self.resend == Some(key) {
            self.resend = store.next(key);
        }
        if self.rerelease == Some(key) {
            self.rerelease = store.next(key);
        }
        if store.first(Stage::Sent) == Some(key) {
            self.sent_head_since = now;
        }
        if store.first(Stage::Released) == Some(key) {
            self.released_head_since = now;
        }
    }

    /// The oldest messages are as good as new.
    pub(super) fn restart_clocks(&mut self, now: Instant) {
        (self.sent_head_since, self.released_head_since) = (now, now);
    }

    /// The first message is about to be released.
    pub(super) fn released_head_at(&mut self, now: Instant) {
        self.released_head_since = now;
    }

    pub(super) fn opened_one(&mut self) {
        self.open = self.open.saturating_add(1);
    }

    /// A message sent on this connection is finally acknowledged.
    pub(super) fn closed_one(&mut self) {
        self.open = self.open.saturating_sub(1);
    }
}

/// How writing one packet went.
pub(super) enum Put {
    Written(usize),
    /// No room now; it will fit into an empty buffer.
    NoRoom,
    /// What comes next has to wait for the broker.
    Blocked,
    /// Nothing to write.
    Nothing,
}

impl<S: Store> Session<'_, S> {
    /// Writes as many packets as fit. Returns the number of bytes.
    pub(super) fn fill(&mut self, now: Instant, tx: &mut [u8], inbox: &mut impl Inbox) -> usize {
        let mut n = 0;
        while let Some(room) = tx.get_mut(n..).filter(|r| !r.is_empty()) {
            let put = match self.phase {
                // [MQTT-3.1.2-30]
                Phase::Handshake => Put::Written(self.write_auth(now, room, inbox)),
                Phase::Up => self.put_next(now, room, inbox),
                Phase::Leaving { .. } => self.put_last(now, room, inbox),
                _ => Put::Nothing,
            };
            match put {
                Put::Written(more @ 1..) => n += more,
                Put::Written(0) | Put::NoRoom | Put::Blocked | Put::Nothing => {
                    // AUTH waits for more room than it may need.
                    self.sending.starved = matches!(put, Put::NoRoom) || self.auth.is_some();
                    return n;
                }
            }
        }
        // What is there may be all there is, or not.
        self.sending.starved = true;
        n
    }

    fn put_next(&mut self, now: Instant, tx: &mut [u8], inbox: &mut impl Inbox) -> Put {
        if self.sending.partial.is_some() {
            return self.put_rest(now, tx, inbox);
        }
        // [MQTT-3.3.4-8], [MQTT-4.9.0-3] Nothing here waits for the window but what comes last.
        for put in [Self::put_owed, Self::put_ping] {
            match put(self, now, tx) {
                Put::Nothing => {}
                other => return other,
            }
        }
        if let put @ (Put::Written(_) | Put::NoRoom) = self.put_subscription(now, tx, inbox) {
            return put;
        }
        if let put @ (Put::Written(_) | Put::NoRoom) = self.put_rerelease(now, tx) {
            return put;
        }
        match self.write_auth(now, tx, inbox) {
            0 => {}
            n => return Put::Written(n),
        }
        match self.put_resend(now, tx, inbox) {
            Put::Nothing => {}
            other => return other,
        }
        self.put_queue(now, tx, inbox)
    }

    /// While leaving: what was begun, what is owed, then DISCONNECT.
    fn put_last(&mut self, now: Instant, tx: &mut [u8], inbox: &mut impl Inbox) -> Put {
        if self.sending.partial.is_some() {
            return self.put_rest(now, tx, inbox);
        }
        // [MQTT-3.14.4-1] nothing follows DISCONNECT.
        let Phase::Leaving { reason, expiry, said: false } = self.phase else {
            return Put::Nothing;
        };
        if let put @ (Put::Written(_) | Put::NoRoom) = self.put_owed(now, tx) {
            return put;
        }
        let expiry_property = [Property::SessionExpiryInterval(expiry.unwrap_or(0))];
        let list = if expiry.is_some() { &expiry_property[..] } else { &[] };
        let packet = Disconnect { reason, props: Properties::from_list(list) };
        let put = written(packet.encode(self.cfg.version(), tx));
        if matches!(put, Put::Written(_)) {
            self.phase = Phase::Leaving { reason, expiry, said: true };
        }
        put
    }

    /// All acknowledgements that fit.
    fn put_owed(&mut self, now: Instant, tx: &mut [u8]) -> Put {
        let mut n = 0;
        while !self.owed.is_empty() || self.release_acknowledged(now) {
            let Some(owed) = self.owed.front() else { break };
            // What it says has to outlast a loss of power first.
            if owed.kind != AckKind::PubAck && self.kept.is_behind() {
                break;
            }
            if let Some(pid) = PacketId::new(owed.pid) {
                let room = tx.get_mut(n..).unwrap_or(&mut []);
                // [MQTT-4.6.0-4] those of earlier PUBRECs, which are to be sent again, go first.
                if owed.kind == AckKind::PubRel {
                    match self.put_rerelease(now, room) {
                        Put::Written(more) => {
                            n += more;
                            continue;
                        }
                        Put::NoRoom => return if n == 0 { Put::NoRoom } else { Put::Written(n) },
                        Put::Blocked | Put::Nothing => {}
                    }
                }
                match self.put_ack(owed.kind, pid, owed.reason, room) {
                    Ok(more) => n += more,
                    Err(_) if n == 0 => return Put::NoRoom,
                    Err(_) => break,
                }
            }
            self.owed.pop();
        }
        if n == 0 { Put::Nothing } else { Put::Written(n) }
    }

    fn put_ack(
        &self,
        kind: AckKind,
        pid: PacketId,
        reason: ReasonCode,
        tx: &mut [u8],
    ) -> Result<usize, EncodeError> {
        if reason == ReasonCode::SUCCESS
            && let Some(first) = tx.first_chunk_mut()
        {
            *first = Ack::short(kind, pid);
            return Ok(first.len());
        }
        Ack { kind, pid, reason, props: Properties::EMPTY }.encode(self.cfg.version(), tx)
    }

    fn put_ping(&mut self, now: Instant, tx: &mut [u8]) -> Put {
        if !self.sending.ping_wanted {
            return Put::Nothing;
        }
        let put = written(encode(&Bare(PacketType::PingReq), self.cfg.version(), tx));
        if matches!(put, Put::Written(_)) {
            self.sending.ping_wanted = false;
            self.live.pinged(now, core::mem::take(&mut self.sending.suspicious));
            self.stats.pings += 1;
        }
        put
    }

    fn put_rerelease(&mut self, now: Instant, tx: &mut [u8]) -> Put {
        if self.sending.rerelease.is_some() && self.kept.is_behind() {
            return Put::Blocked;
        }
        while let Some(key) = self.sending.rerelease {
            let Some(meta) = self.store.meta(key) else { break };
            if meta.connection == self.connection && self.sending.is_recent(meta.sent) {
                self.sending.rerelease = self.store.next(key);
                continue;
            }
            let Some(pid) = PacketId::new(meta.pid) else { break };
            let put = written(self.put_ack(AckKind::PubRel, pid, ReasonCode::SUCCESS, tx));
            if matches!(put, Put::Written(_)) {
                self.stats.repeats += 1;
                self.mark_sent(now, key);
                self.sending.rerelease = self.store.next(key);
            }
            return put;
        }
        self.sending.rerelease = None;
        Put::Nothing
    }

    /// Since when an acknowledgement is awaited: the oldest message of each stage counts from when
    /// it was sent or became the oldest, whichever is later, so that a slow path that makes
    /// progress is not taken for a dead one. What has not left yet has no reply due.
    pub(super) fn reply_due(&self) -> Option<Instant> {
        let unsent = self.live.unsent_since();
        let head = |stage, since: Instant| {
            let key = self.store.first(stage).filter(|k| !self.sending.is_partial(*k))?;
            let meta = self.store.meta(key)?;
            let awaited = meta.connection == self.connection && is_out(meta.sent, unsent);
            awaited.then(|| meta.sent.max(since))
        };
        let sent = head(Stage::Sent, self.sending.sent_head_since);
        let released = head(Stage::Released, self.sending.released_head_since);
        let released_to_us = self.received.awaited_since(self.cfg.response_time);
        let auth = self.auth_awaited.filter(|at| is_out(*at, unsent));
        let others = [self.subs.awaited_since(unsent), released_to_us, auth];
        [sent, released].into_iter().chain(others).flatten().min()
    }

    /// The pipe took bytes. The wait for a reply begins when its packet is out.
    pub(super) fn wrote(&mut self, now: Instant, pending: usize) {
        let before = self.live.unsent_since();
        self.live.wrote(now, pending);
        let unsent = self.live.unsent_since();
        if before == unsent {
            return;
        }
        let head_came_out = |stage| {
            let meta = self.store.first(stage).and_then(|key| self.store.meta(key));
            meta.is_some_and(|m| came_out(m.sent, before, unsent))
        };
        let (sent, released) = (head_came_out(Stage::Sent), head_came_out(Stage::Released));
        if sent {
            self.sending.sent_head_since = now;
        }
        if released {
            self.sending.released_head_since = now;
        }
        self.subs.came_out(now, before, unsent);
    }

    /// Whatever reply is awaited is awaited from now on.
    pub(super) fn restart_clocks(&mut self, now: Instant) {
        self.sending.restart_clocks(now);
        self.subs.restart_clocks(now);
        self.received.restart_clock(now);
    }
}

pub(super) fn written(result: Result<usize, EncodeError>) -> Put {
    match result {
        Ok(n) => Put::Written(n),
        // Sizes were checked when the operation was accepted, so it is only a matter of room.
        Err(_) => Put::NoRoom,
    }
}
