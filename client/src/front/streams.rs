//! From received messages to the application's streams: routing, bounds, overflow.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use everlink_proto::engine::{Incoming, Outcome as EngineOutcome, Receipt, Tag, Verdict};
use everlink_proto::topic::TopicFilter;
use everlink_proto::wire::{QoS, SubscribeOptions};

use tokio::time::Instant;

use super::message::{Chunk, Message};
use super::shared::Shared;
use super::waiters::Ack;
use super::wakes::Wakes;

/// Messages without a subscriber in this process that are kept for one that may still come.
const LIMBO: usize = 1024;
/// How long a full stream may hold back QoS 0 messages while the application waits for an
/// acknowledgement that is stuck behind them.
const DEADLOCK: Duration = Duration::from_secs(1);
/// Marks the tag of a Topic Filter; the rest is its index.
const FILTER: u32 = 1 << 31;

/// What a subscription's full channel does with a further message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The broker is held back: QoS 1 and 2 messages beyond the capacity are not acknowledged
    /// until there is room, so the broker stops at the Receive Maximum; beyond that, and for QoS
    /// 0, nothing more is read. QoS 0 messages are dropped, and counted, only where waiting
    /// would lock up an application that itself waits for an acknowledgement.
    #[default]
    Hold,
    /// The oldest message in the channel is dropped.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
    /// The channel keeps the latest message of each topic; if all topics differ, the oldest goes.
    Latest,
}

/// All subscriptions of a client.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    filters: Vec<Option<Filter>>,
    streams: Vec<Option<Stream>>,
    limbo: VecDeque<Message>,
    route: Route,
    chunk: Chunk,
    busy_since: Option<Instant>,
    /// Messages taken in.
    taken: u64,
    /// Messages nobody in this process subscribed to, dropped.
    pub(crate) unrouted: u64,
    /// Of messages that a full channel dropped although the application was to acknowledge them.
    pub(crate) dropped: Vec<Receipt>,
    /// Messages beyond a channel's capacity the broker may still have under way.
    pub(crate) park: usize,
}

/// A Topic Filter, shared by the streams on it.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) text: String,
    pub(crate) options: SubscribeOptions,
    users: usize,
    answer: Option<Result<Ack, Ack>>,
}

#[derive(Debug)]
struct Stream {
    filter: usize,
    queue: VecDeque<(Message, Option<Receipt>)>,
    capacity: usize,
    overflow: Overflow,
    manual: bool,
    waker: Option<Waker>,
    lost: u64,
}

/// Where the last message went: the next one mostly goes the same way.
#[derive(Debug, Default)]
struct Route {
    /// `None` when it does not hold any more.
    topic: Option<Arc<str>>,
    /// Subscription Identifiers.
    ids: Vec<u32>,
    /// Indices of streams.
    streams: Vec<usize>,
}

/// Where a message goes in one stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Append,
    Park,
    Replace(usize),
    Lose,
    Busy,
}

/// The tag of filter `index`.
pub(crate) fn filter_tag(index: usize) -> Tag {
    Tag(FILTER | index as u32)
}

/// The filter a tag belongs to, if it is a filter's.
pub(crate) fn filter_of(tag: Tag) -> Option<usize> {
    (tag.0 & FILTER != 0).then_some((tag.0 & !FILTER) as usize)
}

/// The Subscription Identifier of filter `index`.
pub(crate) fn subscription_id(index: usize) -> u32 {
    index as u32 + 1
}

fn insert<T>(slots: &mut Vec<Option<T>>, value: T) -> usize {
    let index = slots.iter().position(Option::is_none).unwrap_or_else(|| {
        slots.push(None);
        slots.len() - 1
    });
    slots[index] = Some(value);
    index
}

impl Streams {
    /// Adds a stream. Gives its index and that of its filter.
    pub(crate) fn add(
        &mut self,
        text: &str,
        options: SubscribeOptions,
        (capacity, overflow, manual): (usize, Overflow, bool),
    ) -> (usize, usize) {
        let same = self.filters.iter().position(|f| f.as_ref().is_some_and(|f| f.text == text));
        let filter = same.unwrap_or_else(|| {
            insert(
                &mut self.filters,
                Filter { text: text.to_owned(), options, users: 0, answer: None },
            )
        });
        if let Some(f) = &mut self.filters[filter] {
            f.users += 1;
            // One subscription serves all streams on the filter, so it needs the highest QoS.
            f.options = SubscribeOptions { qos: f.options.qos.max(options.qos), ..options };
            f.answer = None;
        }
        let queue = VecDeque::new();
        let stream = Stream {
            filter,
            queue,
            capacity: capacity.max(1),
            overflow,
            manual,
            waker: None,
            lost: 0,
        };
        let index = insert(&mut self.streams, stream);
        self.route.topic = None;
        self.leave_limbo(index);
        (index, filter)
    }

    /// Removes a stream. Gives its filter if that was the last stream on it; it is to be
    /// unsubscribed then.
    pub(crate) fn remove(&mut self, index: usize) -> Option<(String, Vec<Receipt>)> {
        let stream = self.streams.get_mut(index)?.take()?;
        self.route.topic = None;
        let receipts =
            stream.queue.into_iter().filter_map(|(m, parked)| parked.or(m.receipt.map(|r| r.0)));
        let receipts = receipts.collect();
        let filter = self.filters[stream.filter].as_mut()?;
        filter.users -= 1;
        if filter.users > 0 {
            return Some((String::new(), receipts));
        }
        self.filters[stream.filter].take().map(|f| (f.text, receipts))
    }

    pub(crate) fn filter(&self, index: usize) -> Option<&Filter> {
        self.filters.get(index)?.as_ref()
    }

    /// The broker answered a SUBSCRIBE, the first or one that restored it.
    pub(crate) fn answered(
        &mut self,
        filter: usize,
        outcome: EngineOutcome<'_>,
        wakes: &mut Wakes,
    ) {
        let answer = match outcome {
            EngineOutcome::Delivered(reason, props) => Ok(Ack::new(reason, props)),
            EngineOutcome::Rejected(reason, props) => Err(Ack::new(reason, props)),
            // Only a newer SUBSCRIBE on the same filter overtakes; it will be answered.
            _ => return,
        };
        let Some(Some(f)) = self.filters.get_mut(filter) else { return };
        f.answer = Some(answer);
        for stream in self.streams.iter_mut().flatten().filter(|s| s.filter == filter) {
            wakes.extend(stream.waker.take());
        }
    }

    /// The broker's answer for the filter of a stream.
    pub(crate) fn answer(&self, stream: usize) -> Option<Result<Ack, Ack>> {
        let stream = self.streams.get(stream)?.as_ref()?;
        self.filters[stream.filter].as_ref()?.answer.clone()
    }

    pub(crate) fn register(&mut self, stream: usize, cx: &Context<'_>) {
        if let Some(Some(s)) = self.streams.get_mut(stream) {
            s.waker = Some(cx.waker().clone());
        }
    }

    /// The next message of a stream. The receipt, if any, is to be acknowledged: a message that
    /// was held back now has room.
    pub(crate) fn poll_next(
        &mut self,
        index: usize,
        cx: &Context<'_>,
    ) -> Poll<Option<(Message, Option<Receipt>)>> {
        match self.pop(index) {
            Some(next) => Poll::Ready(Some(next)),
            None => match self.answer(index) {
                Some(Err(_)) => Poll::Ready(None),
                _ => {
                    self.register(index, cx);
                    Poll::Pending
                }
            },
        }
    }

    pub(crate) fn pop(&mut self, index: usize) -> Option<(Message, Option<Receipt>)> {
        let stream = self.streams.get_mut(index)?.as_mut()?;
        let (message, own) = stream.queue.pop_front()?;
        // It moved from beyond the capacity to within.
        let moved = stream.capacity.checked_sub(1).and_then(|at| stream.queue.get_mut(at));
        let receipt = own.or_else(|| moved.and_then(|(_, parked)| parked.take()));
        Some((message, receipt))
    }

    /// Nothing more will come.
    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        wakes.extend(self.streams.iter_mut().flatten().filter_map(|s| s.waker.take()));
    }

    /// Messages a stream has lost to its overflow policy.
    pub(crate) fn lost(&self, index: usize) -> u64 {
        self.streams.get(index).and_then(Option::as_ref).map_or(0, |s| s.lost)
    }

    /// Messages lost by all streams.
    pub(crate) fn lost_by_all(&self) -> u64 {
        self.streams.iter().flatten().map(|s| s.lost).sum()
    }

    /// Whether a message could not be placed when last tried.
    pub(crate) fn is_stalled(&self) -> bool {
        self.busy_since.is_some()
    }

    /// Places a received message in every stream it is for, or in none.
    pub(crate) fn accept(
        &mut self,
        incoming: &Incoming<'_>,
        app_waits: bool,
        shared: &Weak<Shared>,
        wakes: &mut Wakes,
    ) -> Verdict {
        let topic = self.route(incoming);
        let matched = std::mem::take(&mut self.route.streams);
        let stuck = app_waits && self.busy_since.is_some_and(|t| t.elapsed() >= DEADLOCK);
        let place = |s: &Self, i: &usize| {
            s.streams[*i].as_ref().map_or(Place::Lose, |s2| s2.place(incoming, s.park, stuck))
        };
        let verdict = if matched.iter().any(|i| place(self, i) == Place::Busy) {
            self.busy_since.get_or_insert_with(Instant::now);
            Verdict::Busy
        } else {
            // What the application waits for may lie far behind: do not stop at each message.
            if !(stuck && matched.iter().any(|i| place(self, i) != Place::Append)) {
                self.busy_since = None;
            }
            self.taken += 1;
            let payload = self.chunk.hold(incoming.payload);
            let message = Message::new(topic, self.taken, payload, incoming);
            if matched.is_empty() {
                self.keep_in_limbo(message);
                Verdict::Taken
            } else {
                self.place_all(&matched, message, incoming, stuck, shared, wakes)
            }
        };
        self.route.streams = matched;
        verdict
    }

    fn place_all(
        &mut self,
        matched: &[usize],
        message: Message,
        incoming: &Incoming<'_>,
        stuck: bool,
        shared: &Weak<Shared>,
        wakes: &mut Wakes,
    ) -> Verdict {
        let mut verdict = Verdict::Taken;
        let mut message = Some(message);
        for (nth, index) in matched.iter().enumerate() {
            let park = self.park;
            let Some(stream) = self.streams[*index].as_mut() else { continue };
            let place = stream.place(incoming, park, stuck);
            let last = nth + 1 == matched.len();
            let Some(mut message) = (if last { message.take() } else { message.clone() }) else {
                break;
            };
            let mut parked = None;
            // What is lost at once is acknowledged at once.
            let kept = place != Place::Lose && incoming.qos != QoS::AtMostOnce;
            if kept && (stream.manual || place == Place::Park) {
                verdict = Verdict::Later;
                if stream.manual {
                    message.receipt = Some((incoming.receipt, shared.clone()));
                } else {
                    parked = Some(incoming.receipt);
                }
            }
            self.dropped.extend(stream.put(place, message, parked));
            wakes.extend(stream.waker.take());
        }
        verdict
    }

    /// Finds the streams a message is for. Subscription Identifiers say it exactly, if they are of
    /// subscriptions made by this process: an older one may have used the same numbers.
    fn route(&mut self, incoming: &Incoming<'_>) -> Arc<str> {
        let ids = || incoming.props.subscription_ids();
        if let Some(topic) = &self.route.topic
            && **topic == *incoming.topic
            && ids().eq(self.route.ids.iter().copied())
        {
            return topic.clone();
        }
        self.route.ids.clear();
        self.route.ids.extend(ids());
        self.find_streams(incoming.topic);
        self.route.topic.insert(Arc::from(incoming.topic)).clone()
    }

    fn find_streams(&mut self, topic: &str) {
        let Route { ids, streams: found, .. } = &mut self.route;
        found.clear();
        for by_id in [true, false] {
            if by_id && ids.is_empty() {
                continue;
            }
            for (index, stream) in self.streams.iter().enumerate() {
                let Some((stream, filter)) =
                    stream.as_ref().and_then(|s| Some((s, self.filters[s.filter].as_ref()?)))
                else {
                    continue;
                };
                let id = subscription_id(stream.filter);
                if (!by_id || ids.contains(&id)) && filter.matches(topic) {
                    found.push(index);
                }
            }
            if !found.is_empty() {
                return;
            }
        }
    }

    fn keep_in_limbo(&mut self, message: Message) {
        if self.limbo.len() == LIMBO {
            self.limbo.pop_front();
            self.unrouted += 1;
        }
        self.limbo.push_back(message);
    }

    /// A resumed session may deliver before the application has subscribed again.
    fn leave_limbo(&mut self, index: usize) {
        let Some(Some(stream)) = self.streams.get_mut(index) else { return };
        let Some(Some(filter)) = self.filters.get(stream.filter) else { return };
        self.limbo.retain(|message| {
            let takes = filter.matches(&message.topic) && stream.queue.len() < stream.capacity;
            if takes {
                stream.queue.push_back((message.clone(), None));
            }
            !takes
        });
    }
}

impl Filter {
    fn matches(&self, topic: &str) -> bool {
        TopicFilter::from_trusted(&self.text).matches(topic)
    }
}

impl Stream {
    fn place(&self, incoming: &Incoming<'_>, park: usize, stuck: bool) -> Place {
        if self.queue.len() < self.capacity {
            return Place::Append;
        }
        match self.overflow {
            Overflow::Hold if incoming.qos == QoS::AtMostOnce && stuck => Place::Lose,
            Overflow::Hold if incoming.qos == QoS::AtMostOnce => Place::Busy,
            Overflow::Hold if self.queue.len() < self.capacity + park || stuck => Place::Park,
            Overflow::Hold => Place::Busy,
            Overflow::DropOldest => Place::Replace(0),
            Overflow::DropNewest => Place::Lose,
            Overflow::Latest => {
                let same = self.queue.iter().position(|(m, _)| *m.topic == *incoming.topic);
                Place::Replace(same.unwrap_or(0))
            }
        }
    }

    /// Puts the message in its place. Gives the receipt of one that had to go for it.
    fn put(&mut self, place: Place, message: Message, parked: Option<Receipt>) -> Option<Receipt> {
        let mut gone = None;
        match place {
            Place::Append | Place::Park => self.queue.push_back((message, parked)),
            Place::Replace(at) => {
                gone = self.queue.remove(at);
                self.lost += 1;
                self.queue.push_back((message, parked));
            }
            Place::Lose => self.lost += 1,
            // Looked at before anything was placed.
            Place::Busy => {}
        }
        gone.and_then(|(message, parked)| parked.or(message.receipt.map(|r| r.0)))
    }
}
