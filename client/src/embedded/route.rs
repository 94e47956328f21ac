//! The application's subscriptions, and which of them a message is for.

use embassy_sync::waitqueue::WakerRegistration;
use everlink_proto::engine::{Incoming, Outcome as EngineOutcome, Tag};
use everlink_proto::mem::{Table, Text, Texts};
use everlink_proto::topic::TopicFilter;
use everlink_proto::wire::{QoS, ReasonCode, SubscribeOptions};

/// Marks the tag of a Topic Filter; the rest is its Subscription Identifier.
const FILTER: u32 = 1 << 31;

/// What happens to a further message for a subscription when there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The broker is held back: QoS 1 and 2 messages beyond half the mailbox are not acknowledged
    /// until there is room, so the broker stops at the Receive Maximum; beyond that, and for QoS
    /// 0, nothing more is read. QoS 0 messages are dropped, and counted, only where waiting
    /// would lock up an application that itself waits for an acknowledgement.
    #[default]
    Hold,
    /// The oldest message of the subscription is dropped.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
    /// The subscription keeps the latest message of each topic; if all topics differ, the oldest
    /// goes.
    Latest,
}

/// A subscription of the application.
#[derive(Debug)]
pub struct FilterSlot {
    /// Subscription Identifier, the same for all subscriptions on one Topic Filter; 0: free.
    id: u8,
    filter: Text,
    qos: SubscribeOptions,
    pub(super) how: How,
    answer: Option<Result<ReasonCode, ReasonCode>>,
    pub(super) waker: WakerRegistration,
    pub(super) lost: u32,
}

/// How messages reach the application.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    pub(super) capacity: u16,
    pub(super) overflow: Overflow,
    pub(super) manual: bool,
    pub(super) to_handler: bool,
}

impl How {
    pub(super) const DEFAULT: Self =
        Self { capacity: u16::MAX, overflow: Overflow::Hold, manual: false, to_handler: false };
}

impl FilterSlot {
    /// A free slot.
    pub const FREE: Self = Self {
        id: 0,
        filter: Text::EMPTY,
        qos: SubscribeOptions::new(QoS::AtMostOnce),
        how: How::DEFAULT,
        answer: None,
        waker: WakerRegistration::new(),
        lost: 0,
    };
}

/// What is to be asked of the broker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Added {
    pub(super) at: usize,
    pub(super) id: u32,
    pub(super) tag: Tag,
    pub(super) options: SubscribeOptions,
}

/// All subscriptions. See the [module](self).
#[derive(Debug)]
pub(super) struct Routes<'m> {
    slots: &'m mut [FilterSlot],
    texts: Texts<'m>,
}

/// The bit of slot `at`.
pub(super) fn bit(at: usize) -> u32 {
    1_u32.checked_shl(at as u32).unwrap_or(0)
}

/// The Subscription Identifier of a tag, if it is a filter's.
pub(super) fn id_of(tag: Tag) -> Option<u32> {
    (tag.0 & FILTER != 0).then_some(tag.0 & !FILTER)
}

impl<'m> Routes<'m> {
    pub(super) fn new(slots: &'m mut [FilterSlot], bytes: &'m mut [u8]) -> Self {
        let slots = slots.get_mut(..32.min(slots.len())).unwrap_or_default();
        Self { slots, texts: Texts::new(Table::fixed(bytes)) }
    }

    /// Adds a subscription, if there is room.
    pub(super) fn add(
        &mut self,
        filter: TopicFilter<'_>,
        options: SubscribeOptions,
        how: How,
    ) -> Option<Added> {
        let at = self.slots.iter().position(|s| s.id == 0)?;
        let text = filter.as_str().as_bytes();
        let same = self.slots.iter().find(|s| s.id != 0 && self.texts.get(s.filter) == text);
        let id = same.map(|s| s.id).or_else(|| self.free_id())?;
        // One subscription of the broker's serves all on the filter, so it needs the highest QoS.
        let qos = same.map_or(options.qos, |s| s.qos.qos.max(options.qos));
        let options = SubscribeOptions { qos, ..options };
        let filter = self.texts.add(&[text])?;
        for slot in self.slots.iter_mut().filter(|s| s.id == id) {
            (slot.qos, slot.answer) = (options, None);
        }
        let slot = self.slots.get_mut(at)?;
        *slot = FilterSlot { id, filter, qos: options, how, ..FilterSlot::FREE };
        let id = u32::from(id);
        Some(Added { at, id, tag: Tag(FILTER | id), options })
    }

    fn free_id(&self) -> Option<u8> {
        (1..=u8::MAX).find(|id| self.slots.iter().all(|s| s.id != *id))
    }

    /// Removes a subscription. `last` gets its filter if no other subscription is on it.
    pub(super) fn remove(&mut self, at: usize, last: impl FnOnce(TopicFilter<'_>)) {
        let Some(slot) = self.slots.get_mut(at).filter(|s| s.id != 0) else { return };
        let removed = core::mem::replace(slot, FilterSlot::FREE);
        if self.slots.iter().all(|s| s.id != removed.id)
            && let Some(filter) = self.filter(removed.filter)
        {
            last(filter);
        }
        self.texts.remove(removed.filter);
        for slot in self.slots.iter_mut() {
            slot.filter = Texts::moved(slot.filter, removed.filter);
        }
    }

    fn filter(&self, text: Text) -> Option<TopicFilter<'_>> {
        core::str::from_utf8(self.texts.get(text)).ok().map(TopicFilter::from_trusted)
    }

    /// Whether a message on `topic` is for subscription `at`.
    pub(super) fn matches(&self, at: usize, topic: &str) -> bool {
        let slot = self.slots.get(at).filter(|s| s.id != 0);
        slot.and_then(|s| self.filter(s.filter)).is_some_and(|f| f.matches(topic))
    }

    /// The subscriptions a message is for, a bit each. Subscription Identifiers say it exactly, if
    /// they are of subscriptions made since power-up: older ones may have used the same numbers.
    pub(super) fn matching(&self, message: &Incoming<'_>) -> u32 {
        let named = |id: u8| message.props.subscription_ids().any(|i| i == u32::from(id));
        let (mut by_id, mut by_topic) = (0, 0);
        for (at, slot) in self.slots.iter().enumerate() {
            if self.matches(at, message.topic) {
                by_topic |= bit(at);
                by_id |= if named(slot.id) { bit(at) } else { 0 };
            }
        }
        if by_id != 0 { by_id } else { by_topic }
    }

    /// Those of `readers` whose messages go to the handler.
    pub(super) fn to_handler(&self, readers: u32) -> u32 {
        let handled = self.slots.iter().enumerate().filter(|(_, s)| s.how.to_handler);
        handled.fold(0, |mask, (at, _)| mask | bit(at)) & readers
    }

    pub(super) fn get(&self, at: usize) -> Option<&FilterSlot> {
        self.slots.get(at)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut FilterSlot> {
        self.slots.get_mut(at)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The broker answered a SUBSCRIBE, the first or one that restored it.
    pub(super) fn answered(&mut self, id: u32, outcome: &EngineOutcome<'_>) {
        let answer = match outcome {
            EngineOutcome::Delivered(reason, _) => Ok(*reason),
            EngineOutcome::Rejected(reason, _) => Err(*reason),
            // Only a newer SUBSCRIBE on the same filter overtakes; it will be answered.
            _ => return,
        };
        for slot in self.slots.iter_mut().filter(|s| u32::from(s.id) == id) {
            slot.answer = Some(answer);
            slot.waker.wake();
        }
    }

    /// The broker's answer for subscription `at`.
    pub(super) fn answer(&self, at: usize) -> Option<Result<ReasonCode, ReasonCode>> {
        self.slots.get(at)?.answer
    }

    /// Wakes the readers of a message.
    pub(super) fn wake(&mut self, readers: u32) {
        for (at, slot) in self.slots.iter_mut().enumerate() {
            if readers & bit(at) != 0 {
                slot.waker.wake();
            }
        }
    }

    /// Messages lost by all present subscriptions.
    pub(super) fn lost(&self) -> u32 {
        self.slots.iter().fold(0, |sum, s| sum.saturating_add(s.lost))
    }
}
