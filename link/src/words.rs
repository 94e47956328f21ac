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

#[derive(Debug, Default)]
struct Said {
    fault: Option<(Cause, Arc<str>)>,
    /// What TLS came to on the present connection.
    #[cfg(feature = "tls")]
    tls: Option<Arc<crate::tls::TlsFacts>>,
}

impl Words {
    /// The line about a fault of this cause.
    pub fn say(&self, cause: Cause, line: &str) {
        self.with(|said| said.fault = Some((cause, Arc::from(line))));
    }

    /// A new attempt begins: what was said is about an earlier one.
    pub fn clear(&self) {
        self.with(|said| *said = Said::default());
    }

    /// What was said about the last fault, if this is its cause.
    pub fn about(&self, cause: Cause) -> Option<Arc<str>> {
        self.with(|said| {
            let fault = said.fault.as_ref().filter(|(about, _)| *about == cause);
            fault.map(|(_, line)| Arc::clone(line))
        })
    }

    /// What TLS came to on the connection that was opened last; `None` without TLS.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<Arc<crate::tls::TlsFacts>> {
        self.with(|said| said.tls.clone())
    }

    #[cfg(feature = "tls")]
    pub(crate) fn set_tls(&self, facts: Option<crate::tls::TlsFacts>) {
        self.with(|said| said.tls = facts.map(Arc::new));
    }

    fn with<R>(&self, f: impl FnOnce(&mut Said) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
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
