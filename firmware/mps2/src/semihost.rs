//! What the emulator does for the board: host files, the command line, the date, the end.
//!
//! Each call halts the processor until the host has answered.
#![allow(unsafe_code)]

use core::cell::Cell;

use cortex_m_semihosting::{nr, syscall};
use rand_core::{CryptoRng, RngCore};

/// Ends the emulator; its exit status is `code`.
pub fn exit(code: u8) -> ! {
    const EXIT_EXTENDED: usize = 0x20;
    const APPLICATION_EXIT: usize = 0x2_0026;
    loop {
        // SAFETY: the block is what SYS_EXIT_EXTENDED expects.
        unsafe { syscall(EXIT_EXTENDED, &[APPLICATION_EXIT, usize::from(code)]) };
    }
}

/// Seconds since 1970, by the host's clock.
pub fn unix_time() -> u32 {
    // SAFETY: SYS_TIME takes no argument.
    unsafe { syscall(nr::TIME, &0) as u32 }
}

/// Hundredths of a second since the emulator started: differs from run to run, survives a reset.
pub(crate) fn host_clock() -> u32 {
    // SAFETY: SYS_CLOCK takes no argument.
    unsafe { syscall(nr::CLOCK, &0) as u32 }
}

/// The arguments given with `-semihosting-config arg=...`, joined by spaces, cut to `buffer`.
pub(crate) fn command_line(buffer: &mut [u8]) -> &str {
    // Cells, because the host puts the length into the block.
    let block = [Cell::new(buffer.as_mut_ptr() as usize), Cell::new(buffer.len())];
    // SAFETY: the host writes at most `len` bytes to the buffer, and to cells of the block.
    let failed = unsafe { syscall(nr::GET_CMDLINE, &block) };
    let length = block[1].get();
    let text = if failed == 0 { buffer.get(..length).unwrap_or(&[]) } else { &[] };
    let text = text.split(|&byte| byte == 0).next().unwrap_or(&[]);
    core::str::from_utf8(text).unwrap_or("")
}

/// The host's file at `path`, as much of it as `buffer` holds; `None` if there is no such file.
pub fn read_file<'b>(path: &str, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut file = File::open(path, Mode::Read).ok()?;
    let length = file.len().ok()?.min(buffer.len());
    let content = buffer.get_mut(..length)?;
    file.read(content).ok()?;
    Some(content)
}

/// The host's random numbers, which are good enough for keys.
pub struct HostRandom(File);

impl HostRandom {
    /// `None` if the host has none.
    pub fn open() -> Option<Self> {
        File::open("/dev/urandom", Mode::Read).ok().map(Self)
    }
}

impl RngCore for HostRandom {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    /// # Panics
    /// When the host breaks off: no key may be made of what is not random.
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.read(bytes).expect("the host has random numbers");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for HostRandom {}

/// How to open a [`File`].
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    /// An existing file, for reading.
    Read = nr::open::R_BINARY as isize,
    /// An existing file, for reading and writing.
    ReadWrite = nr::open::RW_BINARY as isize,
    /// A new or emptied file, for reading and writing.
    Create = nr::open::RW_TRUNC_BINARY as isize,
    /// The host's console when the name is `:tt`.
    Write = nr::open::W_TRUNC as isize,
}

/// A file of the host. Every write goes straight to the host's file: there is no buffer that the
/// death of the emulator could lose.
pub(crate) struct File(usize);

/// The host refused; what and why is its secret.
#[derive(Debug)]
pub(crate) struct HostError;

impl File {
    /// `path` is relative to the directory in which the emulator was started.
    pub(crate) fn open(path: &str, mode: Mode) -> Result<Self, HostError> {
        let mut name = [0u8; 128];
        // One byte stays zero: the host looks for the end of the name.
        let room = name.len() - 1;
        name[..room].get_mut(..path.len()).ok_or(HostError)?.copy_from_slice(path.as_bytes());
        // SAFETY: the name is terminated by a zero byte and lives until the call returns.
        let handle =
            unsafe { syscall(nr::OPEN, &[name.as_ptr() as usize, mode as usize, path.len()]) };
        if handle == usize::MAX { Err(HostError) } else { Ok(Self(handle)) }
    }

    pub(crate) fn len(&self) -> Result<usize, HostError> {
        // SAFETY: SYS_FLEN takes a handle.
        let length = unsafe { syscall(nr::FLEN, &[self.0]) };
        if length == usize::MAX { Err(HostError) } else { Ok(length) }
    }

    pub(crate) fn seek(&mut self, offset: usize) -> Result<(), HostError> {
        // SAFETY: SYS_SEEK takes a handle and an offset.
        let failed = unsafe { syscall(nr::SEEK, &[self.0, offset]) };
        if failed == 0 { Ok(()) } else { Err(HostError) }
    }

    /// Fills `buffer` from the present position.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<(), HostError> {
        // SAFETY: the host writes `len` bytes at most; the pointer may be written through.
        let missing =
            unsafe { syscall(nr::READ, &[self.0, buffer.as_mut_ptr() as usize, buffer.len()]) };
        if missing == 0 { Ok(()) } else { Err(HostError) }
    }

    /// Writes all of `bytes` at the present position, as one write of the host.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), HostError> {
        // SAFETY: the host reads `len` bytes.
        let missing =
            unsafe { syscall(nr::WRITE, &[self.0, bytes.as_ptr() as usize, bytes.len()]) };
        if missing == 0 { Ok(()) } else { Err(HostError) }
    }
}
