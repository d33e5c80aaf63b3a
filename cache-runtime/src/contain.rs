//! Running code of the user's types, such as `Serialize` and `Clone`, so that a panic in that code costs
//! the caching of one value and never a call.

/// Runs `code`; `None` if it panicked.
#[inline]
pub(crate) fn contained<T>(code: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(code)).ok()
}
