//! The statements that hand the parts of a key or a tag to the runtime: `call.arg(&kind);`.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Member;
use syn::spanned::Spanned;

use super::tokens::borrowed;
use crate::parts::Part;

/// The variable and the names of its methods that take the parts of a key, or those of a tag.
pub(super) struct PartMethods {
    pub(super) receiver: &'static str,
    pub(super) text: &'static str,
    pub(super) placeholder: &'static str,
    /// For [`Part::Extra`].
    pub(super) extra: &'static str,
}

/// The statement of one part. Each part is a statement of its own, which a `#[cfg]` can remove.
pub(super) fn part(part: &Part, methods: &PartMethods) -> TokenStream {
    let cfgs = part.cfgs();
    let statement = match part {
        Part::Arg(ident, _) => {
            let lint = underscored(ident);
            let statement = statement(methods.receiver, "arg", borrowed_name(ident, &[]));
            quote!(#lint #statement)
        }
        Part::Value(value) => statement(methods.receiver, "arg", borrowed(value)),
        Part::Text(text, span) => {
            let mut text = Literal::string(text);
            text.set_span(*span);
            statement(methods.receiver, methods.text, text)
        }
        Part::Placeholder(name, fields, _) => {
            let lint = underscored(name);
            let statement =
                statement(methods.receiver, methods.placeholder, borrowed_name(name, fields));
            quote!(#lint #statement)
        }
        Part::Extra(name, fields, _) => {
            let lint = underscored(name);
            let statement = statement(methods.receiver, methods.extra, borrowed_name(name, fields));
            quote!(#lint #statement)
        }
    };
    quote!(#(#cfgs)* #statement)
}

/// `call.tag();`, which begins a tag, and the statements of its parts.
pub(super) fn tag(parts: &[Part], receiver: &'static str) -> TokenStream {
    let methods =
        PartMethods { receiver, text: "tag_text", placeholder: "tag_part", extra: "tag_arg" };
    let parts = parts.iter().map(|one| part(one, &methods));
    let begin = statement(receiver, "tag", TokenStream::new());
    quote!(#begin #(#parts)*)
}

/// Allows the use of an argument such as `_id`: the name says that the body does not use it, and the key
/// still does.
fn underscored(name: &Ident) -> Option<TokenStream> {
    let lint = || quote!(#[allow(clippy::used_underscore_binding)]);
    name.to_string().starts_with('_').then(lint)
}

/// `receiver.method(value);`, spanned at the value, where the compiler reports a missing bound.
pub(super) fn statement(receiver: &str, method: &str, value: impl ToTokens) -> TokenStream {
    let tokens = value.to_token_stream();
    let site = Span::mixed_site();
    let at = if tokens.is_empty() { site } else { site.located_at(value.span()) };
    let (receiver, method) = (Ident::new(receiver, at), Ident::new(method, at));
    quote_spanned!(at=> #receiver.#method(#tokens);)
}

fn borrowed_name(name: &Ident, fields: &[Member]) -> TokenStream {
    quote_spanned!(name.span()=> &#name #(.#fields)*)
}
