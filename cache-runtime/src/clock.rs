//! Monotonic time for this process; never compared with another host's.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Milliseconds since the first use.
pub(crate) fn millis() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64
}

/// A moment by the clock that the kernel keeps at hand: late by up to 10 ms, also right after the
/// process was stopped, and a quarter of the cost of [`Instant::now`] (`benches/benches/near.rs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
pub(crate) struct Coarse(u64);

/// Milliseconds in a tick, as a power of two: 32 bits of them last for eight years.
const TICK_SHIFT: u32 = 6;

impl Coarse {
    pub(crate) fn now() -> Self {
        Self::since(Self::start())
    }

    /// The moment of the first use, in the clock's own ticks.
    pub(crate) fn start() -> u64 {
        static START: OnceLock<u64> = OnceLock::new();
        *START.get_or_init(Self::raw_ticks)
    }

    /// Counted from a moment of one's own, which may lie before the first of the clock's: hence wrapping.
    #[inline]
    pub(crate) fn since(start: u64) -> Self {
        let ticks = Self::raw_ticks().wrapping_sub(start).cast_signed().max(0).cast_unsigned();
        Self(coarsetime::Duration::from_ticks(ticks).as_millis())
    }

    /// `start` so much earlier, that what is counted from there comes so much later.
    pub(crate) fn earlier(start: u64, by: Duration) -> u64 {
        let by =
            coarsetime::Duration::from(by.min(Duration::from_secs(u32::MAX.into()))).as_ticks();
        let now = Self::raw_ticks();
        let since = now.wrapping_sub(start).saturating_add(by).min(i64::MAX.cast_unsigned());
        now.wrapping_sub(since)
    }

    #[inline]
    fn raw_ticks() -> u64 {
        coarsetime::Instant::now_without_cache_update().as_ticks()
    }

    pub(crate) fn at_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Since the first use.
    pub(crate) fn millis(self) -> u64 {
        self.0
    }

    pub(crate) fn ticks(self) -> u32 {
        saturated(self.0 >> TICK_SHIFT)
    }

    /// The last tick before `later` is over.
    pub(crate) fn after(self, later: Duration) -> u32 {
        let millis = u64::try_from(later.as_millis()).unwrap_or(u64::MAX);
        saturated(self.0.saturating_add(millis) >> TICK_SHIFT)
    }

    pub(crate) fn in_ticks(duration: Duration) -> u32 {
        saturated(u64::try_from(duration.as_millis() >> TICK_SHIFT).unwrap_or(u64::MAX))
    }

    pub(crate) fn duration(ticks: u64) -> Duration {
        Duration::from_millis(ticks << TICK_SHIFT)
    }
}

fn saturated(ticks: u64) -> u32 {
    u32::try_from(ticks).unwrap_or(u32::MAX)
}
