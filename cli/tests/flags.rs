//! Mistakes: one line on standard error, and the documented exit code.

mod common;

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;

use common::{Running, everlink, run, run_with_input};

fn fails(line: &str, code: i32, words: &str) {
    run(line.split(' ')).fails(code, words);
}

#[test]
fn wrong_flags() {
    for (line, words) in [
        ("pub -t a -m b --fish", "unexpected argument '--fish'"),
        ("pub -t a", "-m"),
        ("pub -t a -m b -l", "cannot be used with"),
        ("pub -m b", "topic is missing"),
        ("pub -t a/# -m b", "topic"),
        ("pub -t a -L mqtt://h/b -m c", "two topics"),
        ("pub -t a -m b -q 3", "QoS is 0, 1 or 2"),
        ("pub -t a -m b -V 4", "the versions are 5 and 311"),
        ("pub -t a -m b -p 0", "--port"),
        ("pub -t a -m b -p 70000", "--port"),
        ("pub -t a -m b -k 65536", "--keepalive"),
        ("pub -t a -m b --window 0", "--window"),
        ("pub -t a -m b --queue-messages 0", "--queue-messages"),
        ("pub -t a -m b --when-full fish", "drop-oldest"),
        ("pub -t a -m b --first-connect retry", "retry:N"),
        ("pub -t a -m b --drain x", "number of seconds"),
        ("pub -t a -m b --expiry 0", "longer than 0 s"),
        ("pub -t a -m b -L http://h", "unknown scheme"),
        ("pub -t a -m b -L udp://h", "not supported in this build"),
        ("pub -t a -m b -h x:y", "-h: "),
        ("pub -t a -m b --cafile /does/not/exist", "/does/not/exist: No such file or directory"),
        ("pub -t a -m b --cafile Cargo.toml", "Cargo.toml: there is no certificate in PEM form"),
        ("pub -t a -m b --cert=f", "--key"),
        ("pub -t a -m b --key=f", "--cert"),
        ("pub -t a -m b -L mqtt://h --cafile f", "--cafile: the broker's address has no TLS"),
        ("pub -t a -m b -L mqtt://h --insecure", "--insecure: the broker's address has no TLS"),
        ("pub -t a -m b -p 1883 --insecure --cafile f", "cannot be used with"),
        ("pub -t a -m b --server-name two,words", "--server-name: not a host name"),
        ("pub -t a -m b --capath d", "--capath is not offered: use --cafile"),
        ("pub -t a -m b --psk=1", "--psk is not offered: use certificates"),
        ("pub -t a -m b -L unix:///run/a -A 127.0.0.1", "-A: this broker is not reached over"),
        ("pub -t a -m b -L unix://run/a", "unix:///PATH"),
        (
            "pub -t a -m b -L unix:///run/a --proxy http://h:1",
            "--proxy: this broker is not reached",
        ),
        ("pub -t a -m b --proxy ftp://h", "proxy: \"ftp\" is no proxy; write http://HOST:PORT or"),
        ("pub -t a -m b --proxy http://h", "proxy: the port must be a number"),
        ("pub -t a -m b --ws-header a:b", "--ws-header: the broker's address is no WebSocket"),
        ("pub -t a -m b -L mqttsn://h --trace", "--trace: it reads MQTT, not the MQTT-SN"),
        ("pub -t a -m b -L mqttsn://h --record /tmp/r", "--record: it reads MQTT, not the MQTT-SN"),
        ("pub -t a -m b -L ws://h --ws-header ab", "a header is written \"Name: value\""),
        (
            "pub -t a -m b -L serial:///dev/ttyS0?baud=x",
            "\"baud=x\" is no setting of a serial line",
        ),
        ("pub -t a -m b -L serial://ttyS0", "serial:///PATH"),
        ("pub -m b -L ws://h/topic", "a topic is missing"),
        ("pub -t a -f /does/not/exist", "-f /does/not/exist"),
        ("pub -t a -m b -u u --password-file /does/not/exist", "--password-file"),
        ("pub -t a -m b -V 311 -P p", "only with a user name"),
        ("pub -t a -m b -V 311 -x 5", "-x: MQTT 3.1.1"),
        ("pub -t a -m b -V 311 -D publish content-type x", "-D: MQTT 3.1.1"),
        ("pub -t a -m b -D publish content-type", "--property"),
        ("pub -t a -m b -D fish content-type x", "fish"),
        ("pub -t a -m b -D connect receive-maximum 0", "from 1 to 65535"),
        ("pub -t a -m b -D will content-type x", "no --will-topic"),
        ("pub -t a -m b -D subscribe user-property a b", "nothing is subscribed"),
        ("pub -t a -m b --will-payload x", "--will-topic"),
        ("pub -t a -m b --will-topic a/+", "--will-topic: "),
        ("pub -t a -m b -x 5 -D connect session-expiry-interval 6", "say the same"),
        ("sub", "a Topic Filter is missing"),
        ("sub -t a/#/b", "-t \"a/#/b\""),
        ("sub -t a -T b+", "-T \"b+\""),
        ("sub -t a -U b", "-U is about a session that was kept"),
        ("sub -t a -C 0", "-C"),
        ("sub -t a -F %Z", "%Z means nothing; known are %% %A %C"),
        ("sub -t a -F @Q", "@Q means nothing; known are @@ @A @B"),
        ("sub -t a -F \\z", "\\z means nothing; known are \\\\ \\0 \\a"),
        ("sub -t a -v --json", "cannot be used with"),
        ("sub -t a -V 311 --no-local", "no subscription options"),
        ("sub -t $share/g/a --no-local", "shared subscription"),
        ("fish", "unrecognized subcommand 'fish' (--help shows the commands)"),
        ("publ -t a", "perhaps pub?"),
        ("pub -t a -m b --topci c", "perhaps --topic?"),
        ("pub -t a -m b -p -1", "--port <PORT>': a whole number from 1 to 65535 is wanted"),
        ("pub -t a -m b -k -1", "a whole number from 0 to 65535 is wanted"),
        ("pub -t a -m b -k 1.5", "a whole number from 0 to 65535 is wanted"),
        ("pub -t a -m b -q -1", "QoS is 0, 1 or 2"),
        ("pub -t a -m b --drain -1", "number of seconds"),
        ("pub -t a -m b --repeat -1", "a whole number from 1 to"),
        ("pub -t a -m b -h a:1883", "(the port is given with -p)"),
        ("pub -t a -m b -h mqtt://a", "(a URL is given with -L)"),
        ("sub -t a -C -1", "a whole number from 1 to"),
        ("sub -t a -W -1", "number of seconds"),
    ] {
        let ran = run(line.split(' '));
        assert_eq!(ran.code, Some(1), "{line}: {ran:?}");
        ran.fails(1, words);
    }
}

#[test]
fn what_is_no_text() {
    let junk = OsStr::from_bytes(b"a\xff");
    let text = |s: &'static str| OsStr::new(s);
    for args in [
        [text("pub"), text("-t"), junk, text("-m"), text("b")],
        [text("sub"), text("-t"), text("a"), text("-i"), junk],
    ] {
        run(args).fails(1, "is not text in UTF-8");
    }
    let args = ["pub", "-m", "-t", "a", "-i"].map(text);
    run([args[0], args[1], junk, args[2], args[3], args[4], OsStr::from_bytes(b"b\xff")])
        .fails(1, "\"b\u{fffd}\" is not text");
}

#[test]
fn what_no_packet_can_hold() {
    let long = "x".repeat(65_536);
    for (flag, words) in [
        ("-i", "-i is longer than 65535 bytes"),
        ("-u", "-u is longer than 65535 bytes"),
        ("--will-payload", "--will-payload is longer than 65535 bytes"),
    ] {
        run(["pub", "-t", "a", "-m", "b", "--will-topic", "w", flag, &long]).fails(1, words);
    }
    run(["pub", "-m", "b", "-t", &long]).fails(1, "longer than 65535 bytes");
    let ran = run(["sub", "-t", &long]);
    ran.fails(1, "-t \"xxx");
    ran.fails(1, "longer than 65535 bytes");
    assert!(ran.stderr.len() < 1100, "not all of it");
}

#[test]
fn help_and_version_are_no_mistakes() {
    for line in ["--version", "--help", "pub --help", "sub --help"] {
        let ran = run(line.split(' '));
        ran.succeeds();
        let widest = ran.text().lines().map(|l| l.chars().count()).max();
        assert!(widest.is_some_and(|n| n <= 100), "{line}: {widest:?} columns");
    }
    assert!(run(["pub", "--help"]).text().contains("Exit codes:"));
    assert_eq!(run::<&str>([]).code, Some(1));
}

#[test]
fn nobody_there() {
    // Bound but not listening: nobody else gets the port.
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = closed.local_addr().expect("an address").port();
    drop(closed);
    fails(&format!("pub -h 127.0.0.1 -p {port} -t a -m b"), 3, "connection refused");
    fails(&format!("sub -p {port} -h 127.0.0.1 -t a --first-connect fail"), 3, "refused");
    let line = format!("pub -h 127.0.0.1 -p {port} -t a -m b --first-connect retry:2");
    let ran = run(line.split(' '));
    let wanted = format!(
        "everlink: cannot connect (tcp: connection refused), trying again\n\
         everlink: 127.0.0.1:{port}: tcp: connection refused\n"
    );
    assert_eq!((ran.code, ran.stderr), (Some(3), wanted));
    fails("pub -h everlink.invalid -t a -m b", 3, "host name not found");
}

/// What the broker says may be anything.
#[test]
fn one_line_whatever_the_broker_says() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let broker = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the command connects");
        stream.read_exact(&mut [0; 10]).expect("CONNECT");
        let words = b"no\n\x1b[31mway";
        let length = words.len() as u8;
        let mut connack = vec![0x20, length + 6, 0, 0x87, length + 3, 0x1f, 0, length];
        connack.extend_from_slice(words);
        stream.write_all(&connack).expect("it reads");
        // Until it leaves.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    fails(&format!("pub -h 127.0.0.1 -p {port} -t a -m b"), 2, "(no\\n\\u{1b}[31mway)");
    broker.join().expect("no panic");
}

#[test]
fn in_json_a_failure_has_its_sum_too() {
    let ran = run("pub -h everlink.invalid -t a -m b -q 1 --json".split(' '));
    ran.fails(3, "host name not found");
    let lines = ran.json();
    let first = &lines[0];
    assert_eq!((&first["state"], &first["stage"]), (&"down".into(), &"resolve".into()));
    assert_eq!(first["fault"], "host name not found");
    let sum = &lines[lines.len() - 1]["summary"];
    assert_eq!((&sum["accepted"], &sum["held"]), (&1.into(), &1.into()));
}

#[test]
fn a_password_is_not_in_the_list_of_processes() {
    // A listener that never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port().to_string();
    let url = format!("mqtt://alice:hunter2@127.0.0.1:{port}/a");
    for args in [
        vec![
            "pub",
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-t",
            "a",
            "-m",
            "b",
            "-u",
            "u",
            "-P",
            "hunter2",
        ],
        vec!["pub", "-L", &url, "-m", "b"],
    ] {
        let running = Running::start(&mut everlink(&args));
        // When the connection is there, the process is in its second life.
        let _connection = silent.accept().expect("the command connects");
        let path = format!("/proc/{}/cmdline", running.pid());
        let seen = std::fs::read(path).expect("the arguments of a process");
        let seen = String::from_utf8_lossy(&seen);
        assert!(seen.contains("pub") && seen.contains("***"), "{seen:?}");
        assert!(!seen.contains("hunter2"), "{seen:?}");
    }
}

#[test]
fn mistakes_do_not_repeat_passwords() {
    for line in ["pub -t a -m b -u u -P hunter2 --fish", "pub -L mqtt://u:hunter2@h:x/t -m b"] {
        let ran = run(line.split(' '));
        assert_eq!(ran.code, Some(1));
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    }
}

#[test]
fn a_line_of_input_too_many_is_no_mistake() {
    // The input is not even looked at when the flags are wrong.
    let ran = run_with_input(&mut everlink(["pub", "-l", "-t", "a", "-q", "9"]), &[b'x'; 100_000]);
    ran.fails(1, "QoS");
}
