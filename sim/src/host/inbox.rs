//! An inbox that keeps everything it is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use everlink_proto::engine::{Inbox, Incoming, Outcome, Receipt, Tag, Verdict, WhenFull};
use everlink_proto::time::{Duration, Instant};
use everlink_proto::wire::{Auth, ConnAck, Properties, Property, QoS, ReasonCode};

/// A received message, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// When.
    pub at: Instant,
    /// Topic Name.
    pub topic: String,
    /// The application message.
    pub payload: Vec<u8>,
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// DUP flag.
    pub dup: bool,
    /// Encoded properties.
    pub props: Vec<u8>,
    /// For a later acknowledgement.
    pub receipt: Receipt,
    /// The application is to acknowledge it.
    pub later: bool,
}

impl Message {
    /// The application message as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The properties.
    pub fn properties(&self) -> Properties<'_> {
        Properties::from_trusted_raw(&self.props)
    }
}

/// How an operation ended, owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As [`Outcome::Delivered`].
    Delivered(ReasonCode),
    /// As [`Outcome::Rejected`].
    Rejected(ReasonCode),
    /// As [`Outcome::Expired`].
    Expired,
    /// As [`Outcome::Dropped`].
    Dropped(WhenFull),
    /// As [`Outcome::Superseded`].
    Superseded,
}

impl From<Outcome<'_>> for Fate {
    fn from(outcome: Outcome<'_>) -> Self {
        match outcome {
            Outcome::Delivered(reason, _) => Self::Delivered(reason),
            Outcome::Rejected(reason, _) => Self::Rejected(reason),
            Outcome::Expired => Self::Expired,
            Outcome::Dropped(policy) => Self::Dropped(policy),
            Outcome::Superseded => Self::Superseded,
        }
    }
}

/// Records everything; takes messages as its fields say.
#[derive(Debug, Default)]
pub struct Recorder {
    pub(super) now: Instant,
    /// Messages taken, in order.
    pub messages: Vec<Message>,
    /// Operations that ended, in order.
    pub done: Vec<(Instant, Tag, Fate)>,
    /// It takes messages larger than the buffer in pieces.
    pub takes_pieces: bool,
    /// While 0 it has no room for a piece; every one taken makes it one less.
    pub piece_room: Option<usize>,
    /// The message that comes in pieces: bytes announced, and what came.
    pub begun: Option<(usize, Message)>,
    /// Tags of messages that are on the durable medium.
    pub stored: Vec<Tag>,
    /// Tags of subscriptions: they are told again each time they are restored.
    pub(super) subscriptions: BTreeSet<u32>,
    /// Reason Strings that came with the outcomes.
    pub reasons: BTreeMap<u32, String>,
    /// While 0 it has no room for messages; every one taken makes it one less.
    pub room: Option<usize>,
    /// Messages are acknowledged later, by the test.
    pub manual: bool,
    /// Times it was told that the queue may have room.
    pub room_told: usize,
    /// CONNACKs: Session Present and the encoded properties.
    pub connected: Vec<(Instant, bool, Vec<u8>)>,
    /// It refuses every broker that accepts the connection.
    pub distrusts: bool,
    /// Answers to pings.
    pub pongs: usize,
    /// Round trips measured.
    pub round_trips: Vec<Duration>,
    /// Refusals and DISCONNECTs of the broker.
    pub refusals: Vec<(Instant, ReasonCode)>,
    /// Packets too large for the receive buffer: Topic Name and length.
    pub skipped: Vec<(String, usize)>,
    /// Server References heard: whether for good.
    pub redirects: Vec<(String, bool)>,
    /// Names of servers that redirects may lead to, and their numbers.
    pub servers: BTreeMap<String, usize>,
    /// Where the next connection is to go.
    pub(super) redirect: Option<usize>,
    /// Challenges heard: reason and Authentication Data.
    pub challenges: Vec<(ReasonCode, Vec<u8>)>,
    /// Authentication Method, and the data to answer with.
    pub auth: Option<(String, VecDeque<Vec<u8>>)>,
}

impl Recorder {
    /// How the operation ended, if it did; of a subscription, the last answer.
    ///
    /// # Panics
    /// If another operation was told more than once.
    pub fn fate(&self, tag: Tag) -> Option<Fate> {
        let mut fates = self.done.iter().rev().filter(|(_, t, _)| *t == tag);
        let fate = fates.next().map(|(.., fate)| *fate);
        let again = fates.next().is_some() && !self.subscriptions.contains(&tag.0);
        assert!(!again, "{tag:?} ended more than once");
        fate
    }

    fn owned(&self, message: &Incoming<'_>) -> Message {
        let mut props = vec![0; message.props.encoded_len()];
        let n = message.props.encode_raw(&mut props).unwrap_or(0);
        props.truncate(n);
        Message {
            at: self.now,
            topic: message.topic.to_owned(),
            payload: message.payload.to_vec(),
            qos: message.qos,
            retain: message.retain,
            dup: message.dup,
            props,
            receipt: message.receipt,
            later: self.manual && message.qos > QoS::AtMostOnce,
        }
    }

    /// Payloads of the messages taken, as text.
    pub fn texts(&self) -> Vec<String> {
        self.messages.iter().map(Message::text).collect()
    }
}

impl Inbox for Recorder {
    fn begin(&mut self, message: &Incoming<'_>, payload: usize) -> bool {
        if self.takes_pieces {
            self.begun = Some((payload, self.owned(message)));
        }
        self.takes_pieces
    }

    fn piece(&mut self, bytes: &[u8], left: usize) -> bool {
        if self.piece_room == Some(0) {
            return false;
        }
        self.piece_room = self.piece_room.map(|room| room - 1);
        let (payload, mut message) = self.begun.take().expect("begun");
        message.payload.extend(bytes);
        if left > 0 {
            self.begun = Some((payload, message));
        } else {
            assert_eq!(message.payload.len(), payload, "as announced");
            self.messages.push(message);
        }
        true
    }

    fn stored(&mut self, tag: Tag) {
        self.stored.push(tag);
    }

    fn message(&mut self, message: &Incoming<'_>) -> Verdict {
        if self.room == Some(0) {
            return Verdict::Busy;
        }
        self.room = self.room.map(|room| room - 1);
        let owned = self.owned(message);
        let later = owned.later;
        self.messages.push(owned);
        if later { Verdict::Later } else { Verdict::Taken }
    }

    fn done(&mut self, tag: Tag, outcome: Outcome<'_>) {
        if let Outcome::Delivered(_, props) | Outcome::Rejected(_, props) = outcome
            && let Some(reason) = props.reason_string()
        {
            self.reasons.insert(tag.0, reason.to_owned());
        }
        self.done.push((self.now, tag, outcome.into()));
    }

    fn room(&mut self) {
        self.room_told += 1;
    }

    fn round_trip(&mut self, time: Duration) {
        self.round_trips.push(time);
    }

    fn pong(&mut self) {
        self.pongs += 1;
    }

    fn connected(&mut self, ack: &ConnAck<'_>) -> bool {
        self.connected.push((self.now, ack.session_present, ack.props.raw().to_vec()));
        !self.distrusts
    }

    fn refused(&mut self, reason: ReasonCode, _: Properties<'_>) {
        self.refusals.push((self.now, reason));
    }

    fn redirect(&mut self, server: &str, permanent: bool) -> bool {
        self.redirects.push((server.to_owned(), permanent));
        self.redirect = self.servers.get(server).copied();
        self.redirect.is_some()
    }

    fn challenge(&mut self, auth: &Auth<'_>) -> bool {
        let data = auth.props.authentication_data().unwrap_or_default();
        self.challenges.push((auth.reason, data.to_vec()));
        self.auth.is_some()
    }

    fn authenticate(&mut self, out: &mut [u8]) -> Option<usize> {
        let (method, answers) = self.auth.as_mut()?;
        let data = answers.pop_front()?;
        let list = [Property::AuthenticationMethod(method), Property::AuthenticationData(&data)];
        Properties::from_list(&list).encode_raw(out)
    }

    fn skipped(&mut self, topic: &str, total: usize) {
        self.skipped.push((topic.to_owned(), total));
    }
}
