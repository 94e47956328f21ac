//! A road through a WiFi module: carries out what [`EspAt`] decides, over a serial port.

use std::boxed::Box;
use std::format;
use std::fs;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::string::{String, ToString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec::Vec;

use everlink_proto::engine::{Cause, Depth, Fault, Step};
use everlink_proto::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use super::esp_at::{ModemReset, ModemRoad};
use super::pipe::{LINGER, Wire};
use super::serial::{self, SerialWire};
use crate::modem::{Broker, EspAt, MIN_OUT, ModemOptions, Network, Output, Plan, State};
use crate::words::reason;
use crate::{Pipe, Progress, Words};

/// Bytes that one command moves, at most.
const BLOCK: usize = 2048;
/// Rounds before other tasks get their turn.
const ROUNDS: usize = 64;
/// A line that takes nothing for so long is stuck: the module holds it back, or nobody is there.
const STUCK: Duration = Duration::from_secs(3);
/// No rung of the ladder takes longer.
const RUNG: Duration = Duration::from_secs(20);

/// A module, whoever uses it at present.
#[derive(Debug)]
pub(super) struct Modem(Arc<Mutex<Core>>);

struct Core {
    road: ModemRoad,
    words: Words,
    plan: Networks,
    wire: Option<SerialWire>,
    engine: EspAt<Box<[u8]>>,
    /// Bytes for the line, and those of them that it has not taken.
    out: Box<[u8]>,
    pending: std::ops::Range<usize>,
    start: tokio::time::Instant,
    alarm: Option<(Instant, Pin<Box<Sleep>>)>,
    stuck: Option<Instant>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("road", &self.road).finish_non_exhaustive()
    }
}

/// Names and passphrases, and the broker. Never shown.
struct Networks {
    known: Vec<(String, String)>,
    broker: ModemRoad,
}

impl Plan for Networks {
    fn network(&self, number: usize) -> Option<Network<'_>> {
        self.known.get(number).map(|(ssid, passphrase)| Network { ssid, passphrase })
    }

    fn broker(&self) -> Broker<'_> {
        let ModemRoad { broker, tls, .. } = &self.broker;
        Broker { host: &broker.host, port: broker.port, tls: *tls }
    }
}

impl Modem {
    pub(super) fn new(road: &ModemRoad, words: &Words) -> Self {
        let options = ModemOptions {
            stable: road.stable,
            has_reset_pin: road.reset != ModemReset::Told,
            ..ModemOptions::default()
        };
        let memory = || std::vec![0; BLOCK].into_boxed_slice();
        Self(Arc::new(Mutex::new(Core {
            road: road.clone(),
            words: words.clone(),
            plan: Networks { known: Vec::new(), broker: road.clone() },
            wire: None,
            engine: EspAt::new(options, memory(), memory()),
            out: std::vec![0; MIN_OUT.max(512)].into_boxed_slice(),
            pending: 0..0,
            start: tokio::time::Instant::now(),
            alarm: None,
            stuck: None,
        })))
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a connection. Cancel-safe.
    pub(super) async fn open(&self, progress: &Progress) -> Result<ModemPipe, Fault> {
        self.core().prepare()?;
        self.core().engine.open();
        // From now on it is left in order, whatever happens.
        let pipe = ModemPipe { core: Arc::clone(&self.0), closing: None };
        let opened = poll_fn(|cx| {
            let mut core = self.core();
            core.drive(cx);
            match core.engine.state() {
                State::Busy(step) => {
                    progress.set(step);
                    Poll::Pending
                }
                State::Open => Poll::Ready(Ok(())),
                State::Failed(fault) => Poll::Ready(Err(fault)),
                // The device is gone.
                State::Idle | State::Ended(_) => {
                    Poll::Ready(Err(Fault::new(Step::Link, core.lost())))
                }
            }
        });
        opened.await.inspect_err(|fault| self.core().explain(fault.cause))?;
        Ok(pipe)
    }

    /// Climbs a rung of the ladder.
    pub(super) async fn cycle(&self, depth: Depth) {
        if self.core().prepare().is_err() {
            return;
        }
        self.core().engine.cycle(depth);
        let done = poll_fn(|cx| {
            let mut core = self.core();
            core.drive(cx);
            if matches!(core.engine.state(), State::Busy(_)) {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        });
        let _ = timeout(RUNG, done).await;
    }

    /// Lets go of the device, which another road may use.
    pub(super) fn release(&self) {
        let mut core = self.core();
        core.engine.abandon();
        core.wire = None;
    }
}

impl Core {
    /// Opens the device if it is not open, and reads the networks anew.
    fn prepare(&mut self) -> Result<(), Fault> {
        if let Some(path) = &self.road.networks {
            self.plan.known = networks(path).map_err(|(cause, why)| {
                self.words.say(cause, &why);
                Fault::new(Step::Link, cause)
            })?;
        }
        if self.wire.is_none() {
            self.wire = Some(serial::wire(&self.road.port, &self.words)?);
            (self.pending, self.stuck) = (0..0, None);
        }
        Ok(())
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.start.elapsed().as_micros() as u64)
    }

    /// Reads, decides, writes, until nothing moves.
    fn drive(&mut self, cx: &mut Context<'_>) {
        for _ in 0..ROUNDS {
            match self.round(cx) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.broke(&error),
            }
        }
        cx.waker().wake_by_ref();
    }

    fn round(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let now = self.now();
        let Some(wire) = &mut self.wire else { return Ok(false) };
        let mut moved = false;
        let mut block = [0; 1024];
        let mut block = ReadBuf::new(&mut block);
        if Pin::new(&mut *wire).poll_read(cx, &mut block)?.is_ready() {
            self.engine.receive(now, block.filled());
            moved = true;
        }
        while !self.pending.is_empty() {
            let bytes = self.out.get(self.pending.clone()).unwrap_or_default();
            match Pin::new(&mut *wire).poll_write(cx, bytes)? {
                Poll::Ready(n) => {
                    (self.pending.start, self.stuck, moved) = (self.pending.start + n, None, true);
                }
                Poll::Pending => {
                    let since = *self.stuck.get_or_insert(now);
                    if now >= since + STUCK {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    return Ok(self.is_due(cx, since + STUCK) || moved);
                }
            }
        }
        match self.engine.poll(now, &self.plan, &mut self.out) {
            Output::Send(n) => self.pending = 0..n,
            Output::Pin { low } => self.pull(low),
            Output::Wait(None) => return Ok(moved),
            Output::Wait(Some(at)) => return Ok(self.is_due(cx, at) || moved),
        }
        Ok(true)
    }

    /// Whether it is time already; if not, we are woken then.
    fn is_due(&mut self, cx: &mut Context<'_>, at: Instant) -> bool {
        let now = self.now();
        if at <= now {
            return true;
        }
        let (armed, sleep) = self.alarm.get_or_insert_with(|| (at, Box::pin(sleep(at.since(now)))));
        if *armed != at {
            *armed = at;
            sleep.as_mut().reset(tokio::time::Instant::now() + at.since(now));
        }
        let due = sleep.as_mut().poll(cx).is_ready();
        if due {
            self.alarm = None;
        }
        due
    }

    /// The line failed.
    fn broke(&mut self, error: &io::Error) {
        let cause = match (&self.wire, error.kind()) {
            (_, io::ErrorKind::TimedOut) => {
                let line = format!("{}: the module takes no bytes", self.road.port.device);
                self.words.say(Cause::Silent, &line);
                Cause::Silent
            }
            (Some(wire), _) => wire.cause(error),
            (None, _) => Cause::NotFound,
        };
        self.wire = None;
        self.engine.line_lost(cause);
    }

    /// Why there is no way on.
    fn lost(&self) -> Cause {
        match self.engine.state() {
            State::Ended(Some(cause)) => cause,
            _ => Cause::NotFound,
        }
    }

    /// Puts the module's trouble into words.
    fn explain(&mut self, cause: Cause) {
        if let Some(trouble) = self.engine.trouble() {
            self.words.say(cause, &format!("{}: {trouble}", self.road.port.device));
        }
    }

    /// Pulls the reset line, or lets it go.
    fn pull(&mut self, low: bool) {
        let Some(wire) = &self.wire else { return };
        let lines = |set: fn(&serial2::SerialPort, bool) -> io::Result<()>| {
            let port: OwnedFd = wire.share()?;
            set(&serial2::SerialPort::from(port), low)
        };
        let pulled = match &self.road.reset {
            ModemReset::Told => Ok(()),
            // Boards with the usual two transistors reset when RTS is asserted and DTR is not.
            ModemReset::Rts => lines(|port, low| {
                port.set_dtr(false)?;
                port.set_rts(low)
            }),
            ModemReset::Dtr => lines(|port, low| port.set_dtr(low)),
            ModemReset::Program(path) if low => run(path.clone()),
            ModemReset::Program(_) => Ok(()),
        };
        if let Err(error) = pulled {
            let line = format!("{}: cannot reset: {}", self.road.port.device, reason(&error));
            self.words.say(Cause::Silent, &line);
        }
    }
}

/// Runs a program to its end, on a thread of its own.
fn run(path: String) -> io::Result<()> {
    let mut child = std::process::Command::new(path)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()?;
    let wait = move || {
        let _ = child.wait();
    };
    std::thread::Builder::new().name("everlink-reset".to_string()).spawn(wait).map(drop)
}

/// Reads `NAME=PASSPHRASE` lines. Errors repeat nothing of the file.
fn networks(path: &str) -> Result<Vec<(String, String)>, (Cause, String)> {
    let text = fs::read_to_string(path).map_err(|error| {
        (super::local::cause_of_local(&error), format!("networks: {path}: {}", reason(&error)))
    })?;
    let lines = text.lines().enumerate();
    let lines = lines.map(|(at, line)| (at + 1, line.trim_end_matches('\r')));
    let wanted = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let known: Result<Vec<_>, _> = wanted.map(|(at, line)| network(line).ok_or(at)).collect();
    let wrong = |why: String| (Cause::WrongProtocol, format!("networks: {path}{why}"));
    match known {
        Ok(known) if known.is_empty() => Err(wrong(": there is none in it".to_string())),
        Ok(known) => Ok(known),
        Err(at) => Err(wrong(format!(
            ":{at}: not NAME=PASSPHRASE, with 1 to 32 bytes and none or 8 to 64"
        ))),
    }
}

fn network(line: &str) -> Option<(String, String)> {
    let (ssid, passphrase) = line.split_once('=')?;
    let fits = (1..=32).contains(&ssid.len())
        && (passphrase.is_empty() || (8..=64).contains(&passphrase.len()))
        && !line.chars().any(char::is_control);
    fits.then(|| (ssid.to_string(), passphrase.to_string()))
}

/// A connection through a module.
#[derive(Debug)]
pub(super) struct ModemPipe {
    core: Arc<Mutex<Core>>,
    closing: Option<Pin<Box<Sleep>>>,
}

impl ModemPipe {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// The end of the connection, if it has come.
    fn end(&mut self) -> Option<Result<(), Cause>> {
        match self.engine.state() {
            State::Open => None,
            State::Ended(None) => Some(Ok(())),
            State::Ended(Some(cause)) => {
                if self.wire.is_some() {
                    self.explain(cause);
                }
                Some(Err(cause))
            }
            State::Idle | State::Busy(_) | State::Failed(_) => Some(Err(Cause::Reset)),
        }
    }
}

impl Pipe for ModemPipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        let mut core = self.core();
        core.drive(cx);
        let n = core.engine.read(buf);
        if n > 0 {
            // There is room again, which may be what is waited for.
            core.drive(cx);
            return Poll::Ready(Ok(n));
        }
        match core.end() {
            None => Poll::Pending,
            Some(end) => Poll::Ready(end.map(|()| 0)),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        let mut core = self.core();
        let mut n = core.engine.write(buf);
        core.drive(cx);
        if n == 0 {
            // What was just heard may have made room, and nobody would wake us for that again.
            n = core.engine.write(buf);
            core.drive(cx);
        }
        match core.end() {
            _ if n > 0 || buf.is_empty() => Poll::Ready(Ok(n)),
            None => Poll::Pending,
            Some(end) => Poll::Ready(Err(end.err().unwrap_or(Cause::Eof))),
        }
    }

    /// Takes a second at most.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let linger = self.closing.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if linger.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut core = self.core();
        core.engine.close();
        core.drive(cx);
        if core.end().is_some() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for ModemPipe {
    fn drop(&mut self) {
        self.core().engine.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_errors_keep_secrets() {
        let path = std::env::temp_dir().join(format!("everlink-networks-{}", std::process::id()));
        let text = path.to_str().unwrap();
        let read = |content: &str| {
            fs::write(&path, content).unwrap();
            networks(text)
        };
        let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
        assert_eq!(
            read("# mine\nshed=correct horse\r\n\nbarn=\ncafe=a=b=c=d=e=\n").unwrap(),
            [pair("shed", "correct horse"), pair("barn", ""), pair("cafe", "a=b=c=d=e=")]
        );
        for (content, at) in
            [("", "none"), ("a=\nhunter22hunter22\n", ":2:"), ("shed=hunter2", ":1:")]
        {
            let (cause, why) = read(content).unwrap_err();
            assert!(why.contains(at) && !why.contains("hunter"), "{why}");
            assert_eq!(cause, Cause::WrongProtocol);
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(networks(text).unwrap_err().0, Cause::NotFound);
    }
}
