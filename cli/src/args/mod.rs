//! What may be typed. The letters are those of mosquitto's clients.

mod connection;
mod gateway;
mod probe;
mod property;
mod publish;
mod replay;
mod road;
mod store;
mod subscribe;
mod tap;
mod values;
mod watch;

pub(crate) use connection::ConnectionArgs;
pub(crate) use gateway::GatewayArgs;
pub(crate) use probe::ProbeArgs;
pub(crate) use property::{OwnedProperty, Packet, Properties, shield};
pub(crate) use publish::{PubArgs, Source};
pub(crate) use replay::ReplayArgs;
pub(crate) use road::{LinkArgs, TlsArgs};
pub(crate) use store::{StoreArgs, StoreCommand};
pub(crate) use subscribe::SubArgs;
pub(crate) use tap::TapArgs;
pub(crate) use watch::WatchArgs;
