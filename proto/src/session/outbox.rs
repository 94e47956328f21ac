//! Accepting messages: queue limits and policies, expiry, and the end of each message.

use super::abilities::offers;
use super::flights::Flight;
use super::queue::Room;
use super::*;
use crate::engine::Tag;
use crate::store::{Content, Key, Meta};
use crate::wire::{Properties, Property, PropertyContext, QoS};

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
        self.waiting.entered(meta.expires);
        Ok(())
    }

    fn check_size(&self, content: &Content<'_>, qos: QoS) -> Result<(), Refused> {
        const REMAINING_LENGTH_MAX: usize = 268_435_455;
        let head = longest_head(self.cfg.version(), content, qos);
        let whole = head.saturating_add(content.payload.len());
        if head > self.cfg.transmit_buffer
            || whole > REMAINING_LENGTH_MAX
            || content.cost() > self.waiting.limits.bytes
        {
            return Err(Refused::TooLarge);
        }
        Ok(())
    }

    pub(super) fn is_full(&self, cost: usize) -> bool {
        self.waiting.is_full(&self.store, cost) || !self.kept.has_room()
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
            let dropped = Outcome::Dropped(self.waiting.limits.when_full);
            match self.waiting.when_full(&self.store, content, self.sending.begun()) {
                Room::No => return Err(Refused::QueueFull),
                Room::Instead(key) => self.finish(now, key, dropped, inbox),
                Room::DropNew => {
                    self.stats.accepted += 1;
                    self.settle(tag, dropped, inbox);
                    return Ok(false);
                }
            }
        }
        Ok(true)
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
            self.waiting.left(&self.store, key);
        }
        self.kept.release(meta.kept);
        self.store.remove(key);
        self.settle(meta.tag, outcome, inbox);
        self.room_again(inbox);
    }

    pub(super) fn settle(&mut self, tag: Tag, outcome: Outcome<'_>, inbox: &mut impl Inbox) {
        self.stats.ended(&outcome);
        if tag != Tag::NONE {
            inbox.done(tag, outcome);
        }
    }

    /// Tells waiting publishers, once, that the queue is no longer full.
    pub(super) fn room_again(&mut self, inbox: &mut impl Inbox) {
        let (store, kept) = (&self.store, &self.kept);
        if self.waiting.has_room_again(|w| w.is_full(store, 0) || !kept.has_room()) {
            inbox.room();
        }
    }

    /// [MQTT-4.3.3-7] Only what is queued expires. Ends expired messages: those at the head at once,
    /// others at the latest a sweep interval later.
    pub(super) fn sweep_expired(&mut self, now: Instant, inbox: &mut impl Inbox) {
        while let Some(key) = self.waiting.expired_head(&self.store, now, self.sending.begun()) {
            self.finish(now, key, Outcome::Expired, inbox);
        }
        self.expire(now, inbox);
    }

    /// Searches the whole queue, if it is time.
    fn expire(&mut self, now: Instant, inbox: &mut impl Inbox) {
        if !self.waiting.is_sweep_due(now) {
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
        self.waiting.swept(now, earliest);
    }

    /// When an expiry has to be looked at.
    pub(super) fn next_expiry(&self) -> Instant {
        self.waiting.next_expiry(&self.store, self.sending.begun())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_head_is_that_of_the_packet() {
        let content = Content { topic: "abc", props: &[0; 6], payload: &[0; 99] };
        let longest = |version, qos| longest_head(version, &content, qos);
        // Fixed header of 5, length of 2, the name, the identifier.
        assert_eq!(longest(Version::V311, QoS::AtMostOnce), 10);
        assert_eq!(longest(Version::V311, QoS::AtLeastOnce), 12);
        // Length of the properties, these, Message Expiry Interval, Topic Alias.
        assert_eq!(longest(Version::V5, QoS::ExactlyOnce), 12 + 4 + 6 + 5 + 3);
    }
}
