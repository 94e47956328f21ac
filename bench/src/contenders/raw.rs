//! The limit: plain sockets, packets encoded beforehand, no MQTT state at all.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Job, TOPIC};
use crate::Result;
use crate::measure::{Meter, Sample};
use crate::sink::{encode_publish, frame};

const CONNECT: &[u8] = b"\x10\x0f\0\x04MQTT\x04\x02\0\x3c\0\x03raw";
/// 3.1.1.
const VERSION: u8 = 4;
const PUBACK: usize = 4;

fn connect(job: &Job) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", job.port))?;
    stream.set_nodelay(true)?;
    stream.write_all(CONNECT)?;
    stream.read_exact(&mut [0; 4])?;
    Ok(stream)
}

pub(crate) fn publish(job: &Job) -> Result<Sample> {
    let mut stream = connect(job)?;
    let window = usize::from(job.window);
    // Twice the window, so that any run of packets is one slice.
    let mut ring = Vec::new();
    for id in (1..=job.window).chain(1..=job.window) {
        encode_publish(&mut ring, (VERSION, job.qos), TOPIC, id, job.payload);
    }
    let packet = ring.len() / (2 * window);

    let meter = Meter::start();
    let mut acks = vec![0; PUBACK * window];
    let (mut next, mut credit, mut unsent, mut unacked) = (0, window, job.messages, job.messages);
    let mut partial = 0;
    while unacked > 0 {
        let count = credit.min(usize::try_from(unsent)?);
        stream.write_all(&ring[next * packet..(next + count) * packet])?;
        unsent -= count as u64;
        next = (next + count) % window;
        if job.qos == 0 {
            unacked -= count as u64;
            continue;
        }
        let read = stream.read(&mut acks)?;
        if read == 0 {
            return Err("the sink went away".into());
        }
        partial += read;
        let acked = partial / PUBACK;
        partial %= PUBACK;
        credit = credit - count + acked;
        unacked -= acked as u64;
    }
    Ok(meter.stop(job.messages))
}

pub(crate) fn receive(job: &Job) -> Result<Sample> {
    let mut stream = connect(job)?;
    let filter = job.source_filter();
    let mut subscribe = vec![0x82, (2 + 2 + filter.len() + 1) as u8, 0, 1, 0, filter.len() as u8];
    subscribe.extend_from_slice(filter.as_bytes());
    subscribe.push(job.qos);

    let meter = Meter::start();
    stream.write_all(&subscribe)?;
    let mut buffer = vec![0; 512 * 1024];
    let mut acks = Vec::with_capacity(PUBACK * usize::from(job.window));
    let (mut filled, mut left) = (0, job.messages);
    while left > 0 {
        let read = stream.read(&mut buffer[filled..])?;
        if read == 0 {
            return Err("the sink went away".into());
        }
        filled += read;
        let mut used = 0;
        while let Some((header, length)) = frame(&buffer[used..filled]) {
            // PUBLISH; the other packet to come is the SUBACK.
            if buffer[used] >> 4 == 3 {
                let topic = u16::from_be_bytes([buffer[used + header], buffer[used + header + 1]]);
                let id = used + header + 2 + usize::from(topic);
                if job.qos == 1 {
                    acks.extend_from_slice(&[0x40, 2, buffer[id], buffer[id + 1]]);
                }
                left -= 1;
            }
            used += length;
        }
        buffer.copy_within(used..filled, 0);
        filled -= used;
        if !acks.is_empty() {
            stream.write_all(&acks)?;
            acks.clear();
        }
    }
    Ok(meter.stop(job.messages))
}
