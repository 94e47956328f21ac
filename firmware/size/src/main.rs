//! One firmware, with the client and without: the difference is what the client costs.
//!
//! Both bring up embassy-net with DHCP, and one TCP connection to a broker found by name. Without the
//! client, the program talks to the socket itself.
#![no_std]
#![no_main]

mod board;
#[cfg(feature = "mqtt")]
mod client;
mod nic;
#[cfg(not(feature = "mqtt"))]
mod plain;

use board::REGISTER;
#[cfg(feature = "mqtt")]
use client::program;
use embassy_executor::Spawner;
use embassy_net::{Config, DhcpConfig, Runner, StackResources};
use nic::Nic;
#[cfg(not(feature = "mqtt"))]
use plain::program;
use static_cell::StaticCell;

/// Bytes of each of the socket's buffers.
const SOCKET: usize = 1460;

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    static RESOURCES: StaticCell<StackResources<4>> = StaticCell::new();
    let resources = RESOURCES.init_with(StackResources::new);
    let config = Config::dhcpv4(DhcpConfig::default());
    let (stack, runner) = embassy_net::new(Nic, config, resources, REGISTER.read().into());
    if let (Ok(net), Ok(program)) = (net(runner), program(stack)) {
        spawner.spawn(net);
        spawner.spawn(program);
    }
}

#[embassy_executor::task]
async fn net(mut runner: Runner<'static, Nic>) {
    runner.run().await;
}
