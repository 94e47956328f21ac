//! Damage: the end that was being written is cut off; anything else is said, with file and offset.

use everlink::store::{Log, StoreError};

use crate::disk::{Faulty, How};
use crate::faults::{Model, read};

const FILE: u64 = 100_000;

/// A log of frames with one message each, all durable, and what it held before the last of them.
fn written(frames: u64) -> (Faulty, Model, Model) {
    let disk = Faulty::default();
    disk.failing_at(usize::MAX / 2, How::Power);
    let mut log = Log::open(disk.clone(), FILE).expect("a new log");
    let mut before = Model::default();
    for n in 1..=frames {
        before = read(&mut log);
        log.put(n, &[n as u8; 100]);
        log.note(1, &[n as u8; 10]);
        log.write(0).and_then(|()| log.sync()).expect("written");
    }
    let last = read(&mut log);
    (disk, before, last)
}

/// Bytes of the newest file before its last frame was written.
fn len_before_last(frames: u64) -> usize {
    written(frames - 1).0.logs()[0].1
}

#[test]
fn the_last_record_truncated_at_every_byte() {
    let (disk, before, last) = written(5);
    let (start, end) = (len_before_last(5), disk.logs()[0].1);
    for len in start..=end {
        let copy = disk.copy();
        copy.edit(|bytes| bytes.truncate(len));
        let mut log = Log::open(copy, FILE).expect("all that was valid");
        let expected = if len == end { &last } else { &before };
        assert_eq!(&read(&mut log), expected, "cut at byte {len}");
    }
}

#[test]
fn the_last_record_changed_at_every_byte() {
    let (disk, before, _) = written(5);
    let (start, end) = (len_before_last(5), disk.logs()[0].1);
    for at in start..end {
        for flip in [0xff, 1] {
            let copy = disk.copy();
            copy.edit(|bytes| bytes[at] ^= flip);
            let mut log = Log::open(copy, FILE).expect("all that was valid");
            assert_eq!(read(&mut log), before, "changed at byte {at}");
        }
    }
}

#[test]
fn anything_before_it_is_an_error_with_file_and_offset() {
    let (disk, ..) = written(5);
    let (start, name) = (len_before_last(5), disk.logs()[0].0.clone());
    for at in 0..start {
        let copy = disk.copy();
        copy.edit(|bytes| bytes[at] ^= 0x10);
        match Log::open(copy, FILE).expect_err("damaged") {
            StoreError::Damaged { path, offset, .. } => {
                assert!(path.ends_with(&name), "{path:?}");
                assert!(offset <= at as u64 && at as u64 - offset < 250, "{offset} for byte {at}");
            }
            // The first bytes say what it is.
            StoreError::NotAStore { .. } if at < 12 => {}
            StoreError::Format { .. } if (12..16).contains(&at) => {}
            other => panic!("changed at byte {at}: {other}"),
        }
    }
}

#[test]
fn a_file_that_is_missing_or_cut_is_an_error() {
    let disk = Faulty::default();
    disk.failing_at(usize::MAX / 2, How::Power);
    let mut log = Log::open(disk.clone(), 1000).expect("a new log");
    for n in 1..=40 {
        log.put(n, &[n as u8; 100]);
        log.write(0).and_then(|()| log.sync()).and_then(|()| log.tidy()).expect("written");
    }
    let logs = disk.logs();
    assert!(logs.len() > 3, "{logs:?}");
    let middle = &logs[1].0;
    for len in (0..logs[1].1).step_by(7) {
        let copy = disk.copy();
        copy.edit_file(middle, |bytes| bytes.truncate(len));
        let error = Log::open(copy, 1000).expect_err("cut");
        assert!(error.to_string().contains(middle.as_str()), "{error}");
    }
    let copy = disk.copy();
    everlink::store::Disk::remove(&copy, middle).expect("removed");
    match Log::open(copy, 1000).expect_err("missing") {
        StoreError::Missing { path, messages } => {
            assert!(path.ends_with(middle) && messages > 3, "{path:?} {messages}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn another_format_is_recognised() {
    let (disk, ..) = written(1);
    disk.edit(|bytes| bytes[12] = 9);
    let error = Log::open(disk, FILE).expect_err("another format");
    assert!(
        error.to_string().ends_with("has format 9, and only format 1 is understood"),
        "{error}"
    );
}

#[test]
fn the_end_that_was_cut_off_does_not_come_back() {
    let disk = Faulty::default();
    disk.failing_at(usize::MAX / 2, How::Power);
    let mut log = Log::open(disk.clone(), FILE).expect("a new log");
    let mut starts = Vec::new();
    for n in 1..=3 {
        starts.push(disk.logs()[0].1);
        log.put(n, &[n as u8; 100]);
        log.write(0).expect("written");
    }
    // All three were written at once for all that is known, and of the second one a piece is lost.
    disk.edit(|bytes| bytes[starts[1] + 50] ^= 1);
    let mut log = Log::open(disk.clone(), FILE).expect("a torn end");
    assert_eq!(log.held().0, 1);
    // What takes its place ends where the third one began.
    log.put(2, &[9; 100]);
    log.write(0).and_then(|()| log.sync()).expect("written");
    let mut again = Log::open(disk, FILE).expect("whole");
    assert_eq!(read(&mut again), read(&mut log));
    assert_eq!(again.held().0, 2);
}
