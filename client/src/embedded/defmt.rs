//! What can be logged with `defmt`.

use ::defmt::{Display2Format, Format, Formatter, write};

use super::{NoMessage, NotDelivered, Outcome, PublishError, State, SubscribeError};
use crate::driver::Finished;

impl Format for State {
    fn format(&self, f: Formatter<'_>) {
        match self.fault {
            None => write!(f, "{=str}", self.step.name()),
            Some(fault) => write!(
                f,
                "{=str} after {=u32} failed attempts, the last at {}",
                self.step.name(),
                self.attempts,
                Display2Format(&fault)
            ),
        }
    }
}

impl Format for Outcome {
    fn format(&self, f: Formatter<'_>) {
        match self.into_result() {
            Ok(reason) => write!(f, "delivered: {=u8:#x}", reason.0),
            Err(error) => error.format(f),
        }
    }
}

impl Format for Finished {
    fn format(&self, f: Formatter<'_>) {
        match self {
            Self::Closed => write!(f, "closed"),
            Self::GaveUp(fault) => write!(f, "gave up: {}", Display2Format(fault)),
        }
    }
}

impl Format for NoMessage {
    fn format(&self, f: Formatter<'_>) {
        match self {
            Self::Ended => write!(f, "no message is left"),
            Self::TooShort(bytes) => write!(f, "the message needs {=usize} bytes", bytes),
        }
    }
}

/// As their `Display`.
macro_rules! as_displayed {
    ($($error:ty),*) => {$(
        impl Format for $error {
            fn format(&self, f: Formatter<'_>) {
                Display2Format(self).format(f);
            }
        }
    )*};
}

as_displayed!(NotDelivered, PublishError, SubscribeError);
