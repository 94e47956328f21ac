//! Brings a link up, and down again when the recovery ladder says so, beside whatever else goes on.

use std::format;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use everlink_proto::engine::{Cause, Depth, Fault, Step};
use tokio::task::JoinHandle;

use super::{Commands, Program, Uplink};
use crate::Words;

/// The programs of one link, at most one of which runs at a time.
#[derive(Debug)]
pub(crate) struct Keeper {
    name: Arc<str>,
    commands: Commands,
    /// Runs by itself: attempts over this link wait for it, those over others do not.
    job: Option<Job>,
    /// `up` succeeded since the link was last taken down.
    is_up: bool,
}

#[derive(Debug)]
struct Job {
    task: JoinHandle<Result<(), String>>,
    /// It leaves the link up if it succeeds.
    brings_up: bool,
}

impl Drop for Job {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Keeper {
    pub(crate) fn new(uplink: &Uplink) -> Self {
        let name = Arc::from(uplink.name());
        Self { name, commands: uplink.commands.clone(), job: None, is_up: false }
    }

    /// Waits until the link can be used, and brings it up if it is down.
    ///
    /// Cancel-safe: a program that runs goes on, for the next call.
    pub(crate) async fn ready(&mut self, words: &Words) -> Result<(), Fault> {
        if self.commands.is_empty() {
            return Ok(());
        }
        self.finish(words).await?;
        if let Some(status) = self.commands.status.clone() {
            let fault = match self.run([status], false, words).await {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            };
            self.is_up = false;
            if self.commands.up.is_none() {
                return Err(fault);
            }
        }
        match &self.commands.up {
            Some(up) if !self.is_up => self.run([up.clone()], true, words).await,
            _ => Ok(()),
        }
    }

    /// Takes the link, or its device, down and up again. Returns at once; what is used next waits.
    pub(crate) fn cycle(&mut self, depth: Depth) {
        if self.job.as_ref().is_some_and(|job| !job.task.is_finished()) {
            // At work already.
            return;
        }
        let Commands { up, down, reset, .. } = &self.commands;
        let around: Vec<Program> = match down {
            Some(down) => [Some(down), up.as_ref()].into_iter().flatten().cloned().collect(),
            None => Vec::new(),
        };
        let programs = match (reset, depth) {
            (Some(reset), Depth::Device) => Vec::from([reset.clone()]),
            (Some(reset), _) if around.is_empty() => Vec::from([reset.clone()]),
            _ => around,
        };
        // A reset device has to be told to come up.
        self.is_up = false;
        if !programs.is_empty() {
            let brings_up = self.commands.down.is_some() && depth != Depth::Device;
            self.start(programs, brings_up);
        }
    }

    fn start(&mut self, programs: impl IntoIterator<Item = Program>, brings_up: bool) {
        let (link, programs) = (self.name.clone(), programs.into_iter().collect::<Vec<_>>());
        let task = tokio::spawn(async move {
            let mut result = Ok(());
            // `up` has its turn also if `down` failed.
            for program in programs {
                result = program.run(&link).await;
            }
            result
        });
        self.job = Some(Job { task, brings_up });
    }

    async fn run<const N: usize>(
        &mut self,
        programs: [Program; N],
        brings_up: bool,
        words: &Words,
    ) -> Result<(), Fault> {
        self.start(programs, brings_up);
        self.finish(words).await
    }

    /// Waits for what runs, if anything does.
    async fn finish(&mut self, words: &Words) -> Result<(), Fault> {
        let Some(job) = &mut self.job else { return Ok(()) };
        // Should the attempt end before the program does, this is why.
        words.say(Cause::OpenTimeout, &format!("{}: its program is still at work", self.name));
        let result = (&mut job.task).await.unwrap_or_else(|error| Err(format!("{error}")));
        words.clear();
        let brings_up = job.brings_up;
        self.job = None;
        match result {
            Ok(()) => {
                self.is_up |= brings_up;
                Ok(())
            }
            Err(why) => {
                words.say(Cause::Unreachable, &format!("{}: {why}", self.name));
                Err(Fault::new(Step::Link, Cause::Unreachable))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    /// Programs that write their names into a file; each is a script that may fail.
    struct Log(PathBuf);

    impl Log {
        fn new(name: &str) -> Self {
            let name = format!("everlink-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, "").unwrap();
            Self(path)
        }

        fn program(&self, name: &str, then: &str) -> Option<Program> {
            let script = format!("echo {name} >> {}; {then}", self.0.display());
            Some(Program::new("sh").arguments(["-c", &script]))
        }

        fn read(&self) -> String {
            std::fs::read_to_string(&self.0)
                .unwrap()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        }
    }

    impl Drop for Log {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn keeper(commands: Commands) -> Keeper {
        Keeper::new(&Uplink::interface("wwan0").commands(commands))
    }

    #[tokio::test]
    async fn it_is_brought_up_once_and_again_after_a_cycle() {
        let log = Log::new("once");
        let up = log.program("up", "true");
        let down = log.program("down", "true");
        let mut keeper = keeper(Commands { up, down, ..Commands::default() });
        let words = Words::default();
        for _ in 0..3 {
            keeper.ready(&words).await.unwrap();
        }
        assert_eq!(log.read(), "up");
        keeper.cycle(Depth::Link);
        keeper.cycle(Depth::Link);
        keeper.ready(&words).await.unwrap();
        keeper.ready(&words).await.unwrap();
        assert_eq!(log.read(), "up down up");
    }

    #[tokio::test]
    async fn the_device_is_reset_by_its_own_program() {
        let log = Log::new("device");
        let (up, down) = (log.program("up", "true"), log.program("down", "true"));
        let reset = log.program("reset", "true");
        let mut keeper = keeper(Commands { up, down, reset, ..Commands::default() });
        keeper.cycle(Depth::Device);
        keeper.ready(&Words::default()).await.unwrap();
        assert_eq!(log.read(), "reset up");
    }

    #[tokio::test]
    async fn status_decides_whether_it_must_be_brought_up() {
        let log = Log::new("status");
        let there = format!("test -e {}.up", log.0.display());
        let status = log.program("status", &there);
        let up = log.program("up", &format!("touch {}.up", log.0.display()));
        let mut keeper = keeper(Commands { up, status, ..Commands::default() });
        let words = Words::default();
        keeper.ready(&words).await.unwrap();
        keeper.ready(&words).await.unwrap();
        std::fs::remove_file(format!("{}.up", log.0.display())).unwrap();
        keeper.ready(&words).await.unwrap();
        std::fs::remove_file(format!("{}.up", log.0.display())).unwrap();
        assert_eq!(log.read(), "status up status status up");
    }

    #[tokio::test]
    async fn a_failure_says_which_program_and_why_and_is_tried_again() {
        let log = Log::new("failure");
        let up = log.program("up", "echo no SIM; exit 4");
        let mut keeper = keeper(Commands { up, ..Commands::default() });
        let words = Words::default();
        let fault = keeper.ready(&words).await.unwrap_err();
        assert_eq!(fault, Fault::new(Step::Link, Cause::Unreachable));
        let line = words.about(fault.cause).unwrap();
        assert!(line.starts_with("wwan0: `sh") && line.ends_with(": no SIM"), "{line}");
        keeper.ready(&words).await.unwrap_err();
        assert_eq!(log.read(), "up up");
    }

    /// An attempt is abandoned after its time; the program goes on, and the next attempt finds it done.
    #[tokio::test]
    async fn a_slow_program_outlives_the_attempt() {
        let log = Log::new("slow");
        let up = log.program("up", "sleep 1; echo done >> /dev/null");
        let mut keeper = keeper(Commands { up, ..Commands::default() });
        let words = Words::default();
        let start = Instant::now();
        let short = tokio::time::timeout(Duration::from_millis(100), keeper.ready(&words));
        assert!(short.await.is_err());
        assert!(words.about(Cause::OpenTimeout).unwrap().contains("still at work"));
        keeper.ready(&words).await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(1));
        assert_eq!(log.read(), "up");
    }
}
