//! What happened, readable: kept short, formatted only when asked for.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};

use everlink_proto::time::Instant;
use everlink_proto::wire::{Ack, Packet, Publish, Version};

use crate::clock::Clock;

/// Entries kept unless a test wants more.
const KEPT: usize = 400;
/// Characters of a payload shown.
const SHOWN: usize = 24;

/// The last things that happened at one place.
#[derive(Clone, Debug)]
pub struct Trace {
    entries: VecDeque<(Instant, Entry)>,
    kept: usize,
}

impl Default for Trace {
    fn default() -> Self {
        Self { entries: VecDeque::new(), kept: KEPT }
    }
}

#[derive(Clone, Debug)]
enum Entry {
    Note(String),
    Packet { outbound: bool, version: Version, bytes: Vec<u8> },
}

impl Trace {
    /// Keeps the last `entries` from now on.
    pub fn keep(&mut self, entries: usize) {
        self.kept = entries;
    }

    /// Adds a remark.
    pub fn note(&mut self, now: Instant, text: impl Into<String>) {
        self.add(now, Entry::Note(text.into()));
    }

    /// Adds a packet.
    pub fn packet(&mut self, now: Instant, outbound: bool, version: Version, bytes: &[u8]) {
        let bytes = bytes[..bytes.len().min(512)].to_vec();
        self.add(now, Entry::Packet { outbound, version, bytes });
    }

    /// The entries as lines with their times.
    pub fn lines(&self) -> impl Iterator<Item = (Instant, String)> + '_ {
        self.entries.iter().map(|(at, entry)| {
            let text = match entry {
                Entry::Note(text) => format!("-- {text}"),
                Entry::Packet { outbound, version, bytes } => {
                    let arrow = if *outbound { "->" } else { "<-" };
                    format!("{arrow} {}", describe(*version, bytes))
                }
            };
            (*at, text)
        })
    }

    fn add(&mut self, now: Instant, entry: Entry) {
        while self.entries.len() >= self.kept.max(1) {
            self.entries.pop_front();
        }
        self.entries.push_back((now, entry));
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in self.lines() {
            writeln!(f, "{} {line}", stamp(at))?;
        }
        Ok(())
    }
}

/// Simulated time as seconds since the start.
pub fn stamp(at: Instant) -> String {
    let micros = at.since(Clock::START).as_micros();
    format!("{:>6}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// A packet on one line.
pub fn describe(version: Version, bytes: &[u8]) -> String {
    match Packet::decode(version, bytes) {
        Ok(packet) => describe_packet(&packet),
        Err(fault) => format!("{} bytes ({fault}) {:02x?}", bytes.len(), head(bytes)),
    }
}

/// A packet on one line.
pub fn describe_packet(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Publish(publish) => describe_publish(publish),
        Packet::Ack(Ack { kind, pid, reason, props }) => {
            let mut line = format!("{} #{pid}", format!("{kind:?}").to_uppercase());
            if reason.0 != 0 {
                let _ = write!(line, " {reason:?}");
            }
            line + &shown(props)
        }
        other => {
            let mut line = format!("{other:?}");
            // Debug repeats the variant and the struct: "Connect(Connect { ... })".
            if let Some((_, inner)) = line.split_once('(') {
                line = inner.trim_end_matches(')').to_owned();
            }
            line.chars().take(240).collect()
        }
    }
}

fn describe_publish(p: &Publish<'_>) -> String {
    let mut line = format!("PUBLISH q{}", p.qos as u8);
    if let Some(pid) = p.pid {
        let _ = write!(line, " #{pid}");
    }
    for (flag, name) in [(p.dup, " dup"), (p.retain, " retain")] {
        line += if flag { name } else { "" };
    }
    let payload = String::from_utf8_lossy(head(p.payload));
    let _ = write!(line, " {:?} {payload:?}", p.topic);
    if p.payload.len() > SHOWN {
        let _ = write!(line, "... {} bytes", p.payload.len());
    }
    line + &shown(&p.props)
}

fn shown(props: &everlink_proto::wire::Properties<'_>) -> String {
    if props.is_empty() { String::new() } else { format!(" {props:?}") }
}

fn head(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(SHOWN)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use everlink_proto::wire::{PacketId, QoS};

    #[test]
    fn packets_read_well() {
        let publish = Publish {
            dup: true,
            qos: QoS::ExactlyOnce,
            retain: false,
            topic: "a/b",
            pid: PacketId::new(7),
            props: Default::default(),
            payload: b"21.5",
        };
        assert_eq!(describe_packet(&publish.into()), r#"PUBLISH q2 #7 dup "a/b" "21.5""#);
        assert_eq!(describe(Version::V5, &[0x40, 2, 0, 9]), "PUBACK #9");
        assert_eq!(describe(Version::V5, &[0xd0, 0]), "PingResp");
        assert!(describe(Version::V5, &[0x40, 9]).contains("wrong remaining length"));
    }

    #[test]
    fn only_the_last_entries_are_kept() {
        let mut trace = Trace::default();
        for i in 0..KEPT + 5 {
            trace.note(Clock::START, format!("{i}"));
        }
        assert_eq!(trace.lines().next().unwrap().1, "-- 5");
        assert_eq!(trace.lines().count(), KEPT);
    }
}
