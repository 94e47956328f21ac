//! QoS 1 and 2 messages from the client.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use everlink_proto::wire::{Ack, AckKind, Publish, QoS, Version};

use super::limits::Limits;
use super::{Checker, SentPublish};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Published,
    /// PUBREC came.
    Released,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    /// Place in the order of first sending.
    first: u64,
    qos2: bool,
    /// Of what must be the same when it is sent again; unknown if its sending was cut short.
    digest: Option<u64>,
    stage: Stage,
    /// Place in the order in which the PUBRECs came.
    released: u64,
    /// PUBREL was sent.
    said: bool,
    /// PUBREC came, and may have been forgotten.
    unsure: bool,
    /// The present stage's packet was sent on the present connection.
    here: bool,
    /// Its PUBLISH was sent on the present connection.
    counted: bool,
    /// It is larger, or of a higher QoS, than the broker took once: it need not be sent again.
    ruled_out: bool,
    retain: bool,
    /// Encoded length with the whole Topic Name; aliases and properties make it uncertain.
    len: usize,
}

#[derive(Debug, Default)]
pub(super) struct Outbound {
    messages: BTreeMap<u16, Message>,
    order: u64,
    /// The last resent PUBLISH and PUBREL of this connection, by their places in the orders.
    last_resent: [Option<u64>; 2],
    /// PUBRECs of this connection that await their PUBREL.
    recs: VecDeque<u16>,
    /// PUBRECs for identifiers not in use, or already released: a PUBREL may follow, or not.
    strays: Vec<u16>,
    /// QoS 2 exchanges that ended.
    ended: BTreeSet<u16>,
    /// Those of a session that was lost.
    lost: BTreeSet<u16>,
    /// Those of both before the last loss of power: the host may not have noted their end.
    forgotten: BTreeSet<u16>,
    power_cut: bool,
}

impl Outbound {
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn uses(&self, pid: u16) -> bool {
        self.messages.contains_key(&pid)
    }

    pub(super) fn forget(&mut self) {
        let mut lost = std::mem::take(&mut self.lost);
        lost.extend(self.messages.keys());
        lost.append(&mut self.ended);
        *self = Self { order: self.order, lost, ..Self::default() };
    }

    /// The host forgets what it only heard: QoS 1 exchanges, PUBRECs it has not answered, PUBCOMPs.
    pub(super) fn power_cut(&mut self) {
        self.messages.retain(|_, m| m.qos2);
        for m in self.messages.values_mut() {
            m.unsure = !m.said;
        }
        self.forgotten.append(&mut self.ended);
        self.forgotten.append(&mut self.lost);
        self.power_cut = true;
    }

    pub(super) fn disconnected(&mut self) {
        self.recs.clear();
        self.strays.clear();
        self.last_resent = [None; 2];
        for message in self.messages.values_mut() {
            (message.here, message.counted) = (false, false);
        }
    }

    /// A part of a PUBLISH was sent before the connection broke.
    pub(super) fn started(&mut self, pid: u16, qos: QoS, retain: bool, len: usize) {
        if !self.uses(pid) {
            self.add(pid, qos, None, (retain, len));
        }
    }

    fn add(&mut self, pid: u16, qos: QoS, digest: Option<u64>, (retain, len): (bool, usize)) {
        self.order += 1;
        let message = Message {
            first: self.order,
            qos2: qos == QoS::ExactlyOnce,
            digest,
            stage: Stage::Published,
            released: 0,
            said: false,
            unsure: false,
            here: true,
            counted: true,
            ruled_out: false,
            retain,
            len,
        };
        self.messages.insert(pid, message);
    }

    /// The broker says what it takes.
    pub(super) fn connected(&mut self, limits: &Limits) {
        for m in self.messages.values_mut() {
            let qos = if m.qos2 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
            m.ruled_out |= !limits.allows(qos, m.retain, m.len);
        }
    }

    fn under_way(&self) -> usize {
        self.messages.values().filter(|m| m.counted).count()
    }

    fn sent_again(
        &mut self,
        version: Version,
        publish: &Publish<'_>,
        pid: u16,
        digest: u64,
    ) -> Result<(), &'static str> {
        let Some(m) = self.messages.get_mut(&pid) else { return Ok(()) };
        let was_here = m.here;
        let (first, stage) = (m.first, m.stage);
        let known = m.digest.replace(digest);
        (m.here, m.counted) = (true, true);
        if std::mem::take(&mut m.unsure) {
            m.stage = Stage::Published;
        } else if stage == Stage::Released {
            return Err("MQTT-4.3.3-6: PUBLISH after PUBREC");
        }
        if !publish.dup && known.is_some() {
            return Err("MQTT-3.3.1-1: sent again without DUP, or the identifier is in use");
        }
        if known.is_some_and(|known| known != digest) {
            return Err("another message under an identifier in use");
        }
        if was_here {
            let live = version == Version::V5;
            return if live {
                Err("MQTT-4.4.0-1: sent again on the same connection")
            } else {
                Ok(())
            };
        }
        let last = self.last_resent[0].replace(first);
        if last.is_some_and(|last| last > first) {
            Err("MQTT-4.6.0-1: order of resends")
        } else {
            Ok(())
        }
    }

    fn sent_new(
        &mut self,
        publish: &Publish<'_>,
        pid: u16,
        digest: u64,
    ) -> Result<(), &'static str> {
        let overtakes =
            self.messages.values().any(|m| m.stage == Stage::Published && !m.here && !m.ruled_out);
        let len = publish.topic.len() + publish.payload.len() + publish.props.raw().len();
        self.add(pid, publish.qos, Some(digest), (publish.retain, len));
        // After a loss of power the host cannot know whether it was the first.
        if publish.dup && !self.power_cut {
            Err("MQTT-3.3.1-1: DUP at the first sending")
        } else if overtakes {
            Err("a new message overtakes those to be sent again")
        } else {
            Ok(())
        }
    }

    pub(super) fn sent_pubrel(&mut self, version: Version, pid: u16) -> Result<(), &'static str> {
        let (front, waits) = (self.recs.front() == Some(&pid), self.recs.contains(&pid));
        if waits {
            self.recs.retain(|waiting| *waiting != pid);
            let mut place = 0;
            if let Some(m) = self.messages.get_mut(&pid) {
                (m.here, m.said, place) = (true, true, m.released);
            }
            let overtakes =
                |m: &Message| m.stage == Stage::Released && !m.here && m.released < place;
            let in_order = front && !self.messages.values().any(overtakes);
            return if in_order { Ok(()) } else { Err("MQTT-4.6.0-4: order of PUBRELs") };
        }
        if let Some(at) = self.strays.iter().position(|stray| *stray == pid) {
            self.strays.remove(at);
            return Ok(());
        }
        match self.messages.get_mut(&pid) {
            Some(m) if m.stage == Stage::Released => {
                let was_here = std::mem::replace(&mut m.here, true);
                (m.said, m.unsure) = (true, false);
                if was_here && version == Version::V5 {
                    return Err("MQTT-4.4.0-1: PUBREL again on the same connection");
                }
                let place = m.released;
                let last = if was_here { None } else { self.last_resent[1].replace(place) };
                match last {
                    Some(last) if last > place => Err("MQTT-4.6.0-4: order of PUBRELs"),
                    _ => Ok(()),
                }
            }
            None if self.forgotten.contains(&pid) => Ok(()),
            _ => Err("PUBREL without PUBREC"),
        }
    }

    pub(super) fn acknowledged(&mut self, ack: &Ack<'_>) {
        let pid = ack.pid.get();
        let Some(m) = self.messages.get_mut(&pid) else {
            if ack.kind == AckKind::PubRec {
                self.strays.push(pid);
            }
            return;
        };
        match (ack.kind, m.qos2, m.stage) {
            (AckKind::PubAck, false, _) => self.remove(pid),
            (AckKind::PubComp, true, Stage::Released) => {
                self.ended.insert(pid);
                self.remove(pid);
            }
            (AckKind::PubRec, true, Stage::Published) if ack.reason.is_error() => self.remove(pid),
            (AckKind::PubRec, true, Stage::Published) => {
                self.order += 1;
                (m.stage, m.released, m.here) = (Stage::Released, self.order, false);
                self.recs.push_back(pid);
            }
            (AckKind::PubRec, true, Stage::Released) => self.strays.push(pid),
            _ => {}
        }
    }

    fn remove(&mut self, pid: u16) {
        self.messages.remove(&pid);
        self.recs.retain(|waiting| *waiting != pid);
    }
}

impl Checker {
    pub(super) fn sent_publish(&mut self, publish: &Publish<'_>) {
        if let Some(publishes) = &mut self.publishes {
            let mut head = [0; 8];
            for (to, from) in head.iter_mut().zip(publish.payload) {
                *to = *from;
            }
            publishes.push(SentPublish { at: self.began, dup: publish.dup, head });
        }
        let faults = [
            self.limits.publication(publish),
            self.check_alias(publish),
            self.check_identifier(publish),
        ];
        for rule in faults.into_iter().filter_map(Result::err) {
            self.note(rule, crate::trace::describe_packet(&(*publish).into()));
        }
    }

    fn check_alias(&mut self, publish: &Publish<'_>) -> Result<(), &'static str> {
        let Some(alias) = publish.props.topic_alias() else { return Ok(()) };
        if alias > self.limits.topic_alias_maximum {
            Err("MQTT-3.2.2-18: alias above the Topic Alias Maximum")
        } else if !publish.topic.is_empty() {
            self.aliases.insert(alias, publish.topic.to_owned());
            Ok(())
        } else if self.aliases.contains_key(&alias) {
            Ok(())
        } else {
            Err("an alias that was not set on this connection")
        }
    }

    fn check_identifier(&mut self, publish: &Publish<'_>) -> Result<(), &'static str> {
        let Some(pid) = publish.pid.map(|pid| pid.get()) else { return Ok(()) };
        if self.operations.contains(&pid) {
            return Err("MQTT-2.2.1-3: the identifier is in use by an operation");
        }
        let digest = self.digest(publish);
        if self.out.uses(pid) {
            self.out.sent_again(self.version, publish, pid, digest)?;
        } else {
            self.out.sent_new(publish, pid, digest)?;
        }
        if self.out.under_way() > self.limits.receive_maximum {
            return Err("MQTT-3.3.4-7: Receive Maximum exceeded");
        }
        Ok(())
    }

    /// Of what must not change between sendings: not DUP, aliases and the remaining lifetime.
    fn digest(&self, publish: &Publish<'_>) -> u64 {
        let mut hasher = DefaultHasher::new();
        let alias = publish.props.topic_alias().and_then(|alias| self.aliases.get(&alias));
        alias.map_or(publish.topic, String::as_str).hash(&mut hasher);
        (publish.payload, publish.qos, publish.retain).hash(&mut hasher);
        hasher.finish()
    }
}
