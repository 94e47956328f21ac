//! What goes out: accepting messages and subscriptions, and which of them is next.

use super::course::Put;
use super::*;
use crate::session::queue::Room;
use crate::session::subs::{Sub, SubState};
use crate::sn::wire::{
    Filter, Publish, PublishQoS, Register, Subscribe, Topic, Unsubscribe, Version,
};
use crate::store::{Content, Meta};
use crate::wire::{QoS, SubscribeOptions};

/// MsgType and fields of a REGISTER before its Topic Name, and Length.
const REGISTER_OVERHEAD: usize = 6;
/// The same of SUBSCRIBE and UNSUBSCRIBE.
const SUBSCRIBE_OVERHEAD: usize = 5;

impl<S: Store> Node<'_, S> {
    pub(super) fn accept(
        &mut self,
        now: Instant,
        message: &Outgoing<'_>,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        let topic = message.topic.as_str();
        if self.closed {
            return Err(Refused::Closed);
        }
        self.check(topic, message)?;
        let content = Content { topic, props: &[], payload: message.payload };
        if content.cost() > self.waiting.limits.bytes {
            return Err(Refused::TooLarge);
        }
        if !self.make_room(now, &content, message.tag, inbox)? {
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
        self.store.push(meta, content).map_err(|_| Refused::Store)?;
        self.stats.accepted += 1;
        self.waiting.entered(meta.expires);
        Ok(())
    }

    /// Whether the message can be sent at all, as it must be sent whole (5.2.1).
    fn check(&self, topic: &str, message: &Outgoing<'_>) -> Result<(), Refused> {
        let long = if self.cfg.frame > usize::from(u8::MAX) { 2 } else { 0 };
        let needed = (Publish::OVERHEAD + long).saturating_add(message.payload.len());
        if needed > self.cfg.frame.min(crate::sn::wire::MAX_MESSAGE) {
            return Err(Refused::TooLarge);
        }
        let known = self.topics.known_beforehand(topic);
        if self.cfg.connectionless && (known.is_none() || message.qos != QoS::AtMostOnce) {
            return Err(Refused::Unsupported);
        }
        let registrable = topic.len() + REGISTER_OVERHEAD + long <= self.cfg.frame;
        if known.is_none() && !(registrable && self.topics.takes(topic)) {
            return Err(Refused::TooLarge);
        }
        Ok(())
    }

    /// Applies the policy of a full queue. `Ok(false)`: the new message is the one dropped.
    fn make_room(
        &mut self,
        now: Instant,
        content: &Content<'_>,
        tag: Tag,
        inbox: &mut impl Inbox,
    ) -> Result<bool, Refused> {
        if self.waiting.is_full(&self.store, content.cost()) {
            self.expire(now, inbox);
        }
        while self.waiting.is_full(&self.store, content.cost()) {
            let dropped = Outcome::Dropped(self.waiting.limits.when_full);
            match self.waiting.when_full(&self.store, content, None) {
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
        if meta.pid == 0 {
            self.waiting.left(&self.store, key);
        } else {
            self.unknown = 0;
            inbox.round_trip(now.since(meta.sent));
        }
        let own = |r: &Request| matches!(r.ask, Ask::Publish(k) | Ask::Release(k) if k == key);
        if self.request.as_ref().is_some_and(own) {
            self.request = None;
        }
        self.store.remove(key);
        self.settle(meta.tag, outcome, inbox);
    }

    /// Tells waiting publishers, once, that the queue is no longer full.
    pub(super) fn room_again(&mut self, inbox: &mut impl Inbox) {
        let store = &self.store;
        if self.waiting.has_room_again(|w| w.is_full(store, 0)) {
            inbox.room();
        }
    }

    fn settle(&mut self, tag: Tag, outcome: Outcome<'_>, inbox: &mut impl Inbox) {
        self.stats.ended(&outcome);
        if tag != Tag::NONE {
            inbox.done(tag, outcome);
        }
    }

    /// Only what is queued expires.
    pub(super) fn sweep_expired(&mut self, now: Instant, inbox: &mut impl Inbox) {
        while let Some(key) = self.waiting.expired_head(&self.store, now, None) {
            self.finish(now, key, Outcome::Expired, inbox);
        }
        self.expire(now, inbox);
    }

    fn expire(&mut self, now: Instant, inbox: &mut impl Inbox) {
        if !self.waiting.is_sweep_due(now) {
            return;
        }
        let mut earliest = Instant::MAX;
        let mut next = self.store.first(Stage::Queued);
        while let Some(key) = next {
            next = self.store.next(key);
            let expires = self.store.meta(key).map_or(Instant::MAX, |m| m.expires);
            if now >= expires {
                self.finish(now, key, Outcome::Expired, inbox);
            } else {
                earliest = earliest.min(expires);
            }
        }
        self.waiting.swept(now, earliest);
    }

    pub(super) fn want_subscription(
        &mut self,
        s: &Subscription<'_>,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        let plain = SubscribeOptions { qos: s.options.qos, ..SubscribeOptions::default() };
        if self.cfg.connectionless || s.options != plain || s.filter.is_shared() {
            return Err(Refused::Unsupported);
        }
        self.check_filter(s.filter)?;
        let overtaken = self.subs.want(s, &[]).ok_or(Refused::TooManySubscriptions)?;
        if overtaken != Tag::NONE {
            inbox.done(overtaken, Outcome::Superseded);
        }
        Ok(())
    }

    pub(super) fn unwant_subscription(
        &mut self,
        filter: TopicFilter<'_>,
        tag: Tag,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        // Who does not wait for the answer may leave at any time; the gateway is told later.
        if self.closed && tag != Tag::NONE {
            return Err(Refused::Closed);
        }
        self.check_filter(filter)?;
        let overtaken =
            self.subs.unwant(filter.as_str(), tag).ok_or(Refused::TooManySubscriptions)?;
        if overtaken != Tag::NONE {
            inbox.done(overtaken, Outcome::Superseded);
        }
        Ok(())
    }

    fn check_filter(&self, filter: TopicFilter<'_>) -> Result<(), Refused> {
        let long = if self.cfg.frame > usize::from(u8::MAX) { 2 } else { 0 };
        match self.topics.filter(filter.as_str()) {
            Filter::Name(name) if name.len() + SUBSCRIBE_OVERHEAD + long > self.cfg.frame => {
                Err(Refused::TooLarge)
            }
            _ => Ok(()),
        }
    }

    /// Whether there is anything to tell the gateway but that we live.
    pub(super) fn has_work(&mut self) -> bool {
        self.subs.next_due().is_some() || self.held() > 0 || self.new_will.is_some()
    }

    /// Writes the request that is due, or a QoS 0 message.
    pub(super) fn put_next(&mut self, now: Instant, tx: &mut [u8], inbox: &mut impl Inbox) -> Put {
        if let Some(reason) = self.will_refused.take() {
            self.end_will_update(reason, inbox);
        }
        if self.request.is_none() && matches!(self.phase, Phase::Up) {
            self.choose(now);
        }
        match self.put_request(now, tx) {
            Put::Nothing if matches!(self.phase, Phase::Up) => self.put_qos0(now, tx, inbox),
            put => put,
        }
    }

    /// Makes the next request: what was begun before what waits, and nothing that a congested gateway is
    /// to be spared.
    fn choose(&mut self, now: Instant) {
        let free = self.hold.is_none();
        let ask = if let Some(ask) = self.will_due().filter(|_| free) {
            Some(ask)
        } else if let Some(at) = self.subs.next_due().filter(|_| free) {
            return self.ask_subscription(now, at);
        } else if let Some(key) = self.store.first(Stage::Released) {
            let pid = self.store.meta(key).map_or(0, |m| m.pid);
            self.request = Some(Request::new(Ask::Release(key), pid));
            return;
        } else if let Some(key) = self.next_message().filter(|_| free) {
            return self.ask_publish(now, key);
        } else if let Some(duration) = self.may_sleep() {
            Some(Ask::Sleep(duration))
        } else {
            let wanted = core::mem::take(&mut self.ping_wanted) && !self.cfg.connectionless;
            (wanted || now >= self.ping_at()).then_some(Ask::Ping)
        };
        self.stats.pings += u64::from(ask == Some(Ask::Ping));
        self.request = ask.map(|ask| Request::new(ask, 0));
    }

    /// The next message that needs a request: of QoS 1 or 2, or to a topic without an id.
    fn next_message(&mut self) -> Option<Key> {
        if let Some(key) = self.store.first(Stage::Sent) {
            return Some(key);
        }
        let key = self.store.first(Stage::Queued)?;
        let qos0 = self.store.meta(key)?.qos == QoS::AtMostOnce;
        let topic = self.store.content(key)?.topic;
        (!qos0 || self.topics.find(topic).is_none()).then_some(key)
    }

    fn ask_subscription(&mut self, now: Instant, at: usize) {
        let id = self.next_msg_id();
        self.subs.asked(at, id, now);
        self.request = Some(Request::new(Ask::Subscription, id));
    }

    /// PUBLISH, or first REGISTER.
    fn ask_publish(&mut self, now: Instant, key: Key) {
        let Some(topic) = self.store.content(key).map(|c| c.topic) else { return };
        if self.topics.find(topic).is_none() {
            let id = self.next_msg_id();
            // Found to fit when the message was accepted.
            if let Some(topic) = self.store.content(key).map(|c| c.topic)
                && self.topics.ask(topic, id)
            {
                self.request = Some(Request::new(Ask::Register, id));
            }
            return;
        }
        let mut pid = self.store.meta(key).map_or(0, |m| m.pid);
        if pid == 0 {
            pid = self.next_msg_id();
            self.waiting.left(&self.store, key);
            self.store.advance(key, Stage::Sent);
        }
        if let Some(meta) = self.store.meta_mut(key) {
            (meta.pid, meta.sent) = (pid, now);
        }
        self.request = Some(Request::new(Ask::Publish(key), pid));
    }

    fn put_request(&mut self, now: Instant, tx: &mut [u8]) -> Put {
        let Some(request) = self.request.filter(Request::is_due) else { return Put::Nothing };
        if request.ask.is_personal() {
            return Put::Personal;
        }
        let version = self.cfg.version;
        let Some(n) = self.with_message(&request, |message| encoded(message, version, tx)) else {
            // What it is about is gone: a subscription changed its mind.
            self.request = None;
            return Put::Nothing;
        };
        if let Some(request) = &mut self.request {
            self.stats.repeats += u64::from(request.is_repeated());
            request.sent(now);
        }
        if let Ask::Publish(key) = request.ask
            && let Some(meta) = self.store.meta_mut(key)
        {
            meta.repeats = meta.repeats.saturating_add(1);
        }
        Put::Written(n)
    }

    /// Makes the message of a request; `None` if there is none any more.
    fn with_message<R>(
        &mut self,
        request: &Request,
        f: impl FnOnce(&Message<'_>) -> Option<R>,
    ) -> Option<R> {
        let msg_id = request.msg_id;
        match request.ask {
            Ask::Register => {
                let topic = self.topics.asked(msg_id)?;
                f(&Message::Register(Register { topic_id: 0, msg_id, topic }))
            }
            Ask::Publish(key) => {
                let topic = self.topics.find(self.store.content(key)?.topic)?;
                let (meta, content) = (self.store.meta(key)?, self.store.content(key)?);
                f(&Message::Publish(Publish {
                    dup: meta.repeats > 0,
                    qos: meta.qos.into(),
                    retain: meta.retain,
                    topic,
                    msg_id,
                    data: content.payload,
                }))
            }
            Ask::Release(_) => f(&Message::PubRel(msg_id)),
            Ask::Subscription => {
                let sub = self.subs.get(self.subs.awaiting(msg_id)?)?;
                f(&self.subscription(sub, msg_id, request.is_repeated()))
            }
            Ask::Ping => f(&Message::PingReq(None)),
            Ask::Sleep(duration) => f(&Message::Disconnect(Some(duration))),
            Ask::Leave => f(&Message::Disconnect(None)),
            _ => None,
        }
    }

    fn subscription<'a>(&'a self, sub: &Sub, msg_id: u16, dup: bool) -> Message<'a> {
        let filter = self.topics.filter(self.subs.filter(sub));
        if sub.state == SubState::Leaving {
            return Message::Unsubscribe(Unsubscribe { msg_id, filter });
        }
        Message::Subscribe(Subscribe { dup, qos: sub.options.qos, msg_id, filter })
    }

    /// A QoS 0 message at the head of the queue needs nobody's answer, if its topic has an id.
    fn put_qos0(&mut self, now: Instant, tx: &mut [u8], inbox: &mut impl Inbox) -> Put {
        if self.hold.is_some() {
            return Put::Nothing;
        }
        let Some(key) = self.store.first(Stage::Queued) else { return Put::Nothing };
        let (Some(meta), Some(content)) = (self.store.meta(key), self.store.content(key)) else {
            return Put::Nothing;
        };
        if meta.qos != QoS::AtMostOnce {
            return Put::Nothing;
        }
        let Some(topic) = self.topics.find(content.topic) else { return Put::Nothing };
        let qos = match self.cfg.connectionless {
            true => PublishQoS::MinusOne,
            false => PublishQoS::AtMostOnce,
        };
        let (retain, data) = (meta.retain, content.payload);
        let publish = Publish { dup: false, qos, retain, topic, msg_id: 0, data };
        match encoded(&Message::Publish(publish), self.cfg.version, tx) {
            Some(n) => {
                self.finish(now, key, DELIVERED, inbox);
                Put::Written(n)
            }
            None => Put::Nothing,
        }
    }
}

fn encoded(message: &Message<'_>, version: Version, tx: &mut [u8]) -> Option<usize> {
    message.encode(version, tx).ok()
}

impl Topic {
    /// Whether the gateway gave the id.
    pub(super) fn is_given(self) -> bool {
        matches!(self, Self::Id(_))
    }
}
