//! `everlink sub` on a real broker.

mod common;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

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
        ("-F %m,%04m,[%A][%3A],%03p,%-3p.", "1,0001,[][   ],00x,x  .\n"),
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
        ("-C 3", "old secret new "),
        ("-C 2", "old secret "),
        ("-C 2 -R", "secret new "),
        ("-C 2 -T a/secret", "old new "),
        ("-C 2 --retain-handling never", "secret new "),
        ("--retained-only", "old "),
    ] {
        let sub = start(&broker, &format!("sub BROKER -t a/# -q 1 {flags}"));
        publish(&broker, "-t a/secret -m secret");
        publish(&broker, "-t a/new -m new");
        let ran = sub.end();
        assert_eq!(ran.code, Some(0), "{flags}: {ran:?}");
        assert_eq!(ran.text().replace('\n', " "), wanted, "{flags}");
        broker_forgets(&broker);
    }
}

#[test]
fn time_is_up() {
    let mut broker = Mosquitto::start();
    let plain = Running::start(&mut everlink(words("sub BROKER -t a -W 1", &broker)));
    let counting = Running::start(&mut everlink(words("sub BROKER -t a -C 1 -W 1", &broker)));
    plain.end().succeeds();
    counting.end().fails(3, "fewer than 1 messages in time");
    broker.kill();
    let ran = run_on(&broker, "sub BROKER -t a -W 0.3 --quiet");
    ran.fails(3, "no connection in time (tcp: connection refused)");
}

/// With 3.1.1 mosquitto sends a message once, however many filters match; with 5 once for each, which is
/// its right [MQTT-3.3.4-2], and mosquitto_sub prints each as well.
#[test]
fn filters_that_overlap_print_what_was_sent() {
    let broker = Mosquitto::start();
    for (version, wanted) in [
        ("311", "a/b 1\na/c 2\na/d/e 3\na/b 4\n"),
        ("5", "a/b 1\na/b 1\na/b 1\na/c 2\na/c 2\na/d/e 3\na/b 4\na/b 4\na/b 4\n"),
    ] {
        let count = wanted.lines().count();
        let line = format!("sub BROKER -t a/# -t a/+ -t a/b -q 1 -v -C {count} -V {version}");
        let sub = start(&broker, &line);
        wait_subscribed(&broker, "s", 3);
        for (topic, text) in [("a/b", 1), ("a/c", 2), ("a/d/e", 3), ("a/b", 4)] {
            publish(&broker, &format!("-t {topic} -m {text}"));
        }
        let ran = sub.end();
        assert_eq!(ran.text(), wanted, "{version}");
        broker_forgets(&broker);
    }
}

/// Nothing that was acknowledged is lost when the command is killed, because it was written before.
#[test]
fn a_kept_session_survives_kill() {
    let broker = Mosquitto::with(
        "allow_anonymous true\npersistence false\nmax_queued_messages 0\nset_tcp_nodelay true\n",
    );
    // Never more than the Receive Maximum at once, which mosquitto 2.0 would exceed.
    for (version, id) in [("5", "five"), ("311", "three")] {
        let line = format!("sub BROKER -t t -q 1 -c -i {id} -V {version}");
        let mut seen = BTreeSet::new();
        let mut sub = Running::start(&mut everlink(words(&line, &broker)));
        wait_subscribed(&broker, id, 1);
        let feed = std::thread::spawn({
            let mut command = everlink(words("pub BROKER -t t -l -q 1", &broker));
            let input: String = (1..=1200).map(|n| format!("{n}\n")).collect();
            move || run_with_input(&mut command, input.as_bytes())
        });
        for stop in [200, 500, 800] {
            wait_until("some arrive", || seen.len() + sub.count() >= stop);
            sub.signal("KILL");
            seen.extend(sub.end().text().lines().map(str::to_owned));
            sub = Running::start(&mut everlink(words(&line, &broker)));
        }
        wait_until("all arrive", || {
            let new = sub.lines().into_iter().collect::<BTreeSet<_>>();
            new.union(&seen).count() == 1200
        });
        assert_eq!(feed.join().expect("no panic").code, Some(0));
    }
}

/// mosquitto 2.0 sends such a backlog without regard to the Receive Maximum.
#[test]
fn a_backlog_beyond_the_receive_maximum() {
    let options = "allow_anonymous true\npersistence false\nmax_queued_messages 0\n";
    let broker = Mosquitto::with(options);
    run_on(&broker, "sub BROKER -t a -q 1 -c -i s -E").succeeds();
    let input: String = (1..=5000).map(|n| format!("{n}\n")).collect();
    let mut feed = everlink(words("pub BROKER -t a -l -q 1", &broker));
    assert_eq!(run_with_input(&mut feed, input.as_bytes()).code, Some(0));
    let ran = run_on(&broker, "sub BROKER -t a -q 1 -c -i s -C 5000");
    ran.succeeds();
    assert!(ran.text() == input, "each once, in order");
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
    let ran = run_on(&broker, "sub BROKER -t b -q 1 -c -i s -v -C 1");
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
    let broker = Mosquitto::start();
    let start = |version| {
        let line = format!("sub BROKER -t a -q 1 -i s{version} -k 2 -V {version}");
        let mut command = everlink(words(&line, &broker));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        wait_subscribed(&broker, &format!("s{version}"), 1);
        child.expect("the command starts")
    };
    let children = ["5", "311"].map(|version| (version, start(version)));
    // More than a pipe takes, fewer than the Receive Maximum.
    let input: Vec<u8> = (100..800).flat_map(long_line).collect();
    let mut publish = everlink(words("pub BROKER -t a -l -q 1", &broker));
    assert_eq!(run_with_input(&mut publish, &input).code, Some(0));
    // Longer than the broker's patience of one and a half keep-alives.
    std::thread::sleep(Duration::from_millis(3500));
    for (version, mut child) in children {
        let greeting = format!("Sending CONNACK to s{version}");
        assert_eq!(broker.log().matches(&greeting).count(), 1, "the connection stayed up");
        let mut bytes = vec![0; input.len()];
        let mut stdout = child.stdout.take().expect("piped");
        stdout.read_exact(&mut bytes).expect("it goes on");
        assert!(bytes == input, "as it was sent");
        common::signal(child.id(), "TERM");
        assert_eq!(common::wait(&mut child).code(), Some(0));
    }
}

/// A line of some length that begins with its number.
fn long_line(n: u32) -> Vec<u8> {
    format!("{n}{:4996}\n", "").into_bytes()
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
