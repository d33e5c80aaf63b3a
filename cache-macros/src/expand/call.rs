//! The call: its site, whether it is cached at all, its ttl, its key and its tags.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use super::codec::time;
use super::part::{Sink, part, statement, tag};
use super::{Expansion, borrowed};
use crate::args::Args;
use crate::parts::Part;
use crate::slot::Slot;
use crate::values::{Local, Ttl, Written};

/// What may switch the call off comes first, so that nothing after it is computed in vain.
pub(super) fn call(expansion: &Expansion) -> TokenStream {
    let Expansion { args, key, tags, .. } = expansion;
    let when = args.when.value().map(|when| statement("call", "when", when));
    let ttl = match args.ttl.value() {
        Some(Ttl::Fixed(ttl)) => Some(statement("call", "ttl", time(ttl))),
        _ => None,
    };
    let always = when.is_some()
        || ttl.is_some()
        || !tags.is_empty()
        || key.iter().any(|part| part.cfgs().is_empty());
    // Without `unused_mut`: all parts may be behind a `#[cfg]`.
    let lint = (!always).then(|| quote!(#[allow(unused_mut)]));
    let mutable = (always || !key.is_empty()).then(|| quote!(mut));
    let sink = Sink { receiver: "call", text: "text", place: "part", extra: "arg" };
    let key = key.iter().map(|one| part(one, &sink));
    let tags = tags.iter().map(|parts| tag(parts, "call"));
    let begin = begin(expansion);
    quote_spanned! {Span::mixed_site()=>
        #lint
        let #mutable call = #begin;
        #when #ttl #(#key)* #(#tags)*
    }
}

/// The static is in a block of its own, and the user's cache expression outside of that. The type
/// of a closure names the function with its impl, `Self` and type parameters, which a macro cannot
/// see.
fn begin(expansion: &Expansion) -> TokenStream {
    let Expansion { args, runtime, name, key, .. } = expansion;
    let at = Span::mixed_site();
    let (settings, recipe, (marker, id)) = (settings(args), recipe(key), id(args));
    let site = quote_spanned! {at=>
        #marker
        static __SITE: #runtime::Site = #runtime::Site::new(#name, #runtime::package!()) #id #recipe #settings;
    };
    let identity = quote_spanned!(at=> &|| ());
    let Some(cache) = args.cache.value() else {
        return quote_spanned!(at=> { #site __SITE.call(#identity) });
    };
    let at = at.located_at(cache.span());
    let cache = borrowed(cache);
    quote_spanned!(at=> { let cache = #cache; { #site __SITE.call_in(#identity, cache) } })
}

/// An item in the function has its path, and no type parameters: the identity of a closure that is
/// longer has some.
fn id(args: &Args) -> (Option<TokenStream>, Option<TokenStream>) {
    let Some(id) = args.id.value() else { return (None, None) };
    let marker = quote_spanned! {Span::mixed_site()=>
        fn __here() -> &'static str { ::core::any::type_name_of_val(&__here) }
    };
    (Some(marker), Some(quote_spanned!(Span::mixed_site()=> .id(#id, __here))))
}

/// What the key is made of: `.recipe(&["from", "to"])`.
fn recipe(key: &[Part]) -> Option<TokenStream> {
    let parts = key.iter().map(|part| {
        let (cfgs, recipe) = (part.cfgs(), part.recipe());
        quote_spanned!(Span::mixed_site()=> #(#cfgs)* #recipe)
    });
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then(|| quote_spanned!(Span::mixed_site()=> .recipe(&[#(#parts),*])))
}

/// Only what was given: `.prefix("areas").lease(2000u64)`.
fn settings(args: &Args) -> TokenStream {
    let settings = [
        setting("prefix", args.prefix.value()),
        setting("version", args.version.value()),
        setting("jitter", args.jitter.value()),
        local(&args.local),
        millis("lease", args.lease.value()),
        millis("wait", args.wait.value()),
        millis("stale_while_revalidate", args.stale_while_revalidate.value()),
        millis("stale_if_error", args.stale_if_error.value()),
        setting("refresh_ahead", args.refresh_ahead.value()),
    ];
    settings.into_iter().flatten().collect()
}

fn setting(name: &str, value: Option<&impl ToTokens>) -> Option<TokenStream> {
    let name = Ident::new(name, Span::mixed_site());
    value.map(|value| quote_spanned!(Span::mixed_site()=> .#name(#value)))
}

fn local(slot: &Slot<Local>) -> Option<TokenStream> {
    match slot.value()? {
        Local::Uncapped => setting("local", Some(&TokenStream::new())),
        Local::For(age) => millis("local_for", Some(age)),
    }
}

fn millis(name: &str, time: Option<&Written>) -> Option<TokenStream> {
    let time = time?;
    let mut literal = Literal::u64_suffixed(time.millis);
    literal.set_span(time.value.span());
    setting(name, Some(&literal))
}
