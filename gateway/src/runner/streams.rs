//! All subscriptions of a session as one stream: in the order the messages came, each once.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};

use everlink::{Message, QoS, Subscription};

/// Something about a subscription.
#[derive(Debug)]
pub(super) enum Heard {
    /// A message, for all filters it matches.
    Message(Message),
    /// The broker's answer; `None`: refused.
    Granted { token: u16, qos: Option<QoS> },
}

#[derive(Debug)]
struct Entry {
    filter: String,
    stream: Subscription,
    /// Somebody waits for the broker's answer.
    asked: Option<u16>,
    head: Option<Message>,
}

#[derive(Debug, Default)]
pub(super) struct Streams(Vec<Entry>);

impl Streams {
    /// Adds a subscription; it takes the place of an older one on the same filter.
    pub(super) fn add(&mut self, filter: String, stream: Subscription, asked: Option<u16>) {
        let entry = Entry { filter, stream, asked, head: None };
        match self.0.iter_mut().find(|e| e.filter == entry.filter) {
            Some(old) => {
                // What the old one holds came before anything that the new one will have.
                let head = old.head.take();
                *old = Entry { head, ..entry };
            }
            None => self.0.push(entry),
        }
    }

    /// Takes a subscription out. Dropping it unsubscribes.
    pub(super) fn remove(&mut self, filter: &str) -> Option<Subscription> {
        let at = self.0.iter().position(|e| e.filter == filter)?;
        Some(self.0.swap_remove(at).stream)
    }

    /// Waits for ever if there are no subscriptions. Cancel-safe.
    pub(super) async fn next(&mut self) -> Heard {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        for entry in &mut self.0 {
            let Some(token) = entry.asked else { continue };
            if let Poll::Ready(answer) = pin!(entry.stream.granted()).poll(cx) {
                entry.asked = None;
                let qos = answer.ok().and_then(|ack| QoS::try_from(ack.reason.0).ok());
                return Poll::Ready(Heard::Granted { token, qos });
            }
        }
        // Twice: what is older than anything seen at first is there by the time of the second look.
        for _ in 0..2 {
            for entry in self.0.iter_mut().filter(|e| e.head.is_none()) {
                // It ends while the client is closed, and goes on when it is opened again.
                if let Poll::Ready(Some(next)) = pin!(entry.stream.next()).poll(cx) {
                    entry.head = Some(next);
                }
            }
        }
        let first = self.0.iter().filter_map(|e| e.head.as_ref()).map(Message::sequence).min();
        let Some(first) = first else { return Poll::Pending };
        // A message that several filters match is there several times, and is the same.
        let mut found = None;
        for entry in &mut self.0 {
            if entry.head.as_ref().is_some_and(|m| m.sequence() == first) {
                found = entry.head.take();
            }
        }
        found.map_or(Poll::Pending, |message| Poll::Ready(Heard::Message(message)))
    }
}
