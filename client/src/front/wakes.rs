//! Tasks to be woken once the lock is released.

use std::task::{Context, Waker};

/// A list of wakers that allocates nothing for the first, which is mostly the only one.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    first: Option<Waker>,
    more: Vec<Waker>,
}

impl Wakes {
    pub(crate) fn push(&mut self, waker: Waker) {
        match self.first {
            None => self.first = Some(waker),
            Some(_) => self.more.push(waker),
        }
    }

    /// Registers who waits. Futures that were dropped stay on the list, so a long one is woken
    /// (`wakes` gets it): those who still wait come back.
    pub(crate) fn wait(&mut self, wakes: &mut Self, cx: &Context<'_>) {
        const LONG: usize = 256;
        if self.more.len() >= LONG {
            wakes.append(self);
        }
        if !self.first.iter().chain(&self.more).any(|w| w.will_wake(cx.waker())) {
            self.push(cx.waker().clone());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Moves all wakers of `others` here.
    pub(crate) fn append(&mut self, others: &mut Self) {
        self.extend(others.take());
    }

    /// Leaves an empty list.
    #[inline]
    pub(crate) fn take(&mut self) -> Self {
        if self.is_empty() { Self::default() } else { std::mem::take(self) }
    }

    #[inline]
    pub(crate) fn wake(self) {
        if let Some(first) = self.first {
            first.wake();
            self.more.into_iter().for_each(Waker::wake);
        }
    }
}

impl IntoIterator for Wakes {
    type Item = Waker;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Waker>, std::vec::IntoIter<Waker>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more)
    }
}

impl Extend<Waker> for Wakes {
    fn extend<I: IntoIterator<Item = Waker>>(&mut self, wakers: I) {
        wakers.into_iter().for_each(|waker| self.push(waker));
    }
}
