//! The radio of the Pico W: a CYW43439 behind a half-duplex SPI that a PIO speaks.

use aligned::{A4, Aligned};
use cyw43::{Control, JoinError, JoinOptions, NetDriver, PowerManagementMode, State};
use cyw43_pio::{DEFAULT_CLOCK_DIVIDER, PioSpi};
use embassy_executor::Spawner;
use embassy_rp::gpio::{Level, Output};
use embassy_rp::peripherals::{DMA_CH0, PIN_23, PIN_24, PIN_25, PIN_29, PIO0};
use embassy_rp::pio::Pio;
use embassy_rp::{Peri, bind_interrupts, dma, pio};
use static_cell::StaticCell;

use crate::networks::Network;
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

/// The radio: joins and leaves networks, and carries the board's LED.
pub(crate) struct Radio(Control<'static>);

impl Radio {
    /// Starts the chip, which takes about a second. To be called once.
    pub(crate) async fn start(spawner: Spawner, wiring: Wiring) -> (Self, NetDriver<'static>) {
        static STATE: StaticCell<State> = StaticCell::new();
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
        (Self(control), driver)
    }

    /// Joins `network`. Dropping the future leaves the attempt going on in the chip; `leave` ends it.
    pub(crate) async fn join(&mut self, network: Network) -> Result<(), JoinError> {
        let options = match network.password {
            "" => JoinOptions::new_open(),
            password => JoinOptions::new(password.as_bytes()),
        };
        self.0.join(network.ssid, options).await
    }

    /// Leaves the network.
    pub(crate) async fn leave(&mut self) {
        self.0.leave().await;
    }

    /// Switches the LED, which hangs on the radio chip.
    pub(crate) async fn set_led(&mut self, on: bool) {
        const LED: u8 = 0;
        self.0.gpio_set(LED, on).await;
    }
}

#[embassy_executor::task]
async fn run(
    runner: cyw43::Runner<'static, cyw43::SpiBus<Output<'static>, PioSpi<'static, PIO0, 0>>>,
) -> ! {
    runner.run().await
}
