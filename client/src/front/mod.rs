//! The front for tokio: builder, handle, streams.

mod auth;
mod builder;
mod clock;
mod connect;
mod engine;
mod error;
mod handle;
mod inbox;
#[cfg(feature = "store")]
mod keep;
#[cfg(feature = "store")]
mod keeper;
mod links;
mod message;
mod metrics;
mod node;
mod publish;
mod request;
mod roads;
mod shared;
mod state;
mod streams;
mod subscribe;
mod taped;
mod waiters;
mod wakes;
mod wrapped;

pub use auth::Authenticator;
pub use builder::{BuildError, Builder};
pub use connect::{Credentials, Will};
pub use error::{NotDelivered, PublishError, SubscribeError};
pub use handle::{Client, Driver, Stopped};
#[cfg(feature = "store")]
pub use keep::StoreStatus;
pub use message::{Message, MessageProperties};
pub use metrics::{Metric, MetricValue, prometheus};
pub use publish::{Delivery, Publish};
pub use request::RequestError;
pub use shared::BrokerInfo;
pub use state::{Latency, State};
pub use streams::Overflow;
pub use subscribe::{Subscribe, Subscription};
pub use waiters::{Ack, Outcome};
