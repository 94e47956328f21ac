//! The application, as it answered then.

use std::collections::VecDeque;
use std::time::Duration;

use everlink_proto::engine::{Inbox, Incoming, Outcome, Tag, Verdict};
use everlink_proto::wire::{Auth, ConnAck, Properties, ReasonCode};

use super::codes::answer;
use super::format::Get;
use super::replay::Moment;

/// Answers as was recorded, and takes down what it is told.
#[derive(Debug)]
pub(super) struct Answers<'a> {
    recorded: VecDeque<Answer<'a>>,
    told: Vec<String>,
    /// A question that nobody had asked then.
    unasked: Option<&'static str>,
}

impl<'a> Answers<'a> {
    pub(super) fn read(get: &mut Get<'a>) -> Option<Self> {
        Some(Self { recorded: answers(get)?, told: Vec::new(), unasked: None })
    }

    /// Hands over what there is to tell.
    pub(super) fn end(self, moment: &mut Moment) {
        moment.told = self.told;
        if let Some(question) = self.unasked {
            moment.difference = Some(format!("the application was not asked: {question}"));
        } else if !self.recorded.is_empty() && moment.difference.is_none() {
            moment.difference = Some(format!("the application was asked: {:?}", self.recorded));
        }
    }

    fn flag(&mut self, code: u8, question: &'static str, otherwise: bool) -> bool {
        match self.recorded.front() {
            Some(Answer::Flag(c, value)) if *c == code => {
                let value = *value;
                self.recorded.pop_front();
                value
            }
            _ => {
                self.unasked = Some(question);
                otherwise
            }
        }
    }

    fn tell(&mut self, words: String) {
        self.told.push(words);
    }
}

fn yes(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

impl Inbox for Answers<'_> {
    fn message(&mut self, message: &Incoming<'_>) -> Verdict {
        let verdict = match self.recorded.front() {
            Some(Answer::Message(verdict)) => {
                let verdict = *verdict;
                self.recorded.pop_front();
                verdict
            }
            _ => {
                self.unasked = Some("to take a message");
                Verdict::Taken
            }
        };
        let Incoming { topic, payload, qos, dup, .. } = message;
        let words = match verdict {
            Verdict::Taken => "taken",
            Verdict::Later => "taken, to be acknowledged later",
            Verdict::Busy => "no room",
        };
        let dup = if *dup { ", dup" } else { "" };
        let (qos, length) = (*qos as u8, payload.len());
        self.tell(format!("message {topic:?} QoS {qos}{dup}, {length} bytes: {words}"));
        verdict
    }

    fn done(&mut self, tag: Tag, outcome: Outcome<'_>) {
        let words = match outcome {
            Outcome::Delivered(reason, _) => format!("delivered, {reason}"),
            Outcome::Rejected(reason, _) => format!("rejected, {reason}"),
            Outcome::Expired => "expired".into(),
            Outcome::Dropped(policy) => format!("dropped by the queue ({policy:?})"),
            Outcome::Superseded => "superseded".into(),
        };
        self.tell(format!("operation {} is over: {words}", tag.0));
    }

    fn stored(&mut self, tag: Tag) {
        self.tell(format!("operation {} is stored", tag.0));
    }

    fn room(&mut self) {
        self.tell("the queue has room again".into());
    }

    fn round_trip(&mut self, time: Duration) {
        self.tell(format!("round trip: {:.6} s", time.as_secs_f64()));
    }

    fn pong(&mut self) {
        self.tell("the broker answers the ping".into());
    }

    fn connected(&mut self, ack: &ConnAck<'_>) -> bool {
        let agrees = self.flag(answer::CONNECTED, "to agree to the connection", true);
        self.tell(format!("connected, {}; agrees: {}", ack.reason, yes(agrees)));
        agrees
    }

    fn refused(&mut self, reason: ReasonCode, _: Properties<'_>) {
        self.tell(format!("the broker refuses or ends the connection: {reason}"));
    }

    fn redirect(&mut self, server: &str, permanent: bool) -> bool {
        let follows = self.flag(answer::REDIRECT, "to go to another server", false);
        let how = if permanent { "for good" } else { "for once" };
        self.tell(format!("another server {how}: {server:?}; goes there: {}", yes(follows)));
        follows
    }

    fn challenge(&mut self, auth: &Auth<'_>) -> bool {
        let accepts = self.flag(answer::CHALLENGE, "to accept a challenge", false);
        self.tell(format!("challenge, {}; accepted: {}", auth.reason, yes(accepts)));
        accepts
    }

    fn authenticate(&mut self, out: &mut [u8]) -> Option<usize> {
        let Some(Answer::Authenticate(recorded)) = self.recorded.front().copied() else {
            self.unasked = Some("to authenticate");
            return None;
        };
        self.recorded.pop_front();
        let bytes = recorded?;
        out.get_mut(..bytes.len())?.copy_from_slice(bytes);
        self.tell("authentication data is asked for".into());
        Some(bytes.len())
    }

    fn begin(&mut self, message: &Incoming<'_>, payload: usize) -> bool {
        let wants = self.flag(answer::BEGIN, "to take a message in pieces", false);
        self.tell(format!(
            "a large message begins, {:?}, {payload} bytes; wanted: {}",
            message.topic,
            yes(wants)
        ));
        wants
    }

    fn piece(&mut self, bytes: &[u8], left: usize) -> bool {
        let takes = self.flag(answer::PIECE, "to take a piece", true);
        self.tell(format!(
            "a piece of {} bytes, {left} to come; taken: {}",
            bytes.len(),
            yes(takes)
        ));
        takes
    }

    fn skipped(&mut self, topic: &str, total: usize) {
        self.tell(format!("a packet of {total} bytes was skipped, topic {topic:?}"));
    }
}

/// An answer of the application that was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer<'a> {
    Message(Verdict),
    Flag(u8, bool),
    Authenticate(Option<&'a [u8]>),
}

/// All answers to one call, up to their end.
fn answers<'a>(get: &mut Get<'a>) -> Option<VecDeque<Answer<'a>>> {
    let mut answers = VecDeque::new();
    loop {
        answers.push_back(match get.byte()? {
            answer::END => return Some(answers),
            answer::MESSAGE => Answer::Message(get.verdict()?),
            answer::AUTHENTICATE => Answer::Authenticate(match get.option()? {
                Some(_) => Some(get.bytes()?),
                None => None,
            }),
            code @ (answer::CONNECTED
            | answer::REDIRECT
            | answer::CHALLENGE
            | answer::BEGIN
            | answer::PIECE) => Answer::Flag(code, get.flag()?),
            _ => return None,
        });
    }
}
