//! Frames on a byte stream.

use everlink_tether::stream::{Deframer, encode, encoded_len};

/// All frames found in `bytes`, given `step` at a time, and how much was none.
fn frames(bytes: &[u8], step: usize) -> (Vec<Vec<u8>>, u32) {
    let mut buffer = [0; 600];
    let mut deframer = Deframer::new(&mut buffer);
    let mut found = Vec::new();
    for mut part in bytes.chunks(step) {
        while !part.is_empty() {
            let (taken, frame) = deframer.push(part);
            found.extend(frame.map(<[u8]>::to_vec));
            part = &part[taken..];
        }
    }
    (found, deframer.bad())
}

fn encoded(frame: &[u8]) -> Vec<u8> {
    let mut out = [0; 700];
    let len = encode(frame, &mut out).unwrap();
    assert!(len <= encoded_len(frame.len()));
    out[..len].to_vec()
}

/// CRC-32 of "123456789" is CB F4 39 26, by every textbook.
#[test]
fn what_goes_on_the_line() {
    let right = [b"\0\x0e123456789\x26\x39\xf4\xcb\0".as_slice()].concat();
    assert_eq!(encoded(b"123456789"), right);
    // A zero within becomes a distance.
    let line = encoded(&[1, 0, 2]);
    assert!(line[1..line.len() - 1].iter().all(|byte| *byte != 0));
    assert_eq!(encode(b"123456789", &mut [0; 15]), None);
}

#[test]
fn frames_of_every_length_come_out_as_they_went_in() {
    for len in 0..=520 {
        for byte in [0, 1, 0xff] {
            let frame = vec![byte; len];
            for step in [1, 7, 1000] {
                assert_eq!(frames(&encoded(&frame), step), (vec![frame.clone()], 0), "{len}");
            }
        }
    }
}

#[test]
fn noise_costs_no_more_than_the_frame_it_hits() {
    let [a, b, c] = [encoded(b"first"), encoded(b"second"), encoded(b"third")];
    let noise = b"rst:0x1 (POWERON)\r\nload:0x3fff0030,len:4\r\n";
    let line = [&noise[..], &a, &b[..5], &c].concat();
    let (found, bad) = frames(&line, 3);
    assert_eq!(found, [b"first".to_vec(), b"third".to_vec()]);
    assert_eq!(bad, 2);
    // A line of noise longer than the buffer.
    let line = [vec![0x55; 5000], a.clone(), c].concat();
    assert_eq!(frames(&line, 100).0, [b"first".to_vec(), b"third".to_vec()]);
}

#[test]
fn every_change_of_one_octet_is_noticed() {
    let frame: Vec<u8> = (0..60).map(|n| n % 7).collect();
    let line = encoded(&frame);
    for at in 1..line.len() - 1 {
        for bit in 0..8 {
            let mut bad = line.clone();
            bad[at] ^= 1 << bit;
            assert!(!frames(&bad, 9).0.contains(&frame), "octet {at} bit {bit}");
            // And the next one is found.
            bad.extend(encoded(b"next"));
            assert_eq!(frames(&bad, 9).0, [b"next".to_vec()], "octet {at} bit {bit}");
        }
    }
}
