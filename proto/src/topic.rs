//! Topic Names and Topic Filters: valid by construction, and matching.

use core::fmt;

/// Most bytes a UTF-8 Encoded String can have.
const MAX_BYTES: usize = 65_535;
const SHARE: &str = "$share/";

/// A Topic Name: 1 to 65 535 bytes, no U+0000, no wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Checks `topic` in one pass over its bytes.
    ///
    /// # Errors
    /// [`TopicError`] says which rule of the specification's section 4.7 is broken.
    #[inline]
    pub fn new(topic: &'a str) -> Result<Self, TopicError> {
        let bytes = topic.as_bytes();
        // [MQTT-4.7.3-1], [MQTT-4.7.3-2], [MQTT-4.7.3-3], [MQTT-3.3.2-2], [MQTT-4.7.0-1]
        if bytes.is_empty() || bytes.len() > MAX_BYTES || contains(bytes, [0, b'+', b'#']) {
            return Err(name_fault(bytes));
        }
        Ok(Self(topic))
    }

    /// The name as text.
    #[inline]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A Topic Filter: 1 to 65 535 bytes, no U+0000, wildcards only as whole levels and `#` only
/// last; `$share/<group>/<filter>` for a Shared Subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter<'a>(&'a str);

impl<'a> TopicFilter<'a> {
    /// Checks `filter`.
    ///
    /// # Errors
    /// [`TopicError`] says which rule of the specification's sections 4.7 and 4.8 is broken.
    pub fn new(filter: &'a str) -> Result<Self, TopicError> {
        check_size(filter.as_bytes())?;
        match filter.strip_prefix(SHARE) {
            Some(shared) => check_shared(shared)?,
            None => check_levels(filter.as_bytes())?,
        }
        Ok(Self(filter))
    }

    /// A filter that [`new`](Self::new) took before, without a second check. Another text would
    /// match what it happens to match, and a broker would refuse it.
    #[inline]
    pub const fn from_trusted(filter: &'a str) -> Self {
        Self(filter)
    }

    /// The filter as text, with its `$share/<group>/` if it has one.
    #[inline]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether this is the filter of a Shared Subscription.
    pub fn is_shared(self) -> bool {
        self.0.starts_with(SHARE)
    }

    /// The ShareName and the filter behind it, of a Shared Subscription.
    pub fn share(self) -> Option<(&'a str, &'a str)> {
        self.0.strip_prefix(SHARE)?.split_once('/')
    }

    /// Whether a message to the Topic Name `topic` matches. The filter of a Shared Subscription
    /// matches what the filter behind its ShareName matches.
    pub fn matches(self, topic: &str) -> bool {
        let filter = self.share().map_or(self.0, |(_, filter)| filter).as_bytes();
        let topic = topic.as_bytes();
        // [MQTT-4.7.2-1] `$`-topics belong to the server: no leading wildcard reaches them.
        if topic.first() == Some(&b'$') && matches!(filter.first(), Some(b'+' | b'#')) {
            return false;
        }
        let mut levels = topic.split(|b| *b == b'/');
        for wanted in filter.split(|b| *b == b'/') {
            match (wanted, levels.next()) {
                // `#` stands for its parent level too, so it also matches where nothing is left.
                (b"#", _) => return true,
                (b"+", Some(_)) => {}
                (wanted, Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What is wrong with a Topic Name or a Topic Filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TopicError {
    /// It has no character.
    Empty,
    /// It has more than 65 535 bytes.
    TooLong,
    /// It has the character U+0000.
    Nul,
    /// A Topic Name has `+` or `#`.
    WildcardInName,
    /// `+` or `#` is not alone between two `/`.
    WildcardNotAlone,
    /// `#` is not the last level.
    HashNotLast,
    /// The ShareName of `$share/<group>/<filter>` is empty or has a wildcard.
    BadShareName,
    /// `$share/<group>` is not followed by `/` and a Topic Filter.
    NoSharedFilter,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the topic is empty",
            Self::TooLong => "the topic is longer than 65535 bytes",
            Self::Nul => "the topic has the character U+0000",
            Self::WildcardInName => "a topic to publish to has no wildcard ('+' or '#')",
            Self::WildcardNotAlone => "a wildcard ('+' or '#') stands alone between slashes",
            Self::HashNotLast => "'#' is the last level of a filter",
            Self::BadShareName => {
                "the group of $share/group/filter is not empty and has no wildcard"
            }
            Self::NoSharedFilter => "$share/group is followed by '/' and a filter",
        })
    }
}

impl core::error::Error for TopicError {}

/// Whether one of `needles` is in `text`. On a small processor short code counts for more than speed.
#[cfg(not(target_pointer_width = "64"))]
pub(crate) fn contains<const N: usize>(text: &[u8], needles: [u8; N]) -> bool {
    fn one_of(text: &[u8], needles: &[u8]) -> bool {
        text.iter().any(|b| needles.contains(b))
    }
    one_of(text, &needles)
}

/// Whether one of `needles` is in `text`, a machine word at a time: this is on the path of every
/// message.
#[cfg(target_pointer_width = "64")]
#[inline]
pub(crate) fn contains<const N: usize>(text: &[u8], needles: [u8; N]) -> bool {
    const LANES: usize = size_of::<usize>();
    const ONES: usize = usize::MAX / 255;
    const HIGHS: usize = ONES << 7;
    let hits = |word: &[u8; LANES]| {
        let word = usize::from_ne_bytes(*word);
        needles.iter().fold(0, |hits, needle| {
            // A lane becomes zero where it equals the needle; the rest finds a zero lane.
            let lanes = word ^ (ONES * *needle as usize);
            hits | lanes.wrapping_sub(ONES) & !lanes & HIGHS
        })
    };
    // The last word overlaps the one before.
    match text.last_chunk() {
        Some(last) => text.as_chunks().0.iter().chain([last]).any(|word| hits(word) != 0),
        None => text.iter().any(|b| needles.contains(b)),
    }
}

#[cold]
fn name_fault(bytes: &[u8]) -> TopicError {
    match check_size(bytes) {
        Err(fault) => fault,
        Ok(()) => TopicError::WildcardInName,
    }
}

fn check_size(bytes: &[u8]) -> Result<(), TopicError> {
    if bytes.is_empty() {
        Err(TopicError::Empty)
    } else if bytes.len() > MAX_BYTES {
        Err(TopicError::TooLong)
    } else if contains(bytes, [0]) {
        Err(TopicError::Nul)
    } else {
        Ok(())
    }
}

/// [MQTT-4.8.2-1], [MQTT-4.8.2-2]: what follows `$share/`.
fn check_shared(shared: &str) -> Result<(), TopicError> {
    let (group, filter) = shared.split_once('/').unwrap_or((shared, ""));
    if group.is_empty() || contains(group.as_bytes(), [b'+', b'#']) {
        return Err(TopicError::BadShareName);
    }
    if filter.is_empty() {
        return Err(TopicError::NoSharedFilter);
    }
    check_levels(filter.as_bytes())
}

/// [MQTT-4.7.1-1], [MQTT-4.7.1-2]: where wildcards may stand.
fn check_levels(filter: &[u8]) -> Result<(), TopicError> {
    let mut after_hash = false;
    for level in filter.split(|b| *b == b'/') {
        if after_hash {
            return Err(TopicError::HashNotLast);
        }
        if level.len() > 1 && contains(level, [b'+', b'#']) {
            return Err(TopicError::WildcardNotAlone);
        }
        after_hash = level == b"#";
    }
    Ok(())
}
