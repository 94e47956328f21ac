//! Commands to a running board, as lines on UART0.

use embassy_time::Duration;
use embedded_io_async::Read;
use static_cell::StaticCell;

use crate::counters::Counters;
use crate::eth::NicControl;
use crate::uart::{Port, UartRx};
use crate::{log, memory, reset, semihost};

/// Longest line in bytes; what is beyond is cut.
const LINE: usize = 80;

/// Lines from the host.
pub struct Console {
    uart: UartRx,
    line: [u8; LINE],
}

impl Console {
    /// Starts UART0.
    ///
    /// # Panics
    /// When it has been started before.
    pub fn open() -> Self {
        static RX: StaticCell<[u8; 128]> = StaticCell::new();
        static TX: StaticCell<[u8; 1]> = StaticCell::new();
        // Answers go to the log, so nothing is sent.
        let (uart, _) = Port::Console.open(RX.init([0; 128]), TX.init([0; 1]));
        Self { uart, line: [0; LINE] }
    }

    /// The next line that is not empty, without its end. Dropping the future loses what has been
    /// read of it.
    pub async fn line(&mut self) -> &str {
        let mut length = 0;
        loop {
            let mut byte = [0];
            // A UART never fails and never ends.
            let _ = self.uart.read(&mut byte).await;
            match byte[0] {
                b'\r' | b'\n' if length > 0 => break,
                b'\r' | b'\n' => {}
                byte => {
                    if length < LINE {
                        self.line[length] = byte;
                        length += 1;
                    }
                }
            }
        }
        core::str::from_utf8(&self.line[..length]).unwrap_or("")
    }
}

/// Carries out a command that every program has; returns whether `line` was one:
///
/// - `nic up`, `nic down`: switches the NIC; `nic deaf`, `nic hear`: loses frames, or no more;
/// - `stats`: logs the counters and the memory;
/// - `restart`, `deep-sleep MS`, `exit STATUS`, `panic`, `fault`.
pub fn common(line: &str, nic: Option<NicControl>) -> bool {
    let mut words = line.split_ascii_whitespace();
    let (verb, argument) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    match (verb, argument, nic) {
        ("nic", switch, Some(nic)) => return switch_nic(nic, switch),
        ("stats", ..) => {
            log!("stats {}", Counters::read());
            log!("memory {:?}", memory::usage());
        }
        ("restart", ..) => reset::restart(),
        ("deep-sleep", time, _) => match time.parse() {
            Ok(time) => reset::deep_sleep(Duration::from_millis(time)),
            Err(_) => return false,
        },
        ("exit", status, _) => match status.parse() {
            Ok(status) => semihost::exit(status),
            Err(_) => return false,
        },
        ("panic", ..) => panic!("asked for"),
        ("fault", ..) => cortex_m::asm::udf(),
        _ => return false,
    }
    true
}

fn switch_nic(nic: NicControl, switch: &str) -> bool {
    match switch {
        "up" => nic.set_power(true),
        "down" => nic.set_power(false),
        "deaf" => nic.set_deaf(true),
        "hear" => nic.set_deaf(false),
        _ => return false,
    }
    log!("nic {switch}");
    true
}
