//! What a tether says.

use everlink_proto::time::Instant;

/// Something the application may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Both ends know each other.
    Up {
        /// They did before, and nothing was lost. If not, everything that waited here for the other end's
        /// earlier life is gone, and whatever that end was told must be told again.
        resumed: bool,
    },
    /// The other end cannot be reached. What waits goes on waiting.
    Down(Loss),
}

/// Why the other end counts as gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It does not answer.
    Silent,
    /// It lost its memory.
    Restarted,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this many bytes from the front of the buffer given to [`Tether::poll`](crate::Tether::poll), as one frame.
    Frame(usize),
    /// A message is there: see [`Tether::message`](crate::Tether::message). Said once.
    Message,
    /// Something the application may want to know.
    Event(Event),
    /// Nothing, until a frame comes, a message is sent or taken, or it is this time.
    Wait(Option<Instant>),
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The other end is not known yet.
    Down,
    /// There is no room now.
    Full,
    /// Longer than this end can ever hold, or the other take.
    TooLong,
}

impl core::fmt::Display for Refused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Down => "the other end is not there",
            Self::Full => "there is no room for the message now",
            Self::TooLong => "the message is too long for one of the ends",
        })
    }
}

impl core::error::Error for Refused {}

/// What happened so far. Every number wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames sent, those sent again included.
    pub frames_sent: u32,
    /// Frames sent again.
    pub frames_again: u32,
    /// Frames received.
    pub frames_received: u32,
    /// Of these, none of this version.
    pub frames_bad: u32,
    /// Of another life of one of the ends.
    pub frames_foreign: u32,
    /// Received before.
    pub frames_double: u32,
    /// Messages taken for sending.
    pub messages_sent: u32,
    /// Messages received.
    pub messages_received: u32,
    /// Messages the other end did not send right: too long, or not whole.
    pub messages_spoiled: u32,
    /// Messages that were waiting for an earlier life of the other end: times that this happened.
    pub forgotten: u32,
}
