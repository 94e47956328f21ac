//! Loses nothing when the power goes: messages wait in flash until they are delivered.
//!
//! Publishes numbers from `first` (0) to `last` (99), even ones at QoS 2, odd ones at QoS 1, each with the number of
//! this start, `boot` (0), and logs each once it is in flash. Arguments besides: `flash` (a file), `clean=0` and those of
//! `client::start` and `net::start`.
#![no_std]
#![no_main]

use core::fmt::Write;

use embassy_executor::Spawner;
use everlink::QoS;
use mps2::client;
use mps2::flash::{FileFlash, Settings};
use mps2::{Board, log, memory, net, semihost};

#[cortex_m_rt::entry]
fn main() -> ! {
    mps2::start(|spawner, board| spawner.spawn(keep(spawner, board).expect("spawned once")))
}

#[embassy_executor::task]
async fn keep(spawner: Spawner, board: Board) {
    let Some((stack, _nic)) = net::start(spawner, board.args) else {
        log!("failed: no NIC");
        semihost::exit(1)
    };
    let path = board.args.text("flash").unwrap_or("flash");
    let flash = match FileFlash::open(path, Settings::from_args(board.args)) {
        Ok(flash) => flash,
        Err(error) => {
            log!("failed: flash {error:?}");
            semihost::exit(1)
        }
    };
    let (client, found) = match client::start_keeping(spawner, board.args, stack, flash).await {
        Ok(started) => started,
        Err(error) => {
            log!("failed: flash {error:?}");
            semihost::exit(1)
        }
    };
    log!("found messages={} damaged={} session={}", found.messages, found.damaged, found.session);
    let boot = board.args.parsed("boot", 0u32);
    for n in board.args.parsed("first", 0u32)..=board.args.parsed("last", 99) {
        let mut text = Text { bytes: [0; 24], length: 0 };
        let _ = write!(text, "{n} {boot}");
        let qos = if n % 2 == 0 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
        let payload = &text.bytes[..text.length];
        match client.publish("keep", payload).qos(qos).accepted().await {
            Ok(mut delivery) => {
                delivery.stored().await;
                log!("stored n={n} boot={boot}");
                // The client told the broker's refusals nobody else: then the test is to know.
                let refused = client.stats().rejected;
                if refused > 0 {
                    log!("refused {refused} up to n={n} boot={boot}");
                }
            }
            Err(error) => {
                log!("failed: {error}");
                semihost::exit(1)
            }
        }
    }
    client.flush().await;
    let memory = memory::usage();
    log!("kept all statics={} stack={}", memory.statics, memory.stack_used);
    client.close();
    client::closed().await;
    semihost::exit(0)
}

struct Text {
    bytes: [u8; 24],
    length: usize,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
