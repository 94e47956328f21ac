//! A client whose link is wrapped.

use everlink_link::{Link, RoadLink};

use super::builder::{BuildError, Builder};
use super::handle::{Client, Driver};
use super::node::{SN_FRAME, speaks_sn};

impl Builder {
    /// As [`build`](Self::build), over what `wrap` makes of the link to the brokers: one with a
    /// [tap](everlink_link::tap) on it, for instance.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use everlink::Client;
    /// use everlink::tap::{Pcap, TapLink};
    ///
    /// # fn example(path: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    /// let tap = Arc::new(Mutex::new(Pcap::create(path, 100 << 20)?));
    /// let builder = Client::builder("mqtt://broker.local");
    /// let (client, driver) = builder.build_wrapped(|link| TapLink::new(link, tap))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_wrapped<L: Link>(
        mut self,
        wrap: impl FnOnce(RoadLink) -> L,
    ) -> Result<(Client, Driver<L>), BuildError> {
        let link = std::mem::take(&mut self.roads).link(&mut self.options)?;
        #[cfg(feature = "modem")]
        self.give_modems_time(&link);
        let link = self.links.below(link, &mut self.config);
        let roads_are_sn = speaks_sn(&link)?;
        self.sn = self.sn.or(roads_are_sn.then_some(SN_FRAME));
        self.build_over(wrap(link))
    }

    /// Records everything the engine is told, so that it can be [played again](crate::record::Replay).
    /// Not together with a store, which may hold more than the recording says.
    #[cfg(feature = "record")]
    pub fn record(mut self, recorder: crate::record::Recorder) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// A module has to join a network first, perhaps not the first of its list.
    #[cfg(feature = "modem")]
    fn give_modems_time(&mut self, link: &RoadLink) {
        use everlink_link::Road;
        use everlink_proto::session::Config;

        let is_default = self.config.open_timeout == Config::default().open_timeout;
        if is_default && link.roads().any(|road| matches!(road, Road::EspAt(_))) {
            self.config.open_timeout = std::time::Duration::from_secs(45);
        }
    }
}
