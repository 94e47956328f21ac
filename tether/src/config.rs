//! Settings, and the memory a tether lives in.

use everlink_proto::time::Duration;

/// How a tether behaves. Start from [`serial`](Self::serial) or [`radio`](Self::radio).
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Between two attempts to find the other end, at first; it doubles up to
    /// [`longest`](Self::longest).
    pub hello: Duration,
    /// How long the first answer may take, before anything is measured.
    pub response: Duration,
    /// An answer is never expected in less than this.
    pub quickest: Duration,
    /// Nor waited for longer than this before a frame is sent again.
    pub longest: Duration,
    /// How often a frame is sent before the other end counts as gone; at least 1. Eight times as often as
    /// long as that end is heard, since then it is the line that loses frames.
    pub tries: u8,
    /// After so much silence the other end is asked for a sign of life. `None`: it is found missing
    /// only when something is to be sent.
    pub keep_alive: Option<Duration>,
    /// How long an acknowledgement may wait for a frame to travel with.
    pub acknowledge: Duration,
}

impl Config {
    /// For a serial line of 9600 baud or more.
    pub const fn serial() -> Self {
        Self {
            hello: Duration::from_millis(200),
            response: Duration::from_millis(500),
            quickest: Duration::from_millis(20),
            longest: Duration::from_secs(5),
            tries: 8,
            keep_alive: Some(Duration::from_secs(5)),
            acknowledge: Duration::from_millis(2),
        }
    }

    /// For a radio whose frames are on the air for milliseconds and often lost.
    pub const fn radio() -> Self {
        Self {
            hello: Duration::from_millis(500),
            response: Duration::from_millis(500),
            quickest: Duration::from_millis(30),
            longest: Duration::from_secs(10),
            tries: 12,
            keep_alive: Some(Duration::from_secs(30)),
            acknowledge: Duration::from_millis(10),
        }
    }
}

/// Memory that is lent, or one's own.
#[derive(Debug)]
pub(crate) enum Bytes<'m> {
    Lent(&'m mut [u8]),
    #[cfg(feature = "alloc")]
    Own(alloc::boxed::Box<[u8]>),
}

impl core::ops::Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            #[cfg(feature = "alloc")]
            Self::Own(bytes) => bytes,
        }
    }
}

impl core::ops::DerefMut for Bytes<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Lent(bytes) => bytes,
            #[cfg(feature = "alloc")]
            Self::Own(bytes) => bytes,
        }
    }
}

/// Sizes of what a tether keeps, as those of [`Memory`], where there is an allocator.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of messages to be sent; each takes 3 more.
    pub send: u16,
    /// The longest message that can be received.
    pub message: u16,
    /// Frames that may come too early: 1 to 4.
    pub window: u8,
    /// The longest frame that can be received, header included: 24 at least.
    pub frame: u16,
}

#[cfg(feature = "alloc")]
impl Default for Sizes {
    /// For a machine that need not count bytes, on a serial line.
    fn default() -> Self {
        Self { send: 16 * 1024, message: 8 * 1024, window: 4, frame: 261 }
    }
}

/// What a tether keeps: `SEND` bytes of messages to be sent (each takes 3 more), one message of up to
/// `MESSAGE` bytes being received, and up to `WINDOW` (1 to 4) frames of up to `FRAME` bytes, header
/// included, that came too early. The other end is told `MESSAGE`, `WINDOW` and `FRAME`.
#[derive(Debug)]
pub struct Memory<const SEND: usize, const MESSAGE: usize, const WINDOW: usize, const FRAME: usize>
{
    pub(crate) send: [u8; SEND],
    pub(crate) message: [u8; MESSAGE],
    pub(crate) early: [[u8; FRAME]; WINDOW],
}

impl<const SEND: usize, const MESSAGE: usize, const WINDOW: usize, const FRAME: usize>
    Memory<SEND, MESSAGE, WINDOW, FRAME>
{
    const SIZES: () = {
        assert!(WINDOW >= 1 && WINDOW <= 4, "a window is of 1 to 4 frames");
        assert!(FRAME >= 24 && FRAME <= 0xFFFF, "a frame is of 24 to 65535 bytes");
        assert!(MESSAGE >= 1 && MESSAGE <= 0xFFFF, "a message is of 1 to 65535 bytes");
        assert!(SEND <= 0xFFFF, "at most 65535 bytes wait to be sent");
    };

    /// Empty memory. Sizes out of range do not compile.
    pub const fn new() -> Self {
        let () = Self::SIZES;
        Self { send: [0; SEND], message: [0; MESSAGE], early: [[0; FRAME]; WINDOW] }
    }
}

impl<const SEND: usize, const MESSAGE: usize, const WINDOW: usize, const FRAME: usize> Default
    for Memory<SEND, MESSAGE, WINDOW, FRAME>
{
    fn default() -> Self {
        Self::new()
    }
}
