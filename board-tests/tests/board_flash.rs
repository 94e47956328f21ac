//! Flash of a board that loses power holds what real NOR flash would.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use board_tests::{Board, Firmware, TempDir};

const PATIENCE: Duration = Duration::from_secs(30);
const KIB: usize = 16;
/// Words in a sector.
const WORDS: usize = 1024;
const ERASED: u32 = u32::MAX;
/// What `board-tests` is told by the board that cuts its own power.
const POWER_CUT: i32 = 103;

/// The words of a sector after `torture` has written it in `round`; erased before round 0.
fn full(round: Option<u32>, sector: usize) -> Vec<u32> {
    let word = |place| round.map_or(ERASED, |round| round << 16 | (sector as u32) << 10 | place);
    (0..WORDS as u32).map(word).collect()
}

fn sectors(image: &Path) -> Vec<Vec<u32>> {
    let bytes = fs::read(image).expect("the board made its flash");
    assert_eq!(bytes.len(), KIB * 1024);
    let word = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    bytes.chunks(WORDS * 4).map(|sector| sector.chunks(4).map(word).collect()).collect()
}

/// What `torture` was doing in a sector.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// So many words are erased; the rest is of the round before.
    Erasing(usize),
    /// So many words are written; the rest is erased.
    Writing(usize),
}

/// Which sector `torture` was at, in which round, and what it was doing there. Panics when no power
/// loss explains the image. The step that was cut may have left `torn` words of any value.
fn read_back(sectors: &[Vec<u32>], torn: usize) -> (u32, usize, Progress) {
    let first = sectors[0][0] >> 16;
    let last = sectors[sectors.len() - 1][0];
    let (round, at) = if sectors[0] == full(Some(first), 0) {
        let unfinished = |&sector: &usize| sectors[sector] != full(Some(first), sector);
        (first, (1..sectors.len()).find(unfinished).unwrap_or(sectors.len() - 1))
    } else {
        (if last == ERASED { 0 } else { (last >> 16) + 1 }, 0)
    };
    let before = round.checked_sub(1);
    for (sector, words) in sectors.iter().enumerate().skip(at + 1) {
        assert!(*words == full(before, sector), "sector {sector}, after {at} in round {round}");
    }
    (round, at, progress(&sectors[at], &full(Some(round), at), &full(before, at), torn))
}

fn progress(words: &[u32], new: &[u32], old: &[u32], torn: usize) -> Progress {
    // Words from the start that are right, and whether all is right after at most `torn` others.
    let explained = |head: &dyn Fn(usize) -> bool, tail: &dyn Fn(usize) -> bool| {
        let right = (0..words.len()).take_while(|&word| head(word)).count();
        (right + torn..words.len()).all(tail).then_some(right)
    };
    let erased = |word: usize| words[word] == ERASED;
    let writing = explained(&|word| words[word] == new[word], &erased).map(Progress::Writing);
    let erasing = explained(&erased, &|word| words[word] == old[word]).map(Progress::Erasing);
    writing.or(erasing).unwrap_or_else(|| panic!("no power loss leaves this: {words:x?}"))
}

#[test]
fn a_killed_board_leaves_flash_as_it_was_at_that_instant() {
    let probe = Firmware::build("probe");
    let mut seen = Vec::new();
    // Instants are the host's: no seed would bring them back.
    let mut noise = SystemTime::UNIX_EPOCH.elapsed().map_or(1, |now| now.subsec_nanos());
    for _ in 0..8 {
        let dir = TempDir::new();
        let image = dir.join("flash");
        let mut board =
            Board::with(&probe).flash(&image).arg("flash-kib", KIB).without_network().start();
        board.wait_for("ready", PATIENCE);
        board.send("torture");
        board.wait_for("torture round=0", PATIENCE);
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        std::thread::sleep(Duration::from_micros(u64::from(noise % 60_000)));
        board.kill();
        seen.push(read_back(&sectors(&image), 0));
    }
    // Not always between two sectors.
    let inside = |(_, _, Progress::Erasing(words) | Progress::Writing(words)): &&_| {
        (1..WORDS).contains(words)
    };
    assert!(seen.iter().filter(inside).count() >= 1, "{seen:?}");
}

#[test]
fn a_power_cut_tears_the_board_at_the_very_step() {
    /// Steps of a sector: 16 of erasing, then its words.
    const STEPS: usize = 16 + WORDS;
    let probe = Firmware::build("probe");
    let cut = |step: usize| {
        let dir = TempDir::new();
        let image = dir.join("flash");
        let mut board = Board::with(&probe)
            .flash(&image)
            .arg("flash-kib", KIB)
            .arg("cut-after", step)
            .without_network()
            .start();
        board.wait_for("ready", PATIENCE);
        board.send("torture");
        assert_eq!(board.wait_exit(PATIENCE), POWER_CUT);
        sectors(&image)
    };
    // In the first round, in the word after 5 of the second sector.
    let image = cut(STEPS + 16 + 5);
    assert_eq!(read_back(&image, 1), (0, 1, Progress::Writing(5)));
    let (torn, whole) = (image[1][5], full(Some(0), 1)[5]);
    // Half of its bits that should be 0 are.
    assert_eq!((torn & 0xffff, torn & whole), (whole & 0xffff, whole));
    assert!(torn != whole && torn != ERASED, "{torn:#x}");

    // In the second round, in the third piece of the erasure of the third sector.
    let image = cut(4 * STEPS + 2 * STEPS + 2);
    let (round, sector, progress) = read_back(&image, 64);
    assert_eq!((round, sector), (1, 2));
    assert!(matches!(progress, Progress::Erasing(128..192)), "{progress:?}");
    assert_ne!(image[2][128..192], full(Some(0), 2)[128..192]);
}
