//! Parts of the key and of tags.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Member;
use syn::spanned::Spanned;

use super::borrowed;
use crate::parts::Part;

/// The methods that take a part: of a call's key, of a call's tag, of a writer's tag.
pub(super) struct Sink {
    pub(super) receiver: &'static str,
    pub(super) text: &'static str,
    pub(super) place: &'static str,
    /// For what belongs to the key beside.
    pub(super) extra: &'static str,
}

/// One part, a statement of its own because a `#[cfg]` may take it away.
pub(super) fn part(part: &Part, sink: &Sink) -> TokenStream {
    let cfgs = part.cfgs();
    let statement = match part {
        Part::Arg(ident, _) => {
            let lint = underscored(ident);
            let statement = statement(sink.receiver, "arg", borrowed_name(ident, &[]));
            quote!(#lint #statement)
        }
        Part::Value(value) => statement(sink.receiver, "arg", borrowed(value)),
        Part::Text(text, span) => {
            let mut text = Literal::string(text);
            text.set_span(*span);
            statement(sink.receiver, sink.text, text)
        }
        Part::Place(name, fields, _) => {
            let lint = underscored(name);
            let statement = statement(sink.receiver, sink.place, borrowed_name(name, fields));
            quote!(#lint #statement)
        }
        Part::Extra(name, fields, _) => {
            let lint = underscored(name);
            let statement = statement(sink.receiver, sink.extra, borrowed_name(name, fields));
            quote!(#lint #statement)
        }
    };
    quote!(#(#cfgs)* #statement)
}

/// `call.tag();`, and what follows it.
pub(super) fn tag(parts: &[Part], receiver: &'static str) -> TokenStream {
    let sink = Sink { receiver, text: "tag_text", place: "tag_part", extra: "tag_arg" };
    let parts = parts.iter().map(|one| part(one, &sink));
    let begin = statement(receiver, "tag", TokenStream::new());
    quote!(#begin #(#parts)*)
}

/// An argument that the body leaves alone still belongs to the key.
fn underscored(name: &Ident) -> Option<TokenStream> {
    let lint = || quote!(#[allow(clippy::used_underscore_binding)]);
    name.to_string().starts_with('_').then(lint)
}

/// `receiver.method(value);`, all of it at the value.
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
