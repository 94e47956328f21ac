//! Whatever way a stream is cut up by the network, the same packets come out.

use everlink_link::{Buffer, Elastic, Frame, Framer};
use proptest::collection::vec;
use proptest::prelude::*;

/// A packet of type PUBLISH with a body of `len` bytes, which all are `fill`.
fn packet(len: usize, fill: u8) -> Vec<u8> {
    let mut bytes = vec![0x30];
    let mut rest = len;
    loop {
        let low = (rest % 128) as u8;
        rest /= 128;
        bytes.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    bytes.resize(bytes.len() + len, fill);
    bytes
}

#[derive(Clone, Debug, PartialEq)]
enum Got {
    Packet(Vec<u8>),
    /// With all that came of it, in the end.
    Skipped(Vec<u8>, usize),
    Rest(Vec<u8>, usize),
    Malformed,
}

fn expected(packets: &[Vec<u8>], capacity: usize) -> Vec<Got> {
    let frame = |p: &Vec<u8>| match p.len() > capacity {
        true => Got::Skipped(p.clone(), p.len()),
        false => Got::Packet(p.clone()),
    };
    packets.iter().map(frame).collect()
}

fn own(frame: Frame<'_>) -> Got {
    match frame {
        Frame::Packet(p) => Got::Packet(p.to_vec()),
        Frame::Skipped { head, total } => Got::Skipped(head.to_vec(), total),
        Frame::Rest { bytes, left } => Got::Rest(bytes.to_vec(), left),
        Frame::Malformed(_) => Got::Malformed,
    }
}

/// Puts what follows a head behind it.
fn joined(frames: Vec<Got>) -> Vec<Got> {
    let mut all: Vec<Got> = Vec::new();
    for frame in frames {
        match (all.last_mut(), frame) {
            (Some(Got::Skipped(came, total)), Got::Rest(bytes, left)) => {
                assert!(!bytes.is_empty());
                came.extend(bytes);
                assert_eq!(came.len() + left, *total);
            }
            (_, frame) => all.push(frame),
        }
    }
    all
}

/// Feeds `stream` in reads of the given sizes, over and over; leaves a frame in place now and then,
/// as a busy engine does. Stops at a malformed frame.
fn run<B: Buffer>(framer: &mut Framer<B>, mut stream: &[u8], reads: &[usize]) -> Vec<Got> {
    let mut got = Vec::new();
    for (round, &size) in reads.iter().cycle().enumerate() {
        let space = framer.space();
        let n = size.min(space.len()).min(stream.len());
        space[..n].copy_from_slice(&stream[..n]);
        framer.filled(n);
        stream = &stream[n..];
        while let Some(frame) = framer.peek().map(own) {
            if got.len() % 3 == round % 3 && n > 0 {
                assert_eq!(
                    framer.peek().map(own),
                    Some(frame.clone()),
                    "a frame left in place changed"
                );
                break;
            }
            let stop = frame == Got::Malformed;
            got.push(frame);
            if stop {
                return joined(got);
            }
            framer.consume();
        }
        if stream.is_empty() && n == 0 {
            break;
        }
    }
    joined(got)
}

fn small_packets() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec((0_usize..200, any::<u8>()).prop_map(|(len, fill)| packet(len, fill)), 1..30)
}

proptest! {
    #[test]
    fn any_split_gives_the_same_frames(
        packets in small_packets(),
        reads in vec(1_usize..100, 1..20),
        capacity in 5_usize..260,
    ) {
        let stream = packets.concat();
        let mut framer = Framer::new(vec![0; capacity]);
        prop_assert_eq!(run(&mut framer, &stream, &reads), expected(&packets, capacity));
        prop_assert_eq!(framer.buffered(), 0);
    }

    #[test]
    fn memory_that_grows_gives_the_same_frames(
        sizes in vec((0_usize..6000, any::<bool>()), 1..30),
        reads in vec(1_usize..3000, 1..20),
        capacity in 600_usize..5000,
    ) {
        let packets: Vec<_> = sizes.iter().map(|(len, _)| packet(*len, 7)).collect();
        let mut framer = Framer::new(Elastic::new(capacity));
        let mut got = Vec::new();
        for (packet, (_, rest)) in packets.iter().zip(&sizes) {
            got.extend(run(&mut framer, packet, &reads));
            if *rest {
                framer.rest();
            }
        }
        prop_assert_eq!(got, expected(&packets, capacity));
    }

    #[test]
    fn garbage_never_panics_and_never_stalls(
        stream in vec(any::<u8>(), 0..2000),
        reads in vec(1_usize..300, 1..10),
        capacity in 5_usize..64,
    ) {
        let mut framer = Framer::new(vec![0; capacity]);
        run(&mut framer, &stream, &reads);
        // Either it takes more, or it has something to tell.
        prop_assert!(framer.peek().is_some() || !framer.space().is_empty());
    }

    #[test]
    fn a_malformed_length_ends_the_stream(
        packets in small_packets(),
        reads in vec(1_usize..100, 1..20),
    ) {
        let mut stream = packets.concat();
        stream.extend([0x30, 0xff, 0xff, 0xff, 0xff, 0x01]);
        let mut framer = Framer::new(vec![0; 256]);
        let mut frames = expected(&packets, 256);
        frames.push(Got::Malformed);
        prop_assert_eq!(run(&mut framer, &stream, &reads), frames);
        framer.consume();
        prop_assert_eq!(framer.peek().map(own), Some(Got::Malformed), "it stays");

        framer.reset();
        prop_assert_eq!(run(&mut framer, &packets.concat(), &reads), expected(&packets, 256));
    }
}

#[test]
fn an_oversized_packet_in_the_middle_is_skipped_and_told_once() {
    let packets = [packet(10, 1), packet(3_000_000, 2), packet(20, 3)];
    let mut framer = Framer::new(vec![0; 64]);
    let got = run(&mut framer, &packets.concat(), &[61, 7, 64, 1]);
    assert_eq!(got, expected(&packets, 64));
    assert!(
        matches!(&got[1], Got::Skipped(all, total) if all.len() == *total && *total == 3_000_005)
    );
}

#[test]
fn a_packet_that_just_fits_is_not_skipped() {
    let packets = [packet(3, 1), packet(62, 2), packet(63, 3), packet(62, 4)];
    let mut framer = Framer::new(vec![0; 64]);
    let got = run(&mut framer, &packets.concat(), &[5]);
    assert!(matches!(&got[1], Got::Packet(p) if p.len() == 64));
    assert!(matches!(&got[2], Got::Skipped(all, 65) if all.len() == 65));
    assert!(matches!(&got[3], Got::Packet(_)));
}

#[test]
fn reset_forgets_the_rest_of_a_skipped_packet() {
    let mut framer = Framer::new(vec![0; 16]);
    assert_eq!(run(&mut framer, &packet(100, 1)[..50], &[16]).len(), 1);
    framer.reset();
    assert_eq!(run(&mut framer, &packet(4, 2), &[16]), [Got::Packet(packet(4, 2))]);
}

#[test]
fn a_full_buffer_offers_no_room_until_a_frame_is_taken() {
    let mut framer = Framer::new(vec![0; 8]);
    framer.space().copy_from_slice(&[packet(2, 1), packet(2, 2)].concat());
    framer.filled(8);
    assert!(framer.space().is_empty());
    assert!(framer.peek().is_some());
    framer.consume();
    assert_eq!(framer.space().len(), 4);
    assert_eq!(framer.peek().map(own), Some(Got::Packet(packet(2, 2))));
}

#[test]
fn memory_goes_back_once_it_was_not_needed_for_a_while() {
    let mut framer = Framer::new(Elastic::new(100_000));
    let least = framer.space().len();
    assert!(least < 1000);
    let large = packet(50_000, 1);
    run(&mut framer, &large, &[5000]);
    framer.rest();
    assert!(framer.space().len() > 50_000, "it was needed since");
    run(&mut framer, &packet(10, 1), &[5000]);
    framer.rest();
    assert_eq!(framer.space().len(), least);

    // Never under a packet that is not complete.
    run(&mut framer, &large[..40_000], &[5000]);
    framer.rest();
    framer.rest();
    assert_eq!(run(&mut framer, &large[40_000..], &[5000]), [Got::Packet(large.clone())]);
}
