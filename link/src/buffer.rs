//! Memory for bytes on their way.

/// Bytes that memory which can grow always has, unless its limit is less.
pub(crate) const LEAST: usize = 512;

/// Memory for bytes: of a fixed size, or growing on demand.
pub trait Buffer: AsRef<[u8]> + AsMut<[u8]> {
    /// Most bytes it can have.
    fn limit(&self) -> usize {
        self.as_ref().len()
    }

    /// Grows to at least `least` bytes, or to the limit; what is in it stays. `false` if it cannot
    /// grow at all.
    fn grow(&mut self, least: usize) -> bool {
        let _ = least;
        false
    }

    /// Gives memory back. What is in it may be lost.
    fn shrink(&mut self) {}
}

impl<const N: usize> Buffer for [u8; N] {}
impl<const N: usize> Buffer for &mut [u8; N] {}
impl Buffer for &mut [u8] {}
#[cfg(any(feature = "std", test))]
impl Buffer for std::boxed::Box<[u8]> {}
#[cfg(any(feature = "std", test))]
impl Buffer for std::vec::Vec<u8> {}

/// Memory that is taken when it is needed: a connection that rests has little.
#[cfg(any(feature = "std", test))]
#[derive(Clone, Debug)]
pub struct Elastic {
    bytes: std::boxed::Box<[u8]>,
    limit: usize,
}

#[cfg(any(feature = "std", test))]
impl Elastic {
    /// Memory of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: zeros(limit.min(LEAST)), limit }
    }
}

#[cfg(any(feature = "std", test))]
fn zeros(n: usize) -> std::boxed::Box<[u8]> {
    std::vec![0; n].into_boxed_slice()
}

#[cfg(any(feature = "std", test))]
impl AsRef<[u8]> for Elastic {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(any(feature = "std", test))]
impl AsMut<[u8]> for Elastic {
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

#[cfg(any(feature = "std", test))]
impl Buffer for Elastic {
    fn limit(&self) -> usize {
        self.limit
    }

    fn grow(&mut self, least: usize) -> bool {
        let old = self.bytes.len();
        let new = least.max(old * 2).min(self.limit);
        if new <= old {
            return false;
        }
        let bytes = std::mem::replace(&mut self.bytes, zeros(new));
        self.bytes[..old].copy_from_slice(&bytes);
        true
    }

    fn shrink(&mut self) {
        if self.bytes.len() > LEAST {
            *self = Self::new(self.limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elastic_memory_grows_to_its_limit_and_keeps_what_is_in_it() {
        let mut buffer = Elastic::new(3000);
        buffer.as_mut()[LEAST - 1] = 7;
        assert!(buffer.grow(0));
        assert_eq!((buffer.as_ref().len(), buffer.as_ref()[LEAST - 1]), (1024, 7));
        assert!(buffer.grow(1500));
        assert_eq!(buffer.as_ref().len(), 2048);
        assert!(buffer.grow(9000));
        assert_eq!(buffer.as_ref().len(), 3000);
        assert!(!buffer.grow(9000));
        buffer.shrink();
        assert_eq!(buffer.as_ref().len(), LEAST);
        assert!(!Elastic::new(100).grow(200));
    }
}
