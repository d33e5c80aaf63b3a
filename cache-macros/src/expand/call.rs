//! The call: its site, whether it is cached at all, its ttl and its key.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprReference, Member, Token};

use super::Expansion;
use super::codec::time;
use crate::parts::Part;
use crate::values::Ttl;

/// What may switch the call off comes first, so that nothing after it is computed in vain.
pub(super) fn call(expansion: &Expansion) -> TokenStream {
    let when = expansion.args.when.value().map(|when| statement("when", when));
    let ttl = match expansion.args.ttl.value() {
        Some(Ttl::Fixed(ttl)) => Some(statement("ttl", time(ttl))),
        _ => None,
    };
    let always = when.is_some()
        || ttl.is_some()
        || expansion.parts.iter().any(|part| part.cfgs().is_empty());
    let parts = expansion.parts.iter().map(part);
    // Without `unused_mut`: all parts may be behind a `#[cfg]`.
    let lint = (!always).then(|| quote!(#[allow(unused_mut)]));
    let mutable = (always || !expansion.parts.is_empty()).then(|| quote!(mut));
    let begin = begin(expansion);
    quote_spanned! {Span::mixed_site()=>
        #lint
        let #mutable call = #begin;
        #when #ttl #(#parts)*
    }
}

/// The static is in a block of its own, and the user's cache expression outside of that. The type
/// of a closure names the function with its impl, `Self` and type parameters, which a macro cannot
/// see.
fn begin(expansion: &Expansion) -> TokenStream {
    let Expansion { args, runtime, name, .. } = expansion;
    let at = Span::mixed_site();
    let settings = [
        args.prefix.value().map(|prefix| quote_spanned!(at=> .prefix(#prefix))),
        args.version.value().map(|version| quote_spanned!(at=> .version(#version))),
        args.jitter.value().map(|jitter| quote_spanned!(at=> .jitter(#jitter))),
    ];
    let settings = settings.iter().flatten();
    let site = quote_spanned! {at=>
        static __SITE: #runtime::Site = #runtime::Site::new(#name) #(#settings)*;
    };
    let identity = quote_spanned!(at=> &|| ());
    let Some(cache) = args.cache.value() else {
        return quote_spanned!(at=> { #site __SITE.call(#identity) });
    };
    let at = at.located_at(cache.span());
    let cache = borrowed(cache);
    quote_spanned!(at=> { let cache = #cache; { #site __SITE.call_in(#identity, cache) } })
}

/// One part of the key, a statement of its own because a `#[cfg]` may take it away.
fn part(part: &Part) -> TokenStream {
    let cfgs = part.cfgs();
    let statement = match part {
        Part::Arg(ident, _) => {
            let lint = underscored(ident);
            let statement = statement("arg", borrowed_name(ident, &[]));
            quote!(#lint #statement)
        }
        Part::Value(value) => statement("arg", borrowed(value)),
        Part::Text(text, span) => {
            let mut text = Literal::string(text);
            text.set_span(*span);
            statement("text", text)
        }
        Part::Place(name, fields, _) => {
            let lint = underscored(name);
            let statement = statement("part", borrowed_name(name, fields));
            quote!(#lint #statement)
        }
    };
    quote!(#(#cfgs)* #statement)
}

/// An argument that the body leaves alone still belongs to the key.
fn underscored(name: &Ident) -> Option<TokenStream> {
    let lint = || quote!(#[allow(clippy::used_underscore_binding)]);
    name.to_string().starts_with('_').then(lint)
}

/// `call.method(value);`, all of it at the value.
fn statement(method: &str, value: impl ToTokens) -> TokenStream {
    let at = Span::mixed_site().located_at(value.span());
    let method = Ident::new(method, at);
    quote_spanned!(at=> call.#method(#value);)
}

fn borrowed_name(name: &Ident, fields: &[Member]) -> TokenStream {
    quote_spanned!(name.span()=> &#name #(.#fields)*)
}

/// `&value`, with parentheses where the value needs them.
fn borrowed(value: &Expr) -> TokenStream {
    ExprReference {
        attrs: Vec::new(),
        and_token: Token![&](value.span()),
        mutability: None,
        expr: Box::new(value.clone()),
    }
    .into_token_stream()
}
