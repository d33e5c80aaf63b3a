//! The values of options: each function turns the expression behind an option's name into the type
//! of the option, or into a message that says what the option takes.

mod closure;
mod local;
mod time;

use syn::{Error, Expr, Lit, LitStr, Path, Result};

use crate::parse::expr::{literal, plain, text};

pub(crate) use closure::{Predicate, cache_if, stale_if, with_one_argument};
pub(crate) use local::{Local, local};
pub(crate) use time::{LiteralTime, Time, Ttl, literal_time, none_ttl, ttl};

/// The prefix of a cached function.
pub(crate) fn prefix(value: Expr) -> Result<LitStr> {
    nonempty_prefix(value, "`prefix` is empty; leave it out to use the path of the function")
}

/// A prefix that `#[cache_invalidate]` names, which has no default.
pub(crate) fn invalidated_prefix(value: Expr) -> Result<LitStr> {
    nonempty_prefix(value, "`prefix` is empty; name the group")
}

fn nonempty_prefix(value: Expr, empty: &str) -> Result<LitStr> {
    let prefix = text(value, "`prefix` takes a string literal, as in `prefix = \"areas\"`")?;
    let message = match prefix.value() {
        text if text.is_empty() => empty,
        text if text.starts_with(['~', '#']) => {
            "`prefix` must not begin with `~` or `#`, which mark keys of the cache itself"
        }
        text if text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            "`prefix` must not contain white space or control characters; write `_` or `:`"
        }
        _ => return Ok(prefix),
    };
    Err(Error::new_spanned(prefix, message))
}

/// In characters. An `id` is part of every readable key, unabbreviated.
const LONGEST_ID: usize = 100;

/// The name that identifies a function in place of its path.
pub(crate) fn id(value: Expr) -> Result<LitStr> {
    let id = text(value, "`id` takes a string literal, as in `id = \"user-by-email\"`")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let message = match id.value() {
        text if text.is_empty() => {
            "`id` is empty; leave it out to name the function by its path".to_owned()
        }
        text if !text.chars().all(plain) => {
            "`id` stands in keys as it is: it takes letters and digits of ASCII, `-`, `_` and `.`"
                .to_owned()
        }
        text if text.len() > LONGEST_ID => {
            format!("`id` is too long; it takes {LONGEST_ID} characters at most")
        }
        _ => return Ok(id),
    };
    Err(Error::new_spanned(id, message))
}

pub(crate) fn when(value: Expr) -> Result<Expr> {
    match plain(value) {
        Expr::Closure(closure) => {
            let message = "`when` takes an expression over the arguments, as in `when = page < 10`; \
                           for a closure over the value there is `cache_if`";
            Err(Error::new_spanned(closure, message))
        }
        value => Ok(value),
    }
}

pub(crate) fn jitter(value: Expr) -> Result<f64> {
    let message = "`jitter` is the share of the ttl that may be taken off: 0 to 1";
    number(&value)
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| Error::new_spanned(value, message))
}

pub(crate) fn refresh_ahead(value: Expr) -> Result<f64> {
    let message = "`refresh_ahead` is how early a value may be refreshed: a number greater than zero, \
                   1 is the usual";
    number(&value)
        .filter(|beta| *beta > 0.0 && beta.is_finite())
        .ok_or_else(|| Error::new_spanned(value, message))
}

fn number(value: &Expr) -> Option<f64> {
    match literal(value)? {
        Lit::Float(number) => number.base10_parse().ok(),
        Lit::Int(number) => number.base10_parse().ok(),
        _ => None,
    }
}

pub(crate) fn version(value: Expr) -> Result<u32> {
    let version = match literal(&value) {
        Some(Lit::Int(version)) => version.base10_parse().ok(),
        _ => None,
    };
    let message = "`version` is a whole number from 1 to 4294967295, written out: `version = 2`";
    version.filter(|version| *version > 0).ok_or_else(|| Error::new_spanned(value, message))
}

pub(crate) fn path(value: Expr) -> Result<Path> {
    let example = "`crate` takes a path in quotes, as in `crate = \"my_crate::cache_runtime\"`";
    let path = text(value, example)?;
    path.parse().map_err(|_| Error::new_spanned(&path, example))
}
