//! What counts as a failure of the first connection, and what does not.

use everlink_proto::engine::{Cause, Engine, Event};
use everlink_proto::session::{Config, FirstConnect, Memory, Session};
use everlink_proto::store::RamStore;
use everlink_proto::time::Duration;
use everlink_proto::wire::ReasonCode;
use everlink_sim::broker::Refusal;
use everlink_sim::netem::Listen;
use everlink_sim::pair::Pair;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn pair(first_connect: FirstConnect) -> Pair<Session<'static, RamStore>> {
    let cfg = Config { first_connect, ..Config::default() };
    let memory = Memory::growing(&cfg);
    Pair::new(1, Session::new(cfg, RamStore::new(), memory))
}

fn gave_up(pair: &Pair<Session<'static, RamStore>>) -> bool {
    pair.events.iter().any(|(_, e)| matches!(e, Event::GaveUp(_)))
}

#[test]
fn asking_for_a_new_connection_is_no_failure() {
    let mut pair = pair(FirstConnect::Fail);
    pair.net.listener(0).mode = Listen::Hang;
    pair.open();
    pair.run_for(secs(1));
    pair.net.listener(0).mode = Listen::Accept;
    let now = pair.now();
    pair.engine.reconnect(now);
    pair.touch();
    pair.run_until_up(secs(1));
    assert!(!gave_up(&pair));
}

#[test]
fn being_sent_to_another_server_is_no_failure() {
    let mut pair = pair(FirstConnect::Fail);
    let second = everlink_sim::broker::Broker::new(2);
    let second = pair.add_server(second);
    pair.inbox.servers.insert("other".into(), second);
    let refusal = Refusal { reason: ReasonCode::USE_ANOTHER_SERVER, server: Some("other".into()) };
    pair.broker().faults.refuse_connect.push_back(refusal);
    pair.open();
    pair.run_until_up(secs(1));
    assert!(!gave_up(&pair));
}

#[test]
fn being_sent_round_in_a_circle_is_one() {
    let mut pair = pair(FirstConnect::Fail);
    pair.inbox.servers.insert("itself".into(), 0);
    for _ in 0..100 {
        let refusal =
            Refusal { reason: ReasonCode::USE_ANOTHER_SERVER, server: Some("itself".into()) };
        pair.broker().faults.refuse_connect.push_back(refusal);
    }
    pair.open();
    pair.run_for(secs(60));
    assert!(gave_up(&pair));
    assert!(pair.opens.len() < 10, "{} attempts", pair.opens.len());
}

#[test]
fn two_clients_with_one_identifier_do_not_fight_at_full_speed() {
    let mut pair = pair(FirstConnect::Forever);
    let cfg = Config { first_connect: FirstConnect::Forever, seed: 9, ..Config::default() };
    let memory = Memory::growing(&cfg);
    let other = pair.add_host(Session::new(cfg, RamStore::new(), memory));
    pair.hosts[other].template.client_id = pair.template.client_id.clone();
    pair.open();
    pair.run_for(secs(1));
    let now = pair.now();
    pair.hosts[other].open(now);
    pair.run_for(secs(60));
    let opens = pair.opens.len() + pair.hosts[other].opens.len();
    assert!(opens <= 15, "{opens} connections in a minute");
    let taken = Cause::DisconnectedByBroker(ReasonCode::SESSION_TAKEN_OVER);
    assert!(pair.events.iter().any(|(_, e)| matches!(e, Event::Down(f) if f.cause == taken)));
}
