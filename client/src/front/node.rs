//! From wishes to an MQTT-SN node.

use everlink_link::{Road, RoadLink};
use everlink_proto::session::Config;
use everlink_proto::sn::node::{Config as NodeConfig, Memory};
use everlink_proto::sn::version::Version as SnVersion;
use everlink_proto::store::RamStore;
use everlink_proto::wire::Version;

use super::builder::{BuildError, Builder, random};
use super::connect::ConnectOptions;
use super::engine::Node_;

/// Largest message by default: what goes over most networks in one piece.
pub(super) const SN_FRAME: usize = 1400;

impl Builder {
    /// Speaks MQTT-SN 1.2 to a gateway, in messages of at most `frame` octets, at least 32: for
    /// [`build_over`](Self::build_over) a link that carries it, or to change the 1400 octets of an
    /// address `mqttsn://`. The response time is then Tretry, and [`max_repeats`](Self::max_repeats)
    /// Nretry. There are no MQTT 5 properties, no user name, and no store on disk.
    pub fn mqtt_sn(mut self, frame: usize) -> Self {
        self.sn = Some(frame);
        self
    }

    /// What a node cannot have, and what it must have.
    pub(super) fn prepare_node(&mut self) -> Result<(), BuildError> {
        #[cfg(feature = "store")]
        if self.store.is_some() {
            return Err(BuildError::Store("MQTT-SN cannot use one yet".to_owned()));
        }
        #[cfg(feature = "record")]
        if self.recorder.take().is_some() {
            tracing::warn!("MQTT-SN cannot be recorded yet");
        }
        // No properties, as in 3.1.1.
        self.config.version = Version::V311;
        self.ephemeral = Some(false);
        check(&mut self.options, self.config.seed)
    }
}

/// Whether MQTT-SN is spoken over these roads: over all or none.
pub(super) fn speaks_sn(link: &RoadLink) -> Result<bool, BuildError> {
    let sn = link.roads().filter(|road| Road::is_sn(road)).count();
    if sn > 0 && sn < link.roads().len() {
        return Err(BuildError::Mixed);
    }
    Ok(sn > 0)
}

/// Makes up an identifier if there is none, and checks it.
fn check(options: &mut ConnectOptions, seed: u64) -> Result<(), BuildError> {
    if options.client_id.is_empty() {
        options.client_id = format!("el-{:016x}", seed ^ random());
    }
    let checked = SnVersion::V12.check_client_id(&options.client_id);
    checked.map_err(|error| BuildError::Connect(error.to_string()))
}

/// The node that `c` describes.
pub(super) fn node(c: &Config, frame: usize, store: RamStore) -> Box<Node_> {
    let cfg = NodeConfig {
        keep_alive: c.keep_alive,
        retry: c.response_time,
        retries: c.max_repeats,
        open_timeout: c.open_timeout,
        frame: frame.clamp(32, c.maximum_packet_size as usize),
        clean_start: c.clean_start,
        clean_reconnect: c.clean_reconnect,
        queue: c.queue,
        backoff: c.backoff,
        first_connect: c.first_connect,
        endpoints: c.endpoints,
        ladder: c.ladder,
        first_msg_id: c.first_packet_id,
        seed: c.seed,
        ..NodeConfig::default()
    };
    Box::new(Node_::new(cfg, store, Memory::growing(&[])))
}
