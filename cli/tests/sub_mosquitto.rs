//! `everlink sub` on a real broker.

mod common;

use std::collections::BTreeSet;
use std::io::Write;
use std::time::{Duration, Instant};

use common::mosquitto::Mosquitto;
use common::{Running, everlink, run_on, run_with_input, wait_subscribed, wait_until, words};

fn start(broker: &Mosquitto, line: &str) -> Running {
    let running = Running::start(&mut everlink(words(&format!("{line} -i s"), broker)));
    wait_subscribed(broker, "s", 1);
    running
}

fn publish(broker: &Mosquitto, line: &str) {
    run_on(broker, &format!("pub BROKER -q 1 {line}")).succeeds();
}

#[test]
fn three_ways_to_print() {
    let broker = Mosquitto::start();
    for (flags, wanted) in [
        ("", "x\n"),
        ("-v", "a/b x\n"),
        ("-F %t:%l:%q:%r:%x:%X:%%", "a/b:1:1:0:78:78:%\n"),
        ("-F [%5t][%-5t][%.2t][%05l]\\tN", "[  a/b][a/b  ][a/][00001]\tN\n"),
        ("-F @Y -N", ""),
    ] {
        let sub = start(&broker, &format!("sub BROKER -t a/# -q 1 -C 1 {flags}"));
        publish(&broker, "-t a/b -m x");
        let ran = sub.end();
        assert_eq!(ran.code, Some(0), "{ran:?}");
        if wanted.is_empty() {
            assert_eq!(ran.text().trim_end().len(), 4, "a year: {:?}", ran.text());
        } else {
            assert_eq!(ran.text(), wanted, "{flags}");
        }
        broker_forgets(&broker);
    }
}

/// The log counts from the start of the broker; each subscriber of a loop is the first again.
fn broker_forgets(broker: &Mosquitto) {
    let log = broker.directory().join("log");
    std::fs::OpenOptions::new().write(true).truncate(true).open(log).expect("the log");
}

#[test]
fn json() {
    let broker = Mosquitto::start();
    let sub = start(&broker, "sub BROKER -t a -t b -q 1 -C 3 --json");
    publish(&broker, "-t a -m \"x\"");
    let mut command = everlink(words("pub BROKER -q 1 -t b -s -r", &broker));
    run_with_input(&mut command, b"\xff\0").succeeds();
    publish(&broker, "-t a -m y -V 311");
    let ran = sub.end();
    assert_eq!(
        ran.text(),
        concat!(
            r#"{"topic":"a","payload":"\"x\"","qos":1,"retain":false,"dup":false,"properties":{}}"#,
            "\n",
            r#"{"topic":"b","payload_base64":"/wA=","qos":1,"retain":false,"dup":false,"properties":{}}"#,
            "\n",
            r#"{"topic":"a","payload":"y","qos":1,"retain":false,"dup":false,"properties":{}}"#,
            "\n",
        )
    );
}

#[test]
fn what_is_not_printed() {
    let broker = Mosquitto::start();
    publish(&broker, "-t a/kept -m old -r");
    for (flags, wanted) in [
        ("", "old new secret "),
        ("-R", "new secret "),
        ("-T a/secret", "old new "),
        ("--retained-only", "old "),
        ("-C 2", "old new "),
        ("--retain-handling never", "new secret "),
    ] {
        let sub = start(&broker, &format!("sub BROKER -t a/# -q 1 {flags} -W 1.5"));
        publish(&broker, "-t a/new -m new");
        publish(&broker, "-t a/secret -m secret");
        let ran = sub.end();
        assert_eq!(ran.code, Some(0), "{flags}: {ran:?}");
        assert_eq!(ran.text().replace('\n', " "), wanted, "{flags}");
        broker_forgets(&broker);
    }
}

#[test]
fn time_is_up() {
    let mut broker = Mosquitto::start();
    run_on(&broker, "sub BROKER -t a -W 0.3").succeeds();
    run_on(&broker, "sub BROKER -t a -C 1 -W 0.3").fails(3, "fewer than 1 messages in time");
    broker.kill();
    let ran = run_on(&broker, "sub BROKER -t a -W 0.3 --quiet");
    ran.fails(3, "no connection in time (tcp: connection refused)");
}

#[test]
fn filters_that_overlap_print_once() {
    let broker = Mosquitto::with(
        "allow_anonymous true\npersistence false\nallow_duplicate_messages false\n",
    );
    for version in ["5", "311"] {
        let line = "sub BROKER -t a/# -t a/+ -t a/b -q 1 -v -C 4";
        let sub = start(&broker, &format!("{line} -V {version}"));
        wait_subscribed(&broker, "s", 3);
        for (topic, text) in [("a/b", 1), ("a/c", 2), ("a/d/e", 3), ("a/b", 4)] {
            publish(&broker, &format!("-t {topic} -m {text}"));
        }
        let ran = sub.end();
        assert_eq!(ran.text(), "a/b 1\na/c 2\na/d/e 3\na/b 4\n", "{version}");
        broker_forgets(&broker);
    }
}

/// Nothing that was acknowledged is lost when the command is killed, because it was written before.
#[test]
fn a_kept_session_survives_kill() {
    let broker = Mosquitto::with(
        "allow_anonymous true\npersistence false\nmax_queued_messages 0\nset_tcp_nodelay true\n",
    );
    for (version, id) in [("5", "five"), ("311", "three")] {
        let line = format!("sub BROKER -t t -q 1 -c -i {id} -V {version}");
        let mut seen = BTreeSet::new();
        let mut sub = Running::start(&mut everlink(words(&line, &broker)));
        wait_subscribed(&broker, id, 1);
        let feed = std::thread::spawn({
            let mut command = everlink(words("pub BROKER -t t -l -q 1", &broker));
            let input: String = (1..=4000).map(|n| format!("{n}\n")).collect();
            move || run_with_input(&mut command, input.as_bytes())
        });
        for stop in [500, 1500, 2500] {
            wait_until("some arrive", || seen.len() + sub.count() >= stop);
            sub.signal("KILL");
            seen.extend(sub.end().text().lines().map(str::to_owned));
            sub = Running::start(&mut everlink(words(&line, &broker)));
        }
        wait_until("all arrive", || {
            let new = sub.lines().into_iter().collect::<BTreeSet<_>>();
            new.union(&seen).count() == 4000
        });
        assert_eq!(feed.join().expect("no panic").code, Some(0));
        sub.signal("TERM");
        assert_eq!(sub.end().code, Some(0));
    }
}

#[test]
fn unsubscribing_from_a_kept_session() {
    let broker = Mosquitto::start();
    run_on(&broker, "sub BROKER -t a -t b -q 1 -c -i s -E").succeeds();
    publish(&broker, "-t a -m 1");
    run_on(&broker, "sub BROKER -U a -c -i s").succeeds();
    let ran = run_on(&broker, "sub BROKER -U a -c -i s");
    assert_eq!(ran.code, Some(0));
    assert_eq!(ran.stderr, "everlink: -U \"a\": No subscription existed\n");
    publish(&broker, "-t a -m 2");
    publish(&broker, "-t b -m 3");
    let ran = run_on(&broker, "sub BROKER -t b -q 1 -c -i s -v -W 1");
    assert_eq!(ran.text(), "b 3\n", "{ran:?}");
}

#[test]
fn signals_end_it_politely() {
    let broker = Mosquitto::start();
    for signal in ["INT", "TERM"] {
        let line = format!("sub BROKER -t a -q 2 -i {signal}");
        let sub = Running::start(&mut everlink(words(&line, &broker)));
        wait_subscribed(&broker, signal, 1);
        sub.signal(signal);
        let ran = sub.end();
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        assert!(broker.log().contains(&format!("Received DISCONNECT from {signal}")));
    }
}

#[test]
fn the_reader_has_seen_enough() {
    let broker = Mosquitto::start();
    let mut command = everlink(words("sub BROKER -t a -q 1 -i s", &broker));
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    wait_subscribed(&broker, "s", 1);
    drop(child.stdout.take());
    publish(&broker, "-t a -m x");
    assert_eq!(common::wait(&mut child).code(), Some(0));
}

/// A reader that does not read holds back the broker, not the connection.
#[test]
fn a_stuck_reader() {
    let broker = Mosquitto::with(
        "allow_anonymous true\npersistence false\nmax_queued_messages 0\nmax_inflight_messages 0\n",
    );
    let line = "sub BROKER -t a -q 1 -i s -k 4 --response-time 1";
    let mut command = everlink(words(line, &broker));
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    wait_subscribed(&broker, "s", 1);
    let line = [b'x'; 999];
    let input: Vec<u8> = (0..5000).flat_map(|_| line.iter().copied().chain([b'\n'])).collect();
    let mut publish = everlink(words("pub BROKER -t a -l -q 1", &broker));
    assert_eq!(run_with_input(&mut publish, &input).code, Some(0));
    // Longer than the broker's patience of one and a half keep-alives.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(8) {
        std::thread::sleep(Duration::from_millis(100));
        assert!(child.try_wait().expect("its state").is_none());
    }
    assert!(!broker.log().contains("Client s "), "the connection is up");
    let mut bytes = 0;
    let mut stdout = child.stdout.take().expect("piped");
    let mut buffer = vec![0; 65_536];
    while bytes < input.len() {
        bytes += std::io::Read::read(&mut stdout, &mut buffer).expect("it goes on");
    }
    assert_eq!(bytes, input.len());
    common::signal(child.id(), "TERM");
    assert_eq!(common::wait(&mut child).code(), Some(0));
}

#[test]
fn two_at_a_time_in_the_order_they_came() {
    let broker = Mosquitto::start();
    let sub = start(&broker, "sub BROKER -t a -t b -q 1 -C 2000");
    wait_subscribed(&broker, "s", 2);
    let mut feeds: Vec<Running> = ["a", "b"]
        .iter()
        .map(|t| {
            let line = format!("pub BROKER -t {t} -q 1 -l");
            Running::start(&mut everlink(words(&line, &broker)))
        })
        .collect();
    for n in 0..1000 {
        for (feed, topic) in feeds.iter_mut().zip(["a", "b"]) {
            let stdin = feed.stdin.as_mut().expect("piped");
            stdin.write_all(format!("{topic} {n}\n").as_bytes()).expect("it reads");
        }
    }
    let lines = sub.end();
    for topic in ["a", "b"] {
        let seen = lines.text().lines().filter_map(|l| l.strip_prefix(topic)?.trim().parse().ok());
        assert_eq!(seen.collect::<Vec<u32>>(), (0..1000).collect::<Vec<u32>>());
    }
}
