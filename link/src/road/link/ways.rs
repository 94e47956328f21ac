//! Which ways there are: roads, each over each link below, and their order.

use std::vec::Vec;

#[cfg(all(unix, feature = "commands"))]
use std::boxed::Box;

use everlink_proto::engine::{Depth, Fault};

use crate::road::Road;
use crate::uplink::Uplink;
use crate::{TcpLink, UdpLink, Words};

/// A road over a link below, and what is known of it.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) road: Road,
    pub(super) tcp: TcpLink,
    /// To a gateway.
    pub(super) udp: Option<Box<UdpLink>>,
    /// Which of the links below; `None` for whatever the system chooses.
    pub(super) base: Option<usize>,
    #[cfg(all(unix, feature = "esp-at"))]
    pub(super) modem: Option<crate::road::modem::Modem>,
}

impl Way {
    /// The module of this way, if it goes through one.
    #[cfg(all(unix, feature = "esp-at"))]
    pub(super) fn modem(&mut self, words: &Words) -> Option<&crate::road::modem::Modem> {
        let Road::EspAt(road) = &self.road else { return None };
        Some(self.modem.get_or_insert_with(|| crate::road::modem::Modem::new(road, words)))
    }

    /// Whether what cuts the link of one cuts that of the other.
    pub(super) fn shares_link(&self, other: &Self) -> bool {
        let net = |way: &Self| matches!(way.road, Road::Net { .. });
        net(self) && net(other) && self.base == other.base
    }
}

/// A link below.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) uplink: Uplink,
    #[cfg(all(unix, feature = "commands"))]
    keeper: crate::uplink::Keeper,
}

impl Base {
    pub(super) fn new(uplink: Uplink) -> Self {
        Self {
            #[cfg(all(unix, feature = "commands"))]
            keeper: crate::uplink::Keeper::new(&uplink),
            uplink,
        }
    }

    /// Waits until it can be used. Cancel-safe.
    #[cfg_attr(not(all(unix, feature = "commands")), expect(clippy::unused_async))]
    pub(super) async fn ready(&mut self, words: &Words) -> Result<(), Fault> {
        #[cfg(all(unix, feature = "commands"))]
        Box::pin(self.keeper.ready(words)).await?;
        let _ = words;
        Ok(())
    }

    pub(super) fn cycle(&mut self, depth: Depth) {
        #[cfg(all(unix, feature = "commands"))]
        self.keeper.cycle(depth);
        let _ = depth;
    }
}

/// Each road with the link below that it is to go over. Neighbours on the network are gone through link by
/// link: that a broker is another one matters less than that a link costs more.
pub(super) fn order(roads: Vec<Road>, bases: usize) -> Vec<(Road, Option<usize>)> {
    let is_net = |road: &Road| matches!(road, Road::Net { .. });
    let mut ways = Vec::with_capacity(roads.len() * bases.max(1));
    for run in roads.chunk_by(|a, b| is_net(a) && is_net(b)) {
        if bases == 0 || !run.first().is_some_and(is_net) {
            ways.extend(run.iter().cloned().map(|road| (road, None)));
            continue;
        }
        for base in 0..bases {
            ways.extend(run.iter().cloned().map(|road| (road, Some(base))));
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::TcpOptions;
    use crate::{RoadLink, Url};
    use std::string::String;

    fn link(urls: &[&str], uplinks: &[&str]) -> RoadLink {
        let roads = urls.iter().map(|url| url.parse::<Url>().unwrap().road);
        let link = RoadLink::new(roads, TcpOptions::default());
        link.uplinks(uplinks.iter().map(|text| Uplink::parse(text)))
    }

    fn described(link: &RoadLink) -> Vec<String> {
        (0..link.roads().len() as u16).filter_map(|n| link.describe(n)).collect()
    }

    #[test]
    fn all_brokers_over_one_link_before_the_next_link() {
        let link = link(&["mqtt://a", "mqtts://b", "unix:///c", "mqtt://d"], &["eth0", "10.0.0.7"]);
        assert_eq!(
            described(&link),
            [
                "mqtt://a:1883 over eth0",
                "mqtts://b:8883 over eth0",
                "mqtt://a:1883 over 10.0.0.7",
                "mqtts://b:8883 over 10.0.0.7",
                "unix:///c",
                "mqtt://d:1883 over eth0",
                "mqtt://d:1883 over 10.0.0.7",
            ]
        );
        assert_eq!(link.shared_links(), 0b00_0101);
    }

    #[test]
    fn without_links_of_ones_own_the_network_is_one() {
        let link = link(&["mqtt://a", "mqtt://b", "mqtt://c"], &[]);
        assert_eq!(described(&link), ["mqtt://a:1883", "mqtt://b:1883", "mqtt://c:1883"]);
        assert_eq!(link.shared_links(), 0b11);
    }
}
