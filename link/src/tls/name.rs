//! Distinguished Names in words.

use std::borrow::ToOwned;
use std::string::{String, ToString};
use std::vec::Vec;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
const UNIT: &[u8] = &[0x55, 4, 11];

/// The Common Name in the content of a DER-encoded Name [RFC 5280, 4.1.2.4], or else what names the
/// organisation; `None` if there is nothing to show. Anything may come in here.
pub(super) fn shown(name: &[u8]) -> Option<String> {
    let parts = attributes(name);
    let find = |kind: &[u8]| parts.iter().find(|(k, _)| *k == kind).map(|(_, text)| text.clone());
    find(COMMON_NAME).or_else(|| find(ORGANIZATION)).or_else(|| find(UNIT))
}

/// Type and text of each attribute, as far as it can be read.
fn attributes(name: &[u8]) -> Vec<(&[u8], String)> {
    let mut found = Vec::new();
    // With or without the SEQUENCE around it.
    let mut rest = match take(name) {
        Some((SEQUENCE, content, [])) => content,
        _ => name,
    };
    while let Some((SET, mut set, after)) = take(rest) {
        while let Some((SEQUENCE, pair, next)) = take(set) {
            if let Some((OID, kind, value)) = take(pair)
                && let Some((_, text, _)) = take(value)
                && let Ok(text) = std::str::from_utf8(text)
            {
                found.push((kind, plain(text)));
            }
            set = next;
        }
        rest = after;
    }
    found
}

/// At most so much of it, and nothing that a terminal would obey.
fn plain(text: &str) -> String {
    const KEPT: usize = 100;
    let mut plain: String = text.chars().filter(|c| !c.is_control()).take(KEPT).collect();
    if plain.len() < text.len() {
        plain = plain.to_owned() + "...";
    }
    plain.to_string()
}

/// Tag and content of the first element, and what follows it.
fn take(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), rest.get(2..)?),
        _ => return None,
    };
    let content = rest.get(..length)?;
    Some((tag, content, rest.get(length..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An attribute in a set of its own.
    fn part(kind: &[u8], text: &str) -> Vec<u8> {
        let oid = [&[OID, kind.len() as u8], kind].concat();
        let value = [&[0x0c, text.len() as u8], text.as_bytes()].concat();
        let pair = [&[SEQUENCE, (oid.len() + value.len()) as u8][..], &oid, &value].concat();
        [&[SET, pair.len() as u8][..], &pair].concat()
    }

    #[test]
    fn the_common_name_comes_first() {
        let name = [part(ORGANIZATION, "Shed Ltd"), part(COMMON_NAME, "Shed CA")].concat();
        assert_eq!(shown(&name).as_deref(), Some("Shed CA"));
        let whole = [&[SEQUENCE, name.len() as u8][..], &name].concat();
        assert_eq!(shown(&whole).as_deref(), Some("Shed CA"));
        assert_eq!(shown(&part(ORGANIZATION, "Shed Ltd")).as_deref(), Some("Shed Ltd"));
    }

    #[test]
    fn nonsense_is_nothing() {
        let name = part(COMMON_NAME, "Shed CA");
        for end in 0..name.len() {
            assert_eq!(shown(&name[..end]), None);
        }
        assert_eq!(shown(&[SET, 0x84, 0xff, 0xff, 0xff, 0xff, 1]), None);
        assert_eq!(shown(&part(COMMON_NAME, "a\x1b[2Jb")).as_deref(), Some("a[2Jb..."));
    }
}
