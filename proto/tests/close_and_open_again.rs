//! A client that was closed can be opened again, and goes on where it was.

use everlink_proto::engine::{Cause, Tag};
use everlink_proto::engine::{Engine, Event, Fault, Input, Output, Refused, Step};
use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::{Duration, Instant};
use everlink_proto::wire::{Disconnect, PacketType, QoS, ReasonCode, Version};
use everlink_sim::host::{Fate, Post, Recorder};
use everlink_sim::pair::Pair;
use everlink_sim::script::Script;

const OK: Fate = Fate::Delivered(ReasonCode::SUCCESS);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn session(cfg: Config) -> Session<'static, RamStore> {
    let memory = Memory::growing(&cfg);
    Session::new(cfg, RamStore::new(), memory)
}

fn versions() -> [Config; 2] {
    [Version::V311, Version::V5].map(|version| {
        let first_connect = FirstConnect::Forever;
        Config { version, first_connect, ..Config::default() }
    })
}

#[test]
fn a_message_under_way_when_the_client_was_closed_is_not_doubled() {
    for cfg in versions() {
        let mut pair = Pair::new(1, session(cfg));
        pair.open();
        pair.run_until_up(secs(2));
        pair.broker().faults.swallow(PacketType::PubRec, 1);
        let tag: Tag = pair.publish("t", b"once", QoS::ExactlyOnce);
        pair.run_for(secs(1));
        assert_eq!(pair.accepted().len(), 1, "the broker has it, but cannot say so");
        pair.close();
        pair.run_for(secs(1));
        assert_eq!(pair.events.last().unwrap().1, Event::Closed);
        pair.open();
        assert_eq!(pair.fate(tag, secs(10)), OK);
        assert_eq!(pair.accepted(), ["once"]);
        pair.assert_conforms();
    }
}

#[test]
fn subscriptions_are_there_again() {
    for cfg in versions() {
        let mut pair = Pair::new(1, session(cfg));
        pair.open();
        pair.run_until_up(secs(2));
        let tag = pair.subscribe("a", QoS::AtLeastOnce);
        assert!(matches!(pair.fate(tag, secs(1)), Fate::Delivered(_)));
        pair.close();
        pair.run_for(secs(1));
        pair.broker_publishes("a", b"meanwhile", QoS::AtLeastOnce);
        pair.open();
        pair.run_until_up(secs(2));
        pair.broker_publishes("a", b"then", QoS::AtLeastOnce);
        pair.run_for(secs(1));
        assert_eq!(pair.inbox.texts(), ["meanwhile", "then"]);
        pair.assert_conforms();
    }
}

/// What the engine says at `now`, without a network, up to the first wait.
fn outputs(engine: &mut Session<'static, RamStore>, now: Instant) -> Vec<Output> {
    let (mut tx, mut inbox) = (vec![0; 70_000], Recorder::default());
    let mut all = Vec::new();
    for _ in 0..20 {
        let output = engine.poll(now, &mut tx, &mut inbox);
        if matches!(output, Output::Wait(_)) {
            return all;
        }
        all.push(output);
    }
    panic!("it never waits: {all:?}");
}

#[test]
fn closing_a_closed_client_does_not_close_the_next_opening() {
    let now = Instant::from_millis(1000);
    let mut engine = session(Config::default());
    engine.open(now);
    assert_eq!(outputs(&mut engine, now), [Output::Open { endpoint: 0 }]);
    engine.close(now, Disconnect::default());
    engine.close(now, Disconnect::default());
    let closed = outputs(&mut engine, now);
    assert_eq!(closed.iter().filter(|o| **o == Output::Event(Event::Closed)).count(), 1);
    engine.close(now, Disconnect::default());
    engine.open(now);
    assert_eq!(outputs(&mut engine, now), [Output::Open { endpoint: 0 }]);
}

#[test]
fn the_end_is_told_even_if_other_events_wait() {
    let now = Instant::from_millis(1000);
    let mut engine = session(Config::default());
    let mut inbox = Recorder::default();
    engine.open(now);
    outputs(&mut engine, now);
    let _ = engine.handle(now, Input::Opened, &mut inbox);
    let mut tx = vec![0; 1000];
    assert_eq!(engine.poll(now, &mut tx, &mut inbox), Output::Connect);
    engine.connect(now, &Default::default(), &mut tx).unwrap();
    // CONNACK and the end of the connection come at once, and the application closes the client
    // before the driver has asked what is new.
    let _ = engine.handle(now, Input::Packet(&[0x20, 3, 0, 0, 0]), &mut inbox);
    let fault = Fault::new(Step::Up, Cause::Eof);
    let _ = engine.handle(now, Input::Closed(fault), &mut inbox);
    engine.close(now, Disconnect::default());
    assert_eq!(outputs(&mut engine, now).last(), Some(&Output::Event(Event::Closed)));
}

#[test]
fn closing_before_connack_comes_does_not_set_off_the_will() {
    for cfg in versions() {
        let version = cfg.version;
        let mut s = Script::new(version, session(cfg));
        s.connect();
        s.close();
        s.expect(Disconnect::default());
        s.expect_end(secs(1));
        assert_eq!(s.events.last().unwrap().1, Event::Closed);
        s.assert_quiet();
    }
}

trait Quiet {
    fn assert_quiet(&self);
}

impl<E: Engine> Quiet for Script<E> {
    fn assert_quiet(&self) {
        assert_eq!(self.check.violations(), []);
    }
}

#[test]
fn after_giving_up_it_is_closed_until_it_is_opened_again() {
    let mut pair = Pair::new(1, session(Config::default()));
    pair.kill_broker();
    pair.open();
    pair.run_for(secs(1));
    assert!(matches!(pair.events.last().unwrap().1, Event::GaveUp(_)));
    let post = Post::new("t", b"x", QoS::AtLeastOnce);
    assert_eq!(pair.try_post(post), Err(Refused::Closed));
    pair.restart_broker(true);
    pair.open();
    let tag = pair.publish("t", b"x", QoS::AtLeastOnce);
    assert_eq!(pair.fate(tag, secs(5)), OK);
}
