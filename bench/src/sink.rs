//! The server: acknowledges everything, keeps nothing, and can be a source of messages.
//!
//! One thread a connection, blocking reads into one large buffer, all answers to one read in one
//! write. It must never be what limits a client, so it checks only what it needs to answer: it is
//! for well-behaved clients on loopback, and ends the connection at anything it does not know.
//!
//! A subscription to `source/<messages>/<payload bytes>` makes it send that many messages at the QoS
//! that was asked for, with no more than the window unacknowledged.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde::{Deserialize, Serialize};

use crate::{Result, measure};

/// Large enough for a window of 1000 messages of 256 bytes.
const BUFFER: usize = 512 * 1024;

/// What one connection did; the runner compares it with what the client says.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// PUBLISH packets received.
    pub(crate) publishes: u64,
    /// Their bytes, headers included.
    pub(crate) publish_bytes: u64,
    /// Final acknowledgements received: PUBACK, PUBCOMP.
    pub(crate) acks: u64,
}

/// Serves until its standard input closes, so that it cannot outlive the runner.
pub(crate) fn serve(core: Option<usize>, window: u16, aliases: u16) -> Result<()> {
    measure::pin_to(core)?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut connection = Connection::new(window, aliases);
                if let Err(error) = connection.run(stream) {
                    eprintln!("sink: {error}");
                }
                if let Ok(line) = serde_json::to_string(&connection.counts) {
                    println!("{line}");
                }
            });
        }
    });
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

struct Connection {
    version: u8,
    window: u16,
    aliases: u16,
    counts: Counts,
    /// Answers to the packets of one read.
    out: Vec<u8>,
    source: Option<Source>,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Next {
    Go,
    Stop,
}

impl Connection {
    fn new(window: u16, aliases: u16) -> Self {
        Self {
            version: 4,
            window,
            aliases,
            counts: Counts::default(),
            out: Vec::with_capacity(BUFFER),
            source: None,
        }
    }

    fn run(&mut self, mut stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = vec![0; BUFFER];
        let mut filled = 0;
        loop {
            let read = stream.read(&mut buffer[filled..])?;
            if read == 0 {
                return Ok(());
            }
            filled += read;
            let mut used = 0;
            while let Some((header, length)) = frame(&buffer[used..filled]) {
                let packet = &buffer[used..used + length];
                used += length;
                if self.answer(packet[0], &packet[header..], length)? == Next::Stop {
                    return Ok(());
                }
            }
            if used == 0 && filled == buffer.len() {
                return Err("packet larger than the buffer".into());
            }
            buffer.copy_within(used..filled, 0);
            filled -= used;
            if !self.out.is_empty() {
                stream.write_all(&self.out)?;
                self.out.clear();
            }
            if let Some(source) = &mut self.source {
                let mut packets = source.take();
                while !packets.is_empty() {
                    stream.write_all(packets)?;
                    packets = source.take();
                }
            }
        }
    }

    /// Answers one packet: `first` is its first byte, `body` what follows the Remaining Length.
    #[inline]
    fn answer(&mut self, first: u8, body: &[u8], length: usize) -> Result<Next> {
        match first >> 4 {
            1 => self.connect(body)?,
            3 => self.publish(first, body, length)?,
            4 | 7 => self.finished(),
            5 => self.out.extend_from_slice(&[0x62, 2, body[0], body[1]]),
            6 => self.out.extend_from_slice(&[0x70, 2, body[0], body[1]]),
            8 => self.subscribe(body)?,
            12 => self.out.extend_from_slice(&[0xD0, 0]),
            14 => return Ok(Next::Stop),
            other => return Err(format!("packet type {other} is not for a sink").into()),
        }
        Ok(Next::Go)
    }

    fn connect(&mut self, body: &[u8]) -> Result<()> {
        let (_name, rest) = string(body)?;
        self.version = *rest.first().ok_or("short CONNECT")?;
        match self.version {
            4 => self.out.extend_from_slice(&[0x20, 2, 0, 0]),
            5 => {
                let [high, low] = self.window.to_be_bytes();
                self.out.extend_from_slice(&[0x20, 9, 0, 0, 6, 0x21, high, low]);
                let [high, low] = self.aliases.to_be_bytes();
                self.out.extend_from_slice(&[0x22, high, low]);
            }
            other => return Err(format!("protocol version {other}").into()),
        }
        Ok(())
    }

    #[inline]
    fn publish(&mut self, first: u8, body: &[u8], length: usize) -> Result<()> {
        let (_topic, rest) = string(body)?;
        self.counts.publishes += 1;
        self.counts.publish_bytes += length as u64;
        let answer = match first >> 1 & 3 {
            0 => return Ok(()),
            1 => 0x40,
            2 => 0x50,
            _ => return Err("QoS 3".into()),
        };
        if rest.len() < 2 {
            return Err("short PUBLISH".into());
        }
        self.out.extend_from_slice(&[answer, 2, rest[0], rest[1]]);
        Ok(())
    }

    #[inline]
    fn finished(&mut self) {
        self.counts.acks += 1;
        if let Some(source) = &mut self.source {
            source.credit += 1;
        }
    }

    fn subscribe(&mut self, body: &[u8]) -> Result<()> {
        let (&id, rest) = body.split_first_chunk::<2>().ok_or("short SUBSCRIBE")?;
        let properties = if self.version == 5 {
            let length = *rest.first().ok_or("short SUBSCRIBE")? as usize;
            rest.get(1 + length..).ok_or("short SUBSCRIBE")?
        } else {
            rest
        };
        let (filter, options) = string(properties)?;
        let &[options] = options else {
            return Err("one filter in a SUBSCRIBE, please".into());
        };
        let qos = options & 3;
        if self.version == 5 {
            self.out.extend_from_slice(&[0x90, 4, id[0], id[1], 0, qos]);
        } else {
            self.out.extend_from_slice(&[0x90, 3, id[0], id[1], qos]);
        }
        let filter = std::str::from_utf8(filter)?;
        self.source = Some(Source::parse(filter, self.version, qos, self.window)?);
        Ok(())
    }
}

/// Messages to one subscriber.
struct Source {
    /// The window's packets, encoded once, twice over so that any run of them is one slice.
    ring: Vec<u8>,
    packet: usize,
    window: usize,
    /// Index of the packet in the ring that goes next.
    next: usize,
    /// How many may be sent before another acknowledgement.
    credit: usize,
    remaining: u64,
    /// QoS 0: nothing is acknowledged.
    unlimited: bool,
}

impl Source {
    fn parse(filter: &str, version: u8, qos: u8, window: u16) -> Result<Self> {
        let mut parts = filter.split('/');
        if parts.next() != Some("source") {
            return Err(format!("'{filter}' is not source/<messages>/<payload bytes>").into());
        }
        let mut number = || parts.next().unwrap_or_default().parse::<u64>();
        let (remaining, payload) = (number()?, number()? as usize);

        let mut ring = Vec::new();
        for id in (1..=window).chain(1..=window) {
            encode_publish(&mut ring, (version, qos), filter, id, payload);
        }
        let window = usize::from(window);
        let packet = ring.len() / (2 * window);
        let unlimited = qos == 0;
        Ok(Self { ring, packet, window, next: 0, credit: window, remaining, unlimited })
    }

    /// All packets that may be sent now. Acknowledgements come in order ([MQTT-4.6.0-2]), so
    /// the oldest Packet Identifiers are the free ones.
    fn take(&mut self) -> &[u8] {
        let count = self.credit.min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        let start = self.next;
        self.credit -= if self.unlimited { 0 } else { count };
        self.remaining -= count as u64;
        self.next = (start + count) % self.window;
        &self.ring[start * self.packet..(start + count) * self.packet]
    }
}

/// Appends a PUBLISH with a payload of `payload` bytes; also used by the raw contender.
pub(crate) fn encode_publish(
    out: &mut Vec<u8>,
    (version, qos): (u8, u8),
    topic: &str,
    id: u16,
    payload: usize,
) {
    let properties = usize::from(version == 5);
    let id = id.to_be_bytes();
    let id = if qos == 0 { &[] } else { &id[..] };
    let mut remaining = 2 + topic.len() + id.len() + properties + payload;
    out.push(0x30 | qos << 1);
    loop {
        let more = remaining > 127;
        out.push((remaining % 128) as u8 | if more { 0x80 } else { 0 });
        remaining /= 128;
        if !more {
            break;
        }
    }
    out.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    out.extend_from_slice(topic.as_bytes());
    out.extend_from_slice(id);
    out.extend(std::iter::repeat_n(0, properties));
    out.extend(std::iter::repeat_n(b'x', payload));
}

/// Length of the fixed header and of the whole packet, when all of it is there.
#[inline]
pub(crate) fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut remaining = 0;
    for index in 1..5 {
        let byte = *bytes.get(index)?;
        remaining |= usize::from(byte & 0x7F) << (7 * (index - 1));
        if byte & 0x80 == 0 {
            let length = index + 1 + remaining;
            return (bytes.len() >= length).then_some((index + 1, length));
        }
    }
    None
}

/// A length-prefixed string and what follows it.
fn string(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first_chunk::<2>().ok_or("short string")?;
    let length = usize::from(u16::from_be_bytes(length));
    Ok(rest.split_at_checked(length).ok_or("short string")?)
}

#[cfg(test)]
mod tests;
