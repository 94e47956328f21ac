//! MQTT that survives the real world.
//!
//! A [`Client`] accepts messages at once, keeps them in bounded memory, and brings connection and
//! session back by itself after any outage. Every message accepted at QoS 1 or 2 ends in exactly
//! one [`Outcome`].
//!
//! ```no_run
//! use everlink::{Client, QoS};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let (client, driver) = Client::builder("mqtt://broker.local").client_id("shed").build()?;
//! tokio::spawn(driver.run());
//!
//! let mut lamps = client.subscribe("shed/lamp/+", QoS::AtLeastOnce).await?;
//! let delivery = client.publish("shed/temp", "21.5").qos(QoS::ExactlyOnce).send()?; // accepted
//! println!("{:?}", delivery.await); // the broker's final acknowledgement, across outages
//! while let Some(message) = lamps.next().await {
//!     println!("{}: {} bytes", message.topic, message.payload.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Without default features only the [`driver`] remains, which is `no_std`; feature `embassy` adds the
//! front for boards, `embedded`: the same words, no allocator and no executor.
#![cfg_attr(not(feature = "tokio"), no_std)]
#![forbid(unsafe_code)]

pub mod driver;
#[cfg(feature = "embassy-lean")]
pub mod embedded;
mod feed;
#[cfg(feature = "tokio")]
mod front;
#[cfg(feature = "record")]
pub mod record;
#[cfg(feature = "store")]
pub mod store;
mod transmit;

#[cfg(feature = "tokio")]
pub use front::*;

#[cfg(all(target_os = "linux", feature = "netlink"))]
pub use everlink_link::netlink;
#[cfg(feature = "proxy")]
pub use everlink_link::proxy::ProxyError;
#[cfg(feature = "tokio")]
pub use everlink_link::tap;
#[cfg(feature = "tls")]
pub use everlink_link::tls::{Tls, TlsError, TlsFacts, TlsFiles};
#[cfg(all(unix, feature = "commands"))]
pub use everlink_link::uplink::{Commands, Program, ProgramError};
#[cfg(feature = "tokio")]
pub use everlink_link::{Road, RoadLink, Uplink};

pub use everlink_proto::engine::{Cause, Fault, Refused, Step, WhenFull};
pub use everlink_proto::session::{Backoff, FirstConnect, Ladder, Limits, Stats};
pub use everlink_proto::topic::{TopicError, TopicFilter, TopicName};
pub use everlink_proto::wire::{
    Property, QoS, ReasonCode, RetainHandling, SubscribeOptions, Version,
};
