//! The bytes of a recording.

/// How a file begins: what it is, and in which format.
const MAGIC: &[u8; 12] = b"everlink-rec";
/// The format that is written and understood.
const FORMAT: u32 = 1;
/// Bytes before the first frame.
pub(super) const FILE_HEAD: usize = 16;
/// Bytes before what a frame holds: length and checksum.
pub(super) const FRAME_HEAD: usize = 8;
/// No frame is longer: more is never written at a time.
pub(super) const FRAME: usize = 16 << 20;

pub(super) fn head() -> [u8; FILE_HEAD] {
    let mut head = [0; FILE_HEAD];
    head[..12].copy_from_slice(MAGIC);
    head[12..].copy_from_slice(&FORMAT.to_le_bytes());
    head
}

/// The format that a file says it has, if it is a recording.
pub(super) fn format(head: &[u8; FILE_HEAD]) -> Result<(), Option<u32>> {
    let (magic, format) = head.split_at(12);
    if magic != MAGIC {
        return Err(None);
    }
    match u32::from_le_bytes(format.try_into().unwrap_or_default()) {
        FORMAT => Ok(()),
        other => Err(Some(other)),
    }
}

/// What was recorded, as it is written: length, checksum, bytes.
pub(super) fn frame(bytes: &[u8], file: &mut Vec<u8>) {
    file.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    file.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    file.extend_from_slice(bytes);
}

/// Writes values.
#[derive(Debug, Default)]
pub(super) struct Put(pub(super) Vec<u8>);

impl Put {
    pub(super) fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// Seven bits to a byte, the lowest first; the highest bit says that more follow.
    pub(super) fn number(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    /// Small for small numbers on both sides of 0.
    pub(super) fn signed(&mut self, value: i64) -> &mut Self {
        self.number(((value << 1) ^ (value >> 63)) as u64)
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// `None` as 0, else one more.
    pub(super) fn option(&mut self, value: Option<u64>) -> &mut Self {
        self.number(value.map_or(0, |value| value.saturating_add(1)))
    }
}

/// Reads what [`Put`] wrote; `None` where it makes no sense.
#[derive(Clone, Copy, Debug)]
pub(super) struct Get<'a>(pub(super) &'a [u8]);

impl<'a> Get<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        let value = self.number()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.small()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        str::from_utf8(self.bytes()?).ok()
    }

    pub(super) fn option(&mut self) -> Option<Option<u64>> {
        self.number().map(|value| value.checked_sub(1))
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_can_be_got() {
        let mut put = Put::default();
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let signed = [0, -1, 1, -64, 64, i64::MIN, i64::MAX];
        for n in numbers {
            put.number(n);
        }
        for n in signed {
            put.signed(n);
        }
        put.bytes(b"abc").text("d").option(None).option(Some(0));
        let mut get = Get(&put.0);
        assert!(numbers.iter().all(|n| get.number() == Some(*n)));
        assert!(signed.iter().all(|n| get.signed() == Some(*n)));
        assert_eq!((get.bytes(), get.text()), (Some(&b"abc"[..]), Some("d")));
        assert_eq!((get.option(), get.option()), (Some(None), Some(Some(0))));
        assert_eq!((get.byte(), get.number(), get.bytes()), (None, None, None));
    }

    #[test]
    fn nonsense_is_none() {
        assert_eq!(Get(&[0xff; 12]).number(), None);
        assert_eq!(Get(&[5, 1, 2]).bytes(), None);
        assert_eq!(
            Get(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0]).bytes(),
            None
        );
        assert_eq!(Get(&[2, 0xff, 0xff]).text(), None);
        assert_eq!(Get(&[2]).flag(), None);
    }
}
