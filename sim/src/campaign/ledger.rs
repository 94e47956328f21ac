//! What was sent, and what must have become of it.

use std::collections::BTreeMap;

use everlink_proto::engine::{Event, Tag};
use everlink_proto::session::Session;
use everlink_proto::time::{Duration, Instant};
use everlink_proto::wire::{QoS, Version};

use super::store::SimStore;
use crate::host::Fate;
use crate::pair::Pair;

/// A message the engine accepted; its number is its place in the list and the start of its payload.
pub(super) struct Sent {
    pub(super) tag: Tag,
    pub(super) topic: &'static str,
    pub(super) qos: QoS,
    pub(super) expiry: Option<Duration>,
    pub(super) at: Instant,
}

/// A message the broker has for the client.
pub(super) struct Cast {
    pub(super) topic: &'static str,
    pub(super) qos: QoS,
    pub(super) at: Instant,
    /// The client was subscribed and can take it.
    pub(super) expected: bool,
}

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) sent: Vec<Sent>,
    pub(super) cast: Vec<Cast>,
    /// When the broker forgot which QoS 2 messages it had taken.
    pub(super) forgotten: Vec<Instant>,
    /// How often the inbox had been told of room when a message was last refused.
    pub(super) refused_at: Option<usize>,
}

/// The number at the start of a payload.
fn number(payload: &[u8]) -> usize {
    let digits = payload.iter().take_while(|b| b.is_ascii_digit());
    digits.fold(0, |n, b| n * 10 + usize::from(b - b'0'))
}

type TestPair<'m> = Pair<Session<'m, SimStore<'m>>>;

impl Ledger {
    pub(super) fn judge(&self, pair: &TestPair<'_>, overrun: bool) {
        self.judge_sent(pair);
        self.judge_cast(pair, overrun);
        if self.refused_at.is_some_and(|told| pair.inbox.room_told <= told) {
            pair.fail("the queue refused a message and never told that it has room again");
        }
    }

    /// When the broker lost what it knew of the client.
    fn losses(&self, pair: &TestPair<'_>) -> Vec<Instant> {
        let connects = pair.servers[0].connects();
        let lost = connects.iter().filter(|c| !c.session_present).map(|c| c.at);
        lost.chain(self.forgotten.iter().copied()).collect()
    }

    /// Whether the broker may have lost the message by itself after it had answered PUBREC.
    fn was_forgotten(&self, sent: &Sent, pair: &TestPair<'_>) -> bool {
        sent.qos == QoS::ExactlyOnce
            && pair.servers[0].cfg.take_at_release
            && self.forgotten.iter().chain(&Self::untold(pair)).any(|at| *at >= sent.at)
    }

    /// When the broker began a session and its CONNACK did not arrive, or was not trusted: at the next CONNECT it says
    /// Session Present, and the client cannot tell.
    fn untold(pair: &TestPair<'_>) -> Vec<Instant> {
        let connects = pair.servers[0].connects();
        let new = connects.iter().filter(|c| !c.session_present).map(|c| c.at);
        let told = |at: Instant| {
            let next = connects.iter().map(|c| c.at).find(|later| *later > at);
            let until = next.unwrap_or(Instant::MAX);
            let new = |event: &Event| *event == Event::Up { resumed: false };
            pair.events.iter().any(|(t, event)| new(event) && *t >= at && *t <= until)
        };
        new.filter(|at| !told(*at)).collect()
    }

    fn judge_sent(&self, pair: &TestPair<'_>) {
        let losses = self.losses(pair);
        let mut taken: Vec<Vec<Instant>> = vec![Vec::new(); self.sent.len()];
        for a in pair.servers[0].accepted().iter().filter(|a| a.topic != "deny/1") {
            taken[number(&a.payload)].push(a.at);
        }
        self.judge_order(pair);
        self.judge_expiry(pair);
        let mut fates: BTreeMap<Tag, Vec<(Instant, Fate)>> = BTreeMap::new();
        for (at, tag, fate) in &pair.inbox.done {
            fates.entry(*tag).or_default().push((*at, *fate));
        }
        for (n, (sent, taken)) in self.sent.iter().zip(&taken).enumerate() {
            let fates = fates.get(&sent.tag).map_or(&[][..], Vec::as_slice);
            let &[(ended, fate)] = fates else {
                pair.fail(&format!("message {n} has the fates {fates:?}"))
            };
            if taken.is_empty() && self.was_forgotten(sent, pair) {
                continue;
            }
            if let Some(flaw) = flaw(sent, (ended, fate), taken, &losses, pair.version()) {
                pair.fail(&format!("message {n} ({fate:?}, taken at {taken:?}): {flaw}"));
            }
        }
    }

    /// The order in which messages came first, per topic. At QoS 2 a broker may take them later.
    fn judge_order(&self, pair: &TestPair<'_>) {
        let (mut seen, mut last) = (vec![false; self.sent.len()], BTreeMap::new());
        for a in pair.servers[0].arrived() {
            let n = number(&a.payload);
            if std::mem::replace(&mut seen[n], true) {
                continue;
            }
            let before = last.insert(a.topic.as_str(), n);
            if before.is_some_and(|before| before > n) {
                pair.fail(&format!("order: {n} after {before:?} on {}", a.topic));
            }
        }
    }

    /// What is of no use any more is not sent; what was sent before may go again.
    fn judge_expiry(&self, pair: &TestPair<'_>) {
        for publish in pair.check.publishes().iter().filter(|p| !p.dup) {
            let n = number(&publish.head);
            let late = self.sent.get(n).and_then(|sent| {
                sent.expiry.map(|expiry| sent.at + expiry).filter(|end| publish.at > *end)
            });
            if let Some(end) = late {
                let late = publish.at.since(end);
                pair.fail(&format!("message {n} was sent {late:?} after it had expired"));
            }
        }
    }

    fn judge_cast(&self, pair: &TestPair<'_>, overrun: bool) {
        let losses = self.losses(pair);
        let lost_after = |at: Instant| losses.iter().any(|loss| *loss >= at);
        let lost_between = |a: Instant, b: Instant| losses.iter().any(|l| *l >= a && *l <= b);
        let mut got: Vec<Vec<Instant>> = vec![Vec::new(); self.cast.len()];
        let mut last = BTreeMap::new();
        for m in pair.inbox.messages.iter().filter(|m| m.topic.starts_with("in/")) {
            let n = number(&m.payload);
            if got[n].is_empty() {
                let before = last.insert((m.topic.clone(), m.qos), n);
                if before.is_some_and(|before| before > n) {
                    pair.fail(&format!("order: got {n} after {before:?} on {}", m.topic));
                }
            }
            got[n].push(m.at);
        }
        for (n, (cast, got)) in self.cast.iter().zip(&got).enumerate() {
            let doubled = got.windows(2).any(|w| !lost_between(w[0], w[1]));
            let flaw = match cast.qos {
                QoS::AtMostOnce if got.len() > 1 => "QoS 0 came twice",
                QoS::AtLeastOnce | QoS::ExactlyOnce
                    if got.is_empty() && cast.expected && !lost_after(cast.at) =>
                {
                    "lost"
                }
                // The client remembers as many as it said it takes.
                QoS::ExactlyOnce if doubled && !overrun => "doubled",
                _ => continue,
            };
            pair.fail(&format!("message {n} from {}, got at {got:?}: {flaw}", cast.topic));
        }
    }
}

fn flaw(
    sent: &Sent,
    (ended, fate): (Instant, Fate),
    taken: &[Instant],
    losses: &[Instant],
    version: Version,
) -> Option<&'static str> {
    let lost_between = |a: Instant, b: Instant| losses.iter().any(|l| *l >= a && *l <= b);
    let denied = sent.topic == "deny/1";
    let doubled = taken.windows(2).any(|w| !lost_between(w[0], w[1]));
    let lost_since = |at: Instant| losses.iter().any(|l| *l >= at);
    match (fate, sent.qos) {
        (_, QoS::AtMostOnce) if taken.len() > 1 => Some("QoS 0 was taken twice"),
        (_, QoS::ExactlyOnce) if doubled => Some("doubled"),
        (Fate::Delivered(_), QoS::AtLeastOnce | QoS::ExactlyOnce)
            if taken.is_empty() && !denied =>
        {
            Some("delivered, but the broker never took it")
        }
        (Fate::Delivered(_), QoS::AtLeastOnce | QoS::ExactlyOnce)
            if denied && version == Version::V5 =>
        {
            Some("delivered, but the broker refused it")
        }
        (Fate::Expired, _) if sent.expiry.is_none() => Some("expired without an expiry"),
        (Fate::Expired, _) if ended.since(sent.at) < sent.expiry.unwrap_or_default() => {
            Some("expired too early")
        }
        (Fate::Expired | Fate::Dropped(_), _)
            if taken.first().is_some_and(|at| !lost_since(*at)) =>
        {
            Some("given up although the broker took it")
        }
        (Fate::Superseded, _) => Some("a message cannot be superseded"),
        _ => None,
    }
}
