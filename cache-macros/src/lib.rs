//! The attributes of `cache-runtime`, which re-exports them. Depend on that crate, not on this one:
//! the expansion calls it, in exactly the version that pins this one.
//!
//! [`macro@cache_result`] and [`macro@cache_invalidate`] are the manual pages.

mod attribute;

mod args;
mod reading;
mod renamed;
mod slot;
mod targets;
mod words;

mod duration;
mod key;
mod tags;
mod template;
mod values;

mod boxed;
mod input;
mod item;
mod lints;
mod pattern;

mod arguments;
mod borrows;
mod check;
mod parts;
mod returns;
mod unused;
mod windows;

mod errors;
mod expand;

#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

#[doc = include_str!("manual/cache_result.md")]
#[proc_macro_attribute]
pub fn cache_result(attr: TokenStream, item: TokenStream) -> TokenStream {
    attribute::cache_result(attr.into(), item.into()).into()
}

#[doc = include_str!("manual/cache_invalidate.md")]
#[proc_macro_attribute]
pub fn cache_invalidate(attr: TokenStream, item: TokenStream) -> TokenStream {
    attribute::cache_invalidate(attr.into(), item.into()).into()
}
