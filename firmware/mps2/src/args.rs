//! The command line: words `key=value`, given with `-semihosting-config arg=key=value`.

use core::str::FromStr;

use static_cell::StaticCell;

use crate::semihost;

/// What the board was started with, at most 256 bytes.
#[derive(Clone, Copy)]
pub struct Args(&'static str);

impl Args {
    pub(crate) fn read() -> Self {
        static LINE: StaticCell<[u8; 256]> = StaticCell::new();
        Self(semihost::command_line(LINE.init([0; 256])))
    }

    /// The value of `key`; the first when it is given twice.
    pub fn text(self, key: &str) -> Option<&'static str> {
        self.0.split_ascii_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    /// The value of `key`, or `default` when it is absent.
    ///
    /// # Panics
    /// When it is there but cannot be parsed: a test with a typing error must not pass.
    pub fn parsed<T: FromStr>(self, key: &str, default: T) -> T {
        match self.text(key).map(str::parse) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(_)) => panic!("cannot parse argument {key}"),
        }
    }
}

impl core::fmt::Display for Args {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.0)
    }
}
