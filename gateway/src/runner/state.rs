//! What survives a restart, in one file: each change of a node is added at its end before anything is sent
//! that rests on it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, create_dir_all, rename};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::world::Address;

/// The file is written anew when it is so many times as large as what is in it, and not small.
const WASTE: usize = 8;
const SMALL: usize = 1 << 20;

/// A file of nodes.
#[derive(Debug)]
pub(super) struct State {
    path: PathBuf,
    file: File,
    /// By the node's place.
    live: HashMap<u32, Entry>,
    size: usize,
    /// Nothing is written until all that was found is taken over: places are given anew.
    loading: bool,
}

/// A node: where it is, and its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) address: Option<Address>,
    pub(super) record: Vec<u8>,
}

impl State {
    /// Opens the file in `directory`, and tells what is in it. What was being written when the process was
    /// killed is cut off.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, Vec<Entry>)> {
        create_dir_all(directory)?;
        let path = directory.join("nodes");
        let mut octets = Vec::new();
        match File::open(&path) {
            Ok(mut file) => drop(file.read_to_end(&mut octets)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut found = HashMap::new();
        let mut rest = octets.as_slice();
        while let Some((slot, entry)) = read(&mut rest) {
            match entry {
                Some(entry) => drop(found.insert(slot, entry)),
                None => drop(found.remove(&slot)),
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let state = Self { path, file, live: HashMap::new(), size: 0, loading: true };
        let mut entries: Vec<_> = found.into_iter().collect();
        entries.sort_by_key(|(slot, _)| *slot);
        Ok((state, entries.into_iter().map(|(_, entry)| entry).collect()))
    }

    /// The node at `slot` is so now, or gone.
    pub(super) fn put(&mut self, slot: u32, entry: Option<Entry>) -> io::Result<()> {
        if self.live.get(&slot) == entry.as_ref() {
            return Ok(());
        }
        if !self.loading {
            let frame = frame(slot, entry.as_ref());
            self.file.write_all(&frame)?;
            self.size += frame.len();
        }
        match entry {
            Some(entry) => drop(self.live.insert(slot, entry)),
            None => drop(self.live.remove(&slot)),
        }
        let live: usize = self.live.values().map(|entry| entry.record.len() + 64).sum();
        if self.size > SMALL && self.size > live * WASTE { self.compact() } else { Ok(()) }
    }

    /// Writes the file anew, without what is over; once all that was found is taken over, and later by itself.
    pub(super) fn compact(&mut self) -> io::Result<()> {
        self.loading = false;
        let live = self.live.iter().map(|(slot, entry)| (*slot, entry));
        (self.file, self.size) = write_all(&self.path, live)?;
        Ok(())
    }
}

/// Writes a new file in the place of the old one: there is always one of the two.
fn write_all<'a>(
    path: &Path,
    entries: impl Iterator<Item = (u32, &'a Entry)>,
) -> io::Result<(File, usize)> {
    let fresh = path.with_extension("new");
    let mut octets = Vec::new();
    for (slot, entry) in entries {
        octets.extend(frame(slot, Some(entry)));
    }
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&fresh)?;
    file.write_all(&octets)?;
    file.sync_data()?;
    rename(&fresh, path)?;
    Ok((file, octets.len()))
}

/// Length, check sum, place; then nothing if it is gone, or address and record.
fn frame(slot: u32, entry: Option<&Entry>) -> Vec<u8> {
    let mut body = slot.to_be_bytes().to_vec();
    if let Some(entry) = entry {
        let address = entry
            .address
            .map_or_else(String::new, |address| format!("{} {}", address.socket, address.peer));
        body.push(address.len() as u8);
        body.extend(address.as_bytes());
        body.extend(&entry.record);
    }
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend(sum(&body).to_be_bytes());
    frame.extend(body);
    frame
}

/// The next frame; `None` at the end, or at one that was not written whole.
fn read(rest: &mut &[u8]) -> Option<(u32, Option<Entry>)> {
    let (head, tail) = rest.split_at_checked(12)?;
    let len = u32::from_be_bytes(head.get(..4)?.try_into().ok()?);
    let check = u64::from_be_bytes(head.get(4..)?.try_into().ok()?);
    let (body, tail) = tail.split_at_checked(usize::try_from(len).ok()?)?;
    if sum(body) != check {
        return None;
    }
    *rest = tail;
    let (slot, body) = body.split_at_checked(4)?;
    let slot = u32::from_be_bytes(slot.try_into().ok()?);
    let Some((len, body)) = body.split_first() else { return Some((slot, None)) };
    let (address, record) = body.split_at_checked(usize::from(*len))?;
    let address = std::str::from_utf8(address).ok()?.split_once(' ').and_then(|(socket, peer)| {
        let (socket, peer): (usize, SocketAddr) = (socket.parse().ok()?, peer.parse().ok()?);
        Some(Address { socket, peer })
    });
    Some((slot, Some(Entry { address, record: record.to_vec() })))
}

/// FNV-1a of 64 bits: finds what was not written whole.
fn sum(octets: &[u8]) -> u64 {
    octets.iter().fold(0xCBF2_9CE4_8422_2325, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}
