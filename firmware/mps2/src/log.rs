//! Log lines on the host's console: `seconds.micros text`, one write each.

use core::fmt::{self, Write};

use critical_section::Mutex;
use embassy_time::Instant;

use crate::semihost::{File, Mode};

/// Writes a line to the host's console, with the time since reset in front. Longer than 200 bytes,
/// it is cut.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => { $crate::log::line(format_args!($($argument)*)) };
}

#[doc(hidden)]
pub fn line(text: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; LINE], length: 0 };
    let now = Instant::now().as_micros();
    let _ = write!(line, "{}.{:06} {text}", now / 1_000_000, now % 1_000_000);
    line.finish();
}

const LINE: usize = 216;

struct Line {
    bytes: [u8; LINE],
    length: usize,
}

impl Line {
    /// A line is written whole, so that lines never mix and a killed board leaves no half line.
    fn finish(mut self) {
        let length = self.length.min(LINE - 1);
        self.bytes[length] = b'\n';
        critical_section::with(|cs| {
            let mut console = CONSOLE.borrow_ref_mut(cs);
            if console.is_none() {
                *console = File::open(":tt", Mode::Write).ok();
            }
            if let Some(console) = console.as_mut() {
                // A host without a console is no reason to stop.
                let _ = console.write(&self.bytes[..=length]);
            }
        });
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LINE - 1 - self.length;
        let text = &text.as_bytes()[..text.len().min(room)];
        self.bytes[self.length..self.length + text.len()].copy_from_slice(text);
        self.length += text.len();
        Ok(())
    }
}

static CONSOLE: Mutex<core::cell::RefCell<Option<File>>> =
    Mutex::new(core::cell::RefCell::new(None));
