use everlink_proto::engine::{
    Event, Handled, Inbox, Input, MqttFraming, Outgoing, Output, Receipt, Refused, Status,
    Subscription, Tag,
};
use everlink_proto::session::{Config, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::topic::TopicFilter;
use everlink_proto::wire::{Ack, AckKind, Connect, Disconnect, PacketId, Publish, QoS};

use super::*;
use crate::host::Fate;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn script() -> Script<Session<'static, RamStore>> {
    let cfg = Config { topic_aliases: 0, ..Config::default() };
    let memory = Memory::growing(&cfg);
    Script::new(Version::V5, Session::new(cfg, RamStore::new(), memory))
}

fn publish(payload: &[u8]) -> Publish<'_> {
    let (props, pid) = (Properties::EMPTY, PacketId::new(1));
    Publish { dup: false, qos: QoS::AtLeastOnce, retain: false, topic: "t", pid, props, payload }
}

#[test]
fn a_story_from_connect_to_the_next_connect() {
    let mut s = script();
    s.accept(false);
    s.silence(secs(10));
    let tag = s.publish("t", b"x", QoS::AtLeastOnce);
    s.expect(publish(b"x"));
    s.reply(Ack::new(AckKind::PubAck, PacketId::new(1).unwrap()));
    assert_eq!(s.inbox.fate(tag), Some(Fate::Delivered(ReasonCode::SUCCESS)));
    s.reset();
    s.accept(true);
    assert_eq!(s.pair.servers[0].connections, 2);
    s.hang_up();
    s.connect();
}

#[test]
fn the_end_of_a_connection_takes_its_time() {
    let mut s = script();
    s.accept(false);
    s.publish("t", b"x", QoS::AtLeastOnce);
    assert!(s.expect_end(secs(30)) >= secs(5));
}

#[test]
#[should_panic(expected = "got PUBLISH q1 #1 \"t\" \"x\"")]
fn another_packet_than_expected_fails_the_test() {
    let mut s = script();
    s.accept(false);
    s.publish("t", b"x", QoS::AtLeastOnce);
    s.expect(publish(b"y"));
}

#[test]
#[should_panic(expected = "it came after 15s")]
fn the_right_packet_at_the_wrong_time_fails_the_test() {
    let mut s = script();
    s.accept(false);
    s.expect_after(secs(14), Packet::PingReq);
}

/// Does one thing wrong, for ever.
struct Bad(Output);

impl Engine for Bad {
    type Framing = MqttFraming;

    fn open(&mut self, _: Instant) {}
    fn close(&mut self, _: Instant, _: Disconnect<'_>) {}
    fn reconnect(&mut self, _: Instant) {}
    fn handle(&mut self, _: Instant, _: Input<'_>, _: &mut impl Inbox) -> Handled {
        Handled::Done
    }
    fn poll(&mut self, now: Instant, _: &mut [u8], _: &mut impl Inbox) -> Output {
        match self.0 {
            Output::Wait(Some(at)) if at == Instant::MAX => {
                Output::Wait(Some(now + Duration::from_micros(1)))
            }
            other => other,
        }
    }
    fn connect(&mut self, _: Instant, _: &Connect<'_>, _: &mut [u8]) -> Result<usize, Refused> {
        Ok(0)
    }
    fn publish(&mut self, _: Instant, _: &Outgoing<'_>, _: &mut impl Inbox) -> Result<(), Refused> {
        Ok(())
    }
    fn subscribe(
        &mut self,
        _: Instant,
        _: &Subscription<'_>,
        _: &mut impl Inbox,
    ) -> Result<(), Refused> {
        Ok(())
    }
    fn unsubscribe(
        &mut self,
        _: Instant,
        _: TopicFilter<'_>,
        _: Tag,
        _: &mut impl Inbox,
    ) -> Result<(), Refused> {
        Ok(())
    }
    fn acknowledge(&mut self, _: Instant, _: Receipt) -> Result<(), Refused> {
        Ok(())
    }
    fn status(&self) -> Status {
        unreachable!("nobody asks")
    }
}

#[test]
#[should_panic(expected = "never waits")]
fn an_engine_that_never_waits_is_found_out() {
    Script::new(Version::V5, Bad(Output::Event(Event::Closed))).run_for(secs(1));
}

#[test]
#[should_panic(expected = "woken in the past")]
fn an_engine_that_waits_for_the_past_is_found_out() {
    Script::new(Version::V5, Bad(Output::Wait(Some(Instant::ZERO)))).run_for(secs(1));
}

#[test]
#[should_panic(expected = "with nothing to do")]
fn an_engine_that_wakes_for_nothing_is_found_out() {
    Script::new(Version::V5, Bad(Output::Wait(Some(Instant::MAX)))).run_for(secs(1));
}
