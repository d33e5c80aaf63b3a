//! Attributes that the compiler and its tools know by themselves, those about lints among them.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

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

const TOOLS: [&str; 4] = ["clippy", "rustfmt", "diagnostic", "rust_analyzer"];

/// Sets the level of a lint, and expects none.
pub(crate) fn is_level(attr: &Attribute) -> bool {
    ["allow", "warn", "deny", "forbid"].iter().any(|level| attr.path().is_ident(level))
}

/// Whether an attribute is a macro, or may be one, which sees the function and may read all of its
/// arguments.
pub(crate) fn is_macro(attr: &Attribute) -> bool {
    may_be_macro(&attr.meta)
}

fn may_be_macro(meta: &Meta) -> bool {
    let path = meta.path();
    if path.is_ident("cfg_attr") {
        let parser = Punctuated::<Meta, Token![,]>::parse_terminated;
        let metas = meta.require_list().and_then(|list| list.parse_args_with(parser));
        // The first says when.
        return metas.map_or(true, |metas| metas.iter().skip(1).any(may_be_macro));
    }
    let first = path.segments.first().map(|segment| segment.ident.to_string()).unwrap_or_default();
    let known: &[&str] = if path.segments.len() == 1 { &BUILT_IN } else { &TOOLS };
    !known.contains(&first.as_str())
}

/// Allows an unused argument where one was expected: the key reads it, so that the expectation would
/// not be met.
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
