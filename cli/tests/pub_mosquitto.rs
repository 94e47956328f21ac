//! `everlink pub` on a real broker.

mod common;

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::mosquitto::Mosquitto;
use common::{Running, everlink, run_on, run_with_input, wait_subscribed, wait_until, words};
use serde_json::Value;

/// A subscriber to everything that prints as `format` says.
fn subscriber(broker: &Mosquitto, format: &str) -> Running {
    let mut args = words("sub BROKER -t # -q 2 -i watcher -F", broker);
    args.push(format.into());
    let sub = Running::start(&mut everlink(args));
    wait_subscribed(broker, "watcher", 1);
    sub
}

fn publish(broker: &Mosquitto, line: &str, input: &[u8]) -> common::Ran {
    run_with_input(&mut everlink(words(line, broker)), input)
}

#[test]
fn every_source() {
    let broker = Mosquitto::start();
    let file = broker.directory().join("payload");
    std::fs::write(&file, b"\0file\n\xff").expect("a file");
    let sub = subscriber(&broker, "%x");
    publish(&broker, "pub BROKER -t a -q 1 -m -5", b"").succeeds();
    publish(&broker, &format!("pub BROKER -t a -q 1 -f {}", file.display()), b"").succeeds();
    publish(&broker, "pub BROKER -t a -q 1 -s", b"in\nput\n").succeeds();
    publish(&broker, "pub BROKER -t a -q 1 -n", b"").succeeds();
    publish(&broker, "pub BROKER -t a -q 1 -m x --repeat 3 --repeat-delay 0.01", b"").succeeds();
    let ran = publish(&broker, "pub BROKER -t a -q 1 -l", b"one\n\n\xff\0\r\nlast");
    assert_eq!(ran.code, Some(0));
    let sum = "4 accepted, 4 delivered, 0 expired, 0 rejected, 0 dropped, 0 held; no outage";
    assert!(ran.stderr.contains(sum), "{ran:?}");
    let wanted: Vec<&[u8]> = vec![
        b"-5",
        b"\0file\n\xff",
        b"in\nput\n",
        b"",
        b"x",
        b"x",
        b"x",
        b"one",
        b"",
        b"\xff\0\r",
        b"last",
    ];
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let wanted: Vec<String> = wanted.into_iter().map(hex).collect();
    wait_until("all arrive", || sub.count() >= wanted.len());
    assert_eq!(sub.lines(), wanted);
}

#[test]
fn large_messages() {
    let broker = Mosquitto::start();
    let sub = subscriber(&broker, "%l");
    // More than the queue takes by default.
    let large = vec![b'x'; 20 << 20];
    publish(&broker, "pub BROKER -t a -q 1 -s", &large).succeeds();
    publish(&broker, "pub BROKER -t a -q 1 -s -V 311", &large[..1 << 20]).succeeds();
    let lines = [&b"short\n"[..], &large, b"\nshort\n"].concat();
    let ran = publish(&broker, "pub BROKER -t a -q 1 -l --queue-bytes 1000000", &lines);
    assert_eq!(ran.code, Some(3), "a line no queue can hold is not delivered");
    assert!(ran.stderr.contains("3 accepted, 2 delivered, 0 expired, 0 rejected, 1 dropped"));
    // What the subscriber cannot receive is not sent to it.
    wait_until("those that fit arrive", || sub.count() >= 3);
    assert_eq!(sub.lines(), ["1048576", "5", "5"]);
}

#[test]
fn a_report_in_json() {
    let broker = Mosquitto::start();
    let ran = publish(&broker, "pub BROKER -t a -q 2 -l --json --quiet", b"a\nb\nc\n");
    ran.succeeds();
    let lines = ran.json();
    assert_eq!(lines[0]["state"], "up");
    let fates = &lines[1..4];
    let numbers: BTreeSet<_> = fates.iter().filter_map(|l| l["n"].as_u64()).collect();
    assert_eq!(numbers, BTreeSet::from([1, 2, 3]));
    for fate in fates {
        assert_eq!((&fate["outcome"], &fate["reason"]), (&"delivered".into(), &Value::Null));
        assert!(fate["ms"].is_u64());
    }
    let last = ran.text().lines().last().expect("a sum");
    assert_eq!(
        last,
        r#"{"summary":{"accepted":3,"delivered":3,"expired":0,"rejected":0,"dropped":0,"held":0,"outages":0,"longest_outage_ms":0}}"#
    );
}

/// Ten messages without a broker, a queue of three: who is dropped, and that the sum is right.
#[test]
fn the_policies_of_a_full_queue() {
    let mut broker = Mosquitto::start();
    broker.kill();
    for (policy, dropped) in
        [("reject", 4..=10), ("drop-newest", 4..=10), ("drop-oldest", 1..=7), ("latest", 1..=7)]
    {
        let line =
            "pub BROKER -t a -q 1 -l --json --quiet --queue-messages 3 --drain 0.2 --when-full";
        let ran = publish(&broker, &format!("{line} {policy}"), b"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n");
        ran.fails(3, "10 of 10 messages not delivered: 0 expired, 7 dropped, 3 still held");
        let lines = ran.json();
        let gone = lines.iter().filter(|l| l["outcome"] == "dropped");
        let gone: Vec<u64> = gone.filter_map(|l| l["n"].as_u64()).collect();
        assert_eq!(gone, dropped.collect::<Vec<u64>>(), "{policy}");
        let sum = &lines[lines.len() - 1]["summary"];
        let of = |name: &str| sum[name].as_u64().expect(name);
        assert_eq!((of("accepted"), of("dropped"), of("held")), (10, 7, 3), "{policy}");
    }
}

/// While nothing can be sent, no more is read than the queue, a few chunks and the pipe can hold.
#[test]
fn a_full_queue_makes_the_input_wait() {
    const LINES: usize = 20_000;
    let mut broker = Mosquitto::start();
    broker.kill();
    let line = "pub BROKER -t a -q 1 -l --queue-messages 10 --json";
    let mut running = Running::start(&mut everlink(words(line, &broker)));
    let mut stdin = running.stdin.take().expect("piped");
    let written = Arc::new(AtomicUsize::new(0));
    let writer = std::thread::spawn({
        let written = written.clone();
        move || {
            for n in 1..=LINES {
                stdin.write_all(format!("{n:99}\n").as_bytes()).expect("it is read in the end");
                written.store(n, Ordering::Relaxed);
            }
        }
    });
    let mut before = 0;
    wait_until("the writer is stuck", || {
        std::thread::sleep(Duration::from_millis(200)); // that is what being stuck means
        let now = written.load(Ordering::Relaxed);
        now > 10 && std::mem::replace(&mut before, now) == now
    });
    assert!(before < 6000, "{before} lines of {LINES} were read");
    broker.restart();
    let ran = running.end();
    writer.join().expect("all was read");
    assert_eq!(ran.code, Some(0), "{:?}", ran.stderr);
    let numbers: Vec<u64> = ran.json().iter().filter_map(|l| l["n"].as_u64()).collect();
    assert_eq!(numbers, (1..=LINES as u64).collect::<Vec<u64>>());
}

#[test]
fn messages_expire() {
    let mut broker = Mosquitto::start();
    broker.kill();
    for version in ["5", "311"] {
        let line = format!("pub BROKER -t a -q 1 -l --json --quiet --expiry 0.2 -V {version}");
        let ran = publish(&broker, &line, b"1\n2\n");
        ran.fails(3, "2 of 2 messages not delivered: 2 expired");
        let expired = ran.json().iter().filter(|l| l["outcome"] == "expired").count();
        assert_eq!(expired, 2);
    }
}

#[test]
fn nobody_reads_the_report() {
    let broker = Mosquitto::start();
    let sub = subscriber(&broker, "%p");
    let mut command = everlink(words("pub BROKER -t a -q 1 -l --json", &broker));
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("piped");
    let input: String = (1..=3000).map(|n| format!("{n}\n")).collect();
    stdin.write_all(input.as_bytes()).expect("all is read");
    drop(stdin);
    assert_eq!(common::wait(&mut child).code(), Some(0));
    wait_until("all arrive", || sub.count() >= 3000);
    assert_eq!(sub.count(), 3000);
}

/// Messages are delivered, but who reads the report must not take a part of it for the whole.
#[test]
fn a_report_that_cannot_be_written() {
    let broker = Mosquitto::start();
    let mut command = everlink(words("pub BROKER -t a -q 1 -m x --json", &broker));
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a full disk");
    let child = command.stdout(full).stderr(std::process::Stdio::piped()).spawn();
    let output = child.expect("the command starts").wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(3));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(error, "everlink: standard output: No space left on device (os error 28)\n");
}

/// Whoever waits for one message is told why nothing happens.
#[test]
fn an_outage_is_told() {
    let mut broker = Mosquitto::start();
    broker.kill();
    let line = "pub BROKER -t a -q 1 -m x --first-connect forever";
    let running = Running::start(&mut everlink(words(line, &broker)));
    wait_until("it says so", || running.errors().contains("cannot connect (tcp:"));
    broker.restart();
    let ran = running.end();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("connected after"), "{ran:?}");
}

#[test]
fn a_signal_drains() {
    let broker = Mosquitto::start();
    for signal in ["INT", "TERM"] {
        let line = format!("pub BROKER -t a -q 2 -l -i {signal}");
        let mut running = Running::start(&mut everlink(words(&line, &broker)));
        let stdin = running.stdin.as_mut().expect("piped");
        stdin.write_all(b"1\n2\n3\nnot a whole line").expect("it reads");
        wait_until("delivered", || {
            broker.log().matches(&format!("PUBCOMP to {signal}")).count() == 3
        });
        running.signal(signal);
        // Its input is still open: it must not wait for that.
        let stdin = running.stdin.take();
        let ran = running.end();
        drop(stdin);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.contains("3 accepted, 3 delivered"), "{ran:?}");
        assert!(ran.stderr.contains("interrupted: the input behind line 3"), "{ran:?}");
        assert!(broker.log().contains(&format!("Received DISCONNECT from {signal}")));
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut broker = Mosquitto::start();
    broker.kill();
    let line = "pub BROKER -t a -q 1 -l --json";
    let mut running = Running::start(&mut everlink(words(line, &broker)));
    running.stdin.as_mut().expect("piped").write_all(b"1\n2\n").expect("it reads");
    wait_until("it tries", || running.count() >= 1);
    running.signal("TERM");
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(300)); // it is to wait for the drain meanwhile
    running.signal("TERM");
    let ran = running.end();
    assert!(start.elapsed() < Duration::from_secs(3));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("2 of 2 messages not delivered"), "{ran:?}");
}

#[test]
fn the_broker_comes_late() {
    for version in ["5", "311"] {
        let mut broker = Mosquitto::start();
        broker.kill();
        let line = format!("pub BROKER -t a -q 2 -l -V {version}");
        let mut running = Running::start(&mut everlink(words(&line, &broker)));
        running.stdin.as_mut().expect("piped").write_all(b"1\n2\n").expect("it reads");
        wait_until("it says so", || running.errors().contains("cannot connect (tcp:"));
        broker.restart();
        let ran = running.end();
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.contains("connected after"), "{ran:?}");
        assert!(ran.stderr.contains("2 accepted, 2 delivered"), "{ran:?}");
    }
}

#[test]
fn the_will_is_for_those_who_vanish() {
    let broker = Mosquitto::start();
    let sub = subscriber(&broker, "%t %p %q");
    for (signal, id) in [("TERM", "polite"), ("KILL", "killed")] {
        let line = format!(
            "pub BROKER -t a -l -i {id} --will-topic {id}/gone --will-payload bye --will-qos 2 \
             -D will content-type text/plain"
        );
        let running = Running::start(&mut everlink(words(&line, &broker)));
        wait_until("connected", || broker.log().contains(&format!("Sending CONNACK to {id}")));
        running.signal(signal);
        running.end();
    }
    wait_until("the will", || sub.count() >= 1);
    assert_eq!(sub.lines(), ["killed/gone bye 2"]);
}

#[test]
fn properties_arrive() {
    let broker = Mosquitto::start();
    let line = "sub BROKER -t # -q 1 -i watcher --json -C 1";
    let sub = Running::start(&mut everlink(words(line, &broker)));
    wait_subscribed(&broker, "watcher", 1);
    let line = "pub BROKER -t a -q 1 -m x -D publish content-type text/plain \
                -D publish user-property b 1 -D publish user-property a 2 \
                -D publish user-property -b --3 -D publish response-topic -r \
                -D publish correlation-data - -D publish payload-format-indicator 1 --expiry 100 \
                -D connect receive-maximum 7 -D connect user-property who me";
    run_on(&broker, line).succeeds();
    let ran = sub.end();
    let message = &ran.json()[0];
    let properties = &message["properties"];
    assert_eq!(properties["content-type"], "text/plain");
    assert_eq!(
        properties["user-property"],
        serde_json::json!([["b", "1"], ["a", "2"], ["-b", "--3"]])
    );
    assert_eq!(properties["response-topic"], "-r");
    assert_eq!(properties["correlation-data"], "-");
    assert_eq!(properties["payload-format-indicator"], 1);
    assert!(
        properties["message-expiry-interval"].as_u64().is_some_and(|s| (98..=100).contains(&s))
    );
}

/// A session is kept only where that was asked for.
#[test]
fn sessions_are_left_as_asked() {
    for version in ["5", "311"] {
        let broker = Mosquitto::start();
        let begin = |line: &str, resumed: bool| {
            let ran = run_on(&broker, &format!("pub BROKER -t a -m x -d -V {version} {line}"));
            assert_eq!(ran.code, Some(0), "{ran:?}");
            let words = format!("resumed={resumed}");
            assert!(ran.stderr.contains(&words), "{version} {line}: {ran:?}");
        };
        begin("-q 2 -i a", false);
        begin("-q 1 -i a -c", false);
        begin("-q 1 -i a -c", true);
        begin("-q 2 -i a", false);
        begin("-q 1 -i a -c", false);
        // The derived identifier is the same each time, and another for another topic.
        begin("-q 1 -c", false);
        begin("-q 1 -c", true);
    }
}
