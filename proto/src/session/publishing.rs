//! PUBLISH packets on their way out: from the queue or once more, in pieces if need be.

use super::acks::NOT_TAKEN;
use super::alias::Alias;
use super::flights::Flight;
use super::sending::Put;
use super::*;
use crate::engine::Step;
use crate::mem::copy;
use crate::store::Key;
use crate::wire::{PacketId, Properties, Property, Publish, QoS};

/// 3.1.1 brokers limit QoS 2 messages under way as well but cannot say so: mosquitto by default
/// takes 20 and acknowledges further ones like these, and drops them.
const UNSTATED_QUOTA: u16 = 20;

impl<S: Store> Session<'_, S> {
    pub(super) fn put_resend(
        &mut self,
        now: Instant,
        tx: &mut [u8],
        inbox: &mut impl Inbox,
    ) -> Put {
        while let Some(key) = self.sending.resend {
            let Some(meta) = self.store.meta(key).copied() else { break };
            let first_here = meta.connection != self.connection;
            if !first_here && self.sending.is_recent(meta.sent) {
                self.sending.resend = self.store.next(key);
                continue;
            }
            if meta.qos == QoS::ExactlyOnce && self.kept.is_behind() {
                return Put::Blocked;
            }
            // The limits may be narrower than on the connection before.
            if first_here && let Some(reason) = self.ruled_out(key, meta.qos, meta.retain) {
                self.finish(now, key, Outcome::Rejected(reason, Properties::EMPTY), inbox);
                continue;
            }
            if first_here && self.sending.open >= self.quota(meta.qos) {
                // Blocks the queue as well: order.
                return Put::Blocked;
            }
            // [MQTT-3.3.1-1], [MQTT-3.3.1-3]
            let again = meta.repeats != NOT_TAKEN;
            let put = self.put_publish(now, key, PacketId::new(meta.pid), again, tx, inbox);
            if matches!(put, Put::Written(_)) {
                self.stats.repeats += u64::from(again);
                self.sending.resend = self.store.next(key);
            }
            return put;
        }
        self.sending.resend = None;
        Put::Nothing
    }

    /// Takes messages from the queue for as long as they fit: nothing else becomes due meanwhile.
    pub(super) fn put_queue(&mut self, now: Instant, tx: &mut [u8], inbox: &mut impl Inbox) -> Put {
        let mut n = 0;
        while let Some(room) = tx.get_mut(n..) {
            match self.put_queued(now, room, inbox) {
                Put::Written(more) => n += more,
                other if n == 0 => return other,
                _ => break,
            }
            if self.sending.is_mid_packet() {
                break;
            }
        }
        Put::Written(n)
    }

    /// Takes the next message from the queue.
    fn put_queued(&mut self, now: Instant, tx: &mut [u8], inbox: &mut impl Inbox) -> Put {
        while let Some(key) = self.store.first(Stage::Queued) {
            let Some(meta) = self.store.meta(key).copied() else { break };
            if now >= meta.expires {
                self.finish(now, key, Outcome::Expired, inbox);
                continue;
            }
            if let Some(reason) = self.ruled_out(key, meta.qos, meta.retain) {
                self.finish(now, key, Outcome::Rejected(reason, Properties::EMPTY), inbox);
                continue;
            }
            if meta.qos == QoS::AtMostOnce {
                return self.put_publish(now, key, None, false, tx, inbox);
            }
            if self.sending.open >= self.quota(meta.qos) || self.window_bytes_full() {
                return Put::Nothing;
            }
            if self.kept.is_on() && meta.kept != 0 && meta.qos == QoS::ExactlyOnce {
                self.give_identifiers(inbox);
                return Put::Blocked;
            }
            // [MQTT-4.3.2-2], [MQTT-4.3.3-2] A new identifier, and no DUP below.
            let Some(pid) = self.flights.allocate(Flight::Message(key)) else {
                return Put::Nothing;
            };
            let put = self.put_publish(now, key, PacketId::new(pid), false, tx, inbox);
            if !matches!(put, Put::Written(_)) {
                self.flights.give_back(pid);
            }
            return put;
        }
        Put::Nothing
    }

    /// [MQTT-3.3.4-7], [MQTT-4.9.0-1], [MQTT-4.9.0-2] Messages that may be under way.
    pub(super) fn quota(&self, qos: QoS) -> u16 {
        let mut window = self.cfg.window.min(self.limits.receive_maximum);
        if self.sending.narrowed > 0 {
            window = window.min(self.sending.narrowed);
        }
        match (self.cfg.version(), qos) {
            (Version::V311, QoS::ExactlyOnce) => window.min(UNSTATED_QUOTA),
            _ => window,
        }
    }

    /// Messages under way may take as much memory as queued ones, not more.
    fn window_bytes_full(&self) -> bool {
        let bytes = self.store.bytes(Stage::Sent) + self.store.bytes(Stage::Released);
        bytes >= self.waiting.limits.bytes
    }

    /// [MQTT-3.2.2-11], [MQTT-3.2.2-14] Why the broker's limits rule a message out, if they do.
    fn ruled_out(&self, key: Key, qos: QoS, retain: bool) -> Option<ReasonCode> {
        if qos > self.limits.maximum_qos {
            return Some(ReasonCode::QOS_NOT_SUPPORTED);
        }
        if retain && !self.limits.retain_available {
            return Some(ReasonCode::RETAIN_NOT_SUPPORTED);
        }
        if self.limits.maximum_packet_size < u32::MAX {
            let content = self.store.content(key)?;
            let expires = self.store.meta(key)?.expires != Instant::MAX;
            let expiry = [Property::MessageExpiryInterval(0)];
            let expiry = if expires { &expiry[..] } else { &[] };
            // An alias that would make it too large is left out.
            let publish = Publish {
                dup: false,
                qos,
                retain,
                topic: content.topic,
                pid: PacketId::new(1).filter(|_| qos != QoS::AtMostOnce),
                props: Properties::from_trusted_raw(content.props).with_list(expiry),
                payload: &[],
            };
            if self.exceeds_limit(&publish, content.payload.len()) {
                return Some(ReasonCode::PACKET_TOO_LARGE);
            }
        }
        None
    }

    /// [MQTT-3.2.2-15] Whether the broker does not take so large a packet.
    fn exceeds_limit(&self, publish: &Publish<'_>, payload: usize) -> bool {
        let limit = self.limits.maximum_packet_size;
        limit < u32::MAX && publish.encoded_len_with(self.cfg.version(), payload) > limit as usize
    }

    /// Writes a PUBLISH as far as it fits: the head whole or not at all.
    fn put_publish(
        &mut self,
        now: Instant,
        key: Key,
        pid: Option<PacketId>,
        dup: bool,
        tx: &mut [u8],
        inbox: &mut impl Inbox,
    ) -> Put {
        let (Some(meta), Some(content)) = (self.store.meta(key), self.store.content(key)) else {
            return Put::Nothing;
        };
        let mut alias = self.outbound_aliases.find(content.topic);
        let mut list = [Property::TopicAlias(0); 2];
        let list = publish_properties(&mut list, alias, meta.expires, now);
        let props = Properties::from_trusted_raw(content.props);
        let mut publish = Publish {
            dup,
            qos: meta.qos,
            retain: meta.retain,
            topic: if matches!(alias, Alias::Known(_)) { "" } else { content.topic },
            pid,
            props: props.with_list(list),
            payload: &[],
        };
        if matches!(alias, Alias::New(_)) && self.exceeds_limit(&publish, content.payload.len()) {
            // The message was found to fit without one.
            alias = Alias::None;
            publish.props = props.with_list(list.get(..list.len() - 1).unwrap_or(&[]));
        }
        let head = match publish.encode_head(self.cfg.version(), content.payload.len(), tx) {
            Ok(n) => n,
            Err(_) => return Put::NoRoom,
        };
        let room = tx.get_mut(head..).unwrap_or(&mut []);
        let body = content.payload.len().min(room.len());
        copy(room, content.payload);
        let whole = body == content.payload.len();
        if matches!(alias, Alias::New(_)) {
            self.outbound_aliases.learn(content.topic);
        }
        self.sending.partial = (!whole).then_some((key, body));
        self.sending.partial_again = dup;
        if let Some(pid) = pid {
            self.under_way(now, key, pid, inbox);
        } else if whole {
            self.finish_qos0(now, key, inbox);
        }
        Put::Written(head + body)
    }

    /// Continues the payload of a begun PUBLISH.
    pub(super) fn put_rest(&mut self, now: Instant, tx: &mut [u8], inbox: &mut impl Inbox) -> Put {
        let Some((key, offset)) = self.sending.partial else { return Put::Nothing };
        let (Some(meta), Some(content)) = (self.store.meta(key), self.store.content(key)) else {
            // It cannot be finished, so the stream cannot be used any more.
            self.break_off(now, Fault::new(Step::Up, Cause::Requested), None);
            return Put::Nothing;
        };
        let rest = content.payload.get(offset..).unwrap_or(&[]);
        let n = rest.len().min(tx.len());
        copy(tx, rest);
        let (whole, qos0) = (n == rest.len(), meta.qos == QoS::AtMostOnce);
        self.sending.partial = (!whole).then_some((key, offset + n));
        if whole && qos0 {
            self.finish_qos0(now, key, inbox);
        } else if whole && let Some(meta) = self.store.meta_mut(key) {
            // Only now can its acknowledgement be awaited.
            meta.sent = now;
        }
        Put::Written(n)
    }

    /// A QoS 1 or 2 message is on its way.
    fn under_way(&mut self, now: Instant, key: Key, pid: PacketId, inbox: &mut impl Inbox) {
        let Some(meta) = self.store.meta_mut(key) else { return };
        let new = meta.pid == 0;
        meta.pid = pid.get();
        self.mark_sent(now, key);
        if new {
            if self.store.first(Stage::Sent).is_none() {
                self.sending.sent_head_since = now;
            }
            self.waiting.left(&self.store, key);
            self.store.advance(key, Stage::Sent);
            self.room_again(inbox);
        }
    }

    /// Notes when and on which connection a message was last sent.
    pub(super) fn mark_sent(&mut self, now: Instant, key: Key) {
        let connection = self.connection;
        let Some(meta) = self.store.meta_mut(key) else { return };
        meta.sent = now;
        if meta.connection == connection {
            meta.repeats = meta.repeats.saturating_add(1).min(NOT_TAKEN - 1);
        } else {
            meta.repeats = 0;
            meta.connection = connection;
            self.sending.opened_one();
        }
    }

    fn finish_qos0(&mut self, now: Instant, key: Key, inbox: &mut impl Inbox) {
        self.finish(now, key, Outcome::Delivered(ReasonCode::SUCCESS, Properties::EMPTY), inbox);
    }
}

/// The properties the engine itself adds to a PUBLISH.
fn publish_properties<'p>(
    list: &'p mut [Property<'static>; 2],
    alias: Alias,
    expires: Instant,
    now: Instant,
) -> &'p [Property<'static>] {
    let mut n = 0;
    if expires != Instant::MAX {
        // [MQTT-3.3.2-6] reduced by the time it waited here; 0 would be void already.
        let left = expires.since(now).as_secs().clamp(1, u64::from(u32::MAX)) as u32;
        list[0] = Property::MessageExpiryInterval(left);
        n += 1;
    }
    if let (Alias::New(a) | Alias::Known(a), Some(slot)) = (alias, list.get_mut(n)) {
        *slot = Property::TopicAlias(a);
        n += 1;
    }
    list.get(..n).unwrap_or(&[])
}
