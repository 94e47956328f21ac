//! Records the engine's calls.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use everlink_link::Frame;
use everlink_link::tap::{Secrets, Spool, mask, mask_head};
use everlink_proto::engine::{
    Engine, Handled, Inbox, Incoming, Input, Outcome, Outgoing, Output, Receipt, Refused,
    Subscription, Tag, Verdict,
};
use everlink_proto::session::{Config, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Instant;
use everlink_proto::topic::TopicFilter;
use everlink_proto::wire::{
    Auth, ConnAck, Connect, Disconnect, Properties, ReasonCode, Version, frame_len,
};

use super::Recorder;
use super::codes::{answer, call, input as inputs};
use super::format::Put;
use super::setup::Setup;

type Engine_ = Session<'static, RamStore>;

/// Writes down what the engine is told and answers. Each method makes the call.
#[derive(Debug)]
pub(crate) struct Tape {
    spool: Spool,
    masked: bool,
    version: Version,
    /// The time of the last call; later ones are told as a difference.
    last: Instant,
    /// The call that is being made.
    put: Put,
    /// Bytes of a packet that are still to be sent.
    rest: usize,
}

impl Tape {
    /// Begins with how the engine is made.
    pub(crate) fn new(recorder: &Recorder, config: &Config) -> Self {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let masked = recorder.secrets == Secrets::Masked;
        let mut tape = Self {
            spool: recorder.spool(),
            masked,
            version: config.version,
            last: Instant::ZERO,
            put: Put::default(),
            rest: 0,
        };
        let setup = Setup {
            masked,
            began: u64::try_from(began.as_micros()).unwrap_or(u64::MAX),
            by: env!("CARGO_PKG_VERSION").into(),
            config: config.clone(),
        };
        tape.begin(call::SETUP, Instant::ZERO);
        setup.put(&mut tape.put);
        tape.commit();
        tape
    }

    fn begin(&mut self, call: u8, now: Instant) -> &mut Put {
        let passed = now.as_micros().wrapping_sub(self.last.as_micros()) as i64;
        self.last = now;
        self.put.0.clear();
        self.put.byte(call).signed(passed)
    }

    /// The call is complete. `false`: the recording has come to its end.
    fn commit(&mut self) -> bool {
        self.spool.push(&self.put.0)
    }

    /// Adds bytes, with the secrets in them written over by `hide`.
    fn secret(&mut self, bytes: &[u8], hide: impl FnOnce(&mut [u8])) {
        self.put.bytes(bytes);
        if self.masked {
            let start = self.put.0.len() - bytes.len();
            hide(&mut self.put.0[start..]);
        }
    }

    /// Encoded properties, with their secrets written over.
    fn properties(&mut self, properties: &Properties<'_>) {
        let mut raw = vec![0; properties.encoded_len()];
        let n = properties.encode_raw(&mut raw).unwrap_or(0);
        self.secret(&raw[..n], everlink_link::tap::mask_properties);
    }

    pub(crate) fn open(&mut self, engine: &mut Engine_, now: Instant) -> bool {
        self.begin(call::OPEN, now);
        engine.open(now);
        self.commit()
    }

    pub(crate) fn close(
        &mut self,
        engine: &mut Engine_,
        now: Instant,
        disconnect: Disconnect<'_>,
    ) -> bool {
        self.begin(call::CLOSE, now).byte(disconnect.reason.0);
        self.properties(&disconnect.props);
        engine.close(now, disconnect);
        self.commit()
    }

    pub(crate) fn reconnect(&mut self, engine: &mut Engine_, now: Instant) -> bool {
        self.begin(call::RECONNECT, now);
        engine.reconnect(now);
        self.commit()
    }

    pub(crate) fn handle(
        &mut self,
        engine: &mut Engine_,
        now: Instant,
        input: Input<'_>,
        inbox: &mut impl Inbox,
    ) -> (Handled, bool) {
        self.begin(call::HANDLE, now);
        self.input(&input);
        let handled = engine.handle(now, input, &mut self.noting(inbox));
        self.put.byte(answer::END).byte(u8::from(handled == Handled::Busy));
        (handled, self.commit())
    }

    fn input(&mut self, input: &Input<'_>) {
        let version = self.version;
        match input {
            Input::Opening(step) => drop(self.put.byte(inputs::OPENING).step(*step)),
            Input::Opened => {
                self.rest = 0;
                self.put.byte(inputs::OPENED);
            }
            Input::Alive => drop(self.put.byte(inputs::ALIVE)),
            Input::Packet(bytes) => {
                self.put.byte(inputs::PACKET);
                self.secret(bytes, |bytes| mask(version, bytes));
            }
            Input::Skipped { head, total } => {
                self.put.byte(inputs::SKIPPED).number(*total as u64);
                self.secret(head, |head| mask_head(version, head));
            }
            Input::Rest { bytes, left } => {
                self.put.byte(inputs::REST).number(*left as u64);
                self.secret(bytes, |bytes| bytes.fill(b'*'));
            }
            Input::Malformed(error) => {
                self.put.byte(inputs::MALFORMED).byte(error.reason().0);
            }
            Input::Wrote { pending } => {
                self.put.byte(inputs::WROTE).number(*pending as u64);
            }
            Input::Closed(fault) => drop(self.put.byte(inputs::CLOSED).fault(*fault)),
            Input::Tick => drop(self.put.byte(inputs::TICK)),
            Input::Tried { open } => drop(self.put.byte(inputs::TRIED).byte((*open).into())),
            Input::NetworkChanged => drop(self.put.byte(inputs::NETWORK_CHANGED)),
        }
    }

    pub(crate) fn poll(
        &mut self,
        engine: &mut Engine_,
        now: Instant,
        tx: &mut [u8],
        inbox: &mut impl Inbox,
    ) -> (Output, bool) {
        self.begin(call::POLL, now).number(tx.len() as u64);
        let output = engine.poll(now, tx, &mut self.noting(inbox));
        self.put.byte(answer::END).output(output, now);
        if let Output::Send(n) = output {
            self.sent(tx.get(..n).unwrap_or_default());
        }
        (output, self.commit())
    }

    fn sent(&mut self, bytes: &[u8]) {
        let (version, mut rest) = (self.version, self.rest);
        self.secret(bytes, |bytes| hide(version, bytes, &mut rest));
        cut(bytes, &mut self.rest);
    }

    pub(crate) fn connect(
        &mut self,
        engine: &mut Engine_,
        now: Instant,
        with: &Connect<'_>,
        tx: &mut [u8],
    ) -> (Result<usize, Refused>, bool) {
        self.begin(call::CONNECT, now);
        // Clean Start is the engine's; a packet without it may need more than is known here.
        let packet = Connect { clean_start: true, ..*with };
        let mut bytes = vec![0; packet.encoded_len(self.version)];
        let n = packet.encode(self.version, &mut bytes).unwrap_or(0);
        let version = self.version;
        self.secret(&bytes[..n], |bytes| mask(version, bytes));
        self.put.number(tx.len() as u64);
        let result = engine.connect(now, with, tx);
        self.put.byte(answer::END).result(&result);
        if let Ok(n) = result {
            self.sent(tx.get(..n).unwrap_or_default());
        }
        (result, self.commit())
    }

    pub(crate) fn publish(
        &mut self,
        engine: &mut Engine_,
        now: Instant,
        message: &Outgoing<'_>,
        inbox: &mut impl Inbox,
    ) -> (Result<(), Refused>, bool) {
        let Outgoing { topic, payload, qos, retain, props, expiry, tag } = message;
        let expiry = expiry.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        self.begin(call::PUBLISH, now)
            .number(tag.0.into())
            .byte(*qos as u8)
            .byte((*retain).into())
            .option(expiry)
            .text(topic.as_str());
        self.secret(payload, |payload| payload.fill(b'*'));
        self.properties(props);
        let result = engine.publish(now, message, &mut self.noting(inbox));
        self.put.byte(answer::END).result(&result);
        (result, self.commit())
    }

    pub(crate) fn subscribe(
        &mut self,
        engine: &mut Engine_,
        now: Instant,
        subscription: &Subscription<'_>,
        inbox: &mut impl Inbox,
    ) -> (Result<(), Refused>, bool) {
        let Subscription { filter, options, id, props, tag } = subscription;
        self.begin(call::SUBSCRIBE, now)
            .number(tag.0.into())
            .byte(options.to_byte())
            .number((*id).into())
            .text(filter.as_str());
        self.properties(props);
        let result = engine.subscribe(now, subscription, &mut self.noting(inbox));
        self.put.byte(answer::END).result(&result);
        (result, self.commit())
    }

    pub(crate) fn unsubscribe(
        &mut self,
        engine: &mut Engine_,
        now: Instant,
        filter: TopicFilter<'_>,
        tag: Tag,
        inbox: &mut impl Inbox,
    ) -> (Result<(), Refused>, bool) {
        self.begin(call::UNSUBSCRIBE, now).number(tag.0.into()).text(filter.as_str());
        let result = engine.unsubscribe(now, filter, tag, &mut self.noting(inbox));
        self.put.byte(answer::END).result(&result);
        (result, self.commit())
    }

    pub(crate) fn acknowledge(
        &mut self,
        engine: &mut Engine_,
        now: Instant,
        receipt: Receipt,
    ) -> (Result<(), Refused>, bool) {
        self.begin(call::ACKNOWLEDGE, now).number(receipt.to_bits());
        let result = engine.acknowledge(now, receipt);
        self.put.byte(answer::END).result(&result);
        (result, self.commit())
    }

    pub(crate) fn ping(&mut self, engine: &mut Engine_) -> bool {
        self.begin(call::PING, self.last);
        engine.ping();
        self.commit()
    }

    pub(crate) fn reauthenticate(&mut self, engine: &mut Engine_) -> (Result<(), Refused>, bool) {
        self.begin(call::REAUTHENTICATE, self.last);
        let result = engine.reauthenticate();
        self.put.byte(answer::END).result(&result);
        (result, self.commit())
    }

    fn noting<'a, I: Inbox>(&'a mut self, inbox: &'a mut I) -> Noting<'a, I> {
        Noting { inbox, put: &mut self.put, masked: self.masked }
    }
}

/// What a part of what is sent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// The beginning of a packet of so many bytes.
    Head(usize),
    /// Of a packet that was begun; so many bytes are to come.
    Rest(usize),
    /// It makes no sense.
    Nonsense,
}

impl Part {
    pub(super) fn frame(self, bytes: &[u8]) -> Frame<'_> {
        match self {
            Self::Whole | Self::Nonsense => Frame::Packet(bytes),
            Self::Head(total) => Frame::Skipped { head: bytes, total },
            Self::Rest(left) => Frame::Rest { bytes, left },
        }
    }
}

/// Where the packets in what is sent begin and end. `rest` is carried from call to call.
pub(super) fn cut(bytes: &[u8], rest: &mut usize) -> Vec<(Range<usize>, Part)> {
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let here = bytes.len() - at;
        if *rest > 0 {
            let n = here.min(*rest);
            *rest -= n;
            parts.push((at..at + n, Part::Rest(*rest)));
            at += n;
            continue;
        }
        // The engine writes all but a payload in one piece.
        match frame_len(&bytes[at..]) {
            Ok(Some(header)) if header.total_len <= here => {
                parts.push((at..at + header.total_len, Part::Whole));
                at += header.total_len;
            }
            Ok(Some(header)) => {
                *rest = header.total_len - here;
                parts.push((at..bytes.len(), Part::Head(header.total_len)));
                at = bytes.len();
            }
            Ok(None) | Err(_) => {
                parts.push((at..bytes.len(), Part::Nonsense));
                at = bytes.len();
            }
        }
    }
    parts
}

/// Writes over the secrets in what is sent.
pub(super) fn hide(version: Version, bytes: &mut [u8], rest: &mut usize) {
    for (range, part) in cut(bytes, rest) {
        let bytes = &mut bytes[range];
        match part {
            Part::Whole => mask(version, bytes),
            Part::Head(_) => mask_head(version, bytes),
            Part::Rest(_) | Part::Nonsense => bytes.fill(b'*'),
        }
    }
}

/// Writes down what the inbox answers.
struct Noting<'a, I> {
    inbox: &'a mut I,
    put: &'a mut Put,
    masked: bool,
}

impl<I: Inbox> Noting<'_, I> {
    fn flag(&mut self, question: u8, answer: bool) -> bool {
        self.put.byte(question).byte(answer.into());
        answer
    }
}

impl<I: Inbox> Inbox for Noting<'_, I> {
    fn message(&mut self, message: &Incoming<'_>) -> Verdict {
        let verdict = self.inbox.message(message);
        self.put.byte(answer::MESSAGE).verdict(verdict);
        verdict
    }

    fn done(&mut self, tag: Tag, outcome: Outcome<'_>) {
        self.inbox.done(tag, outcome);
    }

    fn stored(&mut self, tag: Tag) {
        self.inbox.stored(tag);
    }

    fn room(&mut self) {
        self.inbox.room();
    }

    fn round_trip(&mut self, time: Duration) {
        self.inbox.round_trip(time);
    }

    fn pong(&mut self) {
        self.inbox.pong();
    }

    fn connected(&mut self, ack: &ConnAck<'_>) -> bool {
        let agrees = self.inbox.connected(ack);
        self.flag(answer::CONNECTED, agrees)
    }

    fn refused(&mut self, reason: ReasonCode, props: Properties<'_>) {
        self.inbox.refused(reason, props);
    }

    fn redirect(&mut self, server: &str, permanent: bool) -> bool {
        let follows = self.inbox.redirect(server, permanent);
        self.flag(answer::REDIRECT, follows)
    }

    fn challenge(&mut self, auth: &Auth<'_>) -> bool {
        let accepts = self.inbox.challenge(auth);
        self.flag(answer::CHALLENGE, accepts)
    }

    fn authenticate(&mut self, out: &mut [u8]) -> Option<usize> {
        let written = self.inbox.authenticate(out);
        self.put.byte(answer::AUTHENTICATE).option(written.map(|n| n as u64));
        if let Some(bytes) = written.and_then(|n| out.get(..n)) {
            self.put.bytes(bytes);
            if self.masked {
                let start = self.put.0.len() - bytes.len();
                everlink_link::tap::mask_properties(&mut self.put.0[start..]);
            }
        }
        written
    }

    fn begin(&mut self, message: &Incoming<'_>, payload: usize) -> bool {
        let wants = self.inbox.begin(message, payload);
        self.flag(answer::BEGIN, wants)
    }

    fn piece(&mut self, bytes: &[u8], left: usize) -> bool {
        let takes = self.inbox.piece(bytes, left);
        self.flag(answer::PIECE, takes)
    }

    fn skipped(&mut self, topic: &str, total: usize) {
        self.inbox.skipped(topic, total);
    }
}
