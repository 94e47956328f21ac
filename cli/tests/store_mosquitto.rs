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

/// Where nobody listens.
const NO_BROKER: &str = "-h 127.0.0.1 -p 1";

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

/// What a receiver that is killed has printed and not yet stored comes again; what is stored does not.
#[test]
fn a_receiver_that_is_killed_loses_nothing() {
    const COUNT: usize = 10_000;
    let broker = Mosquitto::with(KEPT);
    let scratch = Scratch::new("receiver");
    let (store, output) = (scratch.path("store"), scratch.path("output"));
    let start = || {
        let mut file = File::options();
        let file = file.append(true).create(true).open(&output).expect("the output");
        let line = format!("sub BROKER -t t -q 2 -i receiver --store {store} --quiet");
        let mut command = everlink(words(&line, &broker));
        command.stdout(file).spawn().expect("the command starts")
    };
    let printed = || -> Vec<usize> {
        let text = std::fs::read_to_string(&output).expect("the output");
        text.lines().map(|l| l.parse().expect("a number")).collect()
    };
    let mut child = start();
    common::wait_subscribed(&broker, "receiver", 1);
    let line = words("pub BROKER -t t -q 2 -l --quiet", &broker);
    let send = |numbers: std::ops::RangeInclusive<usize>| {
        let text: Vec<u8> = numbers.flat_map(|n| format!("{n}\n").into_bytes()).collect();
        common::run_with_input(&mut everlink(&line), &text).succeeds();
    };
    let killed = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(1..=COUNT));
        let (mut killed, mut before) = (0, 0);
        while before < COUNT {
            std::thread::sleep(Duration::from_millis(fastrand::u64(20..200)));
            let now = printed().len();
            if now > before {
                before = now;
                child.kill().expect("killed");
                child.wait().expect("ended");
                killed += 1;
                child = start();
            }
        }
        sender.join().expect("all is sent");
        killed
    });
    wait_at_most(Duration::from_secs(60), "all is received", || printed().contains(&COUNT));
    let mut seen = vec![false; COUNT + 1];
    let first: Vec<usize> =
        printed().into_iter().filter(|n| !std::mem::replace(&mut seen[*n], true)).collect();
    assert!(first.into_iter().eq(1..=COUNT), "none is lost, in order");
    println!("killed {killed} times, {} messages again", printed().len() - COUNT);
    assert!(killed > 0);

    wait_settled(&store);
    child.kill().expect("killed");
    child.wait().expect("ended");
    let there = printed();
    let mut child = start();
    send(0..=0);
    wait_at_most(Duration::from_secs(60), "one more is received", || printed().last() == Some(&0));
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(printed().len(), there.len() + 1, "nothing comes again that was stored");
}

/// So many lines of about 250 bytes.
fn long_lines(count: usize) -> Vec<u8> {
    (1..=count).flat_map(|n| format!("{n:06} {}\n", "x".repeat(240)).into_bytes()).collect()
}

fn bytes_in(directory: &str) -> u64 {
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|facts| facts.len()).sum()
}

/// Waits until the size of the store stays the same for a while.
fn wait_settled(store: &str) -> u64 {
    let mut last = 0;
    loop {
        std::thread::sleep(Duration::from_millis(700));
        let now = bytes_in(store);
        if now == last && now > 1000 {
            return now;
        }
        last = now;
    }
}

/// A file with lines, and a receiver for them.
fn set_up(broker: &Mosquitto, scratch: &Scratch, lines: usize) -> (PathBuf, Running) {
    let input = PathBuf::from(scratch.path("input"));
    std::fs::write(&input, long_lines(lines)).expect("the input");
    let line = "sub BROKER -t t -q 2 -c -i receiver -x 600 --quiet";
    let mut receiver = Running::start(&mut everlink(words(line, broker)));
    drop(receiver.stdin.take());
    common::wait_subscribed(broker, "receiver", 1);
    (input, receiver)
}

fn received(receiver: &Running, count: usize) -> Vec<usize> {
    wait_at_most(Duration::from_secs(60), "all is received", || receiver.count() >= count);
    receiver.lines().iter().map(|l| l[..6].parse().expect("a number")).collect()
}

/// The most memory that a process has had, in KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    // Not there when the process has just ended.
    let line = status.lines().find(|l| l.starts_with("VmHWM"));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

#[test]
fn a_queue_longer_than_memory_waits_on_disk() {
    const COUNT: usize = 60_000;
    let broker = Mosquitto::with(KEPT);
    let scratch = Scratch::new("long");
    let (input, receiver) = set_up(&broker, &scratch, COUNT);
    let store = scratch.path("store");
    let start = |broker_is: &str| {
        let line = format!("pub {broker_is} -i me -t t -q 2 -l --store {store} --durability none");
        let mut command = everlink(words(&line, &broker));
        command.arg("--quiet").stdin(File::open(&input).expect("the input"));
        command.spawn().expect("the command starts")
    };
    let mut child = start(NO_BROKER);
    assert!(wait_settled(&store) > 15_000_000);
    let first = peak_memory(child.id());
    child.kill().expect("killed");
    child.wait().expect("ended");
    let mut child = start("BROKER");
    let mut second = 0;
    wait_at_most(Duration::from_secs(60), "half is received", || {
        second = peak_memory(child.id()).max(second);
        receiver.count() >= COUNT / 2
    });
    let numbers = received(&receiver, COUNT);
    // A debug build without a queue has some 20 MiB.
    assert!(first.min(second) > 0 && first.max(second) < 60_000, "{first} and {second} KiB");
    assert_eq!(common::wait(&mut child).code(), Some(0));
    assert!(numbers.into_iter().eq(1..=COUNT), "each once, in order");
    assert!(bytes_in(&store) < 10_000_000, "files are given back");
}

#[test]
fn a_full_store_is_a_full_queue() {
    const COUNT: usize = 8000;
    let broker = Mosquitto::with(KEPT);
    let scratch = Scratch::new("full");
    let (input, receiver) = set_up(&broker, &scratch, COUNT);
    let store = scratch.path("store");
    let start = |broker_is: &str| {
        let line = format!("pub {broker_is} -i me -t t -q 2 -l --store {store} --quiet");
        let mut command = everlink(words(&line, &broker));
        command.args(["--store-limit", "1048576"]).stdin(File::open(&input).expect("the input"));
        command.spawn().expect("the command starts")
    };
    let mut child = start(NO_BROKER);
    let full = wait_settled(&store);
    assert!((500_000..=1_048_576).contains(&full), "{full}");
    child.kill().expect("killed");
    child.wait().expect("ended");
    let mut child = start("BROKER");
    // It waits for room, and no file is left behind meanwhile.
    wait_at_most(Duration::from_secs(60), "all is received", || {
        let bytes = bytes_in(&store);
        assert!(bytes <= 1_048_576, "{bytes}");
        receiver.count() >= COUNT
    });
    assert_eq!(common::wait(&mut child).code(), Some(0));
    assert!(received(&receiver, COUNT).into_iter().eq(1..=COUNT), "each once, in order");
}

#[test]
fn a_full_disk_holds_things_up_and_loses_nothing() {
    const COUNT: usize = 4000;
    let broker = Mosquitto::with(KEPT);
    let scratch = Scratch::new("disk");
    let (input, receiver) = set_up(&broker, &scratch, COUNT);
    let store = scratch.path("store");
    let line = format!("pub BROKER -t t -q 2 -l --store {store}");
    // No file may have more than 300 KiB, which is as if the disk were full.
    let mut command = std::process::Command::new("bash");
    command.args(["-c", "trap '' XFSZ; ulimit -Sf 300; exec \"$0\" \"$@\" < \"$INPUT\""]);
    command.arg(env!("CARGO_BIN_EXE_everlink")).args(words(&line, &broker)).env("INPUT", &input);
    let mut sender = Running::start(&mut command);
    drop(sender.stdin.take());
    let told =
        "cannot write: File too large (os error 27); what cannot be stored is held in memory";
    common::wait_until("it says so", || sender.errors().contains(told));
    let raised = std::process::Command::new("prlimit")
        .args(["--pid", &sender.pid().to_string(), "--fsize=unlimited"])
        .status();
    assert!(raised.expect("prlimit").success());
    let numbers = received(&receiver, COUNT);
    let ran = sender.end();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("store: it works again"), "{ran:?}");
    assert!(numbers.into_iter().eq(1..=COUNT), "each once, in order");
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
    let checked = run(["store", "check", &store]);
    checked.succeeds();
    assert!(checked.text().starts_with("0 messages of client \"me\", "), "{checked:?}");
    // The first frame begins behind 28 bytes.
    let file = std::fs::read_dir(&store).expect("the store").flatten().map(|e| e.path());
    let file = file.into_iter().find(|p| p.extension().is_some()).expect("a file");
    let mut bytes = std::fs::read(&file).expect("a file");
    bytes[40] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    let damaged = run_on(&broker, &format!("pub BROKER -t t -m m --store {store}"));
    let words = format!("{} is damaged at byte 28", file.display());
    damaged.fails(1, &words);
    run(["store", "check", &store]).fails(1, &words);
    run(["store", "check", &format!("{store}/none")]).fails(1, "is not a directory");
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
