//! The clients that are compared: one file each, one row each in [`ALL`].

mod codec;
mod everlink;
mod raw;
mod rumqttc;

use crate::Result;
use crate::measure::Sample;

/// What to do, the same for every contender.
pub(crate) struct Job {
    /// Where the sink listens on 127.0.0.1.
    pub(crate) port: u16,
    pub(crate) messages: u64,
    /// Bytes of payload.
    pub(crate) payload: usize,
    /// Unacknowledged messages allowed.
    pub(crate) window: u16,
}

/// The topic that messages are published to.
const TOPIC: &str = "bench/everlink/topic";

impl Job {
    /// The filter that makes the sink send this job's messages.
    fn source_filter(&self) -> String {
        format!("source/{}/{}", self.messages, self.payload)
    }
}

/// One client, used as its documentation shows it.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// From the first publish to the last PUBACK.
    pub(crate) publish: fn(&Job) -> Result<Sample>,
    /// From the SUBSCRIBE to the last message.
    pub(crate) receive: fn(&Job) -> Result<Sample>,
}

/// The contender that ratios refer to.
pub(crate) const REFERENCE: &str = "rumqttc";

/// All of them, in the order of the tables.
pub(crate) const ALL: &[Contender] = &[
    Contender { name: "raw", publish: raw::publish, receive: raw::receive },
    Contender { name: "codec", publish: codec::publish, receive: codec::receive },
    Contender { name: "everlink", publish: everlink::publish, receive: everlink::receive },
    Contender { name: "rumqttc", publish: rumqttc::publish, receive: rumqttc::receive },
];

pub(crate) fn find(name: &str) -> Result<&'static Contender> {
    let found = ALL.iter().find(|contender| contender.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|contender| contender.name).collect();
        format!("no contender '{name}'; there are: {}", names.join(", ")).into()
    })
}

/// What a tokio program has when it wants one thread.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
