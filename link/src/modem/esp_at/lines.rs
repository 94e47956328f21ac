//! Cuts what the module says into lines.

use super::said::{self, Header, Said};

/// The longest line that matters is about a network: its name, address and channel.
const LONGEST: usize = 128;

/// What a byte completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Line(Said),
    Header(Header),
    /// It waits for bytes to send.
    Prompt,
}

/// A line in the making. One that is too long is forgotten up to its end.
#[derive(Debug)]
pub(super) struct Lines {
    bytes: [u8; LONGEST],
    len: usize,
    too_long: bool,
}

impl Lines {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; LONGEST], len: 0, too_long: false }
    }

    pub(super) fn clear(&mut self) {
        (self.len, self.too_long) = (0, false);
    }

    /// Takes a byte. A `>` is a prompt only where one is expected.
    pub(super) fn push(&mut self, byte: u8, prompts: bool) -> Option<Event> {
        let line = self.bytes.get(..self.len).unwrap_or_default();
        match byte {
            b'\n' => {
                let said = if self.too_long { Said::Other } else { said::line(line) };
                self.clear();
                return Some(Event::Line(said));
            }
            b'>' if prompts && line.is_empty() => return Some(Event::Prompt),
            b',' | b':' => {
                if let Some(header) = said::header(line, byte).filter(|_| !self.too_long) {
                    self.clear();
                    return Some(Event::Header(header));
                }
            }
            _ => {}
        }
        match self.bytes.get_mut(self.len) {
            Some(free) => {
                *free = byte;
                self.len += 1;
            }
            None => self.too_long = true,
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn events(bytes: &[u8]) -> Vec<Event> {
        let mut lines = Lines::new();
        bytes.iter().filter_map(|byte| lines.push(*byte, true)).collect()
    }

    #[test]
    fn lines_headers_and_prompts() {
        let text = b"AT\r\r\n\r\nOK\r\n>+IPD,7\r\n+IPD,7:+CIPRECVDATA,3:";
        let expected = [
            Event::Line(Said::Other),
            Event::Line(Said::Other),
            Event::Line(Said::Ok),
            Event::Prompt,
            Event::Line(Said::Notice),
            Event::Header(Header::Pushed(7)),
            Event::Header(Header::Data(3)),
        ];
        assert_eq!(events(text), expected);
    }

    #[test]
    fn a_line_that_does_not_end_takes_no_room_and_is_forgotten() {
        let mut text = b"+CIPRECVDATA,".to_vec();
        text.extend([b'7'; 100_000]);
        text.extend(b":\nOK\n");
        assert_eq!(events(&text), [Event::Line(Said::Other), Event::Line(Said::Ok)]);
        assert!(size_of::<Lines>() <= LONGEST + 16);
    }
}
