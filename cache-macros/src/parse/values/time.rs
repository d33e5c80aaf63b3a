//! Times: seconds, text such as `"1h30m"`, or an expression.

use std::time::Duration;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprClosure, ExprUnary, Lit, Result, UnOp};

use crate::parse::expr::{literal, plain};
use crate::parse::values::closure::with_one_argument;
use crate::{duration, vocabulary};

/// A length of time.
pub(crate) enum Time {
    /// `3600`
    Seconds(u64, Span),
    /// `"1h30m"`
    Text(Duration, Span),
    /// Any other expression, of a `Duration` or of seconds; evaluated at each call.
    Expression(Expr),
}

impl Time {
    /// The length at compile time; `None` of an expression.
    pub(crate) fn known(&self) -> Option<Duration> {
        match self {
            Self::Seconds(seconds, _) => Some(Duration::from_secs(*seconds)),
            Self::Text(duration, _) => Some(*duration),
            Self::Expression(_) => None,
        }
    }
}

/// How long a value is fresh after it was stored.
pub(crate) enum Ttl {
    Fixed(Time),
    /// Depends on the value.
    Closure(ExprClosure),
}

/// A time that the attribute spells out, so that it is the same for all calls.
pub(crate) struct LiteralTime {
    pub(crate) millis: u64,
    /// The literal, for messages and spans.
    pub(crate) value: Expr,
}

pub(crate) fn ttl(value: Expr) -> Result<Ttl> {
    match plain(value) {
        Expr::Closure(closure) => {
            with_one_argument(closure, "of `ttl`", "the value: `|value| ..`").map(Ttl::Closure)
        }
        value => positive(&value, "ttl").map(Ttl::Fixed),
    }
}

pub(crate) fn none_ttl(value: Expr) -> Result<Time> {
    match plain(value) {
        Expr::Closure(closure) => {
            let message = "`none_ttl` takes a time: in a `None` there is no value to look at";
            Err(Error::new_spanned(closure, message))
        }
        value => positive(&value, "none_ttl"),
    }
}

/// The value of `local`, `lease`, `wait` or a stale window. Only `wait` may be zero.
pub(crate) fn literal_time(value: &Expr, option: &str) -> Result<LiteralTime> {
    let time = if option == "wait" { time(value, option) } else { positive(value, option) }?;
    let error = |message: String| Err(Error::new_spanned(value, message));
    let millis = match time {
        Time::Seconds(seconds, _) => seconds.checked_mul(1000),
        Time::Text(duration, _) => u64::try_from(duration.as_millis()).ok(),
        Time::Expression(_) => {
            let example = vocabulary::example(option);
            return error(format!(
                "`{option}` takes a time that is written out, as in `{example}`: it is the same for all calls"
            ));
        }
    };
    match millis {
        Some(millis) => Ok(LiteralTime { millis, value: value.clone() }),
        None => error(format!("`{option}` is too large; it is in seconds")),
    }
}

fn positive(value: &Expr, option: &str) -> Result<Time> {
    match time(value, option)? {
        Time::Seconds(0, _) | Time::Text(Duration::ZERO, _) => {
            Err(Error::new_spanned(value, not_positive(option)))
        }
        time => Ok(time),
    }
}

fn time(value: &Expr, option: &str) -> Result<Time> {
    let error = |message: String| Err(Error::new_spanned(value, message));
    let span = value.span();
    match literal(value) {
        Some(Lit::Int(seconds)) => match seconds.base10_parse() {
            Ok(seconds) => Ok(Time::Seconds(seconds, span)),
            Err(_) => error(format!("`{option}` is too large; it is in seconds")),
        },
        Some(Lit::Str(text)) => match duration::parse(&text.value()) {
            Ok(duration) => Ok(Time::Text(duration, span)),
            Err(message) => error(message),
        },
        Some(Lit::Float(_)) => {
            error(format!("`{option}` is in whole seconds; shorter ones are text: `\"1500ms\"`"))
        }
        Some(_) => error(format!("`{option}` takes seconds, as in `60`, or text, as in `\"1m\"`")),
        None if is_negative(value) => error(not_positive(option)),
        None => Ok(Time::Expression(value.clone())),
    }
}

fn not_positive(option: &str) -> String {
    let way_out = match option {
        "wait" => return "`wait` cannot be negative; write `wait = 0` not to wait at all".into(),
        "none_ttl" => "not to store `None`, leave it out",
        "local" => "not to keep copies in the process, leave it out",
        "lease" => {
            "it keeps an older run from overwriting a newer one, and cannot be switched off: \
             write a time such as `lease = \"2s\"`"
        }
        "stale_while_revalidate" | "stale_if_error" => "never to serve a stale value, leave it out",
        _ => "to switch caching off, remove `#[cache_result]` or set `REDIS_ENABLED=false`",
    };
    format!("`{option}` must be greater than zero; {way_out}")
}

fn is_negative(value: &Expr) -> bool {
    matches!(value, Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) if literal(expr).is_some())
}
