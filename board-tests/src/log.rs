//! The log of a board, line by line.

use std::io::{BufRead, BufReader, Read};
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A line that the board logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The board's own time since its reset.
    pub at: Duration,
    /// What it said.
    pub text: String,
}

impl Line {
    /// The value of the word `key=value` in the line.
    ///
    /// # Panics
    /// When there is none, or it is no `T`.
    pub fn value<T: FromStr>(&self, key: &str) -> T {
        let mut words = self.text.split_whitespace();
        words
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
            .unwrap_or_else(|| panic!("no {key}=... in {:?}", self.text))
    }

    fn parse(raw: &str) -> Option<Self> {
        let (time, text) = raw.split_once(' ')?;
        let (seconds, micros) = time.split_once('.')?;
        let at = Duration::from_secs(seconds.parse().ok()?)
            + Duration::from_micros(micros.parse().ok()?);
        Some(Self { at, text: text.into() })
    }
}

/// What came so far, filled by a thread of its own.
#[derive(Clone, Debug)]
pub(crate) struct Log(Arc<(Mutex<Content>, Condvar)>);

#[derive(Debug, Default)]
struct Content {
    lines: Vec<Line>,
    /// All that was printed, also what is not a line of the board.
    raw: String,
    /// Lines before this one have been waited for.
    next: usize,
    ended: bool,
}

impl Log {
    /// Collects what `source` prints until it ends.
    pub(crate) fn follow(source: impl Read + Send + 'static) -> Self {
        let log = Self(Arc::default());
        let filled = log.clone();
        thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut bytes = Vec::new();
            while source.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
                filled.push(&String::from_utf8_lossy(&bytes));
                bytes.clear();
            }
            filled.content().ended = true;
            filled.0.1.notify_all();
        });
        log
    }

    fn push(&self, raw: &str) {
        let mut content = self.content();
        content.raw.push_str(raw);
        content.lines.extend(Line::parse(raw.trim_end()));
        drop(content);
        self.0.1.notify_all();
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.content().lines.clone()
    }

    pub(crate) fn raw(&self) -> String {
        self.content().raw.clone()
    }

    /// The first line with `text` in it that no call has gone past; waits for it at most `patience`.
    /// `None` when the log ends or the time is over.
    pub(crate) fn wait_for(&self, text: &str, patience: Duration) -> Option<Line> {
        let found = self.wait(patience, |content| {
            let offset =
                content.lines[content.next..].iter().position(|line| line.text.contains(text))?;
            content.next += offset + 1;
            Some(content.lines[content.next - 1].clone())
        });
        found.flatten()
    }

    /// Waits at most `patience` for the end of the log; returns whether it has ended.
    pub(crate) fn wait_end(&self, patience: Duration) -> bool {
        self.wait(patience, |content| content.ended.then_some(())).is_some()
    }

    /// Waits until `look` finds something, the log ends (`Some(None)` if it found nothing by then) or
    /// the time is over (`None`).
    fn wait<T>(
        &self,
        patience: Duration,
        mut look: impl FnMut(&mut Content) -> Option<T>,
    ) -> Option<Option<T>> {
        let deadline = Instant::now() + patience;
        let mut content = self.content();
        loop {
            if let Some(found) = look(&mut content) {
                return Some(Some(found));
            }
            if content.ended {
                return Some(None);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            content =
                self.0.1.wait_timeout(content, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn a_log_is_waited_for_in_order_and_ends() {
        let log = Log::follow("0.000500 one a=1\nnoise\n1.000000 two a=x b=7\n".as_bytes());
        let two = log.wait_for("two", LONG).expect("there");
        assert_eq!((two.at, two.value::<u32>("b")), (Duration::from_secs(1), 7));
        // Gone past, and the log has ended.
        assert_eq!(log.wait_for("one", LONG), None);
        assert!(log.wait_end(LONG));
        assert_eq!((log.lines().len(), log.lines()[0].at), (2, Duration::from_micros(500)));
        assert!(log.raw().contains("noise"));
    }

    #[test]
    fn waiting_for_a_line_that_does_not_come_ends() {
        let (reader, _writer) = std::io::pipe().expect("a pipe");
        let log = Log::follow(reader);
        assert_eq!(log.wait_for("never", Duration::from_millis(10)), None);
        assert!(!log.wait_end(Duration::from_millis(10)));
    }
}
