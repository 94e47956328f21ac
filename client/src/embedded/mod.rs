//! The front for boards: no allocator, no executor, embassy's clock and wakers.
//!
//! [`Memory`] holds everything in one static of a size you choose, a [`Hub`] owns it, [`Client`] is a
//! handle that can be copied into any task, and a [`Driver`] moves everything: spawn its
//! [`run`](Driver::run). The words are those of the front for tokio.
//!
//! ```no_run
//! use embassy_sync::blocking_mutex::raw::NoopRawMutex;
//! use everlink::QoS;
//! use everlink::embedded::{Config, Connect, Hub, Memory};
//!
//! # async fn example(link: impl everlink_link::Link) -> Result<(), Box<dyn std::error::Error>> {
//! # fn spawn(_: impl Future) {}
//! // On a board these are statics, in a `static_cell::StaticCell` for instance.
//! let mut memory = Memory::<8, 1024, 8, 1024, 4>::new();
//! let hub = Hub::<NoopRawMutex>::new(&mut memory, Config::unattended(7), Connect::new("shed"));
//! let (mut receive, mut transmit) = ([0; 512], [0; 512]);
//! let mut driver = hub.driver(link, &mut receive[..], &mut transmit[..]);
//! spawn(driver.run());
//!
//! let client = hub.client();
//! let mut lamps = client.subscribe("shed/lamp/+", QoS::AtLeastOnce).await?;
//! let delivery = client.publish("shed/temp", "21.5").qos(QoS::ExactlyOnce).send()?; // accepted
//! let _outcome = delivery.await; // the broker's final acknowledgement, across outages
//! while let Some(on) = lamps.next(|message| message.payload == b"on").await {
//!     println!("lamp: {on}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The mutex decides who may share a client: `NoopRawMutex` for the tasks of one executor,
//! `CriticalSectionRawMutex` across executors and interrupts. With the latter, interrupts are off while
//! a packet is encoded or decoded.

mod client;
mod clock;
mod connect;
#[cfg(feature = "defmt")]
mod defmt;
mod driver;
mod error;
mod exchange;
#[cfg(feature = "flash")]
mod flash;
mod hub;
mod inbox;
mod keep;
mod mailbox;
mod memory;
mod publish;
mod route;
mod share;
mod state;
mod subscribe;
mod subscription;
mod tasks;
mod waiters;

pub use client::Client;
pub use connect::Connect;
pub use driver::Driver;
pub use error::{NotDelivered, PublishError, SubscribeError};
pub use exchange::Exchange;
#[cfg(feature = "flash")]
pub use flash::{Flash, SleepMemory};
pub use hub::{Handler, Hub, Pieces};
pub use keep::{Found, KeepError, Keeper, Medium};
pub use mailbox::MailSlot;
pub use memory::{Memory, Parts};
pub use publish::{Delivery, Publish, Publishing};
pub use route::{FilterSlot, Overflow};
pub use state::State;
pub use subscribe::{Subscribe, Subscribing};
pub use subscription::{NoMessage, Subscription};
pub use tasks::TaskSlot;
pub use waiters::{Outcome, WaiterSlot};

pub use crate::driver::Finished;
pub use everlink_proto::engine::{Incoming as Message, Receipt, Verdict};
pub use everlink_proto::session::{Config, KeptSlot};
pub use everlink_proto::wire::{Properties, Will};
