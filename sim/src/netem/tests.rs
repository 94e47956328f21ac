use super::*;
use crate::clock::Clock;
use everlink_proto::time::Duration;

const T0: Instant = Clock::START;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A network with one open connection.
fn open(seed: u64, set: impl Fn(&mut Path)) -> (Netem, PipeId) {
    let mut net = Netem::new(seed);
    set(net.path(0));
    let pipe = net.connect(T0, 0, 0);
    while let Some(at) = net.next_event().filter(|_| net.opening(pipe) == Opening::Pending) {
        net.advance(at);
    }
    assert_eq!(net.accept(), Some((pipe, 0)));
    (net, pipe)
}

fn read(net: &mut Netem, pipe: PipeId, side: Side) -> Vec<u8> {
    let mut buf = [0; 4096];
    match net.read(pipe, side, &mut buf) {
        Read::Bytes(n) => buf[..n].to_vec(),
        _ => Vec::new(),
    }
}

#[test]
fn bytes_arrive_after_the_delay_and_not_before() {
    let (mut net, pipe) = open(1, |p| p.set_delay(ms(40), ms(0)));
    let now = T0 + ms(80);
    assert_eq!(net.write(now, pipe, Side::Client, b"hello"), Some(5));
    assert_eq!(net.next_event(), Some(now + ms(40)));
    net.advance(now + ms(39));
    assert_eq!(net.read(pipe, Side::Server, &mut [0; 9]), Read::Nothing);
    net.advance(now + ms(40));
    assert_eq!(read(&mut net, pipe, Side::Server), b"hello");
}

#[test]
fn jitter_keeps_the_order() {
    let (mut net, pipe) = open(7, |p| {
        p.set_delay(ms(5), ms(500));
        p.segment = 3;
    });
    let sent: Vec<u8> = (0..=255).collect();
    for (i, chunk) in sent.chunks(10).enumerate() {
        net.write(T0 + ms(10 + i as u64), pipe, Side::Server, chunk);
    }
    let mut got = Vec::new();
    let mut moments = 0;
    while let Some(at) = net.next_event() {
        net.advance(at);
        got.extend(read(&mut net, pipe, Side::Client));
        moments += 1;
    }
    assert_eq!(got, sent);
    assert!(moments > 3, "{moments}");
}

#[test]
fn a_throttled_direction_takes_its_time() {
    let (mut net, pipe) = open(1, |p| p.to_server.rate = Some(1000));
    net.write(T0, pipe, Side::Client, &[1; 500]);
    net.advance(T0 + ms(250));
    assert_eq!(read(&mut net, pipe, Side::Server).len(), 240);
    net.advance(T0 + ms(500));
    assert_eq!(read(&mut net, pipe, Side::Server).len(), 260);
}

#[test]
fn a_write_stalls_when_nobody_reads() {
    let (mut net, pipe) = open(1, |p| p.buffer = 8);
    assert_eq!(net.write(T0, pipe, Side::Client, b"0123456789"), Some(8));
    net.advance(T0);
    assert_eq!(net.write(T0, pipe, Side::Client, b"89"), Some(0));
    assert_eq!(read(&mut net, pipe, Side::Server), b"01234567");
    assert_eq!(net.write(T0, pipe, Side::Client, b"89"), Some(2));
}

#[test]
fn a_cut_lets_exactly_so_many_bytes_pass() {
    for cut in 0..=10 {
        let (mut net, pipe) = open(1, |_| {});
        net.path(0).to_server.cut = Some(cut);
        net.write(T0, pipe, Side::Client, b"0123");
        net.write(T0, pipe, Side::Client, b"456789");
        net.advance(T0);
        assert_eq!(read(&mut net, pipe, Side::Server), b"0123456789"[..cut as usize]);
        assert_eq!(net.read(pipe, Side::Server, &mut [0; 9]), Read::Reset);
        assert_eq!(net.read(pipe, Side::Client, &mut [0; 9]), Read::Reset);
        assert_eq!(net.write(T0, pipe, Side::Client, b"x"), None);
        assert_eq!(net.path(0).to_server.cut, None);
    }
}

#[test]
fn close_lets_what_is_under_way_arrive_and_reset_does_not() {
    let (mut net, pipe) = open(1, |p| p.set_delay(ms(10), ms(0)));
    let now = T0 + ms(20);
    net.write(now, pipe, Side::Client, b"bye");
    net.close(now, pipe, Side::Client);
    net.advance(now + ms(10));
    assert_eq!(read(&mut net, pipe, Side::Server), b"bye");
    assert_eq!(net.read(pipe, Side::Server, &mut [0; 9]), Read::Eof);

    let (mut net, pipe) = open(1, |p| p.set_delay(ms(10), ms(0)));
    net.write(now, pipe, Side::Client, b"bye");
    net.reset_client(now, 0);
    net.advance(now + ms(10));
    assert_eq!(net.read(pipe, Side::Server, &mut [0; 9]), Read::Reset);
}

#[test]
fn a_held_path_is_silent_until_it_heals() {
    let (mut net, pipe) = open(1, |_| {});
    net.path(0).to_client.held = true;
    net.write(T0, pipe, Side::Server, b"late");
    net.write(T0, pipe, Side::Client, b"passes");
    net.advance(T0 + ms(60_000));
    assert_eq!(net.read(pipe, Side::Client, &mut [0; 9]), Read::Nothing);
    assert_eq!(read(&mut net, pipe, Side::Server), b"passes");
    assert_eq!(net.next_event(), None);
    net.path(0).heal();
    net.advance(T0 + ms(60_000));
    assert_eq!(read(&mut net, pipe, Side::Client), b"late");
}

#[test]
fn a_killed_server_is_not_noticed_through_a_held_path() {
    let (mut net, pipe) = open(1, |_| {});
    net.path(0).hold();
    net.reset_server(T0, 0);
    net.advance(T0 + ms(1000));
    assert_eq!(net.read(pipe, Side::Client, &mut [0; 9]), Read::Nothing);
    net.path(0).heal();
    net.advance(T0 + ms(1000));
    assert_eq!(net.read(pipe, Side::Client, &mut [0; 9]), Read::Reset);
}

#[test]
fn attempts_fail_hang_or_meet_silence() {
    let mut net = Netem::new(1);
    net.listener(0).mode = Listen::Fail(Cause::Refused);
    let refused = net.connect(T0, 0, 0);
    net.listener(0).mode = Listen::Hang;
    let hangs = net.connect(T0, 0, 0);
    net.listener(0).mode = Listen::Silent;
    let silent = net.connect(T0, 0, 0);
    net.advance(T0 + ms(100_000));
    assert_eq!(net.opening(refused), Opening::Failed(Cause::Refused));
    assert_eq!(net.opening(hangs), Opening::Pending);
    assert_eq!(net.opening(silent), Opening::Open);
    assert_eq!(net.accept(), None);
    assert_eq!(net.write(T0, silent, Side::Client, &[0; 100_000]), Some(64 * 1024));
    assert_eq!(net.write(T0, silent, Side::Client, &[0; 9]), Some(0));
}

#[test]
fn an_attempt_through_a_held_path_waits_for_it_to_heal() {
    let mut net = Netem::new(1);
    net.path(0).hold();
    let pipe = net.connect(T0, 0, 0);
    net.advance(T0 + ms(5000));
    assert_eq!(net.opening(pipe), Opening::Pending);
    net.path(0).heal();
    net.advance(T0 + ms(5000));
    assert_eq!(net.opening(pipe), Opening::Open);
}

#[test]
fn short_writes_take_a_part_and_a_seed_repeats_them() {
    let run = |seed| {
        let (mut net, pipe) = open(seed, |p| p.short_writes = true);
        (0..20).map(|_| net.write(T0, pipe, Side::Client, &[0; 100])).collect::<Vec<_>>()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
    assert!(run(3).iter().all(|n| n.is_some_and(|n| (1..=100).contains(&n))));
}
