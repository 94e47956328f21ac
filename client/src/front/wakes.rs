//! Tasks to be woken once the lock is released.

use std::task::{Context, Waker};

use super::inbox::Front;
use super::shared::Shared;

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

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
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

/// Tasks that wait for the same thing, a place each.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    places: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Waiting {
    /// Whether nobody has a place.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
    }

    /// It happened: moves all wakers to `wakes`. The places stay with their futures.
    pub(crate) fn wake(&mut self, wakes: &mut Wakes) {
        wakes.extend(self.places.iter_mut().filter_map(Option::take));
    }

    fn leave(&mut self, at: usize) {
        self.places[at] = None;
        self.free.push(at);
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

/// The place of a future in a [`Waiting`], given back when it is dropped: futures that are polled
/// or dropped ever so often leave nothing behind.
pub(crate) struct Place<'a> {
    shared: &'a Shared,
    list: fn(&mut Front) -> &mut Waiting,
    at: Option<usize>,
}

impl<'a> Place<'a> {
    pub(crate) fn new(shared: &'a Shared, list: fn(&mut Front) -> &mut Waiting) -> Self {
        Self { shared, list, at: None }
    }

    /// Registers who is to be woken, in place of whom it was before.
    pub(crate) fn wait(&mut self, front: &mut Front, cx: &Context<'_>) {
        let list = (self.list)(front);
        let at = *self.at.get_or_insert_with(|| {
            list.free.pop().unwrap_or_else(|| {
                list.places.push(None);
                list.places.len() - 1
            })
        });
        match &mut list.places[at] {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(at) = self.at {
            self.shared.look(|_, front| (self.list)(front).leave(at));
        }
    }
}
