//! Which of the two attributes a function has, and the wording that depends on it.

use std::fmt;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Attribute {
    Result,
    Invalidate,
}

impl Attribute {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Result => "cache_result",
            Self::Invalidate => "cache_invalidate",
        }
    }

    /// Why a function without a body is refused.
    pub(crate) fn without_a_body(self) -> &'static str {
        match self {
            Self::Result => "nothing to cache",
            Self::Invalidate => "nothing is written here",
        }
    }

    /// Why the function has to be `async`.
    pub(crate) fn awaited(self) -> &'static str {
        match self {
            Self::Result => "a lookup in Redis is awaited",
            Self::Invalidate => "an invalidation in Redis is awaited",
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "#[{}]", self.name())
    }
}
