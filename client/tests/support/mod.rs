//! What the tests of this directory share.
#![allow(dead_code, unreachable_pub, unused_imports)] // each test file uses a part of it

pub mod memory;
pub mod model;
pub mod mosquitto;
pub mod peer;

use std::time::Duration;

use everlink::{Builder, Client, Driver, FirstConnect, Stopped, Version};
use tokio::task::JoinHandle;

pub use everlink_sim::proxy::{Direction, PacketType as Kind, Proxy, Record};

/// Both protocol versions.
pub const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// Long enough that only a hang reaches it.
pub const LONG: Duration = Duration::from_secs(20);

/// The future's result, unless it hangs.
pub async fn soon<T>(what: &str, future: impl IntoFuture<Output = T>) -> T {
    let start = tokio::time::Instant::now();
    match tokio::time::timeout(LONG, future).await {
        // At its end the timeout looks once more, which would hide that nobody was woken.
        Ok(value) if start.elapsed() < LONG => value,
        Ok(_) => panic!("{what}: it was there, but nobody was woken"),
        Err(_) => panic!("{what}: nothing happens"),
    }
}

/// Runs a driver over an in-memory link in the background.
pub fn spawn(driver: Driver<memory::MemoryLink>) -> JoinHandle<Stopped<memory::MemoryLink>> {
    tokio::spawn(driver.run())
}

/// A client through `proxy`, with a session that is kept, and its running driver.
pub fn through(
    proxy: &Proxy,
    version: Version,
    id: &str,
    shape: impl FnOnce(Builder) -> Builder,
) -> (Client, JoinHandle<Stopped>) {
    let builder = Client::builder(format!("mqtt://{}", proxy.addr())).version(version);
    let builder = builder.client_id(id).first_connect(FirstConnect::Forever).seed(7);
    let (client, driver) = shape(builder).build().expect("the options are valid");
    (client, tokio::spawn(driver.run()))
}

/// The payload as text.
pub fn text(message: &everlink::Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}

/// Waits, in small steps, for what nothing announces.
pub async fn wait_until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    soon("a condition", wait).await;
}

/// A client over an in-memory link to a model broker, not yet running.
pub fn over_model(
    version: Version,
    shape: impl FnOnce(Builder) -> Builder,
) -> (Client, Driver<memory::MemoryLink>, memory::Path, model::Model) {
    let (client, driver, path, listener) = over_memory(version, shape);
    let model = model::Model::start(&path, listener);
    (client, driver, path, model)
}

/// A client over an in-memory link, not yet running, and where its connections arrive.
pub fn over_memory(
    version: Version,
    shape: impl FnOnce(Builder) -> Builder,
) -> (Client, Driver<memory::MemoryLink>, memory::Path, memory::Listener) {
    let (link, path, listener) = memory::link();
    let builder = Client::builder("mqtt://memory").version(version).client_id("client");
    let builder = builder.first_connect(FirstConnect::Forever).seed(7);
    let (client, driver) = shape(builder).build_over(link).expect("the options are valid");
    (client, driver, path, listener)
}

/// Resident memory of this process, in bytes.
pub fn memory_in_use() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = status.split(' ').nth(1).and_then(|n| n.parse::<usize>().ok());
    pages.expect("a number of pages") * 4096
}
