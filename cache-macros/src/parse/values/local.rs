//! The value of `local`: copies of entries in this process.

use syn::{Error, Expr, Lit, Result};

use crate::parse::expr::literal;
use crate::parse::values::time::{LiteralTime, literal_time};

pub(crate) enum Local {
    /// `local`: the attribute does not cap the age of copies.
    Uncapped,
    /// `local = "10s"`: no copy is used at a greater age.
    For(LiteralTime),
}

pub(crate) fn local(value: Option<Expr>) -> Result<Local> {
    let Some(value) = value else {
        return Ok(Local::Uncapped);
    };
    let message = match literal(&value) {
        Some(Lit::Bool(switch)) if switch.value => {
            "write `local` alone, or the age that a copy may reach, as in `local = \"10s\"`"
        }
        Some(Lit::Bool(_)) => "`local` is off where it is not written; leave it out",
        _ => return literal_time(&value, "local").map(Local::For),
    };
    Err(Error::new_spanned(value, message))
}
