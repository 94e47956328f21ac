//! The life of a module: it starts, listens, and starts again.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::pty::Pty;
use super::socket::Socket;
use super::{Act, Firmware, Module, Shared};

/// The longest command it takes; the rest of a longer one is dropped.
const LONGEST: usize = 512;
/// How often the reset line that is a file is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Why a life ends.
#[derive(Debug)]
pub(super) enum End {
    Restart,
    /// The reset line is low.
    Held,
    /// The line is gone.
    Unplugged,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Unplugged
    }
}

/// All of a module.
#[derive(Debug)]
pub(super) struct State {
    pub(super) module: Module,
    pub(super) shared: Arc<Shared>,
    pty: Pty,
    acts: UnboundedReceiver<Act>,
    rng: Rng,
    input: VecDeque<u8>,
    echo: bool,
    pub(super) joined: Option<String>,
    pub(super) passive: bool,
    pub(super) socket: Option<Socket>,
    /// When it looks at its reset file again.
    look: Instant,
}

/// Runs until the line is gone.
pub(super) async fn run(
    pty: Pty,
    module: Module,
    acts: UnboundedReceiver<Act>,
    shared: Arc<Shared>,
) {
    let rng = Rng::with_seed(module.seed);
    let mut state = State {
        module,
        shared,
        pty,
        acts,
        rng,
        input: VecDeque::new(),
        echo: true,
        joined: None,
        passive: false,
        socket: None,
        look: Instant::now(),
    };
    let mut held = false;
    loop {
        if held {
            state.held().await;
        }
        match state.live().await {
            End::Restart => held = false,
            End::Held => held = true,
            End::Unplugged => return,
        }
    }
}

impl State {
    /// From power-up to the end.
    async fn live(&mut self) -> End {
        self.shared.boots.fetch_add(1, Ordering::Relaxed);
        self.shared.faults(|faults| faults.hung = false);
        (self.echo, self.passive, self.joined, self.socket) = (true, false, None, None);
        self.input.clear();
        match self.work().await {
            Ok(()) => End::Unplugged,
            Err(end) => end,
        }
    }

    async fn held(&mut self) {
        while let Some(act) = self.acts.recv().await {
            if matches!(act, Act::ResetLine(false)) {
                return;
            }
        }
        std::future::pending().await
    }

    async fn work(&mut self) -> Result<(), End> {
        // What the boot loader says at another rate.
        let mut garbage: Vec<u8> = (0..self.rng.usize(20..90)).map(|_| self.rng.u8(..)).collect();
        garbage.extend(b"\r\n");
        self.say_raw(&garbage).await?;
        let boot = self.module.boot;
        self.meanwhile(sleep(boot), false).await?;
        self.input.clear();
        self.say("\r\nready\r\n").await?;
        if let Some(own) = self.module.own.clone().filter(|_| !self.shared.faults(|f| f.no_wifi)) {
            self.joined = Some(own);
            self.say("WIFI CONNECTED\r\nWIFI GOT IP\r\n").await?;
        }
        loop {
            while let Some(line) = self.line() {
                self.hear(line).await?;
            }
            self.wait().await?;
        }
    }

    /// A whole command, if there is one.
    fn line(&mut self) -> Option<Vec<u8>> {
        let Some(end) = self.input.iter().position(|b| *b == b'\n') else {
            if self.input.len() > LONGEST {
                self.input.clear();
            }
            return None;
        };
        let mut line: Vec<u8> = self.input.drain(..=end).collect();
        line.truncate(LONGEST);
        if self.shared.faults(|f| take_one(&mut f.short_commands)) {
            line.remove(self.rng.usize(..line.len()));
            if line.last() != Some(&b'\n') {
                // What comes next belongs to it.
                line.iter().rev().for_each(|byte| self.input.push_front(*byte));
                return None;
            }
        }
        while line.last().is_some_and(|b| b"\r\n".contains(b)) {
            line.pop();
        }
        Some(line)
    }

    async fn hear(&mut self, line: Vec<u8>) -> Result<(), End> {
        let text = String::from_utf8_lossy(&line).into_owned();
        if self.echo && !text.is_empty() {
            self.say(&format!("{text}\r\r\n")).await?;
        }
        if text.is_empty() {
            return Ok(());
        }
        let secret = text.contains("JAP") && text.contains('=');
        self.shared.log(if secret { "AT+CWJAP=..." } else { &text });
        if self.shared.faults(|f| take_one(&mut f.busy)) {
            return self.say("busy p...\r\n").await;
        }
        match text.as_str() {
            "ATE0" => self.echo = false,
            "ATE1" => self.echo = true,
            _ => return self.command(&text).await,
        }
        self.ok().await
    }

    pub(super) async fn ok(&mut self) -> Result<(), End> {
        self.say("\r\nOK\r\n").await
    }

    pub(super) async fn error(&mut self) -> Result<(), End> {
        self.say("\r\nERROR\r\n").await
    }

    pub(super) fn is_old(&self) -> bool {
        self.module.firmware == Firmware::V1
    }

    /// Waits for whatever comes next.
    async fn wait(&mut self) -> Result<(), End> {
        let hung = self.shared.faults(|f| f.hung);
        let mut block = [0; 512];
        let Self { pty, socket, acts, look, .. } = self;
        tokio::select! {
            act = acts.recv() => return self.suffer(act).await,
            n = pty.read(&mut block), if !hung => {
                let n = n?;
                self.overhear(block.get(..n).unwrap_or_default());
                self.pace(n).await;
            }
            came = Socket::read(socket), if !hung => return self.came(came).await,
            () = sleep_until(*look) => return self.check_line(),
        }
        Ok(())
    }

    /// So many bytes take their time on the line, with a start and a stop bit each.
    async fn pace(&self, bytes: usize) {
        if let Some(baud) = self.module.baud {
            sleep(Duration::from_secs_f64(bytes as f64 * 10.0 / f64::from(baud))).await;
        }
    }

    /// Bytes from the host, as far as the line brings them.
    fn overhear(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
    }

    fn check_line(&mut self) -> Result<(), End> {
        self.look = Instant::now() + LOOK;
        let pulled =
            self.module.reset_file.as_ref().is_some_and(|p| std::fs::remove_file(p).is_ok());
        if pulled { Err(End::Restart) } else { Ok(()) }
    }

    async fn suffer(&mut self, act: Option<Act>) -> Result<(), End> {
        match act {
            None => Err(End::Unplugged),
            Some(Act::Restart) => Err(End::Restart),
            Some(Act::ResetLine(true)) => Err(End::Held),
            Some(Act::ResetLine(false)) => Ok(()),
            Some(Act::LoseWifi) => {
                if self.joined.take().is_some() {
                    if self.socket.take().is_some() {
                        self.say("CLOSED\r\n").await?;
                    }
                    self.say("WIFI DISCONNECT\r\n").await?;
                }
                Ok(())
            }
            Some(Act::Say(bytes)) => self.say_raw(&bytes).await,
        }
    }

    /// Does something that takes long. Commands meanwhile are not looked at.
    pub(super) async fn meanwhile<T>(
        &mut self,
        what: impl Future<Output = T>,
        speaks: bool,
    ) -> Result<T, End> {
        let mut what = pin!(what);
        loop {
            let mut block = [0; 512];
            tokio::select! {
                done = &mut what => return Ok(done),
                act = self.acts.recv() => self.suffer(act).await?,
                n = self.pty.read(&mut block) => {
                    let n = n?;
                    self.overhear(block.get(..n).unwrap_or_default());
                    while self.line().is_some() {
                        if speaks {
                            self.say("busy p...\r\n").await?;
                        }
                    }
                }
                () = sleep_until(self.look) => self.check_line()?,
            }
        }
    }

    /// So many bytes that follow a prompt.
    pub(super) async fn payload(&mut self, n: usize) -> Result<Vec<u8>, End> {
        if self.shared.faults(|f| take_one(&mut f.short_messages)) {
            while self.input.is_empty() {
                self.wait().await?;
            }
            let lost = self.rng.usize(..self.input.len().min(n));
            self.input.remove(lost);
        }
        while self.input.len() < n {
            self.wait().await?;
        }
        Ok(self.input.drain(..n).collect())
    }

    pub(super) async fn say(&mut self, text: &str) -> Result<(), End> {
        if self.shared.faults(|f| f.raving) {
            let n = self.rng.usize(1..400);
            let bytes: Vec<u8> = (0..n).map(|_| self.rng.u8(..)).collect();
            return self.say_raw(&bytes).await;
        }
        self.say_raw(text.as_bytes()).await
    }

    /// Speaks over the line as it is.
    pub(super) async fn say_raw(&mut self, bytes: &[u8]) -> Result<(), End> {
        let (lost, noise, hung) = self.shared.faults(|f| (f.lost, f.noise, f.hung));
        if hung {
            return Ok(());
        }
        let mut line = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if noise > 0 && self.rng.u32(..10_000) < noise {
                line.push(self.rng.u8(..));
            }
            if lost == 0 || self.rng.u32(..10_000) >= lost {
                line.push(*byte);
            }
        }
        self.pace(line.len()).await;
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            // If nobody reads, what is said is lost, as on any line.
            let Ok(wrote) = timeout(Duration::from_millis(500), self.pty.write(rest)).await else {
                return Ok(());
            };
            rest = rest.get(wrote?..).unwrap_or_default();
        }
        Ok(())
    }
}

/// Whether there is one left, which is gone then.
pub(super) fn take_one(count: &mut u32) -> bool {
    let left = *count > 0;
    *count = count.saturating_sub(1);
    left
}
