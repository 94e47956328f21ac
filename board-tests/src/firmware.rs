//! Building programs for the board.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, process};

const TARGET: &str = "thumbv7m-none-eabi";

/// A program for the emulated board, built from `firmware/mps2`.
#[derive(Clone, Debug)]
pub struct Firmware {
    elf: PathBuf,
}

impl Firmware {
    /// Builds the binary `name`. The first build takes a minute, later ones find it done.
    ///
    /// # Panics
    /// When it does not build.
    pub fn build(name: &str) -> Self {
        Self::build_with(name, &[])
    }

    /// Builds the binary `name` with `features` of the package, for instance `ram-32k`.
    ///
    /// # Panics
    /// When it does not build.
    pub fn build_with(name: &str, features: &[&str]) -> Self {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware");
        let target = workspace.join("target");
        let copies = target.join("board-tests");
        fs::create_dir_all(&copies).expect("firmware/target can be written");
        // Every test is a process of its own, and builds with other features share a file name: one
        // builds and copies at a time.
        let lock = File::create(copies.join("lock")).expect("firmware/target can be written");
        lock.lock().expect("a file can be locked");

        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .current_dir(&workspace)
            .args(["build", "--quiet", "--locked", "--release", "--package", "mps2"])
            .args(["--target", TARGET, "--bin", name, "--features", &features.join(",")])
            .arg("--target-dir")
            .arg(&target)
            // Meant for the host's build.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .unwrap_or_else(|error| panic!("cannot run cargo: {error}"));
        assert!(
            built.success(),
            "{name} does not build; is the target there? `./test tools` installs {TARGET}"
        );

        let elf = copies.join(format!("{}.elf", [&[name], features].concat().join("-")));
        // Replaced as a whole: another test may be starting the old one.
        let fresh = copies.join(format!("{}.new", process::id()));
        fs::copy(target.join(TARGET).join("release").join(name), &fresh)
            .and_then(|_| fs::rename(&fresh, &elf))
            .unwrap_or_else(|error| panic!("cannot copy {name}: {error}"));
        Self { elf }
    }

    /// The ELF file.
    pub fn elf(&self) -> &Path {
        &self.elf
    }
}
