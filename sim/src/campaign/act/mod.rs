//! What can happen.

use everlink_proto::engine::{Cause, Engine, Refused};
use everlink_proto::time::Duration;
use everlink_proto::wire::{
    Ack, AckKind, PacketId, PacketType, Properties, Property, QoS, ReasonCode, SubscribeOptions,
    Version,
};
use everlink_sim::broker::Act;
use everlink_sim::host::Post;
use everlink_sim::netem::Listen;

use crate::ledger::{Cast, Sent};
use crate::setup::{self, millis, one_of, secs};
use crate::world::{CLIENT, World};

const QOS: [QoS; 5] =
    [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce];
/// What the broker sends.
const ANSWERS: [PacketType; 9] = [
    PacketType::ConnAck,
    PacketType::PubAck,
    PacketType::PubRec,
    PacketType::PubComp,
    PacketType::PubRel,
    PacketType::SubAck,
    PacketType::UnsubAck,
    PacketType::PingResp,
    PacketType::PubComp,
];
/// What the broker may overlook.
const OVERLOOKED: [PacketType; 7] = [
    PacketType::PubAck,
    PacketType::PubRec,
    PacketType::PubRel,
    PacketType::PubComp,
    PacketType::PingReq,
    PacketType::Subscribe,
    PacketType::Unsubscribe,
];

impl World<'_> {
    /// Does something.
    pub(crate) fn act(&mut self) {
        match self.rng.u8(..100) {
            0..35 => self.publish_some(),
            35..50 => self.cast_some(),
            50..62 => self.application(),
            62..72 => self.heal(),
            72..86 => self.network(),
            _ => self.broker(),
        }
    }

    fn publish_some(&mut self) {
        let most = one_of(&mut self.rng, &[1, 3, 10, 10, 100]);
        for _ in 0..self.rng.usize(1..=most) {
            self.publish();
        }
    }

    fn payload(&mut self, n: usize) -> String {
        let size =
            if self.rng.u8(..12) == 0 { self.rng.usize(100..2_500) } else { self.rng.usize(..40) };
        format!("{n}:{}", "x".repeat(size))
    }

    fn publish(&mut self) {
        let n = self.ledger.sent.len();
        let payload = self.payload(n);
        let topic = one_of(&mut self.rng, &["t/0", "t/1", "t/2/longer/topic", "deny/1"]);
        let qos = one_of(&mut self.rng, &QOS);
        let mut post = Post::new(topic, payload.as_bytes(), qos);
        post.retain = self.rng.u8(..8) == 0;
        let list = [Property::UserProperty("name", "value")];
        if self.rng.u8(..6) == 0 {
            post.props = Properties::from_list(&list);
        }
        post.expiry = (self.rng.u8(..5) == 0).then(|| millis(self.rng.u64(1..20_000)));
        match self.pair.try_post(post) {
            Ok(tag) => {
                let (expiry, at) = (post.expiry, self.pair.now());
                self.ledger.sent.push(Sent { tag, topic, qos, expiry, at });
            }
            Err(Refused::QueueFull) if self.cfg.queue.when_full.refuses() => {
                self.ledger.refused_at = Some(self.pair.inbox.room_told);
            }
            Err(Refused::Closed) if self.closed => {}
            Err(refused) => {
                self.pair.fail(&format!("publish of {} bytes: {refused}", payload.len()))
            }
        }
    }

    fn cast_some(&mut self) {
        let most = one_of(&mut self.rng, &[1, 3, 10, 50]);
        for _ in 0..self.rng.usize(1..=most) {
            let n = self.ledger.cast.len();
            let payload = self.payload(n);
            let topic = one_of(&mut self.rng, &["in/0", "in/1/longer"]);
            let qos = one_of(&mut self.rng, &QOS);
            let subscribed = self.pair.servers[0].subscriptions(CLIENT).iter().any(|f| f == "in/#");
            // Header, topic, identifiers and properties take less than 40 bytes.
            let fits = payload.len() + 40 < self.cfg.maximum_packet_size as usize;
            let at = self.pair.now();
            self.ledger.cast.push(Cast { topic, qos, at, expected: subscribed && fits });
            self.pair.broker_publishes(topic, payload.as_bytes(), qos);
        }
    }

    fn application(&mut self) {
        match self.rng.u8(..14) {
            0 => {
                let filter = one_of(&mut self.rng, &["x/1", "x/+", "no/#", "in/#"]);
                self.subscribe(filter);
            }
            1 => {
                let filter = one_of(&mut self.rng, &["x/1", "x/+", "in/#"]);
                self.unsubscribe(filter);
            }
            2 | 3 => {
                let room = self.rng.usize(..5);
                self.note(|_| format!("the application has room for {room}"));
                self.pair.inbox.room = Some(room);
            }
            4 | 5 => {
                self.note(|_| "the application has room".to_owned());
                self.pair.inbox.room = None;
                self.pair.touch();
            }
            6 => self.pair.inbox.manual ^= true,
            7 | 8 => self.acknowledge_some(),
            9 => self.acknowledge_all(),
            10 => {
                self.pair.engine.ping();
                self.pair.touch();
            }
            11 => {
                self.note(|_| "reconnect".to_owned());
                let now = self.pair.now();
                self.pair.engine.reconnect(now);
                self.pair.touch();
                self.requested += 1;
            }
            12 => self.close_for_a_while(),
            _ => self.pair.inbox.distrusts = self.rng.u8(..4) == 0,
        }
    }

    pub(crate) fn subscribe(&mut self, filter: &'static str) {
        let now = self.pair.now();
        let options = SubscribeOptions::new(QoS::ExactlyOnce);
        match self.pair.hosts[0].subscribe_with(now, filter, options, 7) {
            Ok(tag) => {
                self.operations.push(tag);
                self.wanted.insert(filter, true);
            }
            Err(Refused::Closed) if self.closed => {}
            Err(refused) => self.pair.fail(&format!("subscribe: {refused}")),
        }
    }

    fn unsubscribe(&mut self, filter: &'static str) {
        let now = self.pair.now();
        match self.pair.hosts[0].unsubscribe(now, filter) {
            Ok(tag) => {
                self.operations.push(tag);
                self.wanted.insert(filter, false);
            }
            Err(Refused::Closed) if self.closed => {}
            Err(refused) => self.pair.fail(&format!("unsubscribe: {refused}")),
        }
    }

    fn acknowledge_some(&mut self) {
        let mut left = std::mem::take(&mut self.unacknowledged);
        self.rng.shuffle(&mut left);
        let n = self.rng.usize(..=left.len());
        let now = self.pair.now();
        for (receipt, _) in left.drain(..n) {
            // Of an earlier connection: nothing to acknowledge.
            let _ = self.pair.acknowledge(now, receipt);
        }
        self.unacknowledged = left;
    }

    pub(crate) fn acknowledge_all(&mut self) {
        let now = self.pair.now();
        for (receipt, _) in std::mem::take(&mut self.unacknowledged) {
            let _ = self.pair.acknowledge(now, receipt);
        }
    }

    fn close_for_a_while(&mut self) {
        self.note(|_| "close".to_owned());
        self.pair.close();
        self.closed = true;
        let time = one_of(&mut self.rng, &[0, 1, 100, 1_000, 20_000]);
        self.pair.run_for(millis(time));
        if self.rng.u8(..4) > 0 {
            self.open();
        }
    }

    pub(crate) fn open(&mut self) {
        self.note(|_| "open".to_owned());
        self.pair.open();
        self.closed = false;
        self.requested += 1;
    }

    fn heal(&mut self) {
        self.note(|_| "heal".to_owned());
        let path = self.pair.net.path(0);
        path.heal();
        (path.to_server.rate, path.to_client.rate) = (None, None);
        self.pair.net.listener(0).mode = Listen::Accept;
        self.pair.broker().faults.clear();
        if self.closed {
            self.open();
        }
    }

    pub(crate) fn change_path(&mut self) {
        let most = one_of(&mut self.rng, &[0, 0, 20, 200, 1_500]);
        let (delay, jitter) = (self.rng.u64(..=most), self.rng.u64(..=most));
        let path = self.pair.net.path(0);
        path.set_delay(millis(delay), millis(jitter));
        path.segment = one_of(&mut self.rng, &[0, 1, 7, 200]);
        path.short_writes = self.rng.bool();
        path.buffer = one_of(&mut self.rng, &[16, 1_000, 65_536]);
    }

    fn network(&mut self) {
        let now = self.pair.now();
        let kind = self.rng.u8(..13);
        let bytes = self.rng.u64(1..400);
        let rate = self.rng.u32(50..5_000);
        self.note(|_| format!("network fault {kind}"));
        let path = self.pair.net.path(0);
        match kind {
            0 | 1 => path.to_server.cut = Some(bytes),
            2 | 3 => path.to_client.cut = Some(bytes),
            4 => path.hold(),
            5 => path.to_server.held = true,
            6 => path.to_client.held = true,
            7 => path.to_server.rate = Some(rate),
            8 => path.to_client.rate = Some(rate),
            9 => self.change_path(),
            10 => self.pair.net.reset_client(now, 0),
            11 => self.pair.net.reset_server(now, 0),
            _ => self.change_listener(),
        }
        self.perhaps_heal();
    }

    fn change_listener(&mut self) {
        let mode = one_of(
            &mut self.rng,
            &[
                Listen::Fail(Cause::Refused),
                Listen::Fail(Cause::Unreachable),
                Listen::Fail(Cause::Tls),
                Listen::Hang,
                Listen::Silent,
            ],
        );
        self.pair.net.listener(0).mode = mode;
        self.pair.net.listener(0).delay = millis(self.rng.u64(..200));
        if self.rng.bool() {
            let now = self.pair.now();
            self.pair.net.reset_client(now, 0);
        }
    }

    /// Most faults of the network last only for some time.
    fn perhaps_heal(&mut self) {
        if self.rng.u8(..4) == 0 {
            return;
        }
        let time = one_of(&mut self.rng, &[100, 1_000, 6_000, 20_000]);
        for _ in 0..self.rng.u8(..3) {
            self.pair.run_for(millis(self.rng.u64(..time)));
            self.publish_some();
        }
        self.pair.run_for(millis(self.rng.u64(..time)));
        self.heal();
    }

    pub(crate) fn change_offer(&mut self) {
        let version = self.cfg.version;
        self.pair.broker().cfg = setup::offer(&mut self.rng, version);
        self.pair.broker().faults.refuse_publish =
            vec![("deny/#".to_owned(), ReasonCode::NOT_AUTHORIZED)];
        self.pair.broker().faults.refuse_subscribe =
            vec![("no/#".to_owned(), ReasonCode::NOT_AUTHORIZED)];
    }

    fn broker(&mut self) {
        let kind = self.rng.u8(..13);
        self.note(|_| format!("broker fault {kind}"));
        match kind {
            0 | 1 => self.alter_answers(),
            2 => self.overlook(),
            3 => {
                let keep = self.rng.u8(..3) > 0;
                self.note(|_| format!("restart, sessions kept: {keep}"));
                self.pair.restart_broker(keep);
            }
            4 => {
                self.pair.kill_broker();
                self.perhaps_heal();
            }
            5 => {
                let now = self.pair.now();
                self.ledger.forgotten.push(now);
                self.pair.broker().forget_received(CLIENT);
            }
            6 | 7 => {
                let reason = one_of(
                    &mut self.rng,
                    &[
                        ReasonCode::SERVER_BUSY,
                        ReasonCode::SERVER_SHUTTING_DOWN,
                        ReasonCode::NOT_AUTHORIZED,
                        ReasonCode::SESSION_TAKEN_OVER,
                        ReasonCode::NORMAL_DISCONNECTION,
                    ],
                );
                self.pair.broker().disconnect(CLIENT, reason, None);
            }
            8 => {
                let reason = one_of(
                    &mut self.rng,
                    &[
                        ReasonCode::SERVER_UNAVAILABLE,
                        ReasonCode::BAD_USER_NAME_OR_PASSWORD,
                        ReasonCode::NOT_AUTHORIZED,
                    ],
                );
                for _ in 0..self.rng.u8(1..4) {
                    self.pair.broker().faults.refuse_connect.push_back(reason.into());
                }
            }
            9 | 10 => self.change_offer(),
            11 => self.send_strays(),
            _ => self.send_nonsense(),
        }
    }

    /// Acknowledgements are lost, doubled, late, or the connection ends in their place.
    fn alter_answers(&mut self) {
        let packet = one_of(&mut self.rng, &ANSWERS);
        let times = self.rng.u32(1..5);
        let late = millis(self.rng.u64(..12_000));
        let (odds, skip) = (self.rng.u16(1..400), self.rng.u32(..5));
        let kind = self.rng.u8(..6);
        self.broker_waits |= packet == PacketType::PubRel;
        self.note(|_| format!("{packet:?} {kind} {times} times, {late:?}"));
        let faults = &mut self.pair.broker().faults;
        match kind {
            0 => faults.swallow(packet, times),
            1 => faults.duplicate(packet, times),
            2 => faults.delay(packet, late, times),
            3 => faults.hang_up(packet, skip),
            4 => faults.hang_up(PacketType::Publish, skip),
            _ => {
                let act = one_of(
                    &mut self.rng,
                    &[Act::Swallow, Act::Duplicate, Act::Delay(Duration::from_millis(700))],
                );
                self.pair.broker().faults.randomly(packet, odds, act);
            }
        }
    }

    fn overlook(&mut self) {
        let packet = one_of(&mut self.rng, &OVERLOOKED);
        let times = self.rng.u32(1..5);
        self.broker_waits = true;
        self.note(|_| format!("overlooks {packet:?} {times} times"));
        self.pair.broker().faults.ignore(packet, times);
    }

    /// Acknowledgements of nothing.
    fn send_strays(&mut self) {
        let kind = one_of(
            &mut self.rng,
            &[AckKind::PubAck, AckKind::PubRec, AckKind::PubRel, AckKind::PubComp],
        );
        // Identifiers that no run comes to.
        if let Some(pid) = PacketId::new(self.rng.u16(60_000..)) {
            self.pair.broker().inject(CLIENT, Ack::new(kind, pid));
        }
    }

    fn send_nonsense(&mut self) {
        let nonsense: [&[u8]; 5] = [
            &[0x00],
            &[0xf3, 0x00],
            &[0x30, 0xff, 0xff, 0xff, 0xff],
            &[0x20, 0x02, 0x00, 0x00],
            &[0x36, 0x05, 0x00, 0x01, 0x61, 0x00, 0x01],
        ];
        let bytes = one_of(&mut self.rng, &nonsense);
        self.pair.broker().inject_raw(CLIENT, bytes);
        if self.cfg.version == Version::V311 {
            self.pair.run_for(secs(1));
        }
    }
}

/// Whether a full queue refuses.
trait Refuses {
    fn refuses(self) -> bool;
}

impl Refuses for everlink_proto::engine::WhenFull {
    fn refuses(self) -> bool {
        matches!(self, Self::Wait | Self::Reject)
    }
}
