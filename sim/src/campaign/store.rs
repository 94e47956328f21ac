//! A store as the seed wants it, which can fail.

use std::cell::Cell;
use std::rc::Rc;

use everlink_proto::store::{Content, FixedStore, Key, Meta, RamStore, Stage, Store, StoreError};

#[derive(Debug)]
pub(super) enum Kind<'m> {
    Ram(RamStore),
    Fixed(FixedStore<'m>),
}

#[derive(Debug)]
pub(super) struct SimStore<'m> {
    kind: Kind<'m>,
    /// While set, nothing more can be stored: the medium is worn out or unplugged.
    broken: Rc<Cell<bool>>,
}

impl<'m> SimStore<'m> {
    pub(super) fn new(kind: Kind<'m>, broken: Rc<Cell<bool>>) -> Self {
        Self { kind, broken }
    }
}

macro_rules! either {
    ($self:ident, $store:ident => $call:expr) => {
        match &$self.kind {
            Kind::Ram($store) => $call,
            Kind::Fixed($store) => $call,
        }
    };
    (mut $self:ident, $store:ident => $call:expr) => {
        match &mut $self.kind {
            Kind::Ram($store) => $call,
            Kind::Fixed($store) => $call,
        }
    };
}

impl Store for SimStore<'_> {
    fn push(&mut self, meta: Meta, content: Content<'_>) -> Result<Key, StoreError> {
        if self.broken.get() {
            return Err(StoreError);
        }
        either!(mut self, s => s.push(meta, content))
    }
    fn fits(&self, bytes: usize) -> bool {
        either!(self, s => s.fits(bytes))
    }
    fn first(&self, stage: Stage) -> Option<Key> {
        either!(self, s => s.first(stage))
    }
    fn last(&self, stage: Stage) -> Option<Key> {
        either!(self, s => s.last(stage))
    }
    fn next(&self, key: Key) -> Option<Key> {
        either!(self, s => s.next(key))
    }
    fn meta(&self, key: Key) -> Option<&Meta> {
        either!(self, s => s.meta(key))
    }
    fn meta_mut(&mut self, key: Key) -> Option<&mut Meta> {
        either!(mut self, s => s.meta_mut(key))
    }
    fn content(&self, key: Key) -> Option<Content<'_>> {
        either!(self, s => s.content(key))
    }
    fn advance(&mut self, key: Key, to: Stage) {
        either!(mut self, s => s.advance(key, to));
    }
    fn requeue(&mut self, key: Key) {
        either!(mut self, s => s.requeue(key));
    }
    fn remove(&mut self, key: Key) {
        either!(mut self, s => s.remove(key));
    }
    fn len(&self, stage: Stage) -> usize {
        either!(self, s => s.len(stage))
    }
    fn bytes(&self, stage: Stage) -> usize {
        either!(self, s => s.bytes(stage))
    }
    fn oldest_of(&self, topic: &str) -> Option<Key> {
        either!(self, s => s.oldest_of(topic))
    }
}
