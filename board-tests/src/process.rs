//! Starting and watching processes.

use std::ffi::OsStr;
use std::process::{Child, Command};
use std::time::Duration;
use std::{env, fs, io};

/// A child that is killed when this is dropped, so that a failed test leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts `command`.
    ///
    /// # Panics
    /// When it cannot be started, with the advice how to install it.
    pub(crate) fn start(command: &mut Command) -> Self {
        match command.spawn() {
            Ok(child) => Self(child),
            Err(error) => panic!(
                "cannot start {:?}: {error}; `./test tools` installs everything these tests need",
                command.get_program()
            ),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Kills it as `kill -9` does and waits for its end. Harmless when it has ended before.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Sends the signal called `name`, for instance `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(done.is_ok_and(|status| status.success()), "cannot send signal {name}");
    }

    /// Processor time it has used, all threads together; Linux only.
    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        // The name of the program may hold spaces; the fields after it do not. The 14th and the 15th
        // field of all are times, in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let sum = ticks(11).zip(ticks(12)).map(|(user, system)| user + system);
        sum.map(|ticks| Duration::from_millis(ticks * 10))
            .ok_or_else(|| io::Error::other("unexpected format of stat"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `PATH` with the directory where Debian keeps daemons, which not every user's has.
pub(crate) fn path_with_sbin() -> std::ffi::OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(OsStr::new(":/usr/sbin"));
    path
}
