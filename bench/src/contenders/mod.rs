//! The clients that are compared: one file each, one row each in [`ALL`].

mod codec;
mod everlink;
mod raw;
mod rumqttc;

use std::any::Any;
use std::future::Future;
use std::pin::Pin;

use crate::measure::Sample;
use crate::{Protocol, Result};

/// What to do, the same for every contender.
pub(crate) struct Job {
    /// Where the sink listens on 127.0.0.1.
    pub(crate) port: u16,
    pub(crate) messages: u64,
    /// Bytes of payload.
    pub(crate) payload: usize,
    /// Unacknowledged messages allowed.
    pub(crate) window: u16,
    /// Quality of Service, 0 to 2.
    pub(crate) qos: u8,
    /// `None`: what the client does when it is told nothing.
    pub(crate) protocol: Option<Protocol>,
}

/// The topic that messages are published to.
const TOPIC: &str = "bench/everlink/topic";

impl Job {
    /// The filter that makes the sink send this job's messages.
    fn source_filter(&self) -> String {
        format!("source/{}/{}", self.messages, self.payload)
    }
}

/// A client that is about to be connected, and then held for as long as it is to stay.
pub(crate) type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Any>>> + 'a>>;

/// One client, used as its documentation shows it.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// Highest QoS.
    pub(crate) qos: u8,
    /// From the first publish to the last acknowledgement, or at QoS 0 to the last write.
    pub(crate) publish: fn(&Job) -> Result<Sample>,
    /// From the SUBSCRIBE to the last message.
    pub(crate) receive: fn(&Job) -> Result<Sample>,
    /// Connects one more client and leaves it alone.
    pub(crate) idle: Option<fn(&Job, usize) -> Connecting<'_>>,
}

/// The contender that ratios refer to.
pub(crate) const REFERENCE: &str = "rumqttc";

/// All of them, in the order of the tables.
pub(crate) const ALL: &[Contender] = &[
    Contender { name: "raw", qos: 1, publish: raw::publish, receive: raw::receive, idle: None },
    Contender {
        name: "codec",
        qos: 1,
        publish: codec::publish,
        receive: codec::receive,
        idle: None,
    },
    Contender {
        name: "everlink",
        qos: 2,
        publish: everlink::publish,
        receive: everlink::receive,
        idle: Some(everlink::idle),
    },
    Contender {
        name: "rumqttc",
        qos: 2,
        publish: rumqttc::publish,
        receive: rumqttc::receive,
        idle: Some(rumqttc::idle),
    },
];

pub(crate) fn find(name: &str) -> Result<&'static Contender> {
    let found = ALL.iter().find(|contender| contender.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|contender| contender.name).collect();
        format!("no contender '{name}'; there are: {}", names.join(", ")).into()
    })
}

/// What a tokio program has when it wants one thread.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
