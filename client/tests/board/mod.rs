//! A board in a simulation: embassy's clock stepped by the test, an executor that polls by hand, and a
//! link into the simulated network.
#![allow(dead_code, unreachable_pub)] // each test file uses a part of it

pub mod alloc;
pub mod executor;
#[cfg(feature = "flash")]
pub mod flash;
pub mod link;
pub mod time;

use core::time::Duration;

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use everlink::Version;
use everlink::embedded::{Client, Config, Connect, Driver, Hub, Memory};
use everlink::{Backoff, QoS};

#[allow(unused_imports)]
pub use executor::{Executor, Flag};
pub use link::{SimLink, World};

/// Both protocol versions.
pub const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// All qualities of service.
pub const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// Long enough that only a hang reaches it.
pub const LONG: Duration = Duration::from_secs(600);

pub type BoardHub = Hub<'static, NoopRawMutex>;
pub type BoardClient = Client<'static, NoopRawMutex>;
pub type BoardDriver = Driver<'static, NoopRawMutex, SimLink, &'static mut [u8]>;

/// What a test's client is usually like.
pub fn config(version: Version) -> Config {
    let backoff = Backoff { max: Duration::from_secs(2), ..Backoff::default() };
    Config { version, backoff, ..Config::unattended(7) }
}

/// A hub that is never freed, with memory of the usual size.
pub fn hub(config: Config) -> &'static BoardHub {
    Box::leak(Box::new(Hub::new(memory(), config, Connect::new("board"))))
}

/// Memory of the usual size.
pub fn memory() -> &'static mut Memory<8, 1024, 8, 1024, 4> {
    Box::leak(Box::new(Memory::new()))
}

/// A driver with buffers of the usual size.
pub fn driver(hub: &'static BoardHub, world: &World) -> BoardDriver {
    let [receive, transmit] = [(); 2].map(|()| &mut Box::leak(Box::new([0; 512]))[..]);
    hub.driver(world.link(), receive, transmit)
}

/// The payload as a number.
pub fn number(payload: &[u8]) -> usize {
    std::str::from_utf8(payload).ok().and_then(|s| s.parse().ok()).expect("a number")
}
