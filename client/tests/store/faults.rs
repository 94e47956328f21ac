//! Every single change to a file goes wrong once: the power goes, the disk is full, the disk fails and
//! forgets. What was durable is there afterwards, what was not is there whole or not at all.

use std::collections::BTreeMap;

use everlink::store::Log;

use crate::disk::{Faulty, How};

/// Small files, so that new ones are begun, old ones removed and written anew.
const FILE: u64 = 1500;
/// Ways in which what was not durable survives, for each place where the power goes.
const WAYS: u64 = 4;

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    pub next: u64,
    pub messages: BTreeMap<u64, Vec<u8>>,
    pub notes: BTreeMap<u8, Vec<u8>>,
}

pub fn read(log: &mut Log<Faulty>) -> Model {
    let mut messages = BTreeMap::new();
    let mut last = 0;
    log.rewind();
    log.read(0, true, &mut |number, _, value| {
        assert!(number > last, "in order");
        last = number;
        messages.insert(number, value.to_vec());
        true
    })
    .expect("readable");
    assert_eq!(log.held().0, messages.len() as u64);
    log.rewind();
    let notes = (0..4).filter(|k| !log.noted(*k).is_empty());
    let notes = notes.map(|k| (k, log.noted(k).to_vec())).collect();
    Model { next: log.next_number(), messages, notes }
}

/// One round of a script: what one frame holds.
fn step(n: u64, model: &mut Model, log: &mut Log<Faulty>) {
    let mut random = fastrand::Rng::with_seed(n);
    for _ in 0..random.u64(0..4) {
        let value = vec![n as u8; random.usize(0..200)];
        log.put(model.next, &value);
        model.messages.insert(model.next, value);
        model.next += 1;
    }
    // Mostly the oldest comes to its end; one stays for long.
    let most = if n % 40 < 25 { 1 } else { 5 };
    for _ in 0..random.u64(0..=most) {
        let old = model.messages.keys().copied().nth(random.usize(0..2));
        if let Some(number) = old.filter(|n| *n != 7 || model.next > 60) {
            let value = model.messages.remove(&number).unwrap();
            log.gone(number, value.len() as u32);
        }
    }
    if random.u8(0..3) == 0 {
        let key = random.u8(0..3);
        let value = vec![n as u8 + 1; random.usize(1..60)];
        log.note(key, &value);
        model.notes.insert(key, value);
    }
}

const STEPS: u64 = 110;

/// Runs the script until the power goes; what was last durable, and all that it may have become since.
fn run(disk: &Faulty, every: u64) -> Option<Vec<Model>> {
    let Ok(mut log) = Log::open(disk.clone(), FILE) else {
        return Some(vec![Model { next: 1, ..Model::default() }]);
    };
    let mut model = Model { next: 1, ..Model::default() };
    let mut possible = vec![model.clone()];
    for n in 0..STEPS {
        step(n, &mut model, &mut log);
        possible.push(model.clone());
        let sync = n % every == 0;
        let mut done = log.write(n as u32).and_then(|()| if sync { log.sync() } else { Ok(()) });
        done = done.and_then(|()| log.tidy().map(drop));
        for _ in 0..3 {
            if done.is_ok() || disk.is_dark() {
                break;
            }
            // A full disk: nothing is lost, and it is tried again.
            done =
                log.write(n as u32).and_then(|()| log.sync()).and_then(|()| log.tidy().map(drop));
        }
        match done {
            Err(error) => {
                assert!(disk.is_dark(), "{error}");
                return Some(possible);
            }
            Ok(()) if log.unsynced() == 0 => possible = vec![model.clone()],
            Ok(()) => {}
        }
    }
    assert_eq!(read(&mut log), model);
    log.sync().expect("power");
    None
}

fn power_goes_everywhere(every: u64) {
    let whole = Faulty::default();
    whole.failing_at(usize::MAX / 2, How::Power);
    assert!(run(&whole, every).is_none());
    assert!(whole.changes() > 150, "{}", whole.changes());
    for at in 0..whole.changes() {
        for way in 0..WAYS {
            let disk = Faulty::default();
            disk.failing_at(at, How::Power);
            let possible = run(&disk, every).expect("the power went");
            let mut random = fastrand::Rng::with_seed(at as u64 * WAYS + way);
            let found = disk.after_power_loss(&mut random);
            let mut log = Log::open(found.clone(), FILE)
                .unwrap_or_else(|e| panic!("at change {at}, way {way}: {e}"));
            let there = read(&mut log);
            assert!(
                possible.contains(&there),
                "at change {at}, way {way}: {there:?}\n{possible:?}"
            );
            // And it goes on from there.
            let mut model = there;
            step(1000, &mut model, &mut log);
            log.write(0).and_then(|()| log.sync()).expect("power");
            drop(log);
            let mut random = fastrand::Rng::with_seed(way);
            let mut again = Log::open(found.after_power_loss(&mut random), FILE).expect("whole");
            assert_eq!(read(&mut again), model, "at change {at}, way {way}");
        }
    }
}

#[test]
fn power_goes_at_every_change() {
    power_goes_everywhere(1);
}

#[test]
fn power_goes_at_every_change_with_several_frames_not_durable() {
    power_goes_everywhere(5);
}

#[test]
fn a_change_that_fails_is_made_again() {
    for how in [How::Once, How::Forgets] {
        let whole = Faulty::default();
        whole.failing_at(usize::MAX / 2, how);
        run(&whole, 3);
        // Not the first ones: without them there is no log.
        for at in 6..whole.changes() {
            let disk = Faulty::default();
            disk.failing_at(at, how);
            assert!(run(&disk, 3).is_none(), "{how:?} at {at}");
            let mut random = fastrand::Rng::with_seed(at as u64);
            let mut log = Log::open(disk.after_power_loss(&mut random), FILE)
                .unwrap_or_else(|e| panic!("{how:?} at {at}: {e}"));
            let mut expected = Log::open(whole.copy(), FILE).expect("whole");
            assert_eq!(read(&mut log), read(&mut expected), "{how:?} at {at}");
        }
    }
}

#[test]
fn half_a_frame_does_not_stay_in_a_full_file() {
    let disk = Faulty::default();
    disk.failing_at(usize::MAX / 2, How::Once);
    let mut log = Log::open(disk.clone(), 300).expect("a new log");
    log.put(1, &[1; 300]);
    log.write(0).and_then(|()| log.sync()).expect("written");
    log.put(2, &[2; 300]);
    disk.failing_at(0, How::Once);
    log.write(0).expect_err("a full disk");
    assert_eq!(disk.logs().len(), 1);
    log.tidy().expect("a new file is begun");
    assert_eq!(disk.logs().len(), 2);
    log.write(0).and_then(|()| log.sync()).expect("written there");
    let mut again = Log::open(disk, 300).expect("whole");
    again.check().expect("whole");
    assert_eq!(again.held().0, 2);
}
