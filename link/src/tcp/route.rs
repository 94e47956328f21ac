//! An endpoint and what is known of its addresses.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::vec::Vec;

use super::address;
use crate::endpoint::Endpoint;

#[derive(Debug)]
pub(super) struct Route {
    endpoint: Endpoint,
    /// The last answer of the resolver.
    addresses: Vec<SocketAddr>,
    /// The address over which a byte came last.
    good: Option<SocketAddr>,
    /// Those since then that connected but never said a word: a dead server behind a live host, or a
    /// proxy in its place. Each can be reached, so the race alone would choose it for ever.
    mute: Vec<SocketAddr>,
    /// The address of the last connection, and whether a byte came.
    trial: Option<(SocketAddr, Arc<AtomicBool>)>,
}

impl Route {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, addresses: Vec::new(), good: None, mute: Vec::new(), trial: None }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn has_addresses(&self) -> bool {
        !self.addresses.is_empty()
    }

    pub(super) fn update(&mut self, addresses: Vec<SocketAddr>) {
        self.mute.retain(|address| addresses.contains(address));
        self.addresses = addresses;
    }

    /// Draws the lesson from the last connection.
    pub(super) fn judge(&mut self) {
        let Some((address, heard)) = self.trial.take() else {
            return;
        };
        self.mute.retain(|mute| *mute != address);
        if heard.load(Ordering::Relaxed) {
            self.good = Some(address);
            self.mute.clear();
        } else {
            self.good = self.good.filter(|good| *good != address);
            self.mute.push(address);
        }
    }

    /// The addresses in the order to try them, those that can be reached from `local`.
    pub(super) fn candidates(&self, local: Option<IpAddr>) -> Vec<SocketAddr> {
        let mut ordered = address::order(&self.addresses, self.good, &self.mute);
        ordered.retain(|a| local.is_none_or(|local| local.is_ipv6() == a.is_ipv6()));
        ordered
    }

    /// Remembers that `address` connected. To be set when a byte comes from there.
    pub(super) fn trust(&mut self, address: SocketAddr) -> Arc<AtomicBool> {
        let heard = Arc::new(AtomicBool::new(false));
        self.trial = Some((address, Arc::clone(&heard)));
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn ports(route: &Route) -> Vec<u16> {
        route.candidates(None).iter().map(SocketAddr::port).collect()
    }

    /// One connection to `port`, over which a byte came or not.
    fn connection(route: &mut Route, port: u16, heard: bool) {
        route.trust(address(port)).store(heard, Ordering::Relaxed);
        route.judge();
    }

    #[test]
    fn an_address_that_answers_is_preferred_one_that_is_mute_is_not() {
        let mut route = Route::new(Endpoint::new("broker", 1883).unwrap());
        route.update(Vec::from([address(1), address(2), address(3)]));
        connection(&mut route, 1, false);
        assert_eq!(ports(&route), [2, 3, 1]);
        connection(&mut route, 2, false);
        assert_eq!(ports(&route), [3, 1, 2], "the one tried longest ago comes round first");
        connection(&mut route, 3, false);
        assert_eq!(ports(&route), [1, 2, 3]);
        connection(&mut route, 2, true);
        assert_eq!(ports(&route), [2, 1, 3]);
        connection(&mut route, 2, false);
        assert_eq!(ports(&route), [1, 3, 2]);
    }

    #[test]
    fn only_addresses_of_the_local_family_are_tried() {
        let mut route = Route::new(Endpoint::new("broker", 1883).unwrap());
        route.update(Vec::from(["[::1]:1".parse().unwrap(), address(2)]));
        assert_eq!(route.candidates(Some(IpAddr::from([127, 0, 0, 1]))), [address(2)]);
    }
}
