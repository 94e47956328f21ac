//! A WiFi module with ESP-AT firmware, emulated: a pseudo-terminal at which something speaks AT and opens
//! real sockets, and which fails as such modules do.
//!
//! ```no_run
//! # async fn f() -> std::io::Result<()> {
//! use everlink_sim::modem::{Firmware, Modem, Module};
//! let module = Module::new(Firmware::V2).network("shed", "secret").name("broker.test", [127, 0, 0, 1]);
//! let modem = Modem::plug_in("/tmp/ttyModem", module)?;
//! // connect the client through /tmp/ttyModem, then:
//! modem.restart();
//! modem.faults(|faults| faults.lost = 3);
//! # Ok(()) }
//! ```

mod commands;
mod module;
mod pty;
mod socket;

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Which firmware it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// ESP8266 with 1.7.
    V1,
    /// ESP32 and later, and ESP8266 with 2.x.
    V2,
}

/// What a module is like.
#[derive(Clone, Debug)]
pub struct Module {
    firmware: Firmware,
    networks: HashMap<String, String>,
    names: HashMap<String, Ipv4Addr>,
    /// The network in its flash.
    own: Option<String>,
    boot: Duration,
    join: Duration,
    reset_file: Option<PathBuf>,
    /// Bits per second, if the line is to be as slow as that.
    baud: Option<u32>,
    seed: u64,
}

impl Module {
    /// A module without networks in reach.
    pub fn new(firmware: Firmware) -> Self {
        Self {
            firmware,
            networks: HashMap::new(),
            names: HashMap::new(),
            own: None,
            boot: Duration::from_millis(150),
            join: Duration::from_millis(50),
            reset_file: None,
            baud: None,
            seed: 1,
        }
    }

    /// A network in reach, and its passphrase.
    #[must_use]
    pub fn network(mut self, ssid: &str, passphrase: &str) -> Self {
        self.networks.insert(ssid.to_owned(), passphrase.to_owned());
        self
    }

    /// The module joins this network by itself whenever it starts.
    #[must_use]
    pub fn remembers(mut self, ssid: &str) -> Self {
        self.own = Some(ssid.to_owned());
        self
    }

    /// A name that its name server knows.
    #[must_use]
    pub fn name(mut self, name: &str, address: impl Into<Ipv4Addr>) -> Self {
        self.names.insert(name.to_owned(), address.into());
        self
    }

    /// How long it takes to start; 150 ms by default.
    #[must_use]
    pub fn boot(mut self, time: Duration) -> Self {
        self.boot = time;
        self
    }

    /// How long it takes to join a network; 50 ms by default.
    #[must_use]
    pub fn join(mut self, time: Duration) -> Self {
        self.join = time;
        self
    }

    /// A reset line for programs: the module is reset when there is such a file, which it removes.
    #[must_use]
    pub fn reset_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.reset_file = Some(path.into());
        self
    }

    /// The line takes its time, as a wire at this rate does; at no time by default.
    #[must_use]
    pub fn baud(mut self, rate: u32) -> Self {
        self.baud = Some(rate);
        self
    }

    /// Where chance begins.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// What is wrong with a module, for as long as it is.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// It neither listens nor speaks, until it is reset.
    pub hung: bool,
    /// So many of its next commands are answered with `busy p...`.
    pub busy: u32,
    /// So many of its next messages are answered with SEND FAIL.
    pub send_fails: u32,
    /// Of 10 000 bytes that it says, so many are lost on the line.
    pub lost: u32,
    /// So many of its next commands reach it without one of their bytes.
    pub short_commands: u32,
    /// So many of its next messages reach it without one of their bytes.
    pub short_messages: u32,
    /// Before one in 10 000 bytes that it says, so often comes a random one.
    pub noise: u32,
    /// No network is in reach.
    pub no_wifi: bool,
    /// Names are not resolved.
    pub no_names: bool,
    /// What it says to data that it is asked for.
    pub lie: Option<Lie>,
    /// It has forgotten how to be quiet: instead of every answer come random bytes.
    pub raving: bool,
}

/// Ways to lie about data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// More than was asked for.
    More,
    /// A length beyond all memory.
    Huge,
    /// Fewer bytes follow than it says.
    Fewer,
    /// OK, and no bytes.
    None,
    /// Bytes, then something else than OK.
    NoEnd,
}

/// What happens to a module at once.
#[derive(Debug)]
enum Act {
    Restart,
    ResetLine(bool),
    LoseWifi,
    Say(Vec<u8>),
}

/// What module and test share.
#[derive(Debug, Default)]
struct Shared {
    faults: Mutex<Faults>,
    log: Mutex<Vec<String>>,
    boots: AtomicU64,
}

impl Shared {
    fn faults<R>(&self, f: impl FnOnce(&mut Faults) -> R) -> R {
        f(&mut self.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn log(&self, line: &str) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // Enough for any test, and no more for a program that runs for days.
        if log.len() >= 10_000 {
            log.drain(..5000);
        }
        log.push(line.to_owned());
    }
}

/// A module at work. Unplugged when dropped.
#[derive(Debug)]
pub struct Modem {
    shared: Arc<Shared>,
    acts: mpsc::UnboundedSender<Act>,
    task: JoinHandle<()>,
}

impl Modem {
    /// Gives a module power; `path` is to be the device. Needs a tokio runtime.
    ///
    /// # Errors
    /// If there is no pseudo-terminal to be had, or the path cannot be.
    pub fn plug_in(path: impl AsRef<Path>, module: Module) -> io::Result<Self> {
        let pty = pty::Pty::new(path.as_ref())?;
        let shared = Arc::<Shared>::default();
        let (acts, receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(module::run(pty, module, receiver, Arc::clone(&shared)));
        Ok(Self { shared, acts, task })
    }

    /// It restarts by itself.
    pub fn restart(&self) {
        self.act(Act::Restart);
    }

    /// The reset line is pulled low, or let go.
    pub fn reset_line(&self, low: bool) {
        self.act(Act::ResetLine(low));
    }

    /// It is thrown out of its network.
    pub fn lose_wifi(&self) {
        self.act(Act::LoseWifi);
    }

    /// It says this, whatever it means.
    pub fn say(&self, bytes: impl Into<Vec<u8>>) {
        self.act(Act::Say(bytes.into()));
    }

    /// Changes what is wrong with it.
    pub fn faults<R>(&self, f: impl FnOnce(&mut Faults) -> R) -> R {
        self.shared.faults(f)
    }

    /// How often it started.
    pub fn boots(&self) -> u64 {
        self.shared.boots.load(Ordering::Relaxed)
    }

    /// The commands it was told, without passphrases.
    pub fn commands(&self) -> Vec<String> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn act(&self, act: Act) {
        // A module whose line is gone is beyond everything.
        let _ = self.acts.send(act);
    }
}

impl Drop for Modem {
    fn drop(&mut self) {
        self.task.abort();
    }
}
