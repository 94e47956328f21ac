//! Accepting messages: queue limits and policies, expiry, and the end of each message.

use super::abilities::{POLICIES, offers};
use super::flights::Flight;
use super::*;
use crate::engine::Tag;
use crate::store::{Content, Key, Meta};
use crate::wire::{Properties, Property, PropertyContext, QoS};

/// A whole queue is searched for expired messages at most so often; its head is checked at once.
const SWEEP_INTERVAL: Span = Span::from_millis(1000);
/// Property bytes of one message that are given as a list and must be encoded first.
const PROPERTY_BYTES: usize = 1024;

/// What the engine itself may add to a PUBLISH.
const OWN_PROPERTIES: [Property<'static>; 2] =
    [Property::MessageExpiryInterval(1), Property::TopicAlias(1)];

impl<S: Store> Session<'_, S> {
    pub(super) fn accept(
        &mut self,
        now: Instant,
        message: &Outgoing<'_>,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        self.checked(message, |session, content| {
            session.accept_checked(now, message, content, inbox)
        })
    }

    /// Goes on with the content of a message that may be accepted at all.
    pub(super) fn checked<R>(
        &mut self,
        message: &Outgoing<'_>,
        accept: impl FnOnce(&mut Self, &Content<'_>) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        if !offers(message.qos) {
            return Err(Refused::Unsupported);
        }
        let props = match self.cfg.version() {
            Version::V311 => Properties::EMPTY,
            Version::V5 => message.props,
        };
        if props.encoded_len() == props.raw().len() {
            let content = self.checked_content(message, props.raw())?;
            return accept(self, &content);
        }
        let mut encoded = [0; PROPERTY_BYTES];
        let n = props.encode_raw(&mut encoded).ok_or(Refused::TooLarge)?;
        let content = self.checked_content(message, encoded.get(..n).unwrap_or(&[]))?;
        accept(self, &content)
    }

    fn checked_content<'a>(
        &self,
        message: &Outgoing<'a>,
        props: &'a [u8],
    ) -> Result<Content<'a>, Refused> {
        let content = Content { topic: message.topic.as_str(), props, payload: message.payload };
        check_properties(props)?;
        self.check_size(&content, message.qos)?;
        if message.qos != QoS::AtMostOnce && !self.kept.takes(&content) {
            return Err(Refused::TooLarge);
        }
        Ok(content)
    }

    fn accept_checked(
        &mut self,
        now: Instant,
        message: &Outgoing<'_>,
        content: &Content<'_>,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        if !self.make_room(now, content, message.tag, inbox)? {
            return Ok(());
        }
        let meta = Meta {
            stage: Stage::Queued,
            tag: message.tag,
            qos: message.qos,
            retain: message.retain,
            pid: 0,
            kept: 0,
            connection: 0,
            repeats: 0,
            accepted: now,
            sent: now,
            expires: message.expiry.map_or(Instant::MAX, |d| now + d),
        };
        let key = self.store.push(meta, *content).map_err(|_| Refused::Store)?;
        if message.qos != QoS::AtMostOnce {
            self.keep(key);
        }
        self.stats.accepted += 1;
        self.enter_queue(meta.expires);
        Ok(())
    }

    /// A message is queued: its expiry counts.
    pub(super) fn enter_queue(&mut self, expires: Instant) {
        if expires != Instant::MAX {
            self.expiring += 1;
            self.next_sweep = self.next_sweep.min(expires);
        }
    }

    fn check_size(&self, content: &Content<'_>, qos: QoS) -> Result<(), Refused> {
        const REMAINING_LENGTH_MAX: usize = 268_435_455;
        let head = longest_head(self.cfg.version(), content, qos);
        let whole = head.saturating_add(content.payload.len());
        if head > self.cfg.transmit_buffer
            || whole > REMAINING_LENGTH_MAX
            || content.cost() > self.cfg.queue.bytes
        {
            return Err(Refused::TooLarge);
        }
        Ok(())
    }

    pub(super) fn is_full(&self, cost: usize) -> bool {
        self.store.len(Stage::Queued) >= self.cfg.queue.messages
            || self.store.bytes(Stage::Queued) + cost > self.cfg.queue.bytes
            || !self.store.fits(cost)
            || !self.kept.has_room()
    }

    /// Applies the policy of a full queue. `Ok(false)`: the new message is the one dropped.
    fn make_room(
        &mut self,
        now: Instant,
        content: &Content<'_>,
        tag: Tag,
        inbox: &mut impl Inbox,
    ) -> Result<bool, Refused> {
        if self.is_full(content.cost()) {
            self.expire(now, inbox);
        }
        while self.is_full(content.cost()) {
            let victim = match self.cfg.queue.when_full {
                WhenFull::Wait | WhenFull::Reject => {
                    self.was_full = true;
                    return Err(Refused::QueueFull);
                }
                WhenFull::DropNewest => None,
                _ if !POLICIES => None,
                WhenFull::DropOldest => self.oldest_droppable(None),
                WhenFull::Latest => self.oldest_droppable(Some(content.topic)),
            };
            let dropped = Outcome::Dropped(self.cfg.queue.when_full);
            match victim {
                Some(key) => self.finish(now, key, dropped, inbox),
                None => {
                    self.stats.accepted += 1;
                    self.settle(tag, dropped, inbox);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// A message that has been begun must be finished.
    pub(super) fn oldest_droppable(&self, topic: Option<&str>) -> Option<Key> {
        let same = topic.and_then(|t| self.store.oldest_of(t));
        let oldest = || self.store.first(Stage::Queued);
        let key = same.filter(|k| !self.sending.is_partial(*k)).or_else(oldest)?;
        if self.sending.is_partial(key) { self.store.next(key) } else { Some(key) }
    }

    /// Ends a message: counts it, tells whoever waits, and forgets it.
    pub(super) fn finish(
        &mut self,
        now: Instant,
        key: Key,
        outcome: Outcome<'_>,
        inbox: &mut impl Inbox,
    ) {
        let Some(meta) = self.store.meta(key).copied() else { return };
        self.sending.leaving(&self.store, key, now);
        if meta.pid != 0 {
            let further = if meta.connection == self.connection { meta.repeats } else { 0 };
            self.flights
                .set(meta.pid, if further > 0 { Flight::Ghost(further) } else { Flight::Free });
            if meta.connection == self.connection {
                self.sending.closed_one();
            }
        } else {
            self.leave_queue(key);
        }
        self.kept.release(meta.kept);
        self.store.remove(key);
        self.settle(meta.tag, outcome, inbox);
        self.room_again(inbox);
    }

    /// A message with an expiry is no longer queued.
    pub(super) fn leave_queue(&mut self, key: Key) {
        let expiring = self.store.meta(key).is_some_and(|m| m.expires != Instant::MAX);
        self.expiring -= usize::from(expiring && self.expiring > 0);
    }

    pub(super) fn settle(&mut self, tag: Tag, outcome: Outcome<'_>, inbox: &mut impl Inbox) {
        let counter = match outcome {
            Outcome::Delivered(..) => &mut self.stats.delivered,
            Outcome::Rejected(..) => &mut self.stats.rejected,
            Outcome::Expired => &mut self.stats.expired,
            Outcome::Dropped(_) | Outcome::Superseded => &mut self.stats.dropped,
        };
        *counter += 1;
        if tag != Tag::NONE {
            inbox.done(tag, outcome);
        }
    }

    /// Tells waiting publishers, once, that the queue is no longer full.
    pub(super) fn room_again(&mut self, inbox: &mut impl Inbox) {
        if self.was_full && !self.is_full(0) {
            self.was_full = false;
            inbox.room();
        }
    }

    /// All sent messages are queued again: their expiry counts again.
    pub(super) fn recount_expiring(&mut self) {
        let queued =
            core::iter::successors(self.store.first(Stage::Queued), |k| self.store.next(*k));
        let expiring = |k: &Key| self.store.meta(*k).is_some_and(|m| m.expires != Instant::MAX);
        self.expiring = queued.filter(expiring).count();
        self.next_sweep = Instant::ZERO;
    }

    /// [MQTT-4.3.3-7] Only what is queued expires. Ends expired messages: those at the head at once,
    /// others at the latest a sweep interval later.
    pub(super) fn sweep_expired(&mut self, now: Instant, inbox: &mut impl Inbox) {
        if self.expiring == 0 {
            return;
        }
        while let Some(key) = self.store.first(Stage::Queued) {
            let expired = self.store.meta(key).is_some_and(|m| now >= m.expires);
            if !expired || self.sending.is_partial(key) {
                break;
            }
            self.finish(now, key, Outcome::Expired, inbox);
        }
        if now >= self.next_sweep {
            self.expire(now, inbox);
        }
    }

    /// Searches the whole queue.
    fn expire(&mut self, now: Instant, inbox: &mut impl Inbox) {
        if self.expiring == 0 || now < self.next_sweep {
            return;
        }
        let mut earliest = Instant::MAX;
        let mut next = self.store.first(Stage::Queued);
        while let Some(key) = next {
            next = self.store.next(key);
            let expires = self.store.meta(key).map_or(Instant::MAX, |m| m.expires);
            if now >= expires && !self.sending.is_partial(key) {
                self.finish(now, key, Outcome::Expired, inbox);
            } else {
                earliest = earliest.min(expires);
            }
        }
        self.next_sweep = earliest.max(now.plus(SWEEP_INTERVAL));
    }

    /// When an expiry has to be looked at.
    pub(super) fn next_expiry(&self) -> Instant {
        if self.expiring == 0 {
            return Instant::MAX;
        }
        let head = self.store.first(Stage::Queued).filter(|k| !self.sending.is_partial(*k));
        let head = head.and_then(|k| self.store.meta(k)).map_or(Instant::MAX, |m| m.expires);
        head.min(self.next_sweep)
    }
}

/// Most bytes that all but the payload can take.
fn longest_head(version: Version, content: &Content<'_>, qos: QoS) -> usize {
    let pid = if qos == QoS::AtMostOnce { 0 } else { 2 };
    // Fixed header, length of the Topic Name.
    let v311 = 5 + 2 + content.topic.len() + pid;
    match version {
        Version::V311 => v311,
        // Length of the properties, expiry, and an alias beside the Topic Name.
        Version::V5 => v311 + 4 + content.props.len() + 5 + 3,
    }
}

/// A message that no broker may get would be refused again and again, and block those behind it.
fn check_properties(raw: &[u8]) -> Result<(), Refused> {
    if raw.is_empty() {
        return Ok(());
    }
    let props = Properties::from_raw(raw).map_err(|_| Refused::Invalid)?;
    // With ours: neither of them may be there twice.
    let whole = props.with_list(&OWN_PROPERTIES).validate(PropertyContext::Publish);
    // [MQTT-3.3.4-6] a Subscription Identifier is the broker's to send.
    if whole.is_err() || props.subscription_ids().next().is_some() {
        return Err(Refused::Invalid);
    }
    Ok(())
}
