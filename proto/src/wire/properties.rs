//! The properties of a packet.

use core::{fmt, slice};

use super::property::{Property, PropertyContext, item};
use super::property_table::{Value, allowed};
use super::reader::Reader;
use super::writer::{MAX_REMAINING, Writer, varint_len};
use super::{EncodeError, WireError};

pub(super) const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
const AUTHENTICATION_METHOD: u8 = 0x15;
const AUTHENTICATION_DATA: u8 = 0x16;
const USER_PROPERTY: u8 = 0x26;

/// The properties of a packet: encoded ones, as received or stored, then a list.
///
/// Two are equal when they have the same properties in the same order, however they are held.
#[derive(Clone, Copy, Default)]
pub struct Properties<'a> {
    /// Encoded, without the length in front.
    raw: &'a [u8],
    list: &'a [Property<'a>],
}

impl<'a> Properties<'a> {
    /// No properties.
    pub const EMPTY: Self = Self { raw: &[], list: &[] };

    /// The properties in `list`. What is wrong with them is told by [`validate`](Self::validate), or
    /// when a packet is encoded.
    pub const fn from_list(list: &'a [Property<'a>]) -> Self {
        Self { raw: &[], list }
    }

    /// Properties as they are in a packet, without the length in front; each is checked, but not
    /// whether they may be together in one packet.
    ///
    /// # Errors
    /// What is wrong with the first bad one.
    pub fn from_raw(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(raw);
        while !r.is_empty() {
            item(&mut r, true)?;
        }
        Ok(Self::from_trusted_raw(raw))
    }

    /// As [`from_raw`](Self::from_raw) for bytes that [`encode_raw`](Self::encode_raw) wrote, without
    /// a second check. Of other bytes, iteration ends at the first bad property.
    pub const fn from_trusted_raw(raw: &'a [u8]) -> Self {
        Self { raw, list: &[] }
    }

    /// With `list` in place of the list it has; the encoded ones stay.
    #[must_use]
    pub const fn with_list(self, list: &'a [Property<'a>]) -> Self {
        Self { raw: self.raw, list }
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.raw.is_empty() && self.list.is_empty()
    }

    /// The encoded ones, as they are in a packet, without the length in front.
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Every property: the encoded ones, then the list.
    #[inline]
    pub fn iter(&self) -> PropertyIter<'a> {
        PropertyIter { raw: Reader::new(self.raw), list: self.list.iter() }
    }

    /// Bytes on the wire, without the length in front.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        self.list.iter().fold(self.raw.len(), |len, p| len.saturating_add(p.encoded_len()))
    }

    /// Writes the properties without the length in front, and tells their length; `None` if `out` is
    /// too small or a field longer than 65 535 bytes.
    pub fn encode_raw(&self, out: &mut [u8]) -> Option<usize> {
        let mut w = Writer::new(out);
        self.write_items(&mut w);
        w.finish().ok()
    }

    /// Whether a packet may have these properties: each allowed, none twice that may not be, every
    /// value in its range.
    ///
    /// # Errors
    /// What a peer would say of the first bad one; [`EncodeError::TooLong`] for a field longer than
    /// 65 535 bytes or properties that no packet can hold.
    #[inline]
    pub fn validate(&self, context: PropertyContext) -> Result<(), EncodeError> {
        if self.is_empty() { Ok(()) } else { self.validate_some(context) }
    }

    fn validate_some(&self, context: PropertyContext) -> Result<(), EncodeError> {
        let mut seen = Seen::default();
        let mut raw = Reader::new(self.raw);
        while !raw.is_empty() {
            seen.note(item(&mut raw, false)?.0, context)?;
        }
        for property in self.list {
            seen.note(property.id(), context)?;
            property.check()?;
        }
        if self.encoded_len() > MAX_REMAINING { Err(EncodeError::TooLong) } else { Ok(seen.end()?) }
    }

    /// The value of the first property with the identifier `id`; a text may come as bytes.
    #[inline]
    pub(super) fn find(&self, id: u8) -> Option<Value<'a>> {
        if self.is_empty() { None } else { self.search(id) }
    }

    fn search(&self, id: u8) -> Option<Value<'a>> {
        self.items().find(|(found, _)| *found == id).map(|(_, value)| value)
    }

    /// The identifiers and values as they come; texts of encoded ones as bytes.
    pub(super) fn items(&self) -> impl Iterator<Item = (u8, Value<'a>)> + 'a {
        let mut raw = Reader::new(self.raw);
        let mut list = self.list.iter();
        core::iter::from_fn(move || {
            if raw.is_empty() {
                list.next().map(Property::split)
            } else {
                item(&mut raw, false).ok()
            }
        })
    }

    /// Reads properties with their length in front, as a packet of this kind may have them.
    pub(super) fn read(r: &mut Reader<'a>, context: PropertyContext) -> Result<Self, WireError> {
        let len = r.varint()?;
        let raw = r.take(len as usize)?;
        if !raw.is_empty() {
            check_raw(raw, context)?;
        }
        Ok(Self::from_trusted_raw(raw))
    }

    /// With the length in front.
    #[inline]
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        if self.is_empty() {
            // [MQTT-2.2.2-1]
            return w.u8(0);
        }
        w.varint(self.encoded_len() as u32);
        self.write_items(w);
    }

    /// Bytes on the wire with the length in front.
    #[inline]
    pub(super) fn field_len(&self) -> usize {
        let len = self.encoded_len();
        len.saturating_add(varint_len(len))
    }

    fn write_items(&self, w: &mut Writer<'_>) {
        w.bytes(self.raw);
        for property in self.list {
            property.write(w);
        }
    }
}

fn check_raw(raw: &[u8], context: PropertyContext) -> Result<(), WireError> {
    let mut seen = Seen::default();
    let mut r = Reader::new(raw);
    while !r.is_empty() {
        seen.note(item(&mut r, true)?.0, context)?;
    }
    seen.end()
}

/// Which properties a packet has, one bit for each identifier.
#[derive(Default)]
struct Seen([u32; 2]);

impl Seen {
    fn note(&mut self, id: u8, context: PropertyContext) -> Result<(), WireError> {
        if !allowed(id, context) {
            return Err(WireError::PropertyNotAllowed);
        }
        let word = &mut self.0[usize::from(id >= 32)];
        let bit = 1 << (id & 31);
        // A message may match several subscriptions of a client (3.3.2.3.8).
        let repeats = id == USER_PROPERTY
            || id == SUBSCRIPTION_IDENTIFIER && context == PropertyContext::Publish;
        if *word & bit != 0 && !repeats {
            return Err(WireError::DuplicateProperty);
        }
        *word |= bit;
        Ok(())
    }

    fn end(&self) -> Result<(), WireError> {
        let has = |id: u8| self.0[0] >> id & 1 != 0;
        if has(AUTHENTICATION_DATA) && !has(AUTHENTICATION_METHOD) {
            return Err(WireError::NoAuthenticationMethod);
        }
        Ok(())
    }
}

/// Iterator over the properties of a packet.
#[derive(Clone)]
pub struct PropertyIter<'a> {
    raw: Reader<'a>,
    list: slice::Iter<'a, Property<'a>>,
}

impl<'a> Iterator for PropertyIter<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        if self.raw.is_empty() {
            return self.list.next().copied();
        }
        let next = Property::read(&mut self.raw).ok();
        if next.is_none() {
            self.raw = Reader::default();
        }
        next
    }
}

impl fmt::Debug for PropertyIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

impl<'a> IntoIterator for Properties<'a> {
    type Item = Property<'a>;
    type IntoIter = PropertyIter<'a>;

    fn into_iter(self) -> PropertyIter<'a> {
        self.iter()
    }
}

impl PartialEq for Properties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Properties<'_> {}

impl fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().fmt(f)
    }
}
