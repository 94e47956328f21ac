//! A recording plays again to the same decisions, and one that is damaged says so.
#![cfg(feature = "record")]

mod support;

use std::path::PathBuf;
use std::time::Duration;

use everlink::record::{Moment, RecordError, Recorder, Replay};
use everlink::tap::Secrets;
use everlink::{Credentials, QoS, Version};
use support::{VERSIONS, over_model, soon, spawn};

/// Where the frames begin, and what stands before the bytes of one.
const FILE_HEAD: usize = 16;
const FRAME_HEAD: usize = 8;

/// A file in a directory of its own.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("everlink-replay-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn put(&self, bytes: &[u8]) -> &Self {
        std::fs::write(&self.0, bytes).expect("a file");
        self
    }

    /// All calls, and why there are no more.
    fn play(&self) -> (Vec<Moment>, Option<RecordError>) {
        let mut replay = match Replay::open(&self.0) {
            Ok(replay) => replay,
            Err(error) => return (Vec::new(), Some(error)),
        };
        let mut moments = Vec::new();
        loop {
            match replay.next() {
                Ok(Some(moment)) => moments.push(moment),
                Ok(None) => return (moments, None),
                Err(error) => return (moments, Some(error)),
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A client that has an eventful life: outages, both directions, every QoS, acknowledgements late.
async fn life(version: Version, file: &Scratch, secrets: Secrets) {
    let recorder = Recorder::create(&file.0, 64 << 20).expect("a file").secrets(secrets);
    let (client, driver, path, model) = over_model(version, |builder| {
        let builder = builder.credentials(Credentials::new("anna", "hunter2"));
        builder.maximum_packet_size(2000).record(recorder)
    });
    let running = spawn(driver);
    let subscription = client.subscribe("t/#", QoS::ExactlyOnce).manual_ack();
    let mut messages = soon("a subscription", subscription).await.expect("granted");
    for n in 0..40_u32 {
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][n as usize % 3];
        let payload = "geheim".repeat(1 + n as usize * if n == 20 { 3000 } else { 1 });
        client.publish("t/x", payload).qos(qos).send().expect("room");
        if n % 10 == 9 {
            path.cut();
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        if n % 4 == 0 {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
    soon("delivery", client.flush()).await;
    let mut message = soon("a message", messages.next()).await.expect("one");
    let _ = message.ack();
    drop(messages);
    assert!(client.ping(Duration::from_secs(5)).await.is_some());
    client.close();
    let _ = soon("the end", running).await;
    model.assert_conformant();
}

#[tokio::test(start_paused = true)]
async fn what_was_recorded_happens_again() {
    for version in VERSIONS {
        for secrets in [Secrets::Masked, Secrets::Shown] {
            let file = Scratch::new(&format!("again-{version:?}-{secrets:?}"));
            life(version, &file, secrets).await;
            let (moments, end) = file.play();
            assert!(end.is_none(), "{end:?}");
            let differs = moments.iter().find(|moment| moment.difference.is_some());
            assert_eq!(differs, None);
            let calls = ["open", "publish", "subscribe", "packet", "acknowledge", "closed", "ping"];
            for call in calls {
                assert!(moments.iter().any(|moment| moment.call == call), "{call}");
            }
            let ups = moments.iter().filter(|m| m.answer.starts_with("Up")).count();
            assert!(ups >= 4, "{ups} connections");
            let delivered = |m: &&Moment| m.told.iter().any(|told| told.contains("delivered"));
            assert!(moments.iter().filter(delivered).count() > 10);
            let bytes = std::fs::read(&file.0).expect("the recording");
            let shown = |secret: &[u8]| bytes.windows(secret.len()).any(|w| w == secret);
            let masked = secrets == Secrets::Masked;
            assert_eq!((shown(b"hunter2"), shown(b"geheim")), (!masked, !masked));
            assert!(shown(b"anna") && shown(b"t/x"));
        }
    }
}

/// The bytes of each frame.
fn frames(file: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = &file[FILE_HEAD..];
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[..4].try_into().expect("four")) as usize;
        frames.push(rest[FRAME_HEAD..FRAME_HEAD + length].to_vec());
        rest = &rest[FRAME_HEAD + length..];
    }
    frames
}

/// A file of these frames, with checksums that are right.
fn file(head: &[u8], frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = head[..FILE_HEAD].to_vec();
    for frame in frames {
        file.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        file.extend_from_slice(&crc(frame).to_le_bytes());
        file.extend_from_slice(frame);
    }
    file
}

/// CRC-32 (IEEE), bit by bit: not the code under test.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[tokio::test(start_paused = true)]
async fn another_decision_is_reported() {
    let scratch = Scratch::new("difference");
    life(Version::V5, &scratch, Secrets::Shown).await;
    let bytes = std::fs::read(&scratch.0).expect("the recording");
    let mut changed = frames(&bytes);
    // The first message that was accepted then had another topic.
    let sent = b"\x00\x03t/x";
    let at = changed.iter().enumerate().find_map(|(n, frame)| {
        let at = frame.windows(sent.len()).position(|w| w == sent)?;
        Some((n, at))
    });
    let (frame, at) = at.expect("a message");
    changed[frame][at + 4] = b'y';
    scratch.put(&file(&bytes, &changed));
    let (moments, end) = scratch.play();
    assert!(end.is_none(), "{end:?}");
    let different: Vec<&Moment> = moments.iter().filter(|m| m.difference.is_some()).collect();
    assert!(!different.is_empty());
    let first = different[0];
    assert!(first.answer.contains("\"t/y\""), "{first:?}");
    assert!(first.difference.as_ref().is_some_and(|then| then.contains("\"t/x\"")), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_recording_torn_anywhere_is_played_up_to_there() {
    let scratch = Scratch::new("torn");
    life(Version::V5, &scratch, Secrets::Masked).await;
    let bytes = std::fs::read(&scratch.0).expect("the recording");
    let all = scratch.play().0;
    let mut ends = vec![FILE_HEAD];
    for frame in frames(&bytes) {
        ends.push(ends.last().expect("one") + FRAME_HEAD + frame.len());
    }
    // Every byte of both heads and of the end, and some in between.
    let (last, end) = (ends[ends.len() - 2], bytes.len());
    let places = (0..=FILE_HEAD).chain(last..last + 12).chain(end - 3..end);
    for n in places.chain((1..20).map(|part| end * part / 20)) {
        scratch.put(&bytes[..n]);
        let (moments, end) = scratch.play();
        assert_eq!(moments, all[..moments.len()], "{n}");
        match end {
            Some(RecordError::Foreign) => assert!(n < FILE_HEAD, "{n}"),
            Some(RecordError::Torn(at)) => {
                assert!(ends.contains(&(at as usize)) && n >= at as usize, "{n}, {at}");
            }
            None => assert!(ends.contains(&n), "{n}"),
            other => panic!("{n}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_is_damaged_and_what_is_foreign_is_named() {
    let scratch = Scratch::new("damaged");
    life(Version::V311, &scratch, Secrets::Masked).await;
    let bytes = std::fs::read(&scratch.0).expect("the recording");
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..30 {
        let mut bytes = bytes.clone();
        let at = random.usize(FILE_HEAD + 4..bytes.len());
        bytes[at] ^= 1 << random.u8(..8);
        scratch.put(&bytes);
        let (_, end) = scratch.play();
        // The length of a frame may have been hit.
        let told = matches!(end, Some(RecordError::Damaged(_) | RecordError::Torn(_)));
        assert!(told, "{at}: {end:?}");
    }
    scratch.put(b"#!/bin/sh\necho this is no recording\n");
    assert!(matches!(scratch.play().1, Some(RecordError::Foreign)));
    let mut later = bytes.clone();
    later[12] = 2;
    scratch.put(&later);
    assert!(matches!(scratch.play().1, Some(RecordError::OtherFormat(2))));
    let none = Replay::open(&scratch.0.with_extension("not-there"));
    assert!(matches!(none, Err(RecordError::Io(_))));
}

/// Whoever writes a recording by hand can compute a checksum.
#[tokio::test(start_paused = true)]
async fn no_recording_brings_the_replay_down() {
    let scratch = Scratch::new("hostile");
    life(Version::V5, &scratch, Secrets::Masked).await;
    let bytes = std::fs::read(&scratch.0).expect("the recording");
    let frames = frames(&bytes);
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut frames = frames.clone();
        for _ in 0..random.u32(1..20) {
            let n = random.usize(..frames.len());
            let at = random.usize(..frames[n].len());
            match random.u8(..4) {
                0 => drop(frames[n].remove(at)),
                1 => frames[n].insert(at, random.u8(..)),
                _ => frames[n][at] = random.u8(..),
            }
        }
        scratch.put(&file(&bytes, &frames));
        // What comes of it does not matter, only that it comes.
        let _ = scratch.play();
    }
}
