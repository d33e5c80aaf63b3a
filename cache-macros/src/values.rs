//! The values of options: an expression that was written, turned into what the option takes.

use std::time::Duration;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprClosure, ExprLit, ExprUnary, Lit, LitStr, Path, Result, UnOp};

use crate::args::Predicate;
use crate::duration;

/// How long: known now, or by an expression at run time.
pub(crate) enum Time {
    /// `3600`
    Seconds(u64, Span),
    /// `"1h30m"`
    Text(Duration, Span),
    /// A `Duration` or seconds.
    Expression(Expr),
}

/// How long a value is fresh.
pub(crate) enum Ttl {
    Fixed(Time),
    /// Looks at the value.
    Closure(ExprClosure),
}

pub(crate) fn ttl(value: Expr) -> Result<Ttl> {
    match plain(value) {
        Expr::Closure(closure) => of_one_value(closure, "ttl").map(Ttl::Closure),
        value => time(&value, "ttl").map(Ttl::Fixed),
    }
}

pub(crate) fn none_ttl(value: Expr) -> Result<Time> {
    match plain(value) {
        Expr::Closure(closure) => {
            let message = "`none_ttl` takes a time: in a `None` there is no value to look at";
            Err(Error::new_spanned(closure, message))
        }
        value => time(&value, "none_ttl"),
    }
}

fn time(value: &Expr, option: &str) -> Result<Time> {
    let error = |message: String| Err(Error::new_spanned(value, message));
    let span = value.span();
    let time = match literal(value) {
        Some(Lit::Int(seconds)) => match seconds.base10_parse() {
            Ok(seconds) => Time::Seconds(seconds, span),
            Err(_) => return error(format!("`{option}` is too large; it is in seconds")),
        },
        Some(Lit::Str(text)) => match duration::parse(&text.value()) {
            Ok(duration) => Time::Text(duration, span),
            Err(message) => return error(message),
        },
        Some(Lit::Float(_)) => {
            return error(format!(
                "`{option}` is in whole seconds; shorter ones are text: `\"1500ms\"`"
            ));
        }
        Some(_) => {
            return error(format!("`{option}` takes seconds, as in `60`, or text, as in `\"1m\"`"));
        }
        None if is_negative(value) => return error(not_positive(option)),
        None => Time::Expression(value.clone()),
    };
    match time {
        Time::Seconds(0, _) | Time::Text(Duration::ZERO, _) => error(not_positive(option)),
        time => Ok(time),
    }
}

fn not_positive(option: &str) -> String {
    let way_out = match option {
        "none_ttl" => "not to store `None`, leave it out",
        _ => "to switch caching off, remove `#[cache_result]` or set `REDIS_ENABLED=false`",
    };
    format!("`{option}` must be greater than zero; {way_out}")
}

pub(crate) fn prefix(value: Expr) -> Result<LitStr> {
    let prefix = text(value, "`prefix` takes a string literal, as in `prefix = \"areas\"`")?;
    let message = match prefix.value() {
        text if text.is_empty() => {
            "`prefix` is empty; leave it out to use the path of the function"
        }
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

pub(crate) fn cache_if(value: Expr) -> Result<Predicate> {
    match plain(value) {
        Expr::Closure(closure) => of_one_value(closure, "cache_if").map(Predicate::Closure),
        path @ Expr::Path(_) => Ok(Predicate::Path(path)),
        value => {
            let message = "`cache_if` takes a closure over the value, as in `|value| !value.is_empty()`, \
                           or the path of a function";
            Err(Error::new_spanned(value, message))
        }
    }
}

/// The closure runs beside a body that takes the arguments with it, so it must own what it names.
fn of_one_value(mut closure: ExprClosure, option: &str) -> Result<ExprClosure> {
    if let Some(keyword) = closure.asyncness {
        let message = format!("the closure of `{option}` cannot be `async`");
        return Err(Error::new_spanned(keyword, message));
    }
    if closure.inputs.len() != 1 {
        let message =
            format!("the closure of `{option}` takes one argument, the value: `|value| ..`");
        return Err(Error::new_spanned(closure, message));
    }
    let keyword = closure.capture.unwrap_or_else(|| syn::token::Move(closure.span()));
    closure.capture = Some(keyword);
    Ok(closure)
}

pub(crate) fn jitter(value: Expr) -> Result<f64> {
    let share = match literal(&value) {
        Some(Lit::Float(share)) => share.base10_parse().ok(),
        Some(Lit::Int(share)) => share.base10_parse().ok(),
        _ => None,
    };
    let message = "`jitter` is the share of the ttl that may be taken off: 0 to 1";
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| Error::new_spanned(value, message))
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

/// Reads a string literal.
pub(crate) fn text(value: Expr, otherwise: &str) -> Result<LitStr> {
    match literal(&value) {
        Some(Lit::Str(text)) => Ok(text.clone()),
        _ => Err(Error::new_spanned(value, otherwise)),
    }
}

fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

fn is_negative(value: &Expr) -> bool {
    matches!(value, Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) if literal(expr).is_some())
}

/// Takes off the invisible parentheses that a `macro_rules!` puts round an expression.
pub(crate) fn plain(value: Expr) -> Expr {
    match value {
        Expr::Group(group) => plain(*group.expr),
        value => value,
    }
}
