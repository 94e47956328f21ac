//! Frames [RFC 6455, 5].

use std::io;
use std::vec::Vec;

pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
/// The longest payload of a control frame.
pub(super) const CONTROL: usize = 125;
/// The longest header of a frame from a server, which does not mask.
const HEADER: usize = 10;

/// What a server may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offence {
    /// `[MQTT-6.0.0-1]` MQTT is sent in binary frames.
    Text,
    /// Anything else.
    Frame,
}

/// What came out of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing to do but to go on.
    None,
    /// To be answered with its payload.
    Ping,
    /// The server ends the connection; its payload says why.
    Close,
}

/// Cuts the payload out of what comes, and keeps none of it.
#[derive(Debug)]
pub(super) struct Decoder {
    state: State,
    head: [u8; HEADER],
    head_len: usize,
    control: [u8; CONTROL],
    control_len: usize,
    /// A message was begun, and its last frame has not come.
    in_message: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    Data { left: u64 },
    Control { opcode: u8, left: usize },
}

/// How much of the input was read, and how much of the output written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) read: usize,
    pub(super) written: usize,
    pub(super) event: Event,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            state: State::Header,
            head: [0; HEADER],
            head_len: 0,
            control: [0; CONTROL],
            control_len: 0,
            in_message: false,
        }
    }

    /// How many bytes of payload follow before anything else can.
    pub(super) fn payload_ahead(&self) -> usize {
        match self.state {
            State::Data { left } => usize::try_from(left).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// So many bytes of payload were taken.
    pub(super) fn took_payload(&mut self, n: usize) {
        if let State::Data { left } = self.state {
            self.state = match left.saturating_sub(n as u64) {
                0 => State::Header,
                left => State::Data { left },
            };
        }
    }

    /// The payload of the control frame that was the last event.
    pub(super) fn control(&self) -> &[u8] {
        &self.control[..self.control_len]
    }

    /// Reads `input` until it is used up, `out` is full, or there is an event.
    pub(super) fn decode(&mut self, input: &[u8], out: &mut [u8]) -> Result<Progress, Offence> {
        let mut done = Progress { read: 0, written: 0, event: Event::None };
        while done.event == Event::None {
            let (rest, room) = (&input[done.read..], &mut out[done.written..]);
            match self.state {
                State::Control { opcode, left: 0 } => {
                    self.state = State::Header;
                    done.event = event(opcode);
                }
                _ if rest.is_empty() => break,
                State::Header => done.read += self.take_header(rest)?,
                State::Data { .. } if room.is_empty() => break,
                State::Data { .. } => {
                    let n = rest.len().min(room.len()).min(self.payload_ahead());
                    room[..n].copy_from_slice(&rest[..n]);
                    (done.read, done.written) = (done.read + n, done.written + n);
                    self.took_payload(n);
                }
                State::Control { opcode, left } => {
                    let n = rest.len().min(left);
                    self.control[self.control_len..][..n].copy_from_slice(&rest[..n]);
                    (self.control_len, done.read) = (self.control_len + n, done.read + n);
                    self.state = State::Control { opcode, left: left - n };
                }
            }
        }
        Ok(done)
    }

    /// Takes what `input`, which is not empty, has of a header; gives how much that was.
    fn take_header(&mut self, input: &[u8]) -> Result<usize, Offence> {
        let mut taken = 0;
        for byte in input {
            self.head[self.head_len] = *byte;
            (self.head_len, taken) = (self.head_len + 1, taken + 1);
            let wanted = match (self.head_len, self.head[1] & !MASKED) {
                (1, _) => 2,
                (_, 126) => 4,
                (_, 127) => HEADER,
                _ => 2,
            };
            if self.head_len == wanted {
                self.head_len = 0;
                self.begin(wanted)?;
                break;
            }
        }
        Ok(taken)
    }

    /// A header of so many bytes is whole.
    fn begin(&mut self, header: usize) -> Result<(), Offence> {
        let [first, second, ..] = self.head;
        let length = match header {
            2 => u64::from(second & !MASKED),
            4 => u64::from(u16::from_be_bytes([self.head[2], self.head[3]])),
            _ => self.head[2..].iter().fold(0, |n, byte| n << 8 | u64::from(*byte)),
        };
        let (fin, opcode) = (first & FIN != 0, first & 0x0f);
        // No extension was agreed on, a server masks nothing, and the highest bit of a length is 0.
        if first & 0x70 != 0 || second & MASKED != 0 || length >> 63 != 0 {
            return Err(Offence::Frame);
        }
        self.state = match opcode {
            // [MQTT-6.0.0-1]
            TEXT => return Err(Offence::Text),
            BINARY | CONTINUATION if (opcode == CONTINUATION) == self.in_message => {
                self.in_message = !fin;
                if length == 0 { State::Header } else { State::Data { left: length } }
            }
            CLOSE | PING | PONG if fin && header == 2 => {
                self.control_len = 0;
                State::Control { opcode, left: length as usize }
            }
            _ => return Err(Offence::Frame),
        };
        Ok(())
    }
}

/// Appends a frame with this payload to `out`, masked.
pub(super) fn encode(opcode: u8, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    out.push(FIN | opcode);
    match payload.len() {
        n @ 0..=125 => out.push(MASKED | n as u8),
        n @ 126..=0xffff => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    let begin = out.len();
    out.extend_from_slice(payload);
    for chunk in out[begin..].chunks_mut(4) {
        chunk.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }
}

/// Numbers nobody can guess, so that nobody can choose what the bytes on the wire look like to those in
/// between [RFC 6455, 10.3].
#[derive(Debug)]
pub(super) struct Masks {
    numbers: [u8; 64],
    used: usize,
}

impl Masks {
    pub(super) fn new() -> io::Result<Self> {
        let mut masks = Self { numbers: [0; 64], used: 0 };
        masks.fill()?;
        Ok(masks)
    }

    pub(super) fn next(&mut self) -> io::Result<[u8; 4]> {
        if self.used == self.numbers.len() {
            self.fill()?;
        }
        let mut mask = [0; 4];
        mask.copy_from_slice(&self.numbers[self.used..][..4]);
        self.used += 4;
        Ok(mask)
    }

    fn fill(&mut self) -> io::Result<()> {
        self.used = 0;
        getrandom::fill(&mut self.numbers).map_err(io::Error::other)
    }
}

fn event(opcode: u8) -> Event {
    match opcode {
        PING => Event::Ping,
        CLOSE => Event::Close,
        _ => Event::None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as a server sends it.
    fn frame(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(opcode, payload, [0; 4], &mut out);
        let mask = out.len() - payload.len() - 4;
        out.drain(mask..mask + 4);
        out[0] = opcode | if fin { FIN } else { 0 };
        out[1] &= !MASKED;
        out
    }

    /// What comes out when the input comes in pieces and the output has little room.
    fn decode(input: &[u8], piece: usize, room: usize) -> Result<(Vec<u8>, Vec<Event>), Offence> {
        let (mut decoder, mut out, mut events) = (Decoder::new(), Vec::new(), Vec::new());
        for mut piece in input.chunks(piece) {
            while !piece.is_empty() {
                let mut block = vec![0; room];
                let done = decoder.decode(piece, &mut block)?;
                out.extend_from_slice(&block[..done.written]);
                piece = &piece[done.read..];
                if done.event != Event::None {
                    events.push(done.event);
                }
            }
        }
        Ok((out, events))
    }

    #[test]
    fn payloads_of_every_length() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 200_000] {
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            for (piece, room) in [(1, 1), (7, 100), (100_000, 4096), (usize::MAX, 300_000)] {
                let came = decode(&frame(true, BINARY, &payload), piece, room);
                assert_eq!(came, Ok((payload.clone(), vec![])), "{length} {piece} {room}");
            }
        }
    }

    #[test]
    fn control_frames_between_the_pieces_of_a_message() {
        let bytes = [
            frame(false, BINARY, b"ab"),
            frame(true, PING, b"?"),
            frame(false, CONTINUATION, b""),
            frame(true, PONG, &[0; CONTROL]),
            frame(true, CONTINUATION, b"cd"),
            frame(true, PING, b""),
            frame(true, BINARY, b"e"),
            frame(true, CLOSE, b"\x03\xe9bye"),
        ]
        .concat();
        for piece in 1..bytes.len() {
            let came = decode(&bytes, piece, 3);
            assert_eq!(came, Ok((b"abcde".to_vec(), vec![Event::Ping, Event::Ping, Event::Close])));
        }
    }

    #[test]
    fn what_no_server_may_send() {
        for (what, bytes, offence) in [
            ("text", frame(true, TEXT, b"a"), Offence::Text),
            ("a reserved opcode", frame(true, 3, b"a"), Offence::Frame),
            ("a continuation of nothing", frame(true, CONTINUATION, b"a"), Offence::Frame),
            ("a ping in pieces", frame(false, PING, b"a"), Offence::Frame),
            ("a long ping", frame(true, PING, &[0; 126]), Offence::Frame),
            ("a mask", vec![FIN | BINARY, MASKED | 1, 0, 0, 0, 0, 0], Offence::Frame),
            ("an extension", vec![FIN | BINARY | 0x40, 1, 0], Offence::Frame),
            (
                "a length beyond all",
                vec![FIN | BINARY, 127, 0xff, 0, 0, 0, 0, 0, 0, 0],
                Offence::Frame,
            ),
            (
                "a message within a message",
                [frame(false, BINARY, b"a"), frame(true, BINARY, b"b")].concat(),
                Offence::Frame,
            ),
        ] {
            assert_eq!(decode(&bytes, 1, 10), Err(offence), "{what}");
        }
        // The longest there can be costs nothing.
        let huge = [FIN | BINARY, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(decode(&huge, 1, 10), Ok((vec![1], vec![])));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1_usize..40) {
            let _ = decode(&bytes, piece, 5);
        }

        #[test]
        fn masked_twice_it_is_itself(payload in proptest::collection::vec(any::<u8>(), 0..300), mask: [u8; 4]) {
            let mut out = Vec::new();
            encode(BINARY, &payload, mask, &mut out);
            let begin = out.len() - payload.len();
            out[begin..].iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            prop_assert_eq!(&out[begin..], &payload[..]);
        }
    }
}
