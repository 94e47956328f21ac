//! The cable between the board and its network, which a test holds in its hands.
//!
//! Every frame passes through here, so frames can vanish while the link looks well, and questions
//! for names can be answered: QEMU's network (slirp) hands those on to the name server of the host,
//! whose answers no test can foresee.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::dir::TempDir;
use crate::dns::{Names, Reply};

/// A cable from one board to the host's network. It outlives the board: the next one takes it over.
#[derive(Debug)]
pub struct Wire {
    state: Arc<Mutex<State>>,
    dir: TempDir,
}

#[derive(Debug, Default)]
struct State {
    broken: bool,
    names: Names,
}

impl Wire {
    /// A whole cable, and a name server that knows no name.
    ///
    /// # Panics
    /// When no socket can be made in a temporary directory.
    pub fn new() -> Self {
        let wire = Self { state: Arc::default(), dir: TempDir::new() };
        let (from_board, from_network) = (wire.receiver("near"), wire.receiver("far"));
        let (board, network) = (wire.sender("board"), wire.sender("network"));
        let (back, state) = (wire.sender("board"), Arc::clone(&wire.state));
        thread::spawn(move || {
            for_each_frame(&from_board, &state, |frame, state| match state.names.reply(frame) {
                Reply::NotAsked => network.send(frame),
                Reply::Silence => {}
                Reply::Frame(answer) => back.send(&answer),
            });
        });
        let state = Arc::clone(&wire.state);
        thread::spawn(move || {
            for_each_frame(&from_network, &state, |frame, _| board.send(frame));
        });
        wire
    }

    /// Broken, it loses every frame in both directions and nobody notices: connections are half
    /// open. A cable that is seen to be pulled is [`crate::Board::set_cable`].
    pub fn set_broken(&self, broken: bool) {
        lock(&self.state).broken = broken;
    }

    /// Gives `name` an address; `None` makes it unknown.
    pub fn set_name(&self, name: &str, address: Option<Ipv4Addr>) {
        lock(&self.state).names.set(name, address);
    }

    /// Silent, the name server does not answer.
    pub fn set_names_silent(&self, silent: bool) {
        lock(&self.state).names.silent = silent;
    }

    /// How often the name server was asked.
    pub fn questions(&self) -> usize {
        lock(&self.state).names.questions
    }

    /// The emulator's arguments: the NIC at one end, slirp at the other.
    pub(crate) fn network(&self) -> Vec<OsString> {
        let end = |id: &str, local: &str, remote: &str| {
            let (local, remote) = (self.dir.join(local), self.dir.join(remote));
            let (local, remote) = (local.display(), remote.display());
            format!(
                "dgram,id={id},local.type=unix,local.path={local},remote.type=unix,remote.path={remote}"
            )
        };
        [
            ["-netdev", &end("near", "board", "near")],
            ["-net", "nic,model=lan9118,netdev=near"],
            ["-netdev", &end("far", "network", "far")],
            ["-netdev", "user,id=slirp"],
            ["-netdev", "hubport,id=port0,hubid=1,netdev=far"],
            ["-netdev", "hubport,id=port1,hubid=1,netdev=slirp"],
        ]
        .iter()
        .flatten()
        .map(OsString::from)
        .collect()
    }

    fn receiver(&self, name: &str) -> UnixDatagram {
        UnixDatagram::bind(self.dir.join(name)).expect("a socket in a fresh directory")
    }

    fn sender(&self, name: &str) -> Sender {
        let socket = UnixDatagram::unbound().expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        Sender { socket, target: self.dir.join(name) }
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

/// Sends frames to the emulator; one that finds no room, or no emulator, is lost, as on any network.
struct Sender {
    socket: UnixDatagram,
    target: PathBuf,
}

impl Sender {
    fn send(&self, frame: &[u8]) {
        let _ = self.socket.send_to(frame, &self.target);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands frames to `route` until the test ends; none while the cable is broken.
fn for_each_frame(from: &UnixDatagram, state: &Mutex<State>, route: impl Fn(&[u8], &mut State)) {
    let mut frame = [0; 2048];
    while let Ok(length) = from.recv(&mut frame) {
        let mut state = lock(state);
        if !state.broken {
            route(&frame[..length], &mut state);
        }
    }
}
