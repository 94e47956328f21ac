//! The Topic Filters of SUBSCRIBE and UNSUBSCRIBE.

use core::{fmt, slice};

use super::reader::Reader;
use super::writer::Writer;
use super::{EncodeError, QoS, Version, WireError};
use crate::topic::{TopicError, TopicFilter};

const NO_LOCAL: u8 = 4;
const RETAIN_AS_PUBLISHED: u8 = 8;

/// When the server sends retained messages for a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// At every SUBSCRIBE.
    #[default]
    AtSubscribe = 0,
    /// Only if the subscription is new.
    IfNew = 1,
    /// Never.
    Never = 2,
}

/// Subscription Options. MQTT 3.1.1 has the QoS alone; the others are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscribeOptions {
    /// Highest QoS at which the server may send messages.
    pub qos: QoS,
    /// Not the messages that this client published. Not on a Shared Subscription.
    pub no_local: bool,
    /// Messages keep their RETAIN flag.
    pub retain_as_published: bool,
    /// When to send retained messages.
    pub retain_handling: RetainHandling,
}

impl SubscribeOptions {
    /// The options of MQTT 3.1.1: a QoS, otherwise defaults.
    pub const fn new(qos: QoS) -> Self {
        Self {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::AtSubscribe,
        }
    }

    /// As the byte of MQTT 5.
    pub const fn to_byte(self) -> u8 {
        self.qos as u8
            | if self.no_local { NO_LOCAL } else { 0 }
            | if self.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 }
            | (self.retain_handling as u8) << 4
    }

    /// From the byte of MQTT 5.
    ///
    /// # Errors
    /// [`WireError::BadQoS`]; [`WireError::BadFlags`] for reserved bits or a Retain Handling of 3.
    pub fn from_byte(byte: u8) -> Result<Self, WireError> {
        let retain_handling = match byte >> 4 {
            0 => RetainHandling::AtSubscribe,
            1 => RetainHandling::IfNew,
            2 => RetainHandling::Never,
            _ => return Err(WireError::BadFlags),
        };
        Ok(Self {
            qos: QoS::try_from(byte & 3)?,
            no_local: byte & NO_LOCAL != 0,
            retain_as_published: byte & RETAIN_AS_PUBLISHED != 0,
            retain_handling,
        })
    }
}

/// The Topic Filters of a SUBSCRIBE with their options: encoded ones, or a list.
///
/// Two are equal when they have the same filters in the same order, however they are held.
#[derive(Clone, Copy, Default)]
pub struct Filters<'a> {
    /// As in the payload of a SUBSCRIBE of MQTT 5.
    raw: &'a [u8],
    list: &'a [(&'a str, SubscribeOptions)],
}

impl<'a> Filters<'a> {
    /// The filters in `list`; checked when a packet is encoded.
    pub const fn from_list(list: &'a [(&'a str, SubscribeOptions)]) -> Self {
        Self { raw: &[], list }
    }

    /// Filters as they are in the payload of a SUBSCRIBE of MQTT 5.
    ///
    /// # Errors
    /// What is wrong with the first bad one, or [`WireError::NoTopicFilter`].
    pub fn from_raw(raw: &'a [u8]) -> Result<Self, WireError> {
        Self::read(Version::V5, raw)
    }

    /// Every filter with its options.
    pub fn iter(&self) -> FilterIter<'a> {
        FilterIter { raw: Reader::new(self.raw), list: self.list.iter() }
    }

    pub(super) fn read(version: Version, raw: &'a [u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(raw);
        while !r.is_empty() {
            let filter = read_filter(&mut r)?;
            let byte = r.u8()?;
            if byte & !version.subscribe_options_mask() != 0 {
                return Err(WireError::BadFlags);
            }
            check_options(filter, SubscribeOptions::from_byte(byte)?)?;
        }
        not_empty(raw.len())?;
        Ok(Self { raw, list: &[] })
    }

    /// The encoded ones were checked when they were read.
    pub(super) fn validate(&self) -> Result<(), EncodeError> {
        not_empty(self.raw.len() + self.list.len())?;
        self.list.iter().try_for_each(|(filter, options)| {
            check_options(check_filter(filter)?, *options)?;
            Ok(())
        })
    }

    pub(super) fn write(&self, version: Version, w: &mut Writer<'_>) {
        for (filter, options) in self.iter() {
            w.binary(filter.as_bytes());
            w.u8(options.to_byte() & version.subscribe_options_mask());
        }
    }
}

/// The Topic Filters of an UNSUBSCRIBE: encoded ones, or a list.
///
/// Two are equal when they have the same filters in the same order, however they are held.
#[derive(Clone, Copy, Default)]
pub struct UnsubscribeFilters<'a> {
    raw: &'a [u8],
    list: &'a [&'a str],
}

impl<'a> UnsubscribeFilters<'a> {
    /// The filters in `list`; checked when a packet is encoded.
    pub const fn from_list(list: &'a [&'a str]) -> Self {
        Self { raw: &[], list }
    }

    /// Filters as they are in the payload of an UNSUBSCRIBE.
    ///
    /// # Errors
    /// What is wrong with the first bad one, or [`WireError::NoTopicFilter`].
    pub fn from_raw(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(raw);
        while !r.is_empty() {
            read_filter(&mut r)?;
        }
        not_empty(raw.len())?;
        Ok(Self { raw, list: &[] })
    }

    /// Every filter.
    pub fn iter(&self) -> UnsubscribeFilterIter<'a> {
        UnsubscribeFilterIter { raw: Reader::new(self.raw), list: self.list.iter() }
    }

    pub(super) fn validate(&self) -> Result<(), EncodeError> {
        not_empty(self.raw.len() + self.list.len())?;
        self.list.iter().try_for_each(|filter| check_filter(filter).map(drop))
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.bytes(self.raw);
        for filter in self.list {
            w.binary(filter.as_bytes());
        }
    }
}

fn read_filter<'a>(r: &mut Reader<'a>) -> Result<TopicFilter<'a>, WireError> {
    TopicFilter::new(r.string()?).map_err(|_| WireError::BadTopicFilter)
}

/// [MQTT-3.8.3-1], [MQTT-3.10.3-1]
fn check_filter(filter: &str) -> Result<TopicFilter<'_>, EncodeError> {
    TopicFilter::new(filter).map_err(|fault| match fault {
        TopicError::TooLong => EncodeError::TooLong,
        _ => WireError::BadTopicFilter.into(),
    })
}

/// [MQTT-3.8.3-4] of MQTT 5.
fn check_options(filter: TopicFilter<'_>, options: SubscribeOptions) -> Result<(), WireError> {
    if options.no_local && filter.is_shared() { Err(WireError::NoLocalOnShared) } else { Ok(()) }
}

/// [MQTT-3.8.3-2], [MQTT-3.10.3-2]
fn not_empty(len: usize) -> Result<(), WireError> {
    if len == 0 { Err(WireError::NoTopicFilter) } else { Ok(()) }
}

/// Iterator over the Topic Filters of a SUBSCRIBE and their options.
#[derive(Clone)]
pub struct FilterIter<'a> {
    raw: Reader<'a>,
    list: slice::Iter<'a, (&'a str, SubscribeOptions)>,
}

impl<'a> Iterator for FilterIter<'a> {
    type Item = (&'a str, SubscribeOptions);

    fn next(&mut self) -> Option<Self::Item> {
        if self.raw.is_empty() {
            return self.list.next().copied();
        }
        let filter = self.raw.string().ok()?;
        Some((filter, SubscribeOptions::from_byte(self.raw.u8().ok()?).ok()?))
    }
}

/// Iterator over the Topic Filters of an UNSUBSCRIBE.
#[derive(Clone)]
pub struct UnsubscribeFilterIter<'a> {
    raw: Reader<'a>,
    list: slice::Iter<'a, &'a str>,
}

impl<'a> Iterator for UnsubscribeFilterIter<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.raw.is_empty() { self.list.next().copied() } else { self.raw.string().ok() }
    }
}

macro_rules! as_sequence {
    ($($filters:ident $iter:ident $item:ty;)*) => {$(
        impl<'a> IntoIterator for $filters<'a> {
            type Item = $item;
            type IntoIter = $iter<'a>;

            fn into_iter(self) -> $iter<'a> {
                self.iter()
            }
        }

        impl PartialEq for $filters<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl Eq for $filters<'_> {}

        impl fmt::Debug for $filters<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.iter().fmt(f)
            }
        }

        impl fmt::Debug for $iter<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.clone()).finish()
            }
        }
    )*};
}

as_sequence! {
    Filters FilterIter (&'a str, SubscribeOptions);
    UnsubscribeFilters UnsubscribeFilterIter &'a str;
}
