//! What must hold in every state, and what once nothing is under way any more.

use everlink_proto::engine::{Engine as _, Step};
use everlink_proto::wire::QoS;

use super::world::{CLIENT, IN, World};
use crate::host::Fate;

impl World {
    /// What does not hold.
    pub(super) fn flaw(&self) -> Option<String> {
        if self.flaw.is_some() {
            return self.flaw.clone();
        }
        let broken = self.check.violations().iter().map(|v| format!("wire: {v}"));
        let seen = self.broker.violations().iter().map(|v| format!("seen by the broker: {v}"));
        broken.chain(seen).next().or_else(|| {
            let flaw =
                self.flaw_of_outcomes().or_else(|| self.flaw_out()).or_else(|| self.flaw_in());
            let flaw = flaw.or_else(|| self.flaw_of_rest().filter(|_| self.is_quiet()));
            flaw.map(str::to_owned)
        })
    }

    /// Whether nothing is left to happen but faults.
    pub(super) fn is_quiet(&self) -> bool {
        usize::from(self.count.published) == self.bounds.out.len()
            && (self.cast.len() == self.bounds.inbound.len() || !self.is_subscribed())
            && self.up.is_empty()
            && self.down.is_empty()
            && self.acknowledged.iter().all(|done| *done)
            && self.unsaved().is_none()
            && self.handed.is_empty()
            // It would be noticed only later.
            && self.count.forgotten == 0
    }

    /// Numbers of the messages the broker took, in order, and the sessions it had lost before.
    fn taken(&self) -> impl Iterator<Item = (usize, u8)> {
        let numbers = self.broker.accepted().iter().filter(|a| a.topic != IN).map(|a| a.payload[0]);
        numbers.map(|digit| usize::from(digit - b'0')).zip(self.taken.iter().copied())
    }

    fn got(&self) -> impl Iterator<Item = (usize, u8)> {
        let numbers = self.inbox.messages.iter().map(|m| m.payload[0]);
        numbers.map(|digit| usize::from(digit - b'0')).zip(self.got.iter().copied())
    }

    fn flaw_of_outcomes(&self) -> Option<&'static str> {
        let done = &self.inbox.done;
        for (at, (_, tag, fate)) in done.iter().enumerate() {
            if done[..at].iter().any(|(_, other, _)| other == tag) {
                return Some("a message has two outcomes");
            }
            if !matches!(fate, Fate::Delivered(_)) {
                return Some("a message was not delivered");
            }
            if !self.taken().any(|(n, _)| n as u32 + 1 == tag.0) {
                return Some("delivered, but the broker never took it");
            }
        }
        None
    }

    fn flaw_out(&self) -> Option<&'static str> {
        let arrived = self.broker.arrived().iter().filter(|a| a.topic != IN);
        if !is_ordered(arrived.map(|a| usize::from(a.payload[0] - b'0'))) {
            return Some("order of what was sent");
        }
        let taken: Vec<_> = self.taken().collect();
        let exactly_once = |n: usize| self.bounds.out.get(n) == Some(&QoS::ExactlyOnce);
        let doubled = taken
            .iter()
            .enumerate()
            .any(|(at, message)| exactly_once(message.0) && taken[..at].contains(message));
        doubled.then_some("doubled on its way out")
    }

    fn flaw_in(&self) -> Option<&'static str> {
        let got: Vec<_> = self.got().collect();
        let acknowledged = |qos| {
            let of_qos = got
                .iter()
                .zip(&self.acknowledged)
                .filter(|((n, _), done)| **done && self.bounds.inbound[*n] == qos);
            of_qos.count()
        };
        let [pubacks, pubrecs] = self.count.acks;
        let none = acknowledged(QoS::ExactlyOnce) == 0 && pubrecs > 0;
        if none || usize::from(pubacks) > acknowledged(QoS::AtLeastOnce) {
            return Some("acknowledged before the application did");
        }
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let of_qos = got.iter().map(|(n, _)| *n).filter(|n| self.bounds.inbound[*n] == qos);
            // An application that lost its power gets again what it had not saved.
            if self.heard.is_none() && !is_ordered(of_qos) {
                return Some("order of what was received");
            }
        }
        let doubled = got.iter().enumerate().any(|(at, message)| {
            // What the application had before it lost its power, and had not saved, may come again.
            let counts = |before: &usize| {
                self.heard.is_none_or(|safe| *before < safe || *before >= self.reborn)
            };
            let before = (0..at).filter(counts).any(|before| got[before] == *message);
            self.bounds.inbound[message.0] == QoS::ExactlyOnce && before
        });
        doubled.then_some("doubled on its way in")
    }

    /// With nothing under way, everything is where it belongs.
    fn flaw_of_rest(&self) -> Option<&'static str> {
        if self.engine.status().step != Step::Up {
            return Some("rest: not connected");
        }
        if !self.is_subscribed() {
            return Some("rest: not subscribed");
        }
        if self.engine.held() > 0 || self.check.in_flight() > 0 {
            return Some("rest: a message is still held");
        }
        if self.check.owed() > 0 || self.broker.backlog(CLIENT) > 0 {
            return Some("rest: a message of the broker is not acknowledged");
        }
        let ended = |n: u8| self.inbox.done.iter().any(|(_, tag, _)| tag.0 == u32::from(n) + 1);
        if !(self.count.before_crash..self.count.published).all(ended) {
            return Some("rest: a message has no outcome");
        }
        let arrived = |n: u32| self.taken().any(|(taken, _)| taken as u32 + 1 == n);
        if !self.kept.iter().all(|tag| arrived(tag.0)) {
            return Some("rest: a stored message is lost");
        }
        let lost =
            |n: usize, losses: u8| losses == self.count.losses && self.got().all(|(m, _)| m != n);
        let lost = self.cast.iter().enumerate().any(|(n, losses)| lost(n, *losses));
        lost.then_some("rest: a message of the broker is lost")
    }
}

/// Whether each first came after those with lower numbers.
fn is_ordered(numbers: impl Iterator<Item = usize>) -> bool {
    let mut seen = Vec::new();
    for n in numbers {
        if !seen.contains(&n) {
            if seen.last().is_some_and(|last| *last > n) {
                return false;
            }
            seen.push(n);
        }
    }
    true
}
