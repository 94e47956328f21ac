//! Time as the engine sees it: a point on the caller's clock.

use core::num::NonZeroU64;

pub use core::time::Duration;

/// A point in time: microseconds since an arbitrary start chosen by the driver's clock.
///
/// The engine only compares and adds; it never asks what time it is.
// One more than the microseconds, so that an `Option` of it takes no more room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64);

impl Instant {
    /// The clock's start.
    pub const ZERO: Self = Self(NonZeroU64::MIN);
    /// Later than any other instant: "never".
    pub const MAX: Self = Self(NonZeroU64::MAX);

    /// The instant `micros` microseconds after the clock's start; [`Instant::MAX`] if that is
    /// `u64::MAX - 1` or later.
    #[inline]
    pub const fn from_micros(micros: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(micros))
    }

    /// The instant `millis` milliseconds after the clock's start.
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_micros(millis.saturating_mul(1000))
    }

    /// Microseconds since the clock's start.
    #[inline]
    pub const fn as_micros(self) -> u64 {
        self.0.get() - 1
    }

    /// Time passed since `earlier`; zero if `earlier` is in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.micros_since(earlier))
    }

    /// As [`since`](Self::since), in microseconds.
    #[inline]
    pub(crate) const fn micros_since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }

    /// As [`since`](Self::since), in whole milliseconds.
    pub(crate) fn span_since(self, earlier: Self) -> Span {
        Span(u32::try_from(self.micros_since(earlier) / 1000).unwrap_or(u32::MAX))
    }

    /// Saturates at [`Instant::MAX`].
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(crate) const fn plus_micros(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

/// Not operators: `Instant + x` stays plain to the compiler where `x` is to be inferred.
impl Instant {
    /// Saturates at [`Instant::MAX`].
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(crate) fn plus(self, span: Span) -> Self {
        self.plus_micros(span.micros())
    }

    /// Saturates at [`Instant::ZERO`].
    pub(crate) fn minus(self, span: Span) -> Self {
        Self::from_micros(self.as_micros().saturating_sub(span.micros()))
    }
}

impl Default for Instant {
    fn default() -> Self {
        Self::ZERO
    }
}

impl core::fmt::Debug for Instant {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Instant").field(&self.as_micros()).finish()
    }
}

impl core::ops::Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at [`Instant::MAX`].
    fn add(self, d: Duration) -> Self {
        self.plus_micros(micros(d))
    }
}

impl core::ops::Sub<Duration> for Instant {
    type Output = Self;

    /// Saturates at [`Instant::ZERO`].
    fn sub(self, d: Duration) -> Self {
        Self(NonZeroU64::MIN.saturating_add(self.as_micros().saturating_sub(micros(d))))
    }
}

/// Microseconds in `d`.
// Not `Duration::as_micros`, and one copy only: 128-bit arithmetic is costly on small processors.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) const fn micros(d: Duration) -> u64 {
    d.as_secs().saturating_mul(1_000_000).saturating_add(d.subsec_micros() as u64)
}

/// A length of time from the configuration: milliseconds, at most [`Span::FOREVER`]. Next to a
/// `Duration` it takes a quarter of the memory, and a processor of 32 bits can count with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(u32);

impl Span {
    pub(crate) const ZERO: Self = Self(0);
    /// What ends never; also anything beyond 49 days.
    pub(crate) const FOREVER: Self = Self(u32::MAX);

    pub(crate) const fn from_millis(millis: u32) -> Self {
        Self(millis)
    }

    /// `d`, rounded up.
    pub(crate) const fn of(d: Duration) -> Self {
        let seconds = d.as_secs();
        if seconds >= u32::MAX as u64 / 1000 {
            return Self::FOREVER;
        }
        Self(seconds as u32 * 1000 + d.subsec_nanos().div_ceil(1_000_000))
    }

    pub(crate) const fn millis(self) -> u32 {
        self.0
    }

    pub(crate) const fn micros(self) -> u64 {
        match self {
            Self::FOREVER => u64::MAX,
            Self(millis) => millis as u64 * 1000,
        }
    }

    pub(crate) const fn half(self) -> Self {
        Self(self.0 / 2)
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub(crate) const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    pub(crate) const fn times(self, n: u32) -> Self {
        Self(self.0.saturating_mul(n))
    }
}
