//! The call: its site, `when`, its TTL, its key and its tags.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use super::context::Context;
use super::statements::{PartMethods, part, statement, tag};
use super::tokens::{borrowed, time};
use crate::parse::options::Options;
use crate::parse::slot::Slot;
use crate::parse::values::{LiteralTime, Local, Ttl};
use crate::parts::Part;

/// `let call = ..;` and the statements that describe the call. `when` comes first, since the methods of a
/// call that it has switched off build no key.
pub(super) fn call(context: &Context) -> TokenStream {
    let Context { options, key, tags, .. } = context;
    let when = options.when.value().map(|when| statement("call", "when", when));
    let ttl = match options.ttl.value() {
        Some(Ttl::Fixed(ttl)) => Some(statement("call", "ttl", time(ttl))),
        _ => None,
    };
    let always = when.is_some()
        || ttl.is_some()
        || !tags.is_empty()
        || key.iter().any(|part| part.cfgs().is_empty());
    // All parts may be behind a `#[cfg]`, and `mut` unused then.
    let lint = (!always).then(|| quote!(#[allow(unused_mut)]));
    let mutable = (always || !key.is_empty()).then(|| quote!(mut));
    let methods = PartMethods { receiver: "call", text: "text", placeholder: "part", extra: "arg" };
    let key = key.iter().map(|one| part(one, &methods));
    let tags = tags.iter().map(|parts| tag(parts, "call"));
    let begin = begin(context);
    quote_spanned! {Span::mixed_site()=>
        #lint
        let #mutable call = #begin;
        #when #ttl #(#key)* #(#tags)*
    }
}

/// `{ static __SITE: Site = ..; __SITE.call(..) }`. The user's `cache` expression is evaluated outside of
/// that block, where it does not see `__SITE`. The closure is an identity: its type names the function
/// with its impl, `Self` and type parameters, which a macro cannot see.
fn begin(context: &Context) -> TokenStream {
    let Context { options, runtime, name, key, .. } = context;
    let at = Span::mixed_site();
    let (settings, recipe, (marker, id)) = (settings(options), recipe(key), id(options));
    let site = quote_spanned! {at=>
        #marker
        static __SITE: #runtime::Site = #runtime::Site::new(#name, #runtime::package!()) #id #recipe #settings;
    };
    let identity = quote_spanned!(at=> &|| ());
    let Some(cache) = options.cache.value() else {
        return quote_spanned!(at=> { #site __SITE.call(#identity) });
    };
    let at = at.located_at(cache.span());
    let cache = borrowed(cache);
    quote_spanned!(at=> { let cache = #cache; { #site __SITE.call_in(#identity, cache) } })
}

/// For `id`: an item in the function, and the method that takes it. The item's type name has the path of
/// the function without type parameters; the runtime compares it with the identity, which is longer if
/// the function has any.
fn id(options: &Options) -> (Option<TokenStream>, Option<TokenStream>) {
    let Some(id) = options.id.value() else { return (None, None) };
    let marker = quote_spanned! {Span::mixed_site()=>
        fn __here() -> &'static str { ::core::any::type_name_of_val(&__here) }
    };
    (Some(marker), Some(quote_spanned!(Span::mixed_site()=> .id(#id, __here))))
}

/// The recipe of the key: `.recipe(&["from", "to"])`.
fn recipe(key: &[Part]) -> Option<TokenStream> {
    let parts = key.iter().map(|part| {
        let (cfgs, recipe) = (part.cfgs(), part.recipe());
        quote_spanned!(Span::mixed_site()=> #(#cfgs)* #recipe)
    });
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then(|| quote_spanned!(Span::mixed_site()=> .recipe(&[#(#parts),*])))
}

/// The options that are set: `.prefix("areas").lease(2000u64)`.
fn settings(options: &Options) -> TokenStream {
    let settings = [
        setting("prefix", options.prefix.value()),
        setting("version", options.version.value()),
        setting("jitter", options.jitter.value()),
        local(&options.local),
        millis("lease", options.lease.value()),
        millis("wait", options.wait.value()),
        millis("stale_while_revalidate", options.stale_while_revalidate.value()),
        millis("stale_if_error", options.stale_if_error.value()),
        setting("refresh_ahead", options.refresh_ahead.value()),
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

fn millis(name: &str, time: Option<&LiteralTime>) -> Option<TokenStream> {
    let time = time?;
    let mut literal = Literal::u64_suffixed(time.millis);
    literal.set_span(time.value.span());
    setting(name, Some(&literal))
}
