//! Ethernet: the LAN9118 as a driver for embassy-net.
//!
//! The NIC can be taken from the board in three ways: the host pulls the cable (`set_link` of the
//! emulator), the program switches it off ([`NicControl::set_power`]), or frames vanish in both
//! directions while the link looks well ([`NicControl::set_deaf`]).

mod chip;

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_sync::waitqueue::AtomicWaker;

use crate::irq::{self, Irq};
use chip::{FRAME, MTU};

static WAKER: AtomicWaker = AtomicWaker::new();
static POWERED: AtomicBool = AtomicBool::new(true);
static DEAF: AtomicBool = AtomicBool::new(false);
static RECEIVED: AtomicU32 = AtomicU32::new(0);
static SENT: AtomicU32 = AtomicU32::new(0);

/// Frames since reset: `(received, sent)`.
pub(crate) fn frames() -> (u32, u32) {
    (RECEIVED.load(Ordering::Relaxed), SENT.load(Ordering::Relaxed))
}

/// Room for the frame that is being received and for the one that is being sent.
pub struct Frames {
    rx: [u8; FRAME],
    tx: [u8; FRAME],
}

impl Frames {
    /// Empty frames.
    pub const fn new() -> Self {
        Self { rx: [0; FRAME], tx: [0; FRAME] }
    }
}

impl Default for Frames {
    fn default() -> Self {
        Self::new()
    }
}

/// The NIC, for `embassy_net::new`.
pub struct Nic {
    address: [u8; 6],
    frames: &'static mut Frames,
    /// Whether a cable is plugged in.
    cable: bool,
}

impl Nic {
    /// Resets and starts the chip. `None` when the emulator has none (`-nic none`).
    pub fn start(frames: &'static mut Frames) -> Option<(Self, NicControl)> {
        let address = chip::start()?;
        irq::enable(Irq::Ethernet);
        Some((Self { address, frames, cable: chip::has_cable() }, NicControl(())))
    }

    /// A frame is there and is to be handed on; frames that nobody may see are thrown away.
    fn has_frame(&mut self) -> bool {
        loop {
            if !chip::frame_waiting() {
                chip::listen();
                // One may have come before the chip was told to interrupt.
                if !chip::frame_waiting() {
                    return false;
                }
            }
            if audible() {
                return true;
            }
            chip::receive(&mut self.frames.rx);
        }
    }
}

/// Switches the NIC, from any task.
#[derive(Clone, Copy)]
pub struct NicControl(());

impl NicControl {
    /// Off, the NIC has no link and neither sends nor receives. On is the state after reset.
    pub fn set_power(self, on: bool) {
        POWERED.store(on, Ordering::Relaxed);
        WAKER.wake();
    }

    /// Deaf, the NIC loses every frame in both directions and reports a good link: what a dead
    /// router or a dropped NAT entry looks like.
    pub fn set_deaf(self, deaf: bool) {
        DEAF.store(deaf, Ordering::Relaxed);
        WAKER.wake();
    }
}

fn audible() -> bool {
    POWERED.load(Ordering::Relaxed) && !DEAF.load(Ordering::Relaxed)
}

pub(crate) extern "C" fn interrupted() {
    // `receive` asks for interrupts again when it has taken everything.
    chip::hush();
    WAKER.wake();
}

impl Driver for Nic {
    type RxToken<'a> = Rx<'a>;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Rx<'_>, Tx<'_>)> {
        WAKER.register(cx.waker());
        if !self.has_frame() {
            return None;
        }
        Some((Rx(&mut self.frames.rx), Tx(&mut self.frames.tx)))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Tx<'_>> {
        if !chip::has_room() {
            // The emulated chip sends at once, so this does not happen; if it did, asking again is
            // better than an interrupt that is never tried.
            cx.waker().wake_by_ref();
            return None;
        }
        Some(Tx(&mut self.frames.tx))
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        WAKER.register(cx.waker());
        if chip::cable_changed() {
            self.cable = chip::has_cable();
        }
        let up = self.cable && POWERED.load(Ordering::Relaxed);
        if up { LinkState::Up } else { LinkState::Down }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = MTU;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.address)
    }
}

#[doc(hidden)]
pub struct Rx<'a>(&'a mut [u8; FRAME]);

impl RxToken for Rx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, action: F) -> R {
        let length = chip::receive(self.0);
        RECEIVED.fetch_add(1, Ordering::Relaxed);
        action(&mut self.0[..length])
    }
}

#[doc(hidden)]
pub struct Tx<'a>(&'a mut [u8; FRAME]);

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, action: F) -> R {
        let result = action(&mut self.0[..length]);
        if audible() {
            chip::send(self.0, length);
            SENT.fetch_add(1, Ordering::Relaxed);
        }
        result
    }
}
