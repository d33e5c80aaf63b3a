//! The `key` option: a template, or values in parentheses.

use syn::{Error, Expr, Lit, Result};

use crate::parse::expr;
use crate::template::Template;

pub(crate) enum Key {
    /// `"{kind}:{page}"`
    Template(Template),
    /// `(kind, page)`: the values, and the whole expression for spans.
    Values(Vec<Expr>, Expr),
}

impl Key {
    pub(crate) fn parse(value: Expr) -> Result<Self> {
        match expr::plain(value) {
            Expr::Lit(literal) if matches!(literal.lit, Lit::Str(_)) => {
                let text = expr::text(Expr::Lit(literal), "")?;
                Template::parse(text, "key").map(Self::Template)
            }
            Expr::Tuple(tuple) => {
                let values = tuple.elems.iter().cloned().collect();
                Ok(Self::Values(values, Expr::Tuple(tuple)))
            }
            Expr::Paren(one) => Ok(Self::Values(vec![(*one.expr).clone()], Expr::Paren(one))),
            other => Err(Error::new_spanned(
                other,
                "`key` takes a template, as in `key = \"{id}\"`, or values in parentheses, as in `key = (id)`",
            )),
        }
    }
}
