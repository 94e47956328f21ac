//! The UARTs (CMSDK) as embedded-io-async streams: interrupts and rings, no polling.
//!
//! UART0 is the console, UART1 the link to another board. The emulated ones have no bit rate, so a
//! sender could always outrun the program; they behave like UARTs with hardware flow control
//! instead: when the ring is full, the sender waits.

use core::cell::RefCell;
use core::convert::Infallible;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Poll;

use critical_section::Mutex;
use embassy_sync::waitqueue::AtomicWaker;
use embedded_io_async::{ErrorType, Read, Write};

use crate::clock::SYSTEM_HZ;
use crate::irq::{self, Irq};
use crate::reg::Reg;
use crate::ring::Ring;

/// Which UART.
#[derive(Clone, Copy, Debug)]
pub enum Port {
    /// UART0, the first `-serial` of the emulator: lines of commands.
    Console,
    /// UART1, the second `-serial`: a byte stream to something else.
    Link,
}

impl Port {
    /// Starts the UART. What is received is kept in `received` until it is read; what is written
    /// waits in `sending`.
    ///
    /// # Panics
    /// When it has been started before, or a buffer is empty.
    pub fn open(self, received: &'static mut [u8], sending: &'static mut [u8]) -> (UartRx, UartTx) {
        assert!(!received.is_empty() && !sending.is_empty(), "a UART needs buffers");
        let (device, rx, tx) = match self {
            Port::Console => (&UART0, Irq::Uart0Rx, Irq::Uart0Tx),
            Port::Link => (&UART1, Irq::Uart1Rx, Irq::Uart1Tx),
        };
        critical_section::with(|cs| {
            let mut rings = device.rings.borrow_ref_mut(cs);
            assert!(rings.is_none(), "a UART is opened once");
            *rings = Some((Ring::new(received), Ring::new(sending)));
        });
        device.start();
        irq::enable(rx);
        irq::enable(tx);
        (UartRx(device), UartTx(device))
    }
}

/// The receiving half.
pub struct UartRx(&'static Device);

/// The sending half.
pub struct UartTx(&'static Device);

impl ErrorType for UartRx {
    type Error = Infallible;
}

impl ErrorType for UartTx {
    type Error = Infallible;
}

/// Dropping the future loses no byte: they stay in the ring until a `read` returns them.
impl Read for UartRx {
    async fn read(&mut self, target: &mut [u8]) -> Result<usize, Infallible> {
        poll_fn(|cx| {
            self.0.received.register(cx.waker());
            let moved = self.0.with_rings(|rx, _| {
                self.0.receive_into(rx);
                let moved = rx.pop_into(target);
                // There is room for what waited in the device; it will not interrupt again.
                self.0.receive_into(rx);
                moved
            });
            match moved {
                0 if !target.is_empty() => Poll::Pending,
                moved => Poll::Ready(Ok(moved)),
            }
        })
        .await
    }
}

/// Dropping the future of `write` leaves either nothing or all it would have reported in the ring.
impl Write for UartTx {
    async fn write(&mut self, source: &[u8]) -> Result<usize, Infallible> {
        poll_fn(|cx| {
            self.0.sent.register(cx.waker());
            let moved = self.0.with_rings(|_, tx| {
                let moved = source.iter().take_while(|&&byte| tx.push(byte)).count();
                self.0.send_from(tx);
                moved
            });
            match moved {
                0 if !source.is_empty() => Poll::Pending,
                moved => Poll::Ready(Ok(moved)),
            }
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        poll_fn(|cx| {
            self.0.sent.register(cx.waker());
            let empty = self.0.with_rings(|_, tx| tx.is_empty());
            if empty { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }
}

struct Device {
    data: Reg,
    state: Reg,
    control: Reg,
    interrupt: Reg,
    divider: Reg,
    /// Received, sending.
    rings: Mutex<RefCell<Option<(Ring, Ring)>>>,
    received: AtomicWaker,
    sent: AtomicWaker,
    interrupts: AtomicU32,
}

static UART0: Device = Device::at(0x4000_4000);
static UART1: Device = Device::at(0x4000_5000);

const TX_FULL: u32 = 1 << 0;
const RX_FULL: u32 = 1 << 1;
const TX_INTERRUPT: u32 = 1 << 0;
const RX_INTERRUPT: u32 = 1 << 1;

/// How often any UART interrupted since reset.
pub(crate) fn interrupts() -> u32 {
    [&UART0, &UART1].iter().map(|device| device.interrupts.load(Ordering::Relaxed)).sum()
}

impl Device {
    const fn at(base: usize) -> Self {
        Self {
            data: Reg::at(base),
            state: Reg::at(base + 0x4),
            control: Reg::at(base + 0x8),
            interrupt: Reg::at(base + 0xc),
            divider: Reg::at(base + 0x10),
            rings: Mutex::new(RefCell::new(None)),
            received: AtomicWaker::new(),
            sent: AtomicWaker::new(),
            interrupts: AtomicU32::new(0),
        }
    }

    fn start(&self) {
        // Transmitter and receiver, and the interrupts of both.
        const ENABLE_ALL: u32 = 0b1111;
        self.divider.write(SYSTEM_HZ / 115_200);
        self.control.write(ENABLE_ALL);
    }

    fn with_rings<R>(&self, action: impl FnOnce(&mut Ring, &mut Ring) -> R) -> R {
        critical_section::with(|cs| {
            let mut rings = self.rings.borrow_ref_mut(cs);
            // A half exists only after `open`, and interrupts are enabled only there.
            let (rx, tx) = rings.as_mut().expect("opened");
            action(rx, tx)
        })
    }

    /// Leaves a byte in the device when there is no room, which keeps the next from coming.
    fn receive_into(&self, rx: &mut Ring) {
        while !rx.is_full() && self.state.read() & RX_FULL != 0 {
            rx.push(self.data.read() as u8);
        }
    }

    fn send_from(&self, tx: &mut Ring) {
        while self.state.read() & TX_FULL == 0
            && let Some(byte) = tx.pop()
        {
            self.data.write(u32::from(byte));
        }
    }

    fn on_received(&self) {
        self.interrupts.fetch_add(1, Ordering::Relaxed);
        self.interrupt.write(RX_INTERRUPT);
        self.with_rings(|rx, _| self.receive_into(rx));
        self.received.wake();
    }

    fn on_sent(&self) {
        self.interrupts.fetch_add(1, Ordering::Relaxed);
        self.interrupt.write(TX_INTERRUPT);
        self.with_rings(|_, tx| self.send_from(tx));
        self.sent.wake();
    }
}

pub(crate) extern "C" fn uart0_received() {
    UART0.on_received();
}

pub(crate) extern "C" fn uart0_sent() {
    UART0.on_sent();
}

pub(crate) extern "C" fn uart1_received() {
    UART1.on_received();
}

pub(crate) extern "C" fn uart1_sent() {
    UART1.on_sent();
}
