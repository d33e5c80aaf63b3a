//! The types that a `ttl` may have.

use std::time::Duration;

/// A type that `ttl` and `none_ttl` take: a [`Duration`], or any integer type, which counts seconds. Negative
/// numbers are zero, and nothing with a ttl of zero is stored. Sealed: other crates cannot implement it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use cache_runtime::IntoTtl;
///
/// assert_eq!(90.into_ttl(), Duration::from_secs(90));
/// assert_eq!((-1).into_ttl(), Duration::ZERO);
/// assert_eq!(Duration::from_millis(250).into_ttl(), Duration::from_millis(250));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no lifetime",
    label = "expected a `Duration`, or a whole number of seconds"
)]
pub trait IntoTtl: sealed::Sealed {
    /// The ttl as a duration.
    fn into_ttl(self) -> Duration;
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for Duration {}

impl IntoTtl for Duration {
    fn into_ttl(self) -> Duration {
        self
    }
}

macro_rules! seconds {
    ($($integer:ty)*) => {$(
        impl sealed::Sealed for $integer {}

        impl IntoTtl for $integer {
            fn into_ttl(self) -> Duration {
                let seconds = u128::try_from(self).unwrap_or_default();
                Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
            }
        }
    )*};
}
seconds! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize }

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::IntoTtl;

    #[test]
    fn seconds_are_of_any_integer_type_and_a_negative_number_is_zero() {
        let minute = Duration::from_secs(60);
        assert_eq!([60_u8.into_ttl(), 60_i8.into_ttl(), 60_usize.into_ttl()], [minute; 3]);
        assert_eq!([60_i32.into_ttl(), 60_i64.into_ttl(), 60_u128.into_ttl()], [minute; 3]);
        assert_eq!(
            [(-1_i8).into_ttl(), i64::MIN.into_ttl(), i128::MIN.into_ttl()],
            [Duration::ZERO; 3]
        );
        assert_eq!(u128::MAX.into_ttl(), Duration::from_secs(u64::MAX));
    }
}
