//! SUBSCRIBE and UNSUBSCRIBE: what the application asks for, and the packets that follow from it.

use super::abilities::offers;
use super::flights::Flight;
use super::sending::{Put, written};
use super::subs::{Sub, SubState};
use super::*;
use crate::engine::Tag;
use crate::wire::{
    Body, Filters, PacketId, Properties, Property, PropertyContext, Subscribe, SubscribeOptions,
    Unsubscribe, UnsubscribeFilters, encode, encoded_len,
};

/// Property bytes of one subscription that are given as a list and must be encoded first.
const PROPERTY_BYTES: usize = 1024;
const SUBSCRIPTION_IDENTIFIER_MAX: u32 = 268_435_455;
/// Header, identifiers and the like of a packet with one Topic Filter take less.
const OVERHEAD: usize = 32;

impl<S: Store> Session<'_, S> {
    pub(super) fn want_subscription(
        &mut self,
        s: &Subscription<'_>,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        let v5_only =
            s.options != SubscribeOptions { qos: s.options.qos, ..SubscribeOptions::default() };
        if self.cfg.version() == Version::V311 && v5_only || !offers(s.options.qos) {
            return Err(Refused::Unsupported);
        }
        let mut encoded = [0; PROPERTY_BYTES];
        let raw = self.encoded_properties(s, &mut encoded)?;
        if s.filter.as_str().len() + raw.len() + OVERHEAD > self.cfg.transmit_buffer {
            return Err(Refused::TooLarge);
        }
        let overtaken = self.subs.want(s, raw).ok_or(Refused::TooManySubscriptions)?;
        supersede(overtaken, inbox);
        Ok(())
    }

    /// The properties of SUBSCRIBE, all encoded, if the packet may be sent at all.
    fn encoded_properties<'b>(
        &self,
        s: &Subscription<'b>,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Refused> {
        // [MQTT-3.8.3-4]
        if s.options.no_local && s.filter.is_shared() || s.id > SUBSCRIPTION_IDENTIFIER_MAX {
            return Err(Refused::Invalid);
        }
        if self.cfg.version() == Version::V311 || s.props.is_empty() {
            return Ok(&[]);
        }
        let raw = if s.props.encoded_len() == s.props.raw().len() {
            s.props.raw()
        } else {
            let n = s.props.encode_raw(buffer).ok_or(Refused::TooLarge)?;
            buffer.get(..n).unwrap_or(&[])
        };
        let id = [Property::SubscriptionIdentifier(1)];
        let props = Properties::from_raw(raw).map_err(|_| Refused::Invalid)?;
        let whole = props.with_list(&id).validate(PropertyContext::Subscribe);
        whole.map(|()| raw).map_err(|_| Refused::Invalid)
    }

    pub(super) fn unwant_subscription(
        &mut self,
        filter: TopicFilter<'_>,
        tag: Tag,
        inbox: &mut impl Inbox,
    ) -> Result<(), Refused> {
        // Who does not wait for the answer may leave at any time; the broker is told later.
        if self.closed && tag != Tag::NONE {
            return Err(Refused::Closed);
        }
        if filter.as_str().len() + OVERHEAD > self.cfg.transmit_buffer {
            return Err(Refused::TooLarge);
        }
        let overtaken =
            self.subs.unwant(filter.as_str(), tag).ok_or(Refused::TooManySubscriptions)?;
        supersede(overtaken, inbox);
        Ok(())
    }

    pub(super) fn put_subscription(
        &mut self,
        now: Instant,
        tx: &mut [u8],
        inbox: &mut impl Inbox,
    ) -> Put {
        while let Some(at) = self.subs.next_due() {
            let Some(sub) = self.subs.get(at).copied() else { break };
            if let Some(reason) = self.subscription_ruled_out(&sub) {
                self.subs.take(at);
                if sub.tag != Tag::NONE {
                    inbox.done(sub.tag, Outcome::Rejected(reason, Properties::EMPTY));
                }
                continue;
            }
            let Some(pid) = self.flights.allocate(Flight::Operation).and_then(PacketId::new) else {
                break;
            };
            let version = self.cfg.version();
            let put = self.with_packet(&sub, pid, |packet| written(encode(packet, version, tx)));
            match put {
                Put::Written(_) => self.subs.asked(at, pid.get(), now),
                _ => self.flights.set(pid.get(), Flight::Free),
            }
            return put;
        }
        Put::Nothing
    }

    /// Makes the SUBSCRIBE or UNSUBSCRIBE that is due for `sub`.
    fn with_packet<R>(&self, sub: &Sub, pid: PacketId, f: impl FnOnce(&dyn Body) -> R) -> R {
        let filter = self.subs.filter(sub);
        if sub.state == SubState::Unwanted {
            let list = [filter];
            let (props, filters) = (Properties::EMPTY, UnsubscribeFilters::from_list(&list));
            return f(&Unsubscribe { pid, props, filters });
        }
        let list = [(filter, sub.options)];
        let id = [Property::SubscriptionIdentifier(sub.id)];
        let with_id = sub.id != 0 && self.limits.subscription_identifier_available;
        let props = Properties::from_trusted_raw(self.subs.props(sub));
        let props = props.with_list(if with_id { &id } else { &[] });
        f(&Subscribe { pid, props, filters: Filters::from_list(&list) })
    }

    /// Why the broker's limits rule the packet out, if they do. Sent all the same it would end the
    /// connection, and again on the next one.
    fn subscription_ruled_out(&self, sub: &Sub) -> Option<ReasonCode> {
        let limits = &self.limits;
        let filter = self.subs.filter(sub);
        if sub.state == SubState::Wanted {
            if !limits.shared_subscription_available && filter.starts_with("$share/") {
                return Some(ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED);
            }
            if !limits.wildcard_subscription_available && filter.contains(['+', '#']) {
                return Some(ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED);
            }
        }
        if limits.maximum_packet_size == u32::MAX {
            return None;
        }
        // [MQTT-3.2.2-15]
        let pid = PacketId::new(1)?;
        let size = self.with_packet(sub, pid, |packet| encoded_len(packet, self.cfg.version()));
        (size > limits.maximum_packet_size as usize).then_some(ReasonCode::PACKET_TOO_LARGE)
    }
}

fn supersede(tag: Tag, inbox: &mut impl Inbox) {
    if tag != Tag::NONE {
        inbox.done(tag, Outcome::Superseded);
    }
}
