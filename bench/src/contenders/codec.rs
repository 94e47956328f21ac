//! What MQTT itself costs: everlink's codec in a loop over blocking sockets. Every packet is encoded
//! and decoded, all that fit into the window go out in one write; no queue, no copy for a second
//! sending, no session, no tasks.

use std::io::{Read, Write};
use std::net::TcpStream;

use everlink_proto::topic::TopicFilter;
use everlink_proto::wire::{
    Ack, AckKind, Connect, Filters, Packet, PacketId, Properties, Publish, QoS, Subscribe,
    SubscribeOptions, Version, frame_len,
};

use super::{Job, TOPIC};
use crate::measure::{Meter, Sample};
use crate::{Protocol, Result};

const BUFFER: usize = 512 * 1024;

struct Connection {
    stream: TcpStream,
    version: Version,
    input: Vec<u8>,
    filled: usize,
    output: Vec<u8>,
    end: usize,
}

impl Connection {
    fn open(job: &Job) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", job.port))?;
        stream.set_nodelay(true)?;
        let version = match job.protocol {
            Some(Protocol::V311) => Version::V311,
            _ => Version::V5,
        };
        let (input, output) = (vec![0; BUFFER], vec![0; BUFFER]);
        let mut connection = Self { stream, version, input, filled: 0, output, end: 0 };
        let connect = Connect {
            clean_start: true,
            keep_alive: 60,
            client_id: "codec",
            props: Properties::EMPTY,
            will: None,
            username: None,
            password: None,
        };
        connection.put(|out| connect.encode(version, out))?;
        connection.flush()?;
        let mut answered = false;
        while !answered {
            connection.read(|packet, _| {
                answered = matches!(packet, Packet::ConnAck(_));
                Ok(())
            })?;
        }
        Ok(connection)
    }

    fn put<E: std::error::Error + 'static>(
        &mut self,
        encode: impl FnOnce(&mut [u8]) -> std::result::Result<usize, E>,
    ) -> Result<()> {
        self.end += encode(&mut self.output[self.end..])?;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.output[..self.end])?;
        self.end = 0;
        Ok(())
    }

    /// Reads once and hands out every whole packet, with room for an answer to each.
    fn read(
        &mut self,
        mut take: impl FnMut(&Packet<'_>, &mut Vec<[u8; 4]>) -> Result<()>,
    ) -> Result<()> {
        let read = self.stream.read(&mut self.input[self.filled..])?;
        if read == 0 {
            return Err("the sink went away".into());
        }
        self.filled += read;
        let mut answers = Vec::new();
        let mut used = 0;
        while let Some(header) = frame_len(&self.input[used..self.filled])? {
            let Some(packet) = self.input[used..self.filled].get(..header.total_len) else { break };
            take(&Packet::decode_from_server(self.version, packet)?, &mut answers)?;
            used += header.total_len;
        }
        self.input.copy_within(used..self.filled, 0);
        self.filled -= used;
        for answer in answers {
            self.output[self.end..][..4].copy_from_slice(&answer);
            self.end += 4;
        }
        Ok(())
    }
}

pub(crate) fn publish(job: &Job) -> Result<Sample> {
    let mut connection = Connection::open(job)?;
    let (version, qos) = (connection.version, QoS::try_from(job.qos)?);
    let payload = vec![b'x'; job.payload];

    let meter = Meter::start();
    let (mut pid, mut open, mut unsent, mut unacked) = (1_u16, 0, job.messages, job.messages);
    while unacked > 0 {
        while unsent > 0 && open < job.window {
            let publish = Publish {
                dup: false,
                qos,
                retain: false,
                topic: TOPIC,
                pid: PacketId::new(pid).filter(|_| qos == QoS::AtLeastOnce),
                props: Properties::EMPTY,
                payload: &payload,
            };
            connection.put(|out| publish.encode(version, out))?;
            pid = pid.checked_add(1).unwrap_or(1);
            (open, unsent) = (open + 1, unsent - 1);
        }
        connection.flush()?;
        if qos == QoS::AtMostOnce {
            (open, unacked) = (0, unsent);
            continue;
        }
        connection.read(|packet, _| {
            if let Packet::Ack(Ack { kind: AckKind::PubAck, .. }) = packet {
                (open, unacked) = (open - 1, unacked - 1);
            }
            Ok(())
        })?;
    }
    Ok(meter.stop(job.messages))
}

pub(crate) fn receive(job: &Job) -> Result<Sample> {
    let mut connection = Connection::open(job)?;
    let (version, qos) = (connection.version, QoS::try_from(job.qos)?);
    let filter = job.source_filter();
    let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
    let filters = [(TopicFilter::new(&filter)?.as_str(), options)];
    let pid = PacketId::new(1).ok_or("no identifier")?;
    let filters = Filters::from_list(&filters);

    let meter = Meter::start();
    let subscribe = Subscribe { pid, props: Properties::EMPTY, filters };
    connection.put(|out| subscribe.encode(version, out))?;
    connection.flush()?;
    let mut left = job.messages;
    while left > 0 {
        connection.read(|packet, answers| {
            if let Packet::Publish(Publish { pid, payload, .. }) = packet {
                assert_eq!(payload.len(), job.payload, "payload length");
                answers.extend(pid.map(|pid| Ack::short(AckKind::PubAck, pid)));
                left -= 1;
            }
            Ok(())
        })?;
        if connection.end > 0 {
            connection.flush()?;
        }
    }
    Ok(meter.stop(job.messages))
}
