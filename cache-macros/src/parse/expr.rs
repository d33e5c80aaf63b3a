//! Expressions as they come out of a `macro_rules!`: literals, with or without invisible parentheses.

use syn::{Error, Expr, ExprLit, Lit, LitStr, Result};

/// Reads a string literal; `otherwise` is the message for any other expression.
pub(crate) fn text(value: Expr, otherwise: &str) -> Result<LitStr> {
    match literal(&value) {
        Some(Lit::Str(text)) => Ok(text.clone()),
        _ => Err(Error::new_spanned(value, otherwise)),
    }
}

pub(crate) fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

/// Takes off the invisible parentheses that a `macro_rules!` puts round an expression.
pub(crate) fn plain(value: Expr) -> Expr {
    match value {
        Expr::Group(group) => plain(*group.expr),
        value => value,
    }
}
