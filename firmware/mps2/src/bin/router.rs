//! Messages for several tasks: each has a Topic Filter, and gets what matches it, also when another's
//! matches too.
//!
//! Arguments: those of `client::start` and `net::start`.
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use everlink::QoS;
use everlink::embedded::Overflow;
use mps2::client::{self, Client};
use mps2::{Board, log, net, semihost};

#[cortex_m_rt::entry]
fn main() -> ! {
    mps2::start(|spawner, board| spawner.spawn(router(spawner, board).expect("spawned once")))
}

#[embassy_executor::task]
async fn router(spawner: Spawner, board: Board) {
    let Some((stack, _nic)) = net::start(spawner, board.args) else {
        log!("failed: no NIC");
        semihost::exit(1)
    };
    let client = client::start(spawner, board.args, stack);
    spawner.spawn(lamps(client).expect("spawned once"));
    spawner.spawn(meters(client).expect("spawned once"));
    spawner.spawn(house(client).expect("spawned once"));
}

/// One level is a wildcard.
#[embassy_executor::task]
async fn lamps(client: Client) {
    follow(client, "house/+/lamp", Overflow::Hold).await;
}

/// Only the present reading counts: a new one takes the place of one not yet taken.
#[embassy_executor::task]
async fn meters(client: Client) {
    follow(client, "house/meter/#", Overflow::Latest).await;
}

/// Everything, the others' messages too.
#[embassy_executor::task]
async fn house(client: Client) {
    follow(client, "house/#", Overflow::DropOldest).await;
}

async fn follow(client: Client, filter: &str, overflow: Overflow) {
    let mut messages = match client.subscribe(filter, QoS::AtLeastOnce).overflow(overflow).await {
        Ok(messages) => messages,
        Err(error) => return log!("failed: {error}"),
    };
    log!("ready {filter}");
    loop {
        let next = messages.next(|message| {
            let text = core::str::from_utf8(message.payload).unwrap_or("?");
            log!("{filter} got {} {text} retain={}", message.topic, message.retain);
        });
        if next.await.is_none() {
            return log!("failed: {filter} ended");
        }
    }
}
