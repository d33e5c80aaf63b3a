//! Closures that see the function's value or error.

use syn::spanned::Spanned;
use syn::{Error, Expr, ExprClosure, Result};

use crate::parse::expr::plain;

/// Decides whether a value is stored, or whether a stale value may replace an error.
pub(crate) enum Predicate {
    Closure(ExprClosure),
    Path(Expr),
}

pub(crate) fn cache_if(value: Expr) -> Result<Predicate> {
    let otherwise = "`cache_if` takes a closure over the value, as in `|value| !value.is_empty()`, \
                     or the path of a function";
    predicate(value, "of `cache_if`", "the value: `|value| ..`", otherwise)
}

pub(crate) fn stale_if(value: Expr) -> Result<Predicate> {
    let otherwise = "`stale_if` takes a closure over the error, as in `|error| error.is_timeout()`, \
                     or the path of a function";
    predicate(value, "of `stale_if`", "the error: `|error| ..`", otherwise)
}

fn predicate(value: Expr, whose: &str, argument: &str, otherwise: &str) -> Result<Predicate> {
    match plain(value) {
        Expr::Closure(closure) => {
            with_one_argument(closure, whose, argument).map(Predicate::Closure)
        }
        path @ Expr::Path(_) => Ok(Predicate::Path(path)),
        value => Err(Error::new_spanned(value, otherwise)),
    }
}

/// Requires a closure of one argument, and makes it `move`. The expansion creates the closure before the
/// body, an `async move` block that takes the arguments with it; a closure that borrowed an argument
/// would forbid that. What a `move` closure copies (`Copy` arguments, references) the body still has.
pub(crate) fn with_one_argument(
    mut closure: ExprClosure,
    whose: &str,
    argument: &str,
) -> Result<ExprClosure> {
    if let Some(keyword) = closure.asyncness {
        let message = format!("the closure {whose} cannot be `async`");
        return Err(Error::new_spanned(keyword, message));
    }
    if closure.inputs.len() != 1 {
        let message = format!("the closure {whose} takes one argument, {argument}");
        return Err(Error::new_spanned(closure, message));
    }
    let keyword = closure.capture.unwrap_or_else(|| syn::token::Move(closure.span()));
    closure.capture = Some(keyword);
    Ok(closure)
}
