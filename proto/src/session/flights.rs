//! Packet Identifiers in use, and whose they are.

use crate::mem::Table;
use crate::store::Key;

/// Who uses a Packet Identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Flight {
    /// Nobody.
    #[default]
    Free,
    /// A message in the store.
    Message(Key),
    /// A SUBSCRIBE or UNSUBSCRIBE.
    Operation,
    /// A finished message that was sent more than once on this connection: so many further
    /// acknowledgements may still come, and must not be taken for those of another message.
    Ghost(u8),
}

/// One entry: the identifier and its user.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    pid: u16,
    flight: Flight,
}

/// A direct-mapped table: identifier `p` can only lie at `p` modulo the size, so look-up is one
/// step, and identifiers are handed out in turn, so that one is used again as late as possible.
#[derive(Debug)]
pub(super) struct Flights<'m> {
    table: Table<'m, Slot>,
    next: u16,
}

impl<'m> Flights<'m> {
    pub(super) fn new(mut table: Table<'m, Slot>, first: u16) -> Self {
        let limit = table.limit();
        table.extend_to(if table.is_fixed() { limit } else { limit.min(16) });
        Self { table, next: first.max(1) }
    }

    fn slot(&mut self, pid: u16) -> Option<&mut Slot> {
        let slots = self.table.as_mut_slice();
        slots.get_mut(place(pid, slots.len()))
    }

    /// Who uses `pid`.
    pub(super) fn get(&self, pid: u16) -> Flight {
        let slots = self.table.as_slice();
        match slots.get(place(pid, slots.len())) {
            Some(s) if s.pid == pid => s.flight,
            _ => Flight::Free,
        }
    }

    /// Takes the next free identifier for `flight` [MQTT-2.2.1-3], [MQTT-4.3.2-1], [MQTT-4.3.3-1].
    pub(super) fn allocate(&mut self, flight: Flight) -> Option<u16> {
        self.find(flight, false).or_else(|| {
            if self.grow() { self.find(flight, false) } else { self.find(flight, true) }
        })
    }

    fn find(&mut self, flight: Flight, evict_ghosts: bool) -> Option<u16> {
        // Where the identifiers begin anew, two of them fall on one place: after two rounds, each
        // place had its turn.
        for _ in 0..self.table.len() * 2 {
            let pid = self.next;
            self.next = self.next.checked_add(1).unwrap_or(1);
            let slot = self.slot(pid)?;
            let free = match slot.flight {
                Flight::Free => true,
                Flight::Ghost(_) => evict_ghosts,
                _ => false,
            };
            if free {
                *slot = Slot { pid, flight };
                return Some(pid);
            }
        }
        None
    }

    /// Doubles the table. Sizes are powers of two while it can grow, so an entry stays where it
    /// is or moves up by the old size.
    #[cfg(feature = "alloc")]
    fn grow(&mut self) -> bool {
        let old = self.table.len();
        self.table.extend_to(old * 2);
        if self.table.len() < old * 2 {
            self.table.truncate(old);
            return false;
        }
        for i in 0..old {
            let slot = self.table.as_slice()[i];
            let to = place(slot.pid, old * 2);
            if slot.flight != Flight::Free && to != i {
                self.table.as_mut_slice()[to] = slot;
                self.table.as_mut_slice()[i] = Slot::default();
            }
        }
        true
    }

    /// The identifier to be tried next.
    pub(super) fn next(&self) -> u16 {
        self.next
    }

    /// The identifier to be tried next.
    pub(super) fn start_at(&mut self, pid: u16) {
        self.next = pid.max(1);
    }

    /// Takes this very identifier; `false` if its place is taken.
    pub(super) fn claim(&mut self, pid: u16, flight: Flight) -> bool {
        loop {
            let Some(slot) = self.slot(pid).filter(|_| pid != 0) else { return false };
            if slot.flight == Flight::Free {
                *slot = Slot { pid, flight };
                return true;
            }
            if slot.pid == pid || !self.grow() {
                return false;
            }
        }
    }

    #[cfg(not(feature = "alloc"))]
    fn grow(&mut self) -> bool {
        false
    }

    /// Takes back what was just allocated and not used.
    pub(super) fn give_back(&mut self, pid: u16) {
        self.set(pid, Flight::Free);
        self.next = pid;
    }

    /// Changes or frees the user of `pid`.
    pub(super) fn set(&mut self, pid: u16, flight: Flight) {
        if let Some(slot) = self.slot(pid).filter(|s| s.pid == pid) {
            slot.flight = flight;
        }
    }

    /// Forgets all that ended with the connection: operations and ghosts.
    pub(super) fn connection_lost(&mut self) {
        for slot in self.table.as_mut_slice() {
            if !matches!(slot.flight, Flight::Message(_)) {
                slot.flight = Flight::Free;
            }
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        for slot in self.table.as_mut_slice() {
            slot.flight = Flight::Free;
        }
    }
}

/// Where `pid` can lie in a table of this size.
fn place(pid: u16, size: usize) -> usize {
    let pid = usize::from(pid);
    // A division takes longer than all the rest of a look-up.
    if size.is_power_of_two() { pid & (size - 1) } else { pid.checked_rem(size).unwrap_or(0) }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    extern crate std;

    use std::collections::BTreeMap;
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Allocate,
        /// The n-th in use.
        Free(usize),
        Ghost(usize),
        GiveBack,
        Lost,
        Clear,
    }

    fn ops() -> impl Strategy<Value = std::vec::Vec<Op>> {
        let op = prop_oneof![
            12 => Just(Op::Allocate),
            8 => (0..40usize).prop_map(Op::Free),
            2 => (0..40usize).prop_map(Op::Ghost),
            1 => Just(Op::GiveBack),
            1 => Just(Op::Lost),
        ];
        prop::collection::vec(prop_oneof![60 => op, 1 => Just(Op::Clear)], 0..400)
    }

    /// Against a map of what is in use, at any place of the round of identifiers.
    fn agrees(mut flights: Flights<'_>, limit: usize, start: u16, ops: &[Op]) {
        flights.next = start.max(1);
        let mut model: BTreeMap<u16, Flight> = BTreeMap::new();
        for (n, op) in ops.iter().enumerate() {
            let nth = |model: &BTreeMap<u16, Flight>, n| model.keys().nth(n).copied();
            match *op {
                Op::Allocate | Op::GiveBack => {
                    let flight =
                        if n % 4 == 0 { Flight::Operation } else { Flight::Message(n as Key) };
                    let used = model.values().filter(|f| !matches!(f, Flight::Ghost(_))).count();
                    let pid = flights.allocate(flight);
                    assert_eq!(pid.is_some(), used < limit);
                    let Some(pid) = pid else { continue };
                    assert!(pid != 0);
                    let before = model.insert(pid, flight);
                    assert!(matches!(before, None | Some(Flight::Ghost(_))), "{pid} is in use");
                    // A ghost may have been given up for it.
                    model.retain(|p, f| !matches!(f, Flight::Ghost(_)) || flights.get(*p) == *f);
                    if let Op::GiveBack = op {
                        flights.give_back(pid);
                        model.remove(&pid);
                        assert_eq!(flights.next, pid);
                    }
                }
                Op::Free(i) => {
                    if let Some(pid) = nth(&model, i) {
                        flights.set(pid, Flight::Free);
                        model.remove(&pid);
                    }
                }
                Op::Ghost(i) => {
                    if let Some(pid) = nth(&model, i) {
                        flights.set(pid, Flight::Ghost(2));
                        model.insert(pid, Flight::Ghost(2));
                    }
                }
                Op::Lost => {
                    flights.connection_lost();
                    model.retain(|_, f| matches!(f, Flight::Message(_)));
                }
                Op::Clear => {
                    flights.clear();
                    model.clear();
                }
            }
            for (pid, flight) in &model {
                assert_eq!(flights.get(*pid), *flight);
            }
        }
    }

    proptest! {
        // [MQTT-2.2.1-3] [MQTT-4.3.2-1] [MQTT-4.3.3-1]
        #[test]
        fn an_identifier_has_one_user(limit in 1..40usize, start: u16, ops in ops()) {
            agrees(Flights::new(Table::fixed(&mut vec![Slot::default(); limit]), 1), limit, start, &ops);
            let limit = limit.next_power_of_two();
            agrees(Flights::new(Table::growing(limit), 1), limit, start, &ops);
        }
    }

    #[test]
    fn an_identifier_that_would_lie_at_the_same_place_is_another() {
        let mut flights = Flights::new(Table::growing(16), 1);
        let pid = flights.allocate(Flight::Message(7)).unwrap();
        assert_eq!((pid, flights.get(1), flights.get(17)), (1, Flight::Message(7), Flight::Free));
        flights.set(17, Flight::Free);
        assert_eq!(flights.get(1), Flight::Message(7));
    }

    #[test]
    fn a_restored_round_goes_on_and_its_identifiers_are_claimed() {
        let mut flights = Flights::new(Table::growing(64), 1);
        flights.start_at(500);
        assert_eq!(flights.next(), 500);
        assert!(flights.claim(3, Flight::Message(1)) && flights.claim(499, Flight::Message(2)));
        assert!(!flights.claim(3, Flight::Message(3)) && !flights.claim(0, Flight::Message(3)));
        // 3 and 19 share a place of sixteen: the table grows for them, as far as it may.
        assert!(flights.claim(19, Flight::Message(4)));
        assert!(!flights.claim(3 + 64, Flight::Message(5)));
        let users = [3, 499, 19].map(|pid| flights.get(pid));
        assert_eq!(users, [1, 2, 4].map(Flight::Message));
        assert_eq!((flights.allocate(Flight::Operation), flights.next()), (Some(500), 501));
        flights.start_at(0);
        assert_eq!(flights.next(), 1);
    }

    #[test]
    fn they_go_round() {
        let mut flights = Flights::new(Table::growing(64), 1);
        for expected in (1..=u16::MAX).chain(1..10) {
            let pid = flights.allocate(Flight::Operation).unwrap();
            assert_eq!(pid, expected);
            flights.set(pid, Flight::Free);
        }
    }
}
