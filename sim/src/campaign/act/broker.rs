//! What the broker does wrong.

use everlink_proto::time::Duration;
use everlink_proto::wire::{Ack, AckKind, PacketId, PacketType, ReasonCode, Version};

use super::super::setup::{self, millis, one_of, secs};
use super::super::world::{CLIENT, HERE, NOWHERE, World};
use crate::broker::{Act, Refusal};

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
    pub(in super::super) fn change_offer(&mut self) {
        let version = self.cfg.version;
        self.pair.broker().cfg = setup::offer(&mut self.rng, version, self.take_at_release);
        self.pair.broker().faults.refuse_publish =
            vec![("deny/#".to_owned(), ReasonCode::NOT_AUTHORIZED)];
        self.pair.broker().faults.refuse_subscribe =
            vec![("no/#".to_owned(), ReasonCode::NOT_AUTHORIZED)];
    }

    pub(super) fn broker(&mut self) {
        match self.rng.u8(..16) {
            0 | 1 => self.alter_answers(),
            2 => self.overlook(),
            3 => self.restart(),
            4 => {
                self.fault("broker dies");
                self.pair.kill_broker();
                self.perhaps_heal();
            }
            5 => {
                self.fault("broker forgets QoS 2 identifiers");
                let now = self.pair.now();
                self.ledger.forgotten.push(now);
                self.pair.broker().forget_received(CLIENT);
            }
            6 | 7 => self.disconnect(),
            8 => self.refuse(),
            9 | 10 => {
                self.fault("broker's limits change");
                self.change_offer();
            }
            11 => self.send_strays(),
            12 => self.send_nonsense(),
            13 => self.overrun(),
            _ => self.redirect(),
        }
    }

    fn restart(&mut self) {
        let keep = self.rng.u8(..3) > 0;
        self.fault(if keep { "restart with sessions" } else { "restart without sessions" });
        self.pair.restart_broker(keep);
    }

    fn disconnect(&mut self) {
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
        self.fault("broker disconnects");
        self.pair.broker().disconnect(CLIENT, reason, None);
    }

    fn refuse(&mut self) {
        let reason = one_of(
            &mut self.rng,
            &[
                ReasonCode::SERVER_UNAVAILABLE,
                ReasonCode::BAD_USER_NAME_OR_PASSWORD,
                ReasonCode::NOT_AUTHORIZED,
            ],
        );
        self.fault("broker refuses connections");
        for _ in 0..self.rng.u8(1..4) {
            self.pair.broker().faults.refuse_connect.push_back(reason.into());
        }
    }

    /// To itself, to a server that nobody reaches, or to one that nobody knows.
    fn redirect(&mut self) {
        let server = one_of(&mut self.rng, &[HERE, NOWHERE, "unheard of"]);
        let reason =
            one_of(&mut self.rng, &[ReasonCode::USE_ANOTHER_SERVER, ReasonCode::SERVER_MOVED]);
        self.fault("broker redirects");
        if self.rng.u8(..3) == 0 {
            self.pair.broker().disconnect(CLIENT, reason, Some(server));
            return;
        }
        // In circles, before or after it accepts.
        let refusal = Refusal { reason, server: Some(server.to_owned()) };
        let times = one_of(&mut self.rng, &[1, 1, 2, 5_000]);
        let faults = &mut self.pair.broker().faults;
        let list = if self.rng.bool() { &mut faults.refuse_connect } else { &mut faults.send_away };
        list.resize(times, refusal);
        self.pair.broker().disconnect(CLIENT, reason, None);
    }

    /// More at a time, or larger, than the client said it takes.
    fn overrun(&mut self) {
        self.fault("broker exceeds the client's limits");
        self.pair.broker().faults.overrun = true;
        self.overrun = true;
        self.cast_some();
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
        let name = match kind {
            0 => {
                faults.swallow(packet, times);
                "broker forgets an answer"
            }
            1 => {
                faults.duplicate(packet, times);
                "broker repeats an answer"
            }
            2 => {
                faults.delay(packet, late, times);
                "broker answers late"
            }
            3 | 4 => {
                let packet = if kind == 3 { packet } else { PacketType::Publish };
                faults.hang_up(packet, skip);
                "broker hangs up in place of a packet"
            }
            _ => {
                let late = Act::Delay(Duration::from_millis(700));
                let act = one_of(&mut self.rng, &[Act::Swallow, Act::Duplicate, late]);
                self.pair.broker().faults.randomly(packet, odds, act);
                "broker answers at random"
            }
        };
        self.fault(name);
    }

    fn overlook(&mut self) {
        let packet = one_of(&mut self.rng, &OVERLOOKED);
        let times = self.rng.u32(1..5);
        self.broker_waits = true;
        self.fault("broker overlooks packets");
        self.note(|_| format!("{packet:?} {times} times"));
        self.pair.broker().faults.ignore(packet, times);
    }

    /// Acknowledgements of nothing.
    fn send_strays(&mut self) {
        let kind = one_of(
            &mut self.rng,
            &[AckKind::PubAck, AckKind::PubRec, AckKind::PubRel, AckKind::PubComp],
        );
        self.fault("broker acknowledges nothing");
        // Identifiers that no run comes to.
        if let Some(pid) = PacketId::new(self.rng.u16(60_000..)) {
            self.pair.broker().inject(CLIENT, Ack::new(kind, pid));
        }
    }

    fn send_nonsense(&mut self) {
        let nonsense: [&[u8]; 6] = [
            &[0x00],
            &[0xf3, 0x00],
            &[0x30, 0xff, 0xff, 0xff, 0xff],
            &[0x20, 0x02, 0x00, 0x00],
            &[0x36, 0x05, 0x00, 0x01, 0x61, 0x00, 0x01],
            // A Topic Alias that was never set and is out of range.
            &[0x30, 0x06, 0x00, 0x00, 0x03, 0x23, 0xea, 0x60],
        ];
        let bytes = one_of(&mut self.rng, &nonsense);
        self.fault("broker sends nonsense");
        self.pair.broker().inject_raw(CLIENT, bytes);
        if self.cfg.version == Version::V311 {
            self.pair.run_for(secs(1));
        }
    }
}
