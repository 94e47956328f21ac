//! Tasks that wait for something that happens to the client as a whole.

use core::task::Waker;

/// What tasks wait for, as bits.
pub(super) mod want {
    /// Room in the queue.
    pub(crate) const ROOM: u8 = 1;
    /// Every accepted message has come to its end.
    pub(crate) const IDLE: u8 = 2;
    /// The answer to a ping.
    pub(crate) const PONG: u8 = 4;
    /// A change of state.
    pub(crate) const STATE: u8 = 8;
    /// Whatever it is.
    pub(crate) const ANY: u8 = 0xff;
}

/// A task that waits.
#[derive(Debug)]
pub struct TaskSlot {
    waker: Option<Waker>,
    wants: u8,
}

impl TaskSlot {
    /// A free slot.
    pub const FREE: Self = Self { waker: None, wants: 0 };
}

/// The tasks that wait. When there is no slot left, one that waits is woken early, and looks again.
#[derive(Debug)]
pub(super) struct Tasks<'m> {
    slots: &'m mut [TaskSlot],
    /// Which slot is taken away next when all are in use.
    next: usize,
}

impl<'m> Tasks<'m> {
    pub(super) fn new(slots: &'m mut [TaskSlot]) -> Self {
        Self { slots, next: 0 }
    }

    /// Wakes the task of `waker` when one of `wants` happens.
    pub(super) fn wait(&mut self, wants: u8, waker: &Waker) {
        let same = |s: &TaskSlot| s.waker.as_ref().is_some_and(|w| w.will_wake(waker));
        let free = |s: &TaskSlot| s.waker.is_none();
        let at = self.slots.iter().position(same).or_else(|| self.slots.iter().position(free));
        let at = at.unwrap_or_else(|| {
            self.next = if self.next + 1 < self.slots.len() { self.next + 1 } else { 0 };
            self.next
        });
        let Some(slot) = self.slots.get_mut(at) else { return waker.wake_by_ref() };
        if same(slot) {
            slot.wants |= wants;
            return;
        }
        slot.wants = wants;
        if let Some(displaced) = slot.waker.replace(waker.clone()) {
            displaced.wake();
        }
    }

    /// Whether somebody waits for one of `wants`.
    pub(super) fn any(&self, wants: u8) -> bool {
        self.slots.iter().any(|s| s.wants & wants != 0)
    }

    /// One of `wants` happened.
    pub(super) fn wake(&mut self, wants: u8) {
        for slot in self.slots.iter_mut().filter(|s| s.wants & wants != 0) {
            slot.wants &= !wants;
            match &slot.waker {
                Some(waker) if slot.wants != 0 => waker.wake_by_ref(),
                _ => {
                    if let Some(waker) = slot.waker.take() {
                        waker.wake();
                    }
                }
            }
        }
    }
}
