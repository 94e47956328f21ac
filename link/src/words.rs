//! What a link has to say about a fault, for a person.

use std::io;
use std::string::{String, ToString};
use std::sync::{Arc, Mutex, PoisonError};

use everlink_proto::engine::Cause;

/// One line about the last fault of a link: a [`Cause`] is small and `Copy` and cannot hold the names
/// in a certificate. The link and its pipes write it, whoever reports the fault reads it; clones are
/// the same line.
#[derive(Clone, Debug, Default)]
pub struct Words(Arc<Mutex<Said>>);

type Said = Option<(Cause, Arc<str>)>;

impl Words {
    /// The line about a fault of this cause.
    pub fn say(&self, cause: Cause, line: &str) {
        self.set(Some((cause, Arc::from(line))));
    }

    /// A new attempt begins: what was said is about an earlier one.
    pub fn clear(&self) {
        self.set(None);
    }

    /// What was said about the last fault, if this is its cause.
    pub fn about(&self, cause: Cause) -> Option<Arc<str>> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.as_ref().filter(|(about, _)| *about == cause).map(|(_, line)| Arc::clone(line))
    }

    fn set(&self, said: Said) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }
}

/// The operating system's words, without the number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_string(),
        None => text,
    }
}
