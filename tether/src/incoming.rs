//! Frames that came: put in order, and together.

use crate::config::Bytes;
use crate::frame::{Channel, Fragment, Report, after, distance};

const WINDOW: usize = 4;

/// A frame that came before its turn.
#[derive(Clone, Copy, Debug)]
struct Early {
    fragment: Fragment,
    /// Which of the pieces holds it.
    piece: usize,
    len: usize,
}

#[derive(Debug)]
pub(crate) struct Incoming<'m> {
    /// The message being put together, or waiting to be taken.
    message: Bytes<'m>,
    len: usize,
    /// It is whole.
    ready: Option<Channel>,
    /// Part of a message is there.
    begun: bool,
    /// A message that does not fit, or whose beginning is missing, is skipped to its end.
    skipping: bool,
    /// `window` pieces of `frame` bytes.
    early: Bytes<'m>,
    frame: usize,
    kept: [Option<Early>; WINDOW],
    window: u8,
    next: u8,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Took {
    /// New.
    New,
    /// Here before.
    Again,
    /// New, and it spoiled a message: too long, or not whole.
    Spoiled,
}

impl<'m> Incoming<'m> {
    /// `early` holds `window` frames.
    pub(crate) fn new(message: Bytes<'m>, early: Bytes<'m>, window: usize) -> Self {
        let window = window.clamp(1, WINDOW);
        let frame = early.len() / window;
        Self {
            message,
            len: 0,
            ready: None,
            begun: false,
            skipping: false,
            early,
            frame,
            kept: [None; WINDOW],
            window: window as u8,
            next: 0,
        }
    }

    /// Forgets everything but a whole message that waits.
    pub(crate) fn clear(&mut self) {
        (self.kept, self.next, self.skipping, self.begun) = ([None; WINDOW], 0, false, false);
        if self.ready.is_none() {
            self.len = 0;
        }
    }

    pub(crate) fn window(&self) -> u8 {
        self.window
    }

    pub(crate) fn frame(&self) -> usize {
        self.frame
    }

    pub(crate) fn limit(&self) -> usize {
        self.message.len()
    }

    pub(crate) fn message(&self) -> Option<(Channel, &[u8])> {
        Some((self.ready?, self.message.get(..self.len)?))
    }

    /// The application has it. Whether the frames behind it spoiled a message.
    pub(crate) fn take(&mut self) -> bool {
        (self.ready, self.len) = (None, 0);
        self.advance()
    }

    pub(crate) fn report(&self, answer: bool) -> Report {
        let here =
            (0..self.window).filter(|by| self.kept[self.place(after(self.next, *by))].is_some());
        let here = here.fold(0, |bits, by| bits | (1 << by));
        Report { next: self.next, here, answer }
    }

    fn place(&self, number: u8) -> usize {
        usize::from(number) % WINDOW
    }

    pub(crate) fn frame_came(&mut self, fragment: Fragment, bytes: &[u8]) -> Took {
        let place = self.place(fragment.number);
        if distance(self.next, fragment.number) >= self.window || self.kept[place].is_some() {
            return Took::Again;
        }
        // Its turn, and nothing is in the way: it need not be kept.
        if fragment.number == self.next && self.ready.is_none() {
            self.next = after(self.next, 1);
            let spoiled = self.add(fragment, None, bytes) | self.advance();
            return if spoiled { Took::Spoiled } else { Took::New };
        }
        let taken = |piece| self.kept.iter().flatten().any(|early| early.piece == piece);
        let piece = (0..usize::from(self.window)).find(|piece| !taken(*piece));
        let Some(piece) = piece.filter(|_| bytes.len() <= self.frame) else {
            return Took::Spoiled;
        };
        let start = piece * self.frame;
        let Some(room) = self.early.get_mut(start..start + bytes.len()) else {
            return Took::Spoiled;
        };
        room.copy_from_slice(bytes);
        self.kept[place] = Some(Early { fragment, piece, len: bytes.len() });
        Took::New
    }

    /// Adds what was kept and has its turn now.
    fn advance(&mut self) -> bool {
        let mut spoiled = false;
        while self.ready.is_none() {
            let place = self.place(self.next);
            let Some(early) = self.kept[place].take() else { break };
            self.next = after(self.next, 1);
            let start = early.piece * self.frame;
            spoiled |= self.add(early.fragment, Some((start, early.len)), &[]);
        }
        spoiled
    }

    /// Adds a fragment to the message: `bytes`, or those kept.
    fn add(&mut self, fragment: Fragment, kept: Option<(usize, usize)>, bytes: &[u8]) -> bool {
        let mut spoiled = false;
        if fragment.first {
            spoiled = self.begun;
            (self.len, self.begun, self.skipping) = (0, true, false);
        } else if !self.begun && !self.skipping {
            (spoiled, self.skipping) = (true, true);
        }
        let bytes = match kept {
            Some((start, len)) => self.early.get(start..start + len).unwrap_or(&[]),
            None => bytes,
        };
        if !self.skipping {
            match self.message.get_mut(self.len..self.len + bytes.len()) {
                Some(room) => {
                    room.copy_from_slice(bytes);
                    self.len += bytes.len();
                }
                None => (spoiled, self.skipping, self.begun) = (true, true, false),
            }
        }
        if fragment.last {
            if self.skipping {
                self.len = 0;
            } else {
                self.ready = Some(fragment.channel);
            }
            (self.begun, self.skipping) = (false, false);
        }
        spoiled
    }
}
