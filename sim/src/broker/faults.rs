//! What the broker does wrong, on request.

use std::collections::VecDeque;

use everlink_proto::time::Duration;
use everlink_proto::topic::TopicFilter;
use everlink_proto::wire::{PacketType, ReasonCode};
use fastrand::Rng;

use super::config::Refusal;

/// What is done to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It is lost.
    Swallow,
    /// It is sent, or handled, twice.
    Duplicate,
    /// It is sent so much later; packets behind it overtake it.
    Delay(Duration),
    /// The connection is closed in its place.
    Hangup,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    packet: PacketType,
    inbound: bool,
    skip: u32,
    times: u32,
    /// Of a thousand.
    odds: u16,
    act: Act,
}

/// The broker's faults. All rules count down as they apply; without any, the broker is correct.
#[derive(Debug)]
pub struct Faults {
    rng: Rng,
    rules: Vec<Rule>,
    /// The Receive Maximum and the Maximum Packet Size of clients are not heeded.
    pub overrun: bool,
    /// The next CONNECTs are refused, one for each entry.
    pub refuse_connect: VecDeque<Refusal>,
    /// The next clients are accepted and then sent away, one for each entry.
    pub send_away: VecDeque<Refusal>,
    /// Publications to matching topics are refused.
    pub refuse_publish: Vec<(String, ReasonCode)>,
    /// Subscriptions to exactly this filter are refused.
    pub refuse_subscribe: Vec<(String, ReasonCode)>,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            rules: Vec::new(),
            overrun: false,
            refuse_connect: VecDeque::new(),
            send_away: VecDeque::new(),
            refuse_publish: Vec::new(),
            refuse_subscribe: Vec::new(),
        }
    }

    /// The next `times` packets of this type are not sent.
    pub fn swallow(&mut self, packet: PacketType, times: u32) {
        self.add(packet, false, times, Act::Swallow);
    }

    /// The next `times` packets of this type are received, but not looked at.
    pub fn ignore(&mut self, packet: PacketType, times: u32) {
        self.add(packet, true, times, Act::Swallow);
    }

    /// The next `times` packets of this type are sent twice.
    pub fn duplicate(&mut self, packet: PacketType, times: u32) {
        self.add(packet, false, times, Act::Duplicate);
    }

    /// The next `times` packets of this type are sent late.
    pub fn delay(&mut self, packet: PacketType, by: Duration, times: u32) {
        self.add(packet, false, times, Act::Delay(by));
    }

    /// The connection is closed in place of the packet of this type that follows `skip` others.
    pub fn hang_up(&mut self, packet: PacketType, skip: u32) {
        let act = Act::Hangup;
        self.rules.push(Rule { packet, inbound: false, skip, times: 1, odds: 1000, act });
    }

    /// For good, `odds` of a thousand packets of this type.
    pub fn randomly(&mut self, packet: PacketType, odds: u16, act: Act) {
        self.rules.push(Rule { packet, inbound: false, skip: 0, times: u32::MAX, odds, act });
    }

    /// Forgets all rules about packets, and heeds what clients say again.
    pub fn clear(&mut self) {
        self.rules.clear();
        self.overrun = false;
    }

    fn add(&mut self, packet: PacketType, inbound: bool, times: u32, act: Act) {
        self.rules.push(Rule { packet, inbound, skip: 0, times, odds: 1000, act });
    }

    /// What to do with a packet; the first rule that applies decides.
    pub(super) fn decide(&mut self, packet: PacketType, inbound: bool) -> Option<Act> {
        for rule in &mut self.rules {
            if rule.packet != packet || rule.inbound != inbound || rule.times == 0 {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            if rule.odds < 1000 && self.rng.u16(0..1000) >= rule.odds {
                continue;
            }
            if rule.times != u32::MAX {
                rule.times -= 1;
            }
            return Some(rule.act);
        }
        None
    }

    pub(super) fn publish_refused(&self, topic: &str) -> Option<ReasonCode> {
        let matches = |filter: &str| TopicFilter::new(filter).is_ok_and(|f| f.matches(topic));
        self.refuse_publish.iter().find(|(f, _)| matches(f)).map(|(_, reason)| *reason)
    }

    pub(super) fn subscribe_refused(&self, filter: &str) -> Option<ReasonCode> {
        self.refuse_subscribe.iter().find(|(f, _)| f == filter).map(|(_, reason)| *reason)
    }
}
