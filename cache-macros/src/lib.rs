//! The attributes of `cache-runtime`, which re-exports them. Depend on that crate, not on this one:
//! the expansion calls hidden functions of exactly one version of it.
//!
//! [`macro@cache_result`] and [`macro@cache_invalidate`] are the manual pages.

// Code map. An attribute passes through five stages, one direction only. A module uses modules that
// are declared above it, never one below, and a module in a folder never uses the folder's own file.
//
//   ground     `attribute`, `errors`, `vocabulary`, `template`, `duration`, `manifest`: data and texts
//              that several stages share.
//   1 parse    The text between the parentheses becomes `Options` (`#[cache_result]`) or `Targets`
//              (`#[cache_invalidate]`). Knows nothing of the function.
//   2 input    The item under the attribute becomes an `Input`: a function, the names that its
//              arguments bind, and whether it is an `async fn` or one that `#[async_trait]` rewrote.
//   3 check    Refuses functions, and combinations of options, that cannot work. Changes nothing.
//   4 parts    `key`, `skip` and `tags` become `Part`s: the arguments, values and texts that make up the
//              key and the tags. Reports the mistakes in these three options.
//   5 expand   `Options`, `Input` and `Part`s become tokens. The only stage that quotes. It runs only
//              where no stage before it has reported a mistake.
//   pipeline   The order of the stages for each attribute, and the item with its mistakes otherwise.
//
// A stage does not stop at a mistake: it reports to `Errors` and leaves the refused value out, so that
// one compile shows all mistakes of an attribute.

mod attribute;
mod errors;
mod template;
mod vocabulary;

mod duration;
mod manifest;

mod parse;

mod input;

mod check;

mod parts;

mod expand;

mod pipeline;

#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

#[doc = include_str!("manual/cache_result.md")]
#[proc_macro_attribute]
pub fn cache_result(attr: TokenStream, item: TokenStream) -> TokenStream {
    pipeline::cache_result(attr.into(), item.into()).into()
}

#[doc = include_str!("manual/cache_invalidate.md")]
#[proc_macro_attribute]
pub fn cache_invalidate(attr: TokenStream, item: TokenStream) -> TokenStream {
    pipeline::cache_invalidate(attr.into(), item.into()).into()
}
