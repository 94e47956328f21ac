//! Messages across links that lose, double, delay and reorder frames; ends that restart; ends that are slow.

mod support;

use everlink_proto::time::{Duration, Instant};
use everlink_tether::{Channel, Config, Event, Loss, Memory, Output, Refused, Tether};

use support::{Air, Small, small};

fn memory() -> [Small; 2] {
    [Small::new(), Small::new()]
}

fn numbered(n: u32, len: usize) -> Vec<u8> {
    let mut message = n.to_be_bytes().to_vec();
    message.extend((4..len).map(|i| (i as u32 ^ n) as u8));
    message
}

#[test]
fn both_ends_come_up_and_a_message_crosses() {
    let mut memory = memory();
    let mut pair = small(Config::serial(), Air::clear(), 1, &mut memory);
    pair.both_up();
    assert_eq!(pair.events, [[Event::Up { resumed: false }], [Event::Up { resumed: false }]]);
    pair.ends[0].send(Channel::Sn, b"hello").unwrap();
    pair.run(Duration::from_millis(50));
    assert_eq!(pair.got[1], [(Channel::Sn, b"hello".to_vec())]);
    assert!(pair.ends[0].is_idle());
}

/// 200 bytes in frames of 32, a fifth of which is lost.
#[test]
fn every_message_comes_once_and_in_order_over_bad_air() {
    over_bad_air::<4>(100);
    over_bad_air::<3>(50);
    over_bad_air::<2>(50);
    over_bad_air::<1>(20);
}

fn over_bad_air<const WINDOW: usize>(seeds: u64) {
    let ms = Duration::from_millis;
    let air = Air { loss: 20, doubles: 10, quickest: ms(1), slowest: ms(40) };
    for seed in 0..seeds {
        let (mut a, mut b) =
            (Memory::<2048, 256, WINDOW, 32>::new(), Memory::<2048, 256, WINDOW, 32>::new());
        let config = Config::radio();
        let ends = [Tether::new(config, 11, &mut a), Tether::new(config, 22, &mut b)];
        let mut pair = support::Pair::new(air, seed, ends);
        pair.both_up();
        let mut next = [0u32; 2];
        let deadline = pair.now + Duration::from_secs(600);
        while pair.got.iter().any(|got| got.len() < 30) {
            for end in [0, 1] {
                while next[end] < 30 {
                    match pair.ends[end].send(Channel::Sn, &numbered(next[end], 200)) {
                        Ok(()) => next[end] += 1,
                        Err(Refused::Full) => break,
                        Err(other) => panic!("seed {seed}: {other}"),
                    }
                }
            }
            assert!(
                pair.now < deadline,
                "seed {seed}: {} {}",
                pair.got[0].len(),
                pair.got[1].len()
            );
            pair.run(ms(50));
        }
        for got in &pair.got {
            let right: Vec<_> = (0..30).map(|n| (Channel::Sn, numbered(n, 200))).collect();
            assert!(*got == right, "seed {seed}");
        }
        assert!(pair.ends[0].stats().frames_again > 0, "nothing was lost");
        assert_eq!(pair.ends[0].stats().messages_spoiled, 0);
    }
}

#[test]
fn an_end_that_loses_its_memory_is_noticed_and_nothing_of_its_former_life_reaches_it() {
    let (mut memory, mut anew) = (memory(), Small::new());
    let mut pair = small(Config::serial(), Air::clear(), 1, &mut memory);
    pair.both_up();
    pair.events = Default::default();
    pair.cut = true;
    pair.ends[0].send(Channel::Sn, b"for the former").unwrap();
    pair.run(Duration::from_millis(100));
    pair.cut = false;
    pair.restart(1, Tether::new(Config::serial(), 33, &mut anew));
    pair.both_up();
    assert_eq!(pair.events[0], [Event::Down(Loss::Restarted), Event::Up { resumed: false }]);
    pair.run(Duration::from_secs(20));
    assert_eq!(pair.got[1], []);
    assert_eq!(pair.ends[0].stats().forgotten, 1);
    pair.ends[0].send(Channel::Sn, b"for the new").unwrap();
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.got[1], [(Channel::Sn, b"for the new".to_vec())]);
}

#[test]
fn after_silence_it_goes_on_where_it_was() {
    let mut memory = memory();
    let mut pair = small(Config::serial(), Air::clear(), 1, &mut memory);
    pair.both_up();
    pair.events = Default::default();
    for n in 0..6 {
        pair.ends[0].send(Channel::Sn, &numbered(n, 100)).unwrap();
    }
    pair.run(Duration::from_millis(5));
    pair.cut = true;
    pair.run(Duration::from_secs(60));
    assert_eq!(pair.events, [[Event::Down(Loss::Silent)], [Event::Down(Loss::Silent)]]);
    pair.cut = false;
    pair.both_up();
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.events[0][1..], [Event::Up { resumed: true }]);
    let right: Vec<_> = (0..6).map(|n| (Channel::Sn, numbered(n, 100))).collect();
    assert_eq!(pair.got[1], right);
}

#[test]
fn an_application_that_takes_nothing_holds_the_other_end_and_loses_nothing() {
    let mut memory = memory();
    let mut pair = small(Config::serial(), Air::clear(), 1, &mut memory);
    pair.both_up();
    pair.takes[1] = false;
    let mut sent = 0;
    while pair.ends[0].send(Channel::Sn, &numbered(sent, 100)).is_ok() {
        sent += 1;
    }
    let frames = pair.frames;
    pair.run(Duration::from_secs(120));
    assert!(pair.ends[0].is_up() && !pair.ends[0].is_idle());
    assert!(pair.frames - frames < 600, "{} frames", pair.frames - frames);
    // The word that there is room again is lost.
    pair.cut = true;
    pair.takes[1] = true;
    pair.take(1);
    pair.poll(1);
    pair.cut = false;
    pair.run(Duration::from_secs(30));
    let right: Vec<_> = (0..sent).map(|n| (Channel::Sn, numbered(n, 100))).collect();
    assert!(sent > 10 && pair.got[1] == right);
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let mut memory = memory();
    let mut pair = small(Config::serial(), Air::clear(), 1, &mut memory);
    assert_eq!(pair.ends[0].send(Channel::Sn, b"x"), Err(Refused::Down));
    assert_eq!(pair.ends[0].room(), 0);
    pair.both_up();
    assert_eq!(pair.ends[0].room(), 256);
    assert_eq!(pair.ends[0].send(Channel::Sn, &[0; 257]), Err(Refused::TooLong));
    let mut taken = 0;
    while pair.ends[0].send(Channel::Sn, &[7; 200]).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 2048 / 203);
    assert_eq!(pair.ends[0].send(Channel::Sn, &[7; 200]), Err(Refused::Full));
    assert_eq!(pair.ends[0].room(), 2048 - 203 * 10 - 3);
    // Nor is one that the other end has no room for.
    let (mut big, mut little) = (Memory::<512, 256, 2, 64>::new(), Memory::<512, 40, 2, 64>::new());
    let config = Config::serial();
    let ends = [Tether::new(config, 1, &mut big), Tether::new(config, 2, &mut little)];
    let mut pair = support::Pair::new(Air::clear(), 1, ends);
    pair.both_up();
    assert_eq!(pair.ends[0].send(Channel::Sn, &[0; 41]), Err(Refused::TooLong));
    assert_eq!(pair.ends[0].send(Channel::Sn, &[0; 40]), Ok(()));
}

#[test]
fn an_idle_end_that_need_not_know_sets_no_timer() {
    let mut memory = memory();
    let config = Config { keep_alive: None, ..Config::serial() };
    let mut pair = small(config, Air::clear(), 1, &mut memory);
    pair.both_up();
    pair.ends[0].send(Channel::User, b"once").unwrap();
    pair.run(Duration::from_secs(1));
    let frames = pair.frames;
    pair.run(Duration::from_secs(3600));
    assert_eq!(pair.frames, frames);
    let mut frame = [0; 32];
    assert_eq!(pair.ends[0].poll(pair.now, &mut frame), Output::Wait(None));
}

#[test]
fn a_missing_end_is_noticed_within_the_keep_alive_and_its_tries() {
    let mut memory = memory();
    let mut pair = small(Config::serial(), Air::clear(), 1, &mut memory);
    pair.both_up();
    pair.run(Duration::from_secs(30));
    assert!(pair.ends[0].is_up());
    pair.cut = true;
    pair.run(Duration::from_secs(40));
    assert!(pair.events[0].contains(&Event::Down(Loss::Silent)));
}

/// What is no frame, or one of another pair, changes nothing.
#[test]
fn junk_is_counted_and_ignored() {
    let mut memory = memory();
    let mut pair = small(Config::serial(), Air::clear(), 1, &mut memory);
    pair.both_up();
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..20_000 {
        let junk: Vec<u8> = (0..random.usize(0..40)).map(|_| random.u8(..)).collect();
        // Hellos of strangers would be believed: a radio that can be joined needs keys.
        if junk.first().is_some_and(|head| head >> 4 == 4) {
            continue;
        }
        pair.ends[round % 2].received(pair.now, &junk);
        if round % 100 == 0 {
            pair.run(Duration::from_millis(20));
        }
    }
    pair.run(Duration::from_secs(5));
    pair.ends[0].send(Channel::Tunnel, &numbered(1, 250)).unwrap();
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.got[1].last(), Some(&(Channel::Tunnel, numbered(1, 250))));
    let stats = pair.ends[0].stats();
    assert!(stats.frames_bad > 1000 && stats.frames_foreign > 300, "{stats:?}");
}

/// Every frame, of every kind, with every change of one octet: never a panic, never more than the memory.
#[test]
fn a_hostile_end_can_do_no_harm() {
    let mut random = fastrand::Rng::with_seed(3);
    for seed in 0..300 {
        let (mut memory, mut frame) = (memory(), [0; 32]);
        let mut pair = small(Config::serial(), Air::clear(), seed, &mut memory);
        pair.both_up();
        for n in 0..40 {
            let _ = pair.ends[1].send(Channel::Sn, &numbered(n, 120));
            while let Output::Frame(len) = pair.ends[1].poll(pair.now, &mut frame) {
                let mut bad = frame[..len].to_vec();
                let at = random.usize(0..bad.len());
                bad[at] = random.u8(..);
                pair.ends[0].received(pair.now, &bad);
                pair.ends[0].received(pair.now, &bad[..random.usize(0..=bad.len())]);
            }
            while !matches!(pair.ends[0].poll(pair.now, &mut frame), Output::Wait(_)) {
                pair.ends[0].take();
            }
            pair.now = pair.now + Duration::from_millis(30);
        }
    }
}

/// The goal: four fifths of what a serial line of 115 200 baud carries.
#[test]
fn a_serial_line_is_used_well() {
    type Wide = Memory<4096, 1024, 4, 261>;
    let (mut a, mut b) = (Wide::new(), Wide::new());
    let config = Config::serial();
    let mut ends = [Tether::new(config, 1, &mut a), Tether::new(config, 2, &mut b)];
    // Octets on each line, ten bits each, and when the line is free.
    let octet = Duration::from_nanos(1_000_000_000 / 11_520);
    let (mut now, mut free) = (Instant::from_millis(1), [Instant::from_millis(1); 2]);
    let (mut flying, mut payload, mut encoded) = (Vec::new(), 0usize, [0; 300]);
    let mut frame = [0; 261];
    let end = now + Duration::from_secs(20);
    while now < end {
        while ends[0].send(Channel::User, &[0xA5; 512]).is_ok() {}
        for from in [0, 1] {
            // The driver of a serial port hands out a frame when the one before is on the line.
            while free[from] <= now {
                match ends[from].poll(now, &mut frame) {
                    Output::Frame(len) => {
                        let len =
                            everlink_tether::stream::encode(&frame[..len], &mut encoded).unwrap();
                        free[from] = now + octet * len as u32;
                        flying.push((free[from], 1 - from, encoded[..len].to_vec()));
                    }
                    Output::Message => {
                        payload += ends[from].message().unwrap().1.len();
                        ends[from].take();
                    }
                    Output::Event(_) => {}
                    Output::Wait(_) => break,
                }
            }
        }
        now = now + Duration::from_micros(500);
        flying.retain(|(at, to, bytes)| {
            if *at <= now {
                let mut buffer = [0; 300];
                let mut deframer = everlink_tether::stream::Deframer::new(&mut buffer);
                let (_, got) = deframer.push(bytes);
                ends[*to].received(now, got.expect("nothing disturbs the line"));
            }
            *at > now
        });
    }
    let share = payload as f64 / (11_520.0 * 20.0);
    println!("{:.1} % of the line", share * 100.0);
    assert!(share > 0.8, "{share}");
    assert_eq!(ends[0].stats().frames_again, 0);
}

#[cfg(feature = "alloc")]
#[test]
fn in_memory_of_its_own() {
    use everlink_tether::Sizes;
    let config = Config::serial();
    // Whatever is asked for, it is a tether.
    let least = Sizes { send: 100, message: 0, window: 0, frame: 0 };
    let ends = [Tether::owned(config, 1, Sizes::default()), Tether::owned(config, 2, least)];
    let mut pair = support::Pair::new(Air::clear(), 1, ends);
    pair.both_up();
    pair.ends[1].send(Channel::Sn, &[7; 90]).unwrap();
    pair.ends[0].send(Channel::Sn, &[8]).unwrap();
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.got, [[(Channel::Sn, vec![7; 90])], [(Channel::Sn, vec![8])]]);
    assert_eq!(pair.ends[0].send(Channel::Sn, &[8; 2]), Err(Refused::TooLong));
}
