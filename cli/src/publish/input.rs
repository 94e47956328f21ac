//! Where messages come from.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::args::Source;
use crate::exit::Failure;
use crate::store::Place;

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;
/// No MQTT packet can be longer.
const LONGEST: u64 = 268_435_455;

/// The messages to send.
#[derive(Debug)]
pub(crate) enum Input {
    /// The same again and again.
    Same { payload: Vec<u8>, left: u64, pause: Duration, begun: bool },
    /// Lines of standard input.
    Lines(Lines),
}

/// What the input gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A message, and where the input goes on behind it, if it could be read again from there.
    Payload(&'a [u8], Option<Place>),
    /// A line that no queue of ours can hold; it was skipped.
    TooLong,
    /// The input broke; nothing more will come.
    Broken(String),
}

impl Input {
    /// Opens what the flags name. `-f` and `-s` are read at once. No line longer than `limit` bytes
    /// is taken.
    pub(crate) fn open(
        source: &Source,
        (times, pause): (u64, Duration),
        limit: usize,
        mark: Option<&[u8]>,
    ) -> Result<Self, Failure> {
        if source.lines {
            let lines = Lines::of_stdin(limit, mark);
            return lines.map(Self::Lines).map_err(|e| Failure::usage(format!("-l: {e}")));
        }
        let payload = if let Some(message) = &source.message {
            message.clone().into_vec()
        } else if let Some(path) = &source.file {
            let file = std::fs::File::open(path);
            file.and_then(read_whole)
                .map_err(|e| Failure::usage(format!("-f {}: {e}", path.display())))?
        } else if source.stdin {
            read_whole(io::stdin().lock()).map_err(|e| Failure::usage(format!("-s: {e}")))?
        } else {
            Vec::new()
        };
        Ok(Self::Same { payload, left: times, pause, begun: false })
    }

    /// The bytes of the longest message, if that is known.
    pub(crate) fn longest(&self) -> Option<usize> {
        match self {
            Self::Same { payload, .. } => Some(payload.len()),
            Self::Lines(_) => None,
        }
    }

    /// Lines that an earlier run has taken.
    pub(crate) fn resumed(&self) -> u64 {
        match self {
            Self::Same { .. } => 0,
            Self::Lines(lines) => lines.resumed,
        }
    }

    /// The next message; `None` at the end. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Item<'_>> {
        match self {
            Self::Same { left: 0, .. } => None,
            Self::Same { payload, left, pause, begun } => {
                if *begun && !pause.is_zero() {
                    tokio::time::sleep(*pause).await;
                }
                (*left, *begun) = (*left - 1, true);
                Some(Item::Payload(payload, None))
            }
            Self::Lines(lines) => lines.next().await,
        }
    }
}

fn read_whole(from: impl Read) -> io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    from.take(LONGEST + 1).read_to_end(&mut payload)?;
    if payload.len() as u64 > LONGEST {
        return Err(io::Error::other("larger than any MQTT message can be"));
    }
    Ok(payload)
}

/// Lines of standard input, read by a thread that is at most a few chunks ahead.
#[derive(Debug)]
pub(crate) struct Lines {
    chunks: mpsc::Receiver<Chunk>,
    chunk: Vec<u8>,
    /// Where the chunk begins in the input, counted from where we began to read.
    start: u64,
    at: usize,
    /// Where we began to read.
    place: Option<Place>,
    resumed: u64,
    taken: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Chunk {
    /// Where it begins, and whole lines; only the last one of all may lack its end.
    Lines(u64, Vec<u8>),
    TooLong,
    Broken(String),
}

impl Lines {
    /// Goes on where an earlier run has left a mark.
    fn of_stdin(limit: usize, mark: Option<&[u8]>) -> io::Result<Self> {
        // Not through `Stdin`, whose small buffer would be in between.
        let mut file = io::stdin().as_fd().try_clone_to_owned().map(std::fs::File::from)?;
        let mut place = Place::of(&mut file);
        if let (Some(place), Some(mark)) = (&mut place, mark) {
            place.resume(&mut file, mark)?;
        }
        let (sender, chunks) = mpsc::channel(2);
        std::thread::spawn(move || {
            if let Err(error) = read_lines(file, limit, &sender) {
                let _ = sender.blocking_send(Chunk::Broken(error.to_string()));
            }
        });
        Ok(Self::new(chunks, place))
    }

    fn new(chunks: mpsc::Receiver<Chunk>, place: Option<Place>) -> Self {
        let resumed = place.map_or(0, |place| place.lines);
        Self { chunks, chunk: Vec::new(), start: 0, at: 0, place, resumed, taken: 0 }
    }

    async fn next(&mut self) -> Option<Item<'_>> {
        if self.at == self.chunk.len() {
            match self.chunks.recv().await? {
                Chunk::Lines(start, lines) => {
                    (self.start, self.chunk, self.at) = (start, lines, 0);
                }
                Chunk::TooLong => {
                    self.taken += 1;
                    return Some(Item::TooLong);
                }
                Chunk::Broken(why) => return Some(Item::Broken(why)),
            }
        }
        let rest = &self.chunk[self.at..];
        let line = rest.split(|b| *b == b'\n').next().unwrap_or(rest);
        self.at += (line.len() + 1).min(rest.len());
        self.taken += 1;
        let behind = self.start + self.at as u64;
        let place = self.place.map(|place| place.behind(behind, self.taken));
        Some(Item::Payload(line, place))
    }
}

/// Cuts what comes into chunks of whole lines and sends them, until the end of the input or of
/// whoever receives them. What is there is sent at once: lines may come slowly.
fn read_lines(mut from: impl Read, limit: usize, to: &mpsc::Sender<Chunk>) -> io::Result<()> {
    let mut buffer: Vec<u8> = Vec::new();
    let mut filled = 0;
    let mut read = 0;
    // In the middle of a line that is too long.
    let mut skipping = false;
    loop {
        if buffer.len() - filled < CHUNK / 2 {
            buffer.resize(filled + CHUNK, 0);
        }
        let n = match from.read(&mut buffer[filled..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        read += n as u64;
        // What was there before has no line end, or it would have been sent.
        let mut unseen = filled;
        if skipping {
            let new = &buffer[filled..filled + n];
            match new.iter().position(|b| *b == b'\n') {
                Some(end) => {
                    buffer.copy_within(filled + end + 1..filled + n, 0);
                    (filled, unseen, skipping) = (n - end - 1, 0, false);
                }
                None if n == 0 => return Ok(()),
                None => continue,
            }
        } else {
            filled += n;
        }
        let end = match buffer[unseen..filled].iter().rposition(|b| *b == b'\n') {
            _ if n == 0 => filled,
            Some(last) => unseen + last + 1,
            None => 0,
        };
        if end > 0 {
            let rest = buffer[end..filled].to_vec();
            buffer.truncate(end);
            let lines = Chunk::Lines(read - filled as u64, std::mem::replace(&mut buffer, rest));
            if to.blocking_send(lines).is_err() {
                return Ok(());
            }
            filled -= end;
        }
        if n == 0 {
            return Ok(());
        }
        if filled > limit {
            (filled, skipping) = (0, true);
            if to.blocking_send(Chunk::TooLong).is_err() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(buf.len());
            buf[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn lines_of(text: &[u8], step: usize, limit: usize) -> Vec<Option<Vec<u8>>> {
        let (sender, chunks) = mpsc::channel(10_000);
        read_lines(Dribble(text, step), limit, &sender).expect("reading memory");
        drop(sender);
        let mut lines = Lines::new(chunks, None);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut seen = Vec::new();
            while let Some(item) = lines.next().await {
                seen.push(match item {
                    Item::Payload(line, _) => Some(line.to_vec()),
                    Item::TooLong => None,
                    Item::Broken(why) => panic!("{why}"),
                });
            }
            seen
        })
    }

    #[test]
    fn lines_come_whole_however_they_are_read() {
        let text = b"one\n\n\xff\0\r\nfour\n last";
        let wanted: Vec<Option<Vec<u8>>> = [&b"one"[..], b"", b"\xff\0\r", b"four", b" last"]
            .iter()
            .map(|l| Some(l.to_vec()))
            .collect();
        for step in 1..=text.len() {
            assert_eq!(lines_of(text, step, 100), wanted, "{step} bytes at a time");
        }
        assert_eq!(lines_of(b"", 1, 100), []);
        assert_eq!(lines_of(b"\n", 1, 100), [Some(vec![])]);
    }

    #[test]
    fn long_lines_are_skipped_and_counted() {
        let long = [&[b'x'; 300_000][..], b"\nb\n"].concat();
        let text = [&b"a\n"[..], &long, &long].concat();
        for step in [1000, 65_536, 1_000_000] {
            let seen = lines_of(&text, step, 100_000);
            let b = || Some(b"b".to_vec());
            assert_eq!(seen, [Some(b"a".to_vec()), None, b(), None, b()], "{step} bytes at a time");
        }
        assert_eq!(lines_of(&long[..300_000], 70_000, 100_000), [None]);
    }

    #[test]
    fn a_line_longer_than_a_chunk_is_no_problem() {
        let text = vec![b'y'; 5 * CHUNK];
        assert_eq!(lines_of(&text, usize::MAX, 6 * CHUNK), [Some(text)]);
    }
}
