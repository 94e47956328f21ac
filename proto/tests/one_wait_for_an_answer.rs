//! A ping is waited for as long as any other reply, whatever was suspected before.

use everlink_proto::engine::{Cause, Event};
use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Duration;
use everlink_proto::wire::{Packet, PacketType, Version};
use everlink_sim::script::Script;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn also_after_an_unfounded_suspicion() {
    let cfg = Config { first_connect: FirstConnect::Forever, ..Config::default() };
    let memory = Memory::growing(&cfg);
    let mut s = Script::new(Version::V5, Session::new(cfg, RamStore::new(), memory));
    s.accept(false);
    // The regular ping is not answered, the one that asks again is.
    s.expect_after(secs(15), Packet::PingReq);
    s.expect_after(secs(5), Packet::PingReq);
    s.reply(Packet::PingResp);
    s.run_for(secs(1));
    s.engine.ping();
    s.touch();
    s.expect_kind(PacketType::PingReq);
    let start = s.now();
    s.expect_after(secs(5), Packet::PingReq);
    s.expect_end(secs(60));
    let waited = s.now().since(start);
    assert!(waited >= secs(10) && waited < secs(11), "{waited:?}");
    assert!(matches!(s.events.last().unwrap().1, Event::Down(f) if f.cause == Cause::Silent));
}
