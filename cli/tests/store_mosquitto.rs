//! `--store`: killed at random instants nothing is lost, nothing is doubled at QoS 2, and the order is kept.

mod common;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use common::mosquitto::Mosquitto;
use common::{Running, everlink, run, run_on, wait_at_most, words};

const LINES: usize = 50_000;
/// Kills for each quality of service; `EVERLINK_KILLS` asks for more.
const KILLS: usize = 10;
const KEPT: &str =
    "allow_anonymous true\nmax_queued_messages 0\npersistence true\npersistence_location DIR/\n";

/// A directory for one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("everlink-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn kills_wanted() -> usize {
    std::env::var("EVERLINK_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS)
}

/// One input, sent by as many runs as it takes because each is killed. How many were.
fn stream(broker: &Mosquitto, scratch: &Scratch, qos: u8, round: usize, kills: usize) -> usize {
    let input = scratch.path("input");
    let mut file = File::create(&input).expect("the input");
    (1..=LINES).for_each(|n| writeln!(file, "{n:06} {}", "x".repeat(n % 90)).expect("a line"));
    let topic = format!("kills/{qos}/{round}");
    let mut receiver = Running::start(&mut everlink(words(
        &format!("sub BROKER -t {topic} -q {qos} -c -i receiver-{qos}-{round} -x 600 --quiet"),
        broker,
    )));
    drop(receiver.stdin.take());
    common::wait_subscribed(broker, &format!("receiver-{qos}-{round}"), 1);

    let store = scratch.path(&format!("store-{round}"));
    let line = format!("pub BROKER -t {topic} -q {qos} -l --store {store} -i sender-{qos}-{round}");
    let mut killed = 0;
    loop {
        let mut command = everlink(words(&line, broker));
        command.stdin(File::open(&input).expect("the input")).stderr(Stdio::null());
        let mut child = command.spawn().expect("the command starts");
        if killed < kills {
            std::thread::sleep(Duration::from_millis(fastrand::u64(5..300)));
            if child.try_wait().expect("its state").is_none() {
                child.kill().expect("killed");
                child.wait().expect("ended");
                killed += 1;
                continue;
            }
        }
        assert_eq!(common::wait(&mut child).code(), Some(0));
        break;
    }
    wait_at_most(Duration::from_secs(60), "all is received", || receiver.count() >= LINES);
    check(&receiver.lines(), qos);
    killed
}

fn check(lines: &[String], qos: u8) {
    let numbers: Vec<usize> = lines.iter().map(|l| l[..6].parse().expect("a number")).collect();
    let mut seen = vec![false; LINES + 1];
    let mut first = Vec::with_capacity(LINES);
    for n in numbers {
        assert!(!seen[n] || qos < 2, "{n} came twice");
        if !std::mem::replace(&mut seen[n], true) {
            first.push(n);
        }
    }
    assert!(first.is_sorted(), "in order");
    assert_eq!(first.len(), LINES, "none is lost");
}

fn kill_again_and_again(qos: u8) {
    let broker = Mosquitto::with(KEPT);
    let scratch = Scratch::new(&format!("kills-{qos}"));
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    fastrand::seed(seed);
    let (mut killed, mut round) = (0, 0);
    while killed < kills_wanted() {
        killed += stream(&broker, &scratch, qos, round, kills_wanted() - killed);
        round += 1;
    }
    println!("QoS {qos}: killed {killed} times, {round} times {LINES} lines");
}

#[test]
fn killed_at_random_instants_at_qos_1() {
    kill_again_and_again(1);
}

#[test]
fn killed_at_random_instants_at_qos_2() {
    kill_again_and_again(2);
}

#[test]
fn a_second_process_is_told_who_has_it() {
    let broker = Mosquitto::start();
    let scratch = Scratch::new("lock");
    let store = scratch.path("store");
    let line = format!("sub BROKER -t t -q 1 --store {store} -i first");
    let mut first = Running::start(&mut everlink(words(&line, &broker)));
    drop(first.stdin.take());
    common::wait_subscribed(&broker, "first", 1);
    let ran = run_on(&broker, &format!("pub BROKER -t t -m m --store {store}"));
    ran.fails(1, &format!("{store} is in use by process {}", first.pid()));
}

#[test]
fn what_is_wrong_is_said() {
    let scratch = Scratch::new("wrong");
    let store = scratch.path("store");
    let broker = Mosquitto::start();
    run_on(&broker, &format!("pub BROKER -t t -m m -q 1 --store {store} -i me --quiet")).succeeds();
    let other = run_on(&broker, &format!("pub BROKER -t t -m m --store {store} -i you"));
    other.fails(1, "the store belongs to client \"me\", not to \"you\"");
    run(["pub", "-t", "t", "-m", "m", "-I", "p", "--store", &store]).fails(1, "-i");
    let flags = run(["pub", "-t", "t", "-m", "m", "--store", &store, "--durability", "often"]);
    assert!(flags.code == Some(1) && flags.stderr.contains("milliseconds"), "{flags:?}");
    let flags = run(["pub", "-t", "t", "-m", "m", "--store", &store, "--store-limit", "5"]);
    assert!(flags.code == Some(1) && flags.stderr.contains("1048576"), "{flags:?}");
    let flags = run(["pub", "-t", "t", "-m", "m", "--durability", "none"]);
    assert!(flags.code == Some(1) && flags.stderr.contains("--store"), "{flags:?}");
    // The first frame begins behind 28 bytes.
    let file = std::fs::read_dir(&store).expect("the store").flatten().map(|e| e.path());
    let file = file.into_iter().find(|p| p.extension().is_some()).expect("a file");
    let mut bytes = std::fs::read(&file).expect("a file");
    bytes[40] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    let damaged = run_on(&broker, &format!("pub BROKER -t t -m m --store {store}"));
    damaged.fails(1, &format!("{} is damaged at byte 28", file.display()));
}

#[test]
fn json_tells_what_is_stored() {
    let broker = Mosquitto::start();
    let scratch = Scratch::new("stored");
    let line = format!("pub BROKER -t t -l -q 1 --json --store {} --quiet", scratch.path("store"));
    let mut command = everlink(words(&line, &broker));
    let ran = common::run_with_input(&mut command, b"a\nb\n");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for n in 1..=2 {
        let of: Vec<_> = ran.json().into_iter().filter(|v| v["n"] == n).collect();
        let delivered = of.iter().position(|v| v["outcome"] == "delivered").expect("delivered");
        // Stored first, unless the broker was faster than the disk.
        let stored = of.iter().position(|v| v["stored"] == true);
        assert!(stored.is_none_or(|at| at < delivered), "{of:?}");
    }
}
