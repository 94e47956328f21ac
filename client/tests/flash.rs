//! Records on flash: every write and every erasure torn at every word.
#![cfg(feature = "flash")]

mod board;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use board::flash::{PAGE, Torn, WORD};
use everlink::embedded::{Flash, Medium, SleepMemory};

const PAGES: usize = 4;
const LARGEST: usize = 60;
const KEYS: u16 = 5;

type Records = BTreeMap<u16, Vec<u8>>;

/// Nothing here ever waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// What is written, in order: more than the pages hold, so that each is erased several times.
fn script() -> impl Iterator<Item = (u16, Vec<u8>)> {
    (0..120_usize).map(|n| {
        let len = if n % 4 == 3 { 0 } else { (n * 13) % LARGEST };
        ((n * 7) as u16 % KEYS, vec![n as u8; len])
    })
}

fn apply(records: &mut Records, key: u16, value: &[u8]) {
    match value.is_empty() {
        true => drop(records.remove(&key)),
        false => drop(records.insert(key, value.to_vec())),
    }
}

fn read_all(medium: &mut impl Medium<Error: std::fmt::Debug>) -> Records {
    let mut all = BTreeMap::new();
    let mut value = [0; LARGEST];
    for key in 0..KEYS {
        let len = now(medium.get(key, &mut value)).expect("readable");
        apply(&mut all, key, &value[..len]);
    }
    all
}

/// Writes the script until the power goes; what should be there, and what was being written then.
fn write_until_dark(chip: &Torn) -> (Records, Option<(u16, Vec<u8>)>) {
    let mut work = [0; 128];
    let mut flash = Flash::new(chip.clone(), chip.range(), &mut work);
    let mut there = BTreeMap::new();
    for (key, value) in script() {
        if now(flash.put(key, &value)).is_err() {
            return (there, Some((key, value)));
        }
        apply(&mut there, key, &value);
    }
    (there, None)
}

#[test]
fn torn_at_every_word_it_holds_the_old_or_the_new() {
    let whole = Torn::new(PAGES, usize::MAX);
    write_until_dark(&whole);
    assert!(whole.words() > 5 * PAGE * PAGES / WORD, "each page is erased several times");
    for words in 0..whole.words() {
        let chip = Torn::new(PAGES, words);
        let (mut expected, torn) = write_until_dark(&chip);
        let (key, value) = torn.expect("the power went");
        chip.revive(usize::MAX);
        let mut work = [0; 128];
        let mut flash = Flash::new(chip.clone(), chip.range(), &mut work);
        let found = read_all(&mut flash);
        if found != expected {
            // All but that one is as it was, and that one is new.
            apply(&mut expected, key, &value);
            assert_eq!(found, expected, "torn at word {words}");
        }
        // And it goes on from there.
        now(flash.put(3, b"after")).expect("writable");
        apply(&mut expected, 3, b"after");
        assert_eq!(read_all(&mut flash), expected, "written after a tear at word {words}");
    }
}

#[test]
fn memory_that_survives_sleep_holds_records_too() {
    let mut memory = vec![0xa5; 1024];
    let mut work = [0; 128];
    {
        let sleep = SleepMemory::new(&mut memory);
        let range = sleep.range();
        let mut fresh = Flash::new(sleep, range, &mut work);
        // As found after a loss of power.
        let mut value = [0; LARGEST];
        let readable = now(fresh.get(1, &mut value));
        assert!(!matches!(readable, Ok(1..)), "{readable:?}");
        now(fresh.erase()).expect("erased");
        now(fresh.put(1, b"one")).expect("written");
    }
    let sleep = SleepMemory::new(&mut memory);
    let range = sleep.range();
    let mut again = Flash::new(sleep, range, &mut work);
    assert_eq!(read_all(&mut again), BTreeMap::from([(1, b"one".to_vec())]));
}

#[test]
fn a_record_larger_than_the_buffer_is_an_error() {
    let chip = Torn::new(PAGES, usize::MAX);
    let mut work = [0; 128];
    let mut flash = Flash::new(chip.clone(), chip.range(), &mut work);
    now(flash.put(1, &[7; 40])).expect("written");
    assert!(now(flash.get(1, &mut [0; 39])).is_err());
    assert!(now(flash.put(1, &[7; 500])).is_err());
    assert_eq!(now(flash.get(1, &mut [0; 40])).expect("as before"), 40);
}
