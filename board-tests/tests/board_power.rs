//! The board loses power at random instants, its flash kept: nothing it stored is lost, nothing is doubled
//! at QoS 2 while the broker keeps the session.

use std::collections::BTreeMap;
use std::time::Duration;

use board_tests::{Board, Broker, Firmware, Ledger, TempDir};

const PATIENCE: Duration = Duration::from_secs(60);

/// How often the power goes. `EVERLINK_POWER_CUTS` says otherwise.
fn cuts() -> u32 {
    std::env::var("EVERLINK_POWER_CUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(100)
}

/// A sequence that looks random and is the same in each run.
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What the board said of its messages: number and start of each one known to be in flash.
#[derive(Default)]
struct Said {
    stored: Vec<(u32, u32)>,
    /// What the broker refused.
    refused: Vec<String>,
    /// All that the board logged, by start.
    logs: Vec<String>,
    next: u32,
}

impl Said {
    /// What a person needs to see who looks for lost messages.
    fn explain(&self, lost: &[&(u32, u32)], broker: &Broker) {
        for (n, boot) in lost {
            for boot in *boot..(*boot + 2).min(self.logs.len() as u32) {
                eprintln!("message {n}: start {boot}:\n{}", self.logs[boot as usize]);
            }
        }
        eprintln!("the broker:\n{}", broker.log());
    }

    fn read(&mut self, board: &Board) {
        for line in board.lines().iter().filter(|l| l.text.starts_with("stored ")) {
            self.stored.push((line.value("n"), line.value("boot")));
        }
        let lines = board.lines();
        let refused = lines.iter().filter(|l| l.text.starts_with("refused "));
        self.refused.extend(refused.map(|l| l.text.clone()));
        self.logs.push(board.raw_log());
        self.next = self.stored.last().map_or(0, |(n, _)| n + 1);
    }
}

fn loses_power_again_and_again(version: u16, seed: u64) {
    let broker = Broker::start();
    let ledger = Ledger::follow(&broker, "keep");
    let dir = TempDir::new();
    let image = dir.join("flash");
    let (mut noise, mut said) = (Noise(seed), Said::default());
    let mut cut_in_a_word = 0;
    let setup = |boot: u32, first: u32, last: u32| {
        Board::with(&Firmware::build("keep"))
            .flash(&image)
            .arg("port", broker.port())
            .arg("version", version)
            .arg("id", "keeper")
            .arg("clean", 0)
            .arg("flash-kib", 16)
            .arg("boot", boot)
            .arg("first", first)
            .arg("last", last)
    };
    for boot in 0..cuts() {
        // Half of the time in the middle of a word, else whenever.
        let exact = boot % 2 == 0;
        let mut start = setup(boot, said.next, u32::MAX);
        if exact {
            start = start.arg("cut-after", noise.below(400));
        }
        let mut board = start.start();
        if exact {
            cut_in_a_word += u32::from(board.wait_exit(PATIENCE) == 103);
        } else {
            let stored = 1 + noise.below(20);
            (0..stored).for_each(|_| drop(board.wait_for("stored ", PATIENCE)));
            board.kill();
        }
        said.read(&board);
    }
    let last = said.next + 5;
    let mut board = setup(cuts(), said.next, last).start();
    let found = board.wait_for("found ", PATIENCE);
    println!("{} cuts, {cut_in_a_word} of them in a word; {}", cuts(), found.text);
    assert_eq!(found.value::<u16>("damaged"), 0);
    assert_eq!(board.wait_exit(PATIENCE), 0, "{}", board.raw_log());
    said.read(&board);
    let text = |(n, boot): &(u32, u32)| format!("{n} {boot}");
    // Not only the last one: a message of QoS 1 overtakes one of QoS 2 that was sent before it.
    let received = ledger.received_all("keep", said.stored.iter().map(text), PATIENCE);

    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    received.iter().for_each(|text| *times.entry(text).or_default() += 1);
    let lost: Vec<_> = said.stored.iter().filter(|m| !times.contains_key(&*text(m))).collect();
    if !lost.is_empty() {
        said.explain(&lost, &broker);
    }
    assert!(lost.is_empty(), "lost: {lost:?}; {:?}", said.refused);
    let number = |text: &str| text.split(' ').next().and_then(|n| n.parse::<u32>().ok());
    let is_qos2 = |text: &str| number(text).is_some_and(|n| n % 2 == 0);
    let doubled: Vec<_> = times.iter().filter(|(t, n)| is_qos2(t) && **n > 1).collect();
    assert!(doubled.is_empty(), "doubled at QoS 2: {doubled:?}");
    let mut first: Vec<&str> = Vec::new();
    received.iter().for_each(|t| {
        if !first.contains(&&**t) {
            first.push(t)
        }
    });
    // Each QoS for itself: the broker passes a QoS 2 message on when PUBREL comes.
    for qos2 in [false, true] {
        let numbers = first.iter().filter(|t| is_qos2(t) == qos2).filter_map(|t| number(t));
        assert!(numbers.is_sorted(), "out of order: {first:?}");
    }
    println!("version {version}: {} stored, {} received", said.stored.len(), received.len());
    assert!(cut_in_a_word > 0);
}

#[test]
fn nothing_the_board_stored_is_lost_with_its_power_v5() {
    loses_power_again_and_again(5, 0x9e37_79b9_7f4a_7c15);
}

#[test]
fn nothing_the_board_stored_is_lost_with_its_power_v311() {
    loses_power_again_and_again(311, 0xd1b5_4a32_d192_ed03);
}
