//! What tells one state from another.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::world::World;

impl World {
    /// A number for all that decides what can still happen.
    pub(super) fn digest(mut self) -> u64 {
        self.broker.forget_history();
        let mut text = String::with_capacity(8192);
        let _ = write!(text, "{:?}", self.engine);
        leave_out(&mut text, "stats: Stats {", '}');
        // Bytes of the connection, which only say when a stuck pipe moved on; none is stuck here.
        leave_out(&mut text, "handed: ", ',');
        leave_out(&mut text, "mark: (", ',');
        let _ = write!(text, "{:?}{:?}", self.broker, self.check);
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        (self.now.as_micros(), self.pipe, self.held, self.count).hash(&mut hasher);
        (&self.up, &self.down, &self.medium).hash(&mut hasher);
        for (record, value) in &self.handed {
            (record.key, value, format!("{record:?}")).hash(&mut hasher);
        }
        (&self.taken, &self.cast, &self.got, &self.acknowledged).hash(&mut hasher);
        (self.safe, self.heard, self.reborn).hash(&mut hasher);
        for message in &self.inbox.messages {
            (&message.payload, format!("{:?}", message.receipt)).hash(&mut hasher);
        }
        for (_, tag, fate) in &self.inbox.done {
            (tag.0, format!("{fate:?}")).hash(&mut hasher);
        }
        for tag in self.inbox.stored.iter().chain(&self.kept) {
            tag.0.hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Counters that only grow decide nothing.
fn leave_out(text: &mut String, from: &str, to: char) {
    if let Some(start) = text.find(from)
        && let Some(len) = text[start..].find(to)
    {
        text.replace_range(start..start + len, "");
    }
}
