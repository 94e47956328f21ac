//! The session, with a tape beside it if everything is to be recorded.

use std::ops::{Deref, DerefMut};

use everlink_proto::engine::{
    Engine, Handled, Inbox, Input, Outgoing, Output, Receipt, Refused, Status, Subscription, Tag,
};
use everlink_proto::session::Session;
use everlink_proto::store::RamStore;
use everlink_proto::time::Instant;
use everlink_proto::topic::TopicFilter;
use everlink_proto::wire::{Connect, Disconnect};

#[cfg(feature = "record")]
pub(super) use crate::record::Tape;

/// There is none in this build.
#[cfg(not(feature = "record"))]
pub(super) type Tape = std::convert::Infallible;

/// A session, and the tape that takes down each call. Without one, each costs a look at a pointer.
#[derive(Debug)]
pub(crate) struct Taped {
    session: Session<'static, RamStore>,
    #[cfg(feature = "record")]
    tape: Option<Box<Tape>>,
}

/// Makes a call by way of the tape, if there is one, and lets go of a tape that is at its end.
macro_rules! call {
    ($self:ident, $method:ident ( $($argument:expr),* ), whole) => {{
        #[cfg(feature = "record")]
        if let Some(tape) = &mut $self.tape {
            let (result, goes_on) = tape.$method(&mut $self.session, $($argument),*);
            if !goes_on {
                $self.tape = None;
            }
            return result;
        }
        $self.session.$method($($argument),*)
    }};
    ($self:ident, $method:ident ( $($argument:expr),* )) => {{
        #[cfg(feature = "record")]
        if let Some(tape) = &mut $self.tape {
            if !tape.$method(&mut $self.session, $($argument),*) {
                $self.tape = None;
            }
            return;
        }
        $self.session.$method($($argument),*)
    }};
}

impl Taped {
    /// With a tape that takes down everything from now on; nothing may have happened yet.
    pub(crate) fn new(session: Session<'static, RamStore>, tape: Option<Tape>) -> Self {
        #[cfg(not(feature = "record"))]
        let _ = tape;
        Self {
            session,
            #[cfg(feature = "record")]
            tape: tape.map(Box::new),
        }
    }

    pub(crate) fn ping(&mut self) {
        call!(self, ping())
    }

    pub(crate) fn reauthenticate(&mut self) -> Result<(), Refused> {
        call!(self, reauthenticate(), whole)
    }
}

impl Engine for Taped {
    type Framing = <Session<'static, RamStore> as Engine>::Framing;

    fn open(&mut self, now: Instant) {
        call!(self, open(now))
    }

    fn close(&mut self, now: Instant, disconnect: Disconnect<'_>) {
        call!(self, close(now, disconnect))
    }

    fn reconnect(&mut self, now: Instant) {
        call!(self, reconnect(now))
    }

    #[inline]
    fn handle(&mut self, now: Instant, input: Input<'_>, inbox: &mut impl Inbox) -> Handled {
        call!(self, handle(now, input, inbox), whole)
    }

    #[inline]
    fn poll(&mut self, now: Instant, tx: &mut [u8], inbox: &mut impl Inbox) -> Output {
        call!(self, poll(now, tx, inbox), whole)
    }

    fn connect(
        &mut self,
        now: Instant,
        with: &Connect<'_>,
        tx: &mut [u8],
    ) -> Result<usize, Refused> {
        call!(self, connect(now, with, tx), whole)
    }

    #[inline]
    fn publish(
        &mut self,
        now: Instant,
        message: &Outgoing<'_>,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        call!(self, publish(now, message, inbox), whole)
    }

    fn subscribe(
        &mut self,
        now: Instant,
        subscription: &Subscription<'_>,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        call!(self, subscribe(now, subscription, inbox), whole)
    }

    fn unsubscribe(
        &mut self,
        now: Instant,
        filter: TopicFilter<'_>,
        tag: Tag,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        call!(self, unsubscribe(now, filter, tag, inbox), whole)
    }

    fn acknowledge(&mut self, now: Instant, receipt: Receipt) -> Result<(), Refused> {
        call!(self, acknowledge(now, receipt), whole)
    }

    fn status(&self) -> Status {
        self.session.status()
    }

    #[inline]
    fn is_starved(&self) -> bool {
        self.session.is_starved()
    }
}

/// What is not a call of [`Engine`] is looked at, or is about a store; with a store nothing is recorded.
impl Deref for Taped {
    type Target = Session<'static, RamStore>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.session
    }
}

impl DerefMut for Taped {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.session
    }
}
