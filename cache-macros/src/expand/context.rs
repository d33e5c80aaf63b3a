//! The input of the stage, for a cached function.

use proc_macro2::{Ident, TokenStream};

use crate::parse::options::Options;
use crate::parts::Part;

/// One cached function, as the modules of this stage need it.
pub(super) struct Context<'a> {
    pub(super) options: &'a Options,
    /// The function's name without `r#`.
    pub(super) name: String,
    /// The type that the function resolves to.
    pub(super) output: TokenStream,
    /// `::cache_runtime::__private`
    pub(super) runtime: TokenStream,
    pub(super) key: &'a [Part],
    /// The parts of each tag.
    pub(super) tags: &'a [Vec<Part>],
    /// The option that asks for a background refresh, if the function can have one.
    pub(super) background_refresh: Option<&'a Ident>,
}
