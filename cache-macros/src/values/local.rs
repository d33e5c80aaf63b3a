//! Copies in the process.

use syn::{Error, Expr, Lit, Result};

use super::{Written, literal, written};

/// The near cache of a function.
pub(crate) enum Local {
    /// `local`
    Uncapped,
    /// `local = "10s"`: no copy becomes older.
    For(Written),
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
        _ => return written(&value, "local").map(Local::For),
    };
    Err(Error::new_spanned(value, message))
}
