//! A name server on the board's own network.
//!
//! QEMU's network (slirp) passes questions to the name server of the host, whose answers no test can
//! foresee. So this one joins the board's Ethernet segment as a station of its own and answers ARP
//! and DNS there; no privileged port is needed.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::board::Board;
use crate::dir::TempDir;

/// Answers the board's questions for names. One board to one server.
#[derive(Debug)]
pub struct NameServer {
    state: Arc<Mutex<State>>,
    dir: TempDir,
}

#[derive(Debug, Default)]
struct State {
    names: HashMap<String, Ipv4Addr>,
    silent: bool,
    questions: usize,
}

impl NameServer {
    /// Where the board finds it.
    pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 53);

    /// Starts a server that knows no name.
    ///
    /// # Panics
    /// When no socket can be made in a temporary directory.
    pub fn start() -> Self {
        let dir = TempDir::new();
        let socket = UnixDatagram::bind(dir.join("server")).expect("a socket in a fresh directory");
        let board = dir.join("board");
        let state = Arc::<Mutex<State>>::default();
        let served = Arc::clone(&state);
        thread::spawn(move || serve(&socket, &board, &served));
        Self { state, dir }
    }

    /// Gives `name` an address; `None` makes it unknown.
    pub fn set(&self, name: &str, address: Option<Ipv4Addr>) {
        let mut state = lock(&self.state);
        match address {
            Some(address) => state.names.insert(name.into(), address),
            None => state.names.remove(name),
        };
    }

    /// Silent, it does not answer.
    pub fn set_silent(&self, silent: bool) {
        lock(&self.state).silent = silent;
    }

    /// How often it was asked.
    pub fn questions(&self) -> usize {
        lock(&self.state).questions
    }

    /// The emulator's arguments: NIC, slirp and this server on one hub.
    pub(crate) fn network(&self) -> Vec<OsString> {
        let mut segment = OsString::from("dgram,id=names,local.type=unix,local.path=");
        segment.push(self.dir.join("board"));
        segment.push(",remote.type=unix,remote.path=");
        segment.push(self.dir.join("server"));
        let port = "hubport,id=port,hubid=0,netdev=names";
        let words = ["-net", "nic,model=lan9118", "-net", "user", "-netdev"].map(OsString::from);
        words.into_iter().chain([segment, "-netdev".into(), port.into()]).collect()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One frame in, at most one frame out, until the socket fails.
fn serve(socket: &UnixDatagram, board: &Path, state: &Mutex<State>) {
    let mut frame = [0; 2048];
    while let Ok(length) = socket.recv(&mut frame) {
        let frame = &frame[..length];
        // A board that is gone asks again when it is back.
        let send = |reply: Vec<u8>| drop(socket.send_to(&reply, board));
        if asks_for_server(frame) {
            send(arp_reply(frame, NameServer::ADDRESS));
            // smoltcp asks for one neighbour a second; so that it need not wait to ask for the host,
            // it is told unasked.
            send(arp_reply(frame, Board::HOST));
        } else if let Some(reply) = dns_reply(frame, state) {
            send(reply);
        }
    }
}

const HEADER: usize = 14;
const ARP: [u8; 2] = [0x08, 0x06];
const IPV4: [u8; 2] = [0x08, 0x00];

fn ethernet(request: &[u8], kind: [u8; 2]) -> Vec<u8> {
    [&request[6..12], &station(NameServer::ADDRESS), &kind].concat()
}

/// An ARP request for the server's address.
fn asks_for_server(frame: &[u8]) -> bool {
    const REQUEST: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 1];
    frame.len() >= HEADER + 28
        && frame[12..14] == ARP
        && frame[HEADER..HEADER + 8] == REQUEST
        && frame[HEADER + 24..HEADER + 28] == NameServer::ADDRESS.octets()
}

/// Answers an ARP request: says where `address` is, whatever was asked for.
fn arp_reply(request: &[u8], address: Ipv4Addr) -> Vec<u8> {
    const REPLY: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 2];
    let mut reply = ethernet(request, ARP);
    reply.extend(REPLY);
    reply.extend(station(address));
    reply.extend(address.octets());
    reply.extend(&request[HEADER + 8..HEADER + 18]);
    reply
}

/// Hardware addresses on the board's network follow from the others, as slirp has it.
fn station(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x52, 0x55, a, b, c, d]
}

fn dns_reply(frame: &[u8], state: &Mutex<State>) -> Option<Vec<u8>> {
    const UDP: u8 = 17;
    let ip = frame.get(HEADER..HEADER + 20)?;
    let header = usize::from(ip[0] & 0x0f) * 4;
    let to_us = frame[12..14] == IPV4 && ip[9] == UDP && ip[16..20] == NameServer::ADDRESS.octets();
    let udp = frame.get(HEADER + header..)?;
    if !to_us || udp.get(2..4)? != 53u16.to_be_bytes() {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([udp[4], *udp.get(5)?]));
    let answer = answer(udp.get(8..length)?, state)?;

    let mut reply = ethernet(frame, IPV4);
    reply.extend(ip_header(answer.len() + 8, [ip[12], ip[13], ip[14], ip[15]]));
    reply.extend(&udp[2..4]);
    reply.extend(&udp[..2]);
    reply.extend((answer.len() as u16 + 8).to_be_bytes());
    // No checksum, which IPv4 permits.
    reply.extend([0, 0]);
    reply.extend(answer);
    Some(reply)
}

/// The header of a packet from the server to `target` with `length` bytes behind it.
fn ip_header(length: usize, target: [u8; 4]) -> Vec<u8> {
    let [high, low] = (length as u16 + 20).to_be_bytes();
    let mut header = vec![0x45, 0, high, low, 0, 0, 0, 0, 64, 17, 0, 0];
    header.extend(NameServer::ADDRESS.octets());
    header.extend(target);
    let sum: u32 = header.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    header[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    header
}

/// Answers a question for an address of type A.
fn answer(query: &[u8], state: &Mutex<State>) -> Option<Vec<u8>> {
    const NO_ERROR: u8 = 0;
    const UNKNOWN_NAME: u8 = 3;
    let mut name = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        name.push(String::from_utf8_lossy(query.get(at..at + length)?).into_owned());
        at += length;
    }
    // Type and class.
    let question = query.get(12..at + 4)?;
    let mut state = lock(state);
    state.questions += 1;
    if state.silent {
        return None;
    }
    let address = state.names.get(&name.join("."));
    let code = if address.is_some() { NO_ERROR } else { UNKNOWN_NAME };
    let answers = u8::from(address.is_some());
    // Answer, recursion desired and available; one question.
    let mut reply = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0];
    reply.extend(question);
    if let Some(address) = address {
        // The name of the question, A, IN, valid for 1 s, 4 bytes.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}
