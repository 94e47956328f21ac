//! Gateways on a shared medium: searched for, heard of, gone (6.1). Which address a message goes to is
//! the link's business; it is told apart there by the types of the messages.

use super::*;
use crate::mem::{Table, copy};
use crate::sn::wire::GwInfo;

/// Most octets of a gateway's address.
const ADDRESS: usize = 16;
/// SEARCHGW is sent at intervals of at most so many times the first.
const GROWTH: u32 = 64;

/// A gateway that was heard of.
#[derive(Clone, Copy, Debug, Default)]
pub struct GatewaySlot {
    id: u8,
    /// From here on it counts as gone; [`Instant::MAX`] if it does not advertise.
    gone: Instant,
}

#[derive(Debug)]
pub(super) struct Discovery<'m> {
    gateways: Table<'m, GatewaySlot>,
    /// The one that answered the search, or was heard first.
    chosen: Option<u8>,
    /// When SEARCHGW is to be sent.
    search_at: Instant,
    /// How many times the first interval the next one is.
    growth: u32,
    searches: u8,
    /// When to answer another node's search.
    info_at: Instant,
    /// Where our gateway is, for other nodes.
    address: [u8; ADDRESS],
    address_len: u8,
}

impl<'m> Discovery<'m> {
    pub(super) fn new(gateways: Table<'m, GatewaySlot>) -> Self {
        Self {
            gateways,
            chosen: None,
            search_at: Instant::MAX,
            growth: 1,
            searches: 0,
            info_at: Instant::MAX,
            address: [0; ADDRESS],
            address_len: 0,
        }
    }

    /// Connected: the next search is a first one.
    pub(super) fn found(&mut self) {
        self.growth = 1;
    }

    /// Whether the gateway in use advertised and does no more.
    pub(super) fn is_gone(&self, now: Instant) -> bool {
        now >= self.gone_at()
    }

    fn gone_at(&self) -> Instant {
        let chosen = self.gateways.as_slice().iter().find(|g| Some(g.id) == self.chosen);
        chosen.map_or(Instant::MAX, |g| g.gone)
    }

    /// Notes a gateway; without room, the one that goes first gives way.
    fn note(&mut self, now: Instant, id: u8, gone: Instant) {
        while let Some(at) = self.gateways.as_slice().iter().position(|g| now >= g.gone) {
            self.gateways.remove(at);
        }
        let known = self.gateways.as_mut_slice().iter_mut().find(|g| g.id == id);
        if let Some(known) = known {
            // GWINFO tells nothing about the next ADVERTISE.
            known.gone = if gone == Instant::MAX { known.gone } else { gone };
            return;
        }
        if self.gateways.is_full() {
            let slots = self.gateways.as_slice();
            let first = slots.iter().enumerate().min_by_key(|(_, g)| g.gone).map(|(at, _)| at);
            first.into_iter().for_each(|at| self.gateways.remove(at));
        }
        let _ = self.gateways.push(GatewaySlot { id, gone });
    }
}

impl<S: Store> Node<'_, S> {
    /// The identifiers of the gateways that were heard of and are not gone.
    pub fn gateways(&self) -> impl Iterator<Item = u8> {
        self.discovery.gateways.as_slice().iter().map(|g| g.id)
    }

    /// For links that know it: the address of the gateway in use, at most 16 octets, as other nodes on
    /// the same medium may be told when they search for one. Empty: they are not told.
    pub fn gateway_address(&mut self, address: &[u8]) {
        let known = address.len() <= ADDRESS;
        copy(&mut self.discovery.address, address);
        self.discovery.address_len = if known { address.len() as u8 } else { 0 };
    }

    /// "The sending of the SEARCHGW message is delayed by a random time."
    pub(super) fn start_search(&mut self, now: Instant) {
        let delay = self.draw(self.cfg.search_within);
        let d = &mut self.discovery;
        (d.chosen, d.searches, d.search_at) = (None, 0, now.plus(delay));
        self.enter(now, Phase::Searching);
    }

    /// Takes what belongs to discovery; whether it does.
    pub(super) fn heed_discovery(&mut self, now: Instant, message: &Message<'_>) -> bool {
        let (id, gone) = match message {
            Message::Advertise(advertise) => {
                let missed = u32::from(self.cfg.missed_advertisements);
                let next = Span::from_millis(u32::from(advertise.duration) * 1000);
                (advertise.gateway, now.plus(next.times(missed)))
            }
            Message::GwInfo(info) => {
                // Another has answered for us.
                self.discovery.info_at = Instant::MAX;
                (info.gateway, Instant::MAX)
            }
            Message::SearchGw(radius) => {
                self.heard_search(now, *radius);
                return true;
            }
            _ => return false,
        };
        self.discovery.note(now, id, gone);
        if matches!(self.phase, Phase::Searching) {
            self.discovery.chosen = Some(id);
            self.heard = now;
            self.start_handshake(now);
        }
        true
    }

    fn heard_search(&mut self, now: Instant, radius: u8) {
        if matches!(self.phase, Phase::Searching) && self.cfg.search == Some(radius) {
            // "Behaves as if the SEARCHGW message was sent by itself."
            return self.searched(now);
        }
        let answers = self.is_established()
            && self.discovery.address_len > 0
            && self.cfg.info_within != Span::ZERO;
        if answers && self.discovery.info_at == Instant::MAX {
            let delay = self.draw(self.cfg.info_within);
            self.discovery.info_at = now.plus(delay);
        }
    }

    fn searched(&mut self, now: Instant) {
        let d = &mut self.discovery;
        // "The time intervals between two consecutive SEARCHGW messages should be increased
        // exponentially."
        let pause = self.cfg.search_within.times(d.growth);
        (d.search_at, d.growth) = (now.plus(pause), (d.growth * 2).min(GROWTH));
        d.searches = d.searches.saturating_add(1);
    }

    /// SEARCHGW or GWINFO, if it is time.
    pub(super) fn discovery_due(&mut self, now: Instant) -> Option<Message<'static>> {
        if let (Phase::Searching, Some(radius)) = (self.phase, self.cfg.search)
            && now >= self.discovery.search_at
        {
            if self.discovery.searches > self.cfg.retries {
                self.break_off(now, Fault::new(Step::Resolve, Cause::UnknownHost));
                return None;
            }
            self.searched(now);
            return Some(Message::SearchGw(radius));
        }
        None
    }

    /// GWINFO for another node, if it is time.
    pub(super) fn info_due(&mut self, now: Instant) -> Option<Message<'_>> {
        if now < self.discovery.info_at {
            return None;
        }
        self.discovery.info_at = Instant::MAX;
        let d = &self.discovery;
        let address = d.address.get(..usize::from(d.address_len))?;
        let gateway = d.chosen.filter(|_| !address.is_empty())?;
        Some(Message::GwInfo(GwInfo { gateway, address }))
    }

    pub(super) fn discovery_deadline(&self) -> Instant {
        let search = match self.phase {
            Phase::Searching => self.discovery.search_at,
            _ => Instant::MAX,
        };
        let gone = if self.is_established() { self.discovery.gone_at() } else { Instant::MAX };
        search.min(self.discovery.info_at).min(gone)
    }
}
