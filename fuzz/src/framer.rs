//! A stream in pieces of any size.

use everlink_link::framer::{Frame, Framer};
use everlink_proto::wire::frame_len;

/// What a framer makes of a stream.
#[derive(Debug, PartialEq)]
enum Piece {
    Packet(Vec<u8>),
    /// All that came of it.
    Skipped {
        came: Vec<u8>,
        total: usize,
    },
    Malformed,
}

/// However a stream is cut into reads, the frames are those that a look at the whole of it finds.
/// The first two bytes of the input choose the size of the buffer and of the reads.
pub fn run(data: &[u8]) {
    let Some(([size, reads], stream)) = data.split_first_chunk() else { return };
    let size = 5 + usize::from(*size);
    assert_eq!(frames(stream, size, *reads), expected(stream, size));
}

fn frames(stream: &[u8], size: usize, mut reads: u8) -> Vec<Piece> {
    let (mut framer, mut rest, mut pieces) = (Framer::new(vec![0; size]), stream, Vec::new());
    loop {
        while let Some(frame) = framer.peek() {
            match frame {
                Frame::Packet(bytes) => pieces.push(Piece::Packet(bytes.to_vec())),
                Frame::Skipped { head, total } => {
                    pieces.push(Piece::Skipped { came: head.to_vec(), total });
                }
                Frame::Rest { bytes, left } => match pieces.last_mut() {
                    Some(Piece::Skipped { came, total }) => {
                        came.extend(bytes);
                        assert_eq!(came.len() + left, *total);
                    }
                    other => panic!("the rest of nothing, after {other:?}"),
                },
                Frame::Malformed(_) => {
                    pieces.push(Piece::Malformed);
                    return pieces;
                }
            }
            framer.consume();
        }
        if rest.is_empty() {
            return pieces;
        }
        reads = reads.rotate_left(3) ^ 0x5b;
        let space = framer.space();
        let n = space.len().min(rest.len()).min(usize::from(reads));
        space[..n].copy_from_slice(&rest[..n]);
        framer.filled(n);
        rest = &rest[n..];
    }
}

fn expected(mut stream: &[u8], size: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    loop {
        let total = match frame_len(stream) {
            Ok(Some(length)) => length.total_len,
            Ok(None) => return pieces,
            Err(_) => {
                pieces.push(Piece::Malformed);
                return pieces;
            }
        };
        if let Some(packet) = stream.get(..total).filter(|_| total <= size) {
            pieces.push(Piece::Packet(packet.to_vec()));
        } else if total > size && stream.len() >= size {
            let came = stream[..total.min(stream.len())].to_vec();
            pieces.push(Piece::Skipped { came, total });
        } else {
            return pieces;
        }
        stream = stream.get(total..).unwrap_or(&[]);
    }
}
