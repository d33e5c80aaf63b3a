//! Attributes on functions and arguments: conditional compilation, lint levels, other macros.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

/// The compiler's own attributes that a function may have. One that is missing here counts as a macro,
/// which costs the user a warning of an unused argument and nothing else.
const BUILT_IN: [&str; 18] = [
    "allow",
    "expect",
    "warn",
    "deny",
    "forbid",
    "doc",
    "cfg",
    "must_use",
    "deprecated",
    "inline",
    "cold",
    "track_caller",
    "target_feature",
    "no_mangle",
    "export_name",
    "link_section",
    "unsafe",
    "automatically_derived",
];

/// The first segment of tool attributes, such as `#[clippy::..]`.
const TOOLS: [&str; 4] = ["clippy", "rustfmt", "diagnostic", "rust_analyzer"];

/// Whether an attribute decides if the argument is compiled: `#[cfg]`, or a `#[cfg_attr]` with one in it.
pub(crate) fn is_cfg(attr: &Attribute) -> bool {
    let nested = |tokens: TokenStream| {
        tokens.into_iter().any(|token| matches!(token.to_string().as_str(), "cfg" | "cfg_attr"))
    };
    attr.path().is_ident("cfg")
        || attr.path().is_ident("cfg_attr")
            && attr.meta.require_list().is_ok_and(|list| nested(list.tokens.clone()))
}

/// Whether an attribute sets the level of a lint; `#[expect]` does not count.
pub(crate) fn is_lint_level(attr: &Attribute) -> bool {
    ["allow", "warn", "deny", "forbid"].iter().any(|level| attr.path().is_ident(level))
}

/// Whether an attribute may be a macro, which sees the function and may read any of its arguments.
pub(crate) fn is_macro(attr: &Attribute) -> bool {
    may_be_macro(&attr.meta)
}

fn may_be_macro(meta: &Meta) -> bool {
    let path = meta.path();
    if path.is_ident("cfg_attr") {
        let parser = Punctuated::<Meta, Token![,]>::parse_terminated;
        let metas = meta.require_list().and_then(|list| list.parse_args_with(parser));
        // The first is the condition.
        return metas.map_or(true, |metas| metas.iter().skip(1).any(may_be_macro));
    }
    let first = path.segments.first().map(|segment| segment.ident.to_string()).unwrap_or_default();
    let known: &[&str] = if path.segments.len() == 1 { &BUILT_IN } else { &TOOLS };
    !known.contains(&first.as_str())
}

/// Turns `#[expect(unused)]` on an argument into `#[allow(unused)]`: the key reads the argument, so that
/// the expectation would be unfulfilled.
pub(crate) fn without_expectation(attr: &mut Attribute) {
    let Meta::List(list) = &mut attr.meta else { return };
    let names_it = |tokens: &TokenStream| {
        tokens.clone().into_iter().any(|token| match token {
            TokenTree::Ident(word) => word == "unused" || word == "unused_variables",
            _ => false,
        })
    };
    if list.path.is_ident("expect") && names_it(&list.tokens) {
        list.path = Ident::new("allow", syn::spanned::Spanned::span(&list.path)).into();
    }
}
