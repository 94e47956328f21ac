//! The radio of the Pico W: a CYW43439 behind a half-duplex SPI that a PIO speaks.

use aligned::{A4, Aligned};
use cyw43::{Control, JoinError, JoinOptions, NetDriver, PowerManagementMode, State};
use cyw43_pio::{DEFAULT_CLOCK_DIVIDER, PioSpi};
use embassy_executor::Spawner;
use embassy_net::Stack;
use embassy_rp::gpio::{Level, Output};
use embassy_rp::peripherals::{DMA_CH0, PIN_23, PIN_24, PIN_25, PIN_29, PIO0};
use embassy_rp::pio::Pio;
use embassy_rp::{Peri, bind_interrupts, dma, pio};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use everlink::Cause;
use everlink_link::embedded::wifi::{Network, Wifi};
use static_cell::StaticCell;

use crate::nvram::NVRAM;

bind_interrupts!(struct Interrupts {
    PIO0_IRQ_0 => pio::InterruptHandler<PIO0>;
    DMA_IRQ_0 => dma::InterruptHandler<DMA_CH0>;
});

/// The chip's own program: it has no flash and is given it at every start. Infineon allows its use
/// with Raspberry Pi chips only.
static FIRMWARE: Aligned<A4, [u8; cyw43_firmware::CYW43_43439A0.len()]> =
    Aligned(*cyw43_firmware::CYW43_43439A0);

/// What the radio is wired to.
pub(crate) struct Wiring {
    pub(crate) power: Peri<'static, PIN_23>,
    pub(crate) data: Peri<'static, PIN_24>,
    pub(crate) select: Peri<'static, PIN_25>,
    pub(crate) clock: Peri<'static, PIN_29>,
    pub(crate) pio: Peri<'static, PIO0>,
    pub(crate) dma: Peri<'static, DMA_CH0>,
}

/// The chip's control, which the radio and the LED share.
pub(crate) type Chip = Mutex<NoopRawMutex, Control<'static>>;

/// Starts the chip, which takes about a second. To be called once.
pub(crate) async fn start(spawner: Spawner, wiring: Wiring) -> (&'static Chip, NetDriver<'static>) {
    static STATE: StaticCell<State> = StaticCell::new();
    static CHIP: StaticCell<Chip> = StaticCell::new();
    let power = Output::new(wiring.power, Level::Low);
    let select = Output::new(wiring.select, Level::High);
    let mut pio = Pio::new(wiring.pio, Interrupts);
    let spi = PioSpi::new(
        &mut pio.common,
        pio.sm0,
        DEFAULT_CLOCK_DIVIDER,
        pio.irq0,
        select,
        wiring.data,
        wiring.clock,
        dma::Channel::new(wiring.dma, Interrupts),
    );
    let state = STATE.init(State::new());
    let (driver, mut control, runner) = cyw43::new(state, power, spi, &FIRMWARE, &NVRAM).await;
    // Once, as this function.
    spawner.spawn(run(runner).expect("spawned once"));
    control.init(cyw43_firmware::CYW43_43439A0_CLM).await;
    control.set_power_management(PowerManagementMode::PowerSave).await;
    (CHIP.init(Mutex::new(control)), driver)
}

/// The radio as everlink wants it.
pub(crate) struct Radio {
    chip: &'static Chip,
    stack: Stack<'static>,
}

impl Radio {
    /// `stack` runs over the radio: it knows whether there is a link.
    pub(crate) fn new(chip: &'static Chip, stack: Stack<'static>) -> Self {
        Self { chip, stack }
    }
}

impl Wifi for Radio {
    /// Dropping the future leaves the attempt going on in the chip; `leave` ends it.
    async fn join(&mut self, network: &Network<'_>) -> Result<(), Cause> {
        let options = match network.passphrase {
            "" => JoinOptions::new_open(),
            passphrase => JoinOptions::new(passphrase.as_bytes()),
        };
        let result = self.chip.lock().await.join(network.ssid, options).await;
        result.map_err(|error| match error {
            JoinError::NetworkNotFound => Cause::UnknownHost,
            JoinError::JoinFailure(status) => Cause::Io(status.into()),
            JoinError::AuthenticationFailure => Cause::Refused,
        })
    }

    async fn leave(&mut self) {
        self.chip.lock().await.leave().await;
    }

    /// The driver keeps the chip's power pin for good, so the way to it leads over the whole board. The
    /// ladder of `main` does not go so deep: what is held in RAM would be lost.
    async fn reset(&mut self) {
        cortex_m::peripheral::SCB::sys_reset()
    }

    fn is_joined(&mut self) -> bool {
        self.stack.is_link_up()
    }
}

/// The board's LED, which hangs on the radio chip.
pub(crate) struct Led(&'static Chip);

impl Led {
    pub(crate) fn new(chip: &'static Chip) -> Self {
        Self(chip)
    }

    /// Switches it; while the radio joins a network, that comes first.
    pub(crate) async fn set(&self, on: bool) {
        const LED: u8 = 0;
        self.0.lock().await.gpio_set(LED, on).await;
    }
}

#[embassy_executor::task]
async fn run(
    runner: cyw43::Runner<'static, cyw43::SpiBus<Output<'static>, PioSpi<'static, PIO0, 0>>>,
) -> ! {
    runner.run().await
}
