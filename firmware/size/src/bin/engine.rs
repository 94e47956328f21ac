//! The engine and nothing else, with every call to it and every answer of an inbox: a panic that is
//! still in this program, the engine brings along.
#![no_std]
#![no_main]

#[path = "../board.rs"]
mod board;

#[cortex_m_rt::entry]
fn main() -> ! {
    #[cfg(feature = "engine")]
    driven::run();
    loop {
        board::REGISTER.write(board::REGISTER.read());
    }
}

#[cfg(feature = "engine")]
mod driven {
    #[cfg(feature = "full")]
    use everlink_proto::engine::Refused;
    use everlink_proto::engine::{
        Cause, Engine, Fault, Inbox, Incoming, Input, Outcome, Outgoing, Output, Receipt, Step,
        Subscription, Tag, Verdict,
    };
    use everlink_proto::mem::{Table, Text};
    #[cfg(feature = "full")]
    use everlink_proto::session::KeptSlot;
    use everlink_proto::session::{
        Config, EndedSlot, FlightSlot, Memory, OutboundAlias, Owed, ReceivedSlot, Session,
        SubscriptionSlot,
    };
    use everlink_proto::store::{FixedStore, MessageSlot};
    use everlink_proto::time::{Duration, Instant};
    use everlink_proto::topic::{TopicFilter, TopicName};
    use everlink_proto::wire::{
        Connect, Disconnect, Properties, QoS, ReasonCode, SubscribeOptions, Version,
    };

    use crate::board::REGISTER;

    /// Tells the register everything, and does as it says.
    struct Told {
        receipt: Receipt,
    }

    impl Inbox for Told {
        fn message(&mut self, message: &Incoming<'_>) -> Verdict {
            REGISTER.write((message.topic.len() + message.payload.len()) as u32);
            self.receipt = message.receipt;
            match REGISTER.read() {
                0 => Verdict::Taken,
                1 => Verdict::Later,
                _ => Verdict::Busy,
            }
        }

        fn done(&mut self, tag: Tag, outcome: Outcome<'_>) {
            REGISTER.write(tag.0.wrapping_add(matches!(outcome, Outcome::Delivered(..)).into()));
        }
    }

    pub(super) fn run() {
        let (mut slots, mut bytes) = ([MessageSlot::FREE; 8], [0; 1024]);
        let (mut flights, mut owed) = ([FlightSlot::default(); 16], [Owed::default(); 8]);
        let (mut received, mut ended) = ([ReceivedSlot::default(); 8], [EndedSlot::default(); 8]);
        #[cfg(feature = "full")]
        let mut kept = [KeptSlot::default(); 8];
        let (mut subs, mut filters) = ([SubscriptionSlot::default(); 4], [0; 128]);
        let (mut inbound, mut inbound_topics) = ([Text::default(); 2], [0; 64]);
        let (mut outbound, mut outbound_topics) = ([OutboundAlias::default(); 2], [0; 64]);
        let memory = Memory {
            flights: Table::fixed(&mut flights),
            owed: Table::fixed(&mut owed),
            received: Table::fixed(&mut received),
            ended: Table::fixed(&mut ended),
            subs: Table::fixed(&mut subs),
            filters: Table::fixed(&mut filters),
            inbound_aliases: Table::fixed(&mut inbound),
            inbound_topics: Table::fixed(&mut inbound_topics),
            outbound_aliases: Table::fixed(&mut outbound),
            outbound_topics: Table::fixed(&mut outbound_topics),
        };
        let mut config = Config::unattended(REGISTER.read().into());
        config.version = if REGISTER.read() == 0 { Version::V311 } else { Version::V5 };
        let mut session = Session::new(config, FixedStore::new(&mut slots, &mut bytes), memory);
        let mut inbox = Told { receipt: Receipt::default() };
        let (mut rx, mut tx) = ([0; 256], [0; 256]);
        #[cfg(feature = "full")]
        session.keep_records(128, Table::fixed(&mut kept));
        session.open(Instant::ZERO);
        loop {
            let now = Instant::from_micros(REGISTER.read().into());
            rx.fill_with(|| REGISTER.read() as u8);
            let bytes = rx.get(..REGISTER.read() as usize).unwrap_or(&[]);
            tell(&mut session, now, bytes, &mut inbox);
            while !matches!(poll(&mut session, now, &mut tx, &mut inbox), Output::Wait(_)) {}
        }
    }

    fn tell(
        session: &mut Session<'_, FixedStore<'_>>,
        now: Instant,
        bytes: &[u8],
        inbox: &mut Told,
    ) {
        let text = core::str::from_utf8(bytes).unwrap_or("");
        let (which, n) = (REGISTER.read(), REGISTER.read() as usize);
        let input = match which {
            0 => Input::Packet(bytes),
            1 => Input::Opened,
            2 => Input::Closed(Fault::new(Step::Up, Cause::Eof)),
            3 => Input::Alive,
            4 => Input::Wrote { pending: n },
            5 => Input::Skipped { head: bytes, total: n },
            6 => Input::Opening(Step::Tls),
            _ => return command(session, now, text, inbox),
        };
        let _ = session.handle(now, input, inbox);
    }

    fn command(
        session: &mut Session<'_, FixedStore<'_>>,
        now: Instant,
        text: &str,
        inbox: &mut Told,
    ) {
        let qos = QoS::try_from(REGISTER.read() as u8).unwrap_or_default();
        let (tag, props) = (Tag(REGISTER.read()), Properties::EMPTY);
        let done = match (TopicName::new(text), TopicFilter::new(text), REGISTER.read()) {
            (Ok(topic), _, 0) => {
                let (payload, expiry) = (text.as_bytes(), Some(Duration::from_secs(60)));
                let message = Outgoing { topic, payload, qos, retain: false, props, expiry, tag };
                session.publish(now, &message, inbox)
            }
            (_, Ok(filter), 1) => {
                let options = SubscribeOptions::new(qos);
                session.subscribe(now, &Subscription { filter, options, id: 0, props, tag }, inbox)
            }
            (_, Ok(filter), 2) => session.unsubscribe(now, filter, tag, inbox),
            (_, _, 3) => session.acknowledge(now, inbox.receipt),
            #[cfg(feature = "full")]
            (_, _, 4) => keep(session, now, text.as_bytes(), inbox),
            (_, _, 5) => {
                session.close(now, Disconnect { reason: ReasonCode::SUCCESS, props });
                Ok(())
            }
            _ => {
                session.reconnect(now);
                Ok(())
            }
        };
        REGISTER.write(done.is_ok().into());
    }

    /// Records for a durable medium, and back.
    #[cfg(feature = "full")]
    fn keep(
        session: &mut Session<'_, FixedStore<'_>>,
        now: Instant,
        bytes: &[u8],
        inbox: &mut Told,
    ) -> Result<(), Refused> {
        let mut record = [0; 128];
        let found = session.restore(now, REGISTER.read() as u16, bytes).is_ok();
        REGISTER.write((found && session.restored(bytes).is_ok()).into());
        if let Some(unsaved) = session.unsaved(now, &mut record) {
            record.iter().for_each(|byte| REGISTER.write((*byte).into()));
            session.saved(unsaved, inbox);
        }
        Ok(())
    }

    fn poll(
        session: &mut Session<'_, FixedStore<'_>>,
        now: Instant,
        tx: &mut [u8],
        inbox: &mut Told,
    ) -> Output {
        let output = session.poll(now, tx, inbox);
        if output == Output::Connect {
            let with = Connect { client_id: "shed", ..Connect::default() };
            REGISTER.write(session.connect(now, &with, tx).unwrap_or(0) as u32);
        }
        if let Output::Send(n) = output {
            tx.iter().take(n).for_each(|byte| REGISTER.write((*byte).into()));
        }
        output
    }
}
