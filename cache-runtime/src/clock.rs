//! Monotonic time of this process, never compared with another host's.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Milliseconds since the first call of this function.
pub(crate) fn millis() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64
}

/// A point in time by the kernel's coarse monotonic clock: late by up to 10 ms, also right after the process was
/// stopped, and a quarter of the cost of [`Instant::now`] (`benches/benches/near.rs`). In milliseconds since
/// [`Coarse::start`], or since the start that [`Coarse::since`] was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
pub(crate) struct Coarse(u64);

/// A tick of 2⁶ ms, in which copies keep their times: 32 bits of them last for eight years.
const TICK_SHIFT: u32 = 6;

impl Coarse {
    pub(crate) fn now() -> Self {
        Self::since(Self::start())
    }

    /// The first use of the clock, in the clock's raw ticks.
    pub(crate) fn start() -> u64 {
        static START: OnceLock<u64> = OnceLock::new();
        *START.get_or_init(Self::raw_ticks)
    }

    /// Now, counted from `start`. Wrapping, since [`Coarse::earlier`] may have moved `start` before the clock's
    /// zero.
    #[inline]
    pub(crate) fn since(start: u64) -> Self {
        let ticks = Self::raw_ticks().wrapping_sub(start).cast_signed().max(0).cast_unsigned();
        Self(coarsetime::Duration::from_ticks(ticks).as_millis())
    }

    /// For `Cache::advance`: moves a start back by `by`, at most `u32::MAX` seconds, so that all times counted
    /// from it are later.
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

    /// Milliseconds since the start.
    pub(crate) fn millis(self) -> u64 {
        self.0
    }

    pub(crate) fn ticks(self) -> u32 {
        saturated(self.0 >> TICK_SHIFT)
    }

    /// The tick at `later` after this moment, rounded down.
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
