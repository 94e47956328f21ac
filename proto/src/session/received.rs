//! Exchanges with the broker as sender: exactly-once bookkeeping, acknowledgements in order.

use super::config::Settings;
use crate::engine::Receipt;
use crate::mem::{Ring, Table};
use crate::time::{Instant, Span};
use core::cell::Cell;

/// A received QoS 1 or 2 message whose exchange is not over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    pub(super) pid: u16,
    /// Of the payload of a QoS 2 message.
    pub(super) digest: u16,
    /// Number of the connection that first brought it. Together with the identifier it names the
    /// message, which the identifier alone does not: the broker may have begun anew.
    pub(super) epoch: u32,
    pub(super) qos2: bool,
    pub(super) state: State,
    /// Connections that ended since the broker last sent it.
    pub(super) carried: u8,
    /// The broker may have forgotten it, so that the identifier may come with another message.
    pub(super) doubtful: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// The application has it and will acknowledge it.
    #[default]
    Held,
    /// Acknowledged by the application, but one received earlier is not yet.
    Ready,
    /// As `Ready`, but too large for us.
    Refused,
    /// QoS 2: PUBREC owed or sent, PUBREL awaited.
    Recorded,
}

/// A QoS 2 exchange that is over: PUBREL came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ended {
    pid: u16,
    digest: u16,
    /// On the connection before.
    carried: bool,
}

/// All exchanges with the broker as sender, in the order the messages came.
#[derive(Debug)]
pub(super) struct Received<'m> {
    entries: Table<'m, Entry>,
    /// The last exchanges that ended, because some brokers send their messages again nonetheless:
    /// mosquitto 2.0, if it dies before PUBCOMP reaches it and takes its session from the disk.
    ended: Ring<'m, Ended>,
    /// The Packet Identifier of the last new message, and how many in a row had a higher one than
    /// the message before.
    last_pid: u16,
    rising: u16,
    /// Entries not yet acknowledged, by QoS 1 and 2.
    waiting: [usize; 2],
    /// Since when the PUBREL of the oldest entry is awaited, if any is, and its `carried`.
    oldest: Option<(Instant, u8)>,
    /// There was no room for a message; it and all after it are left for the next connection.
    behind: bool,
}

impl<'m> Received<'m> {
    pub(super) fn new(entries: Table<'m, Entry>, ended: Table<'m, Ended>) -> Self {
        let ended = Ring::new(ended);
        Self {
            entries,
            ended,
            last_pid: 0,
            rising: 0,
            waiting: [0; 2],
            oldest: None,
            behind: false,
        }
    }

    /// The Receive Maximum to announce. Exchanges of an earlier connection take room too, but the
    /// broker counts anew with each connection.
    pub(super) fn maximum(&self, cfg: &Settings) -> u16 {
        let room = self.entries.limit().saturating_sub(self.entries.len());
        let room = u16::try_from(room).unwrap_or(u16::MAX);
        cfg.receive_maximum.min(room).max(1)
    }

    /// Most exchanges there can be at a time.
    pub(super) fn limit(&self) -> usize {
        self.entries.limit()
    }

    pub(super) fn find(&self, pid: u16, qos2: bool) -> Option<usize> {
        self.entries.as_slice().iter().position(|e| e.pid == pid && e.qos2 == qos2)
    }

    pub(super) fn push(&mut self, entry: Entry) {
        let pushed = self.entries.push(entry);
        self.waiting[usize::from(entry.qos2)] +=
            usize::from(pushed && entry.state != State::Recorded);
    }

    /// A PUBREC goes out, so a PUBREL is awaited.
    fn recorded(&mut self, now: Instant) {
        if self.oldest.is_none_or(|(_, carried)| carried > 0) {
            self.oldest = Some((now, 0));
        }
    }

    /// Looks for the PUBREL that is awaited next: one that the broker has not been silent about on
    /// earlier connections, if there is one, because it may have forgotten those.
    fn await_release(&mut self, now: Instant) {
        let recorded = |e: &&Entry| e.state == State::Recorded && !e.doubtful;
        let entries = self.entries.as_slice().iter().filter(recorded);
        let mut least = None;
        for carried in entries.map(|e| e.carried) {
            least = Some(least.map_or(carried, |l: u8| l.min(carried)));
            if carried == 0 {
                break;
            }
        }
        self.oldest = least.map(|carried| (now, carried));
    }

    /// The broker sent a new message. A broker that does not count on but uses identifiers again
    /// soon cannot be told apart from one that repeats itself.
    pub(super) fn new_message(&mut self, pid: u16) {
        if (1..0x8000).contains(&pid.wrapping_sub(self.last_pid)) {
            self.rising = self.rising.saturating_add(1);
        } else {
            self.rising = 0;
            self.ended.clear();
        }
        self.last_pid = pid;
    }

    /// Whether a message sent again is one of an exchange that ended on the connection before. A
    /// broker that takes the lowest free identifier never counts beyond `usual`, the most that
    /// can be under way.
    pub(super) fn has_ended(&self, pid: u16, digest: u16, usual: u16) -> bool {
        let same = |e: Ended| e.carried && e.pid == pid && e.digest == digest;
        self.rising > usual && self.ended.iter().any(same)
    }

    /// Packet Identifier and digest of the QoS 2 messages that PUBREC was given for.
    pub(super) fn recorded_ones(&self) -> impl Iterator<Item = (u16, u16)> {
        let recorded = |e: &&Entry| e.qos2 && e.state == State::Recorded;
        self.entries.as_slice().iter().filter(recorded).map(|e| (e.pid, e.digest))
    }

    pub(super) fn digest(&self, at: usize) -> u16 {
        self.entries.as_slice().get(at).map_or(0, |e| e.digest)
    }

    pub(super) fn is_doubtful(&self, at: usize) -> bool {
        self.entries.as_slice().get(at).is_some_and(|e| e.doubtful)
    }

    fn forget(&mut self, at: usize) {
        let Some(entry) = self.entries.as_slice().get(at) else { return };
        self.waiting[usize::from(entry.qos2)] -= usize::from(entry.state != State::Recorded);
        self.entries.remove(at);
    }

    /// PUBREL came for entry `at`.
    pub(super) fn end(&mut self, now: Instant, at: usize) {
        let Some(entry) = self.entries.as_slice().get(at).copied() else { return };
        if self.ended.room() == 0 {
            self.ended.pop();
        }
        let _ = self.ended.push(Ended { pid: entry.pid, digest: entry.digest, carried: false });
        self.release(now, at);
    }

    /// The exchange of entry `at` is over.
    pub(super) fn release(&mut self, now: Instant, at: usize) {
        let Some(entry) = self.entries.as_slice().get(at).copied() else { return };
        let same = |e: &Entry| e.state == State::Recorded && e.carried == entry.carried;
        let first = self.entries.as_slice().iter().position(same) == Some(at);
        self.forget(at);
        if first && self.oldest.is_some_and(|(_, carried)| carried == entry.carried) {
            self.await_release(now);
        }
    }

    /// Since when a PUBREL is awaited. Each connection waits twice as long as the one before, so
    /// that a broker that forgot an exchange is not left again and again for it.
    pub(super) fn awaited_since(&self, response_time: Span) -> Option<Instant> {
        let (since, carried) = self.oldest?;
        Some(since.plus(response_time.times((1 << carried.min(12)) - 1)))
    }

    pub(super) fn restart_clock(&mut self, now: Instant) {
        if let Some((since, _)) = &mut self.oldest {
            *since = now;
        }
    }

    /// A connection of the same session is up: the broker is to go on with each exchange.
    pub(super) fn resumed(&mut self, now: Instant, doubt: bool) {
        for entry in self.entries.as_mut_slice() {
            entry.doubtful |= doubt;
        }
        self.await_release(now);
    }

    /// The broker sends unacknowledged QoS 1 messages again, and we shall take them anew.
    pub(super) fn connection_lost(&mut self) {
        self.retain(|e| e.qos2);
        for entry in self.entries.as_mut_slice() {
            entry.carried = entry.carried.saturating_add(1);
        }
        while self.ended.front().is_some_and(|e| e.carried) {
            self.ended.pop();
        }
        self.ended.iter_mut().for_each(|e| e.carried = true);
        (self.waiting[0], self.oldest, self.behind) = (0, None, false);
    }

    /// The broker knows nothing of these exchanges any more.
    pub(super) fn session_lost(&mut self) {
        self.entries.truncate(0);
        self.ended.clear();
        (self.last_pid, self.rising) = (0, 0);
        (self.waiting, self.oldest) = ([0; 2], None);
    }

    /// Whether there is no room for a further exchange, or more than `usual` messages are unanswered.
    pub(super) fn is_full(&mut self, usual: usize) -> bool {
        let limit = self.entries.limit();
        if self.entries.len() >= usual.min(limit)
            && let Some(at) = self.entries.as_slice().iter().position(|e| e.doubtful)
        {
            // The broker sends new messages, so it must have forgotten this one.
            self.forget(at);
        }
        self.entries.len() >= limit || self.waiting[0] + self.waiting[1] >= usual
    }

    /// Takes no further message of this connection: the broker sends them again on the next one, so
    /// nothing is lost, and nothing overtakes what was left.
    pub(super) fn fall_behind(&mut self) {
        self.behind = true;
    }

    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Messages were left, and the broker has ended all exchanges that make room for them.
    pub(super) fn is_to_catch_up(&self) -> bool {
        self.behind && self.oldest.is_none()
    }

    /// Whether some message waits for the application's acknowledgement.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting != [0; 2]
    }

    /// The broker sent the QoS 2 message of entry `at` again. Whether PUBREC is due again.
    pub(super) fn came_again(&mut self, now: Instant, at: usize) -> bool {
        let Some(entry) = self.entries.as_mut_slice().get_mut(at) else { return false };
        (entry.carried, entry.doubtful) = (0, false);
        let recorded = entry.state == State::Recorded;
        if recorded {
            self.await_release(now);
        }
        recorded
    }

    /// The application has done with a message; `false` if it already had, or if the exchange ended
    /// otherwise. A QoS 2 exchange goes on in a resumed session; one of QoS 1 ends with its
    /// connection.
    pub(super) fn acknowledge(&mut self, receipt: Receipt) -> bool {
        let Receipt { pid, qos2, epoch } = receipt;
        let same = |e: &Entry| e.pid == pid && e.qos2 == qos2 && e.epoch == epoch;
        let held = |e: &&mut Entry| same(e) && e.state == State::Held;
        match self.entries.as_mut_slice().iter_mut().find(held) {
            Some(entry) => {
                entry.state = State::Ready;
                true
            }
            None => false,
        }
    }

    /// The next message that can be acknowledged to the broker, as it was before: of each QoS the
    /// first of those not acknowledged, if it is ready.
    pub(super) fn next_released(&mut self, now: Instant) -> Option<Entry> {
        for qos2 in [false, true] {
            if self.waiting[usize::from(qos2)] == 0 {
                continue;
            }
            let first = |e: &Entry| e.qos2 == qos2 && e.state != State::Recorded;
            let Some(at) = self.entries.as_slice().iter().position(first) else { continue };
            let Some(slot) = self.entries.as_mut_slice().get_mut(at) else { continue };
            let entry = *slot;
            if entry.state == State::Held {
                continue;
            }
            self.waiting[usize::from(qos2)] -= 1;
            if qos2 && entry.state == State::Ready {
                slot.state = State::Recorded;
                if entry.carried == 0 {
                    self.recorded(now);
                }
            } else {
                self.entries.remove(at);
            }
            // [MQTT-4.3.2-5], [MQTT-4.3.3-9] PUBACK, or a PUBREC that refuses: the identifier is free.
            return Some(entry);
        }
        None
    }

    fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        let entries = Cell::from_mut(self.entries.as_mut_slice()).as_slice_of_cells();
        let mut kept = 0;
        for entry in entries.iter().map(Cell::get).filter(keep) {
            if let Some(slot) = entries.get(kept) {
                slot.set(entry);
                kept += 1;
            }
        }
        self.entries.truncate(kept);
    }
}
