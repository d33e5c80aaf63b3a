//! Expansions and messages, as text.

// As expect-test writes them.
#![allow(clippy::needless_raw_string_hashes)]

mod arguments;
mod expansions;
mod messages;
mod options;
mod texts;
mod writers;

use proc_macro2::TokenStream;

use crate::pipeline::cache_result;

/// The expansion, laid out as rustfmt would.
fn expand(attr: &str, item: &str) -> String {
    laid_out(cache_result(tokens(attr), tokens(item)))
}

fn laid_out(expansion: TokenStream) -> String {
    prettyplease::unparse(&syn::parse2(expansion).expect("an expansion is made of items"))
}

/// The messages, one a line.
fn messages(attr: &str, item: &str) -> String {
    messages_in(cache_result(tokens(attr), tokens(item)))
}

fn messages_in(expansion: TokenStream) -> String {
    let file: syn::File = syn::parse2(expansion).expect("errors stand beside the item");
    let messages = file.items.iter().filter_map(|item| match item {
        syn::Item::Macro(item) if item.mac.path.segments.last()?.ident == "compile_error" => {
            item.mac.parse_body::<syn::LitStr>().ok()
        }
        _ => None,
    });
    messages.map(|message| message.value() + "\n").collect()
}

fn tokens(text: &str) -> TokenStream {
    text.parse().expect("a test's text is made of tokens")
}
