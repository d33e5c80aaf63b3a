//! The codec: the return type, and the options that look at a value or an error.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;

use super::context::Context;
use super::tokens::{runtime, time};
use crate::parse::options::Options;
use crate::parse::values::{Predicate, Ttl};

/// `let codec = ..;`. Only this statement requires traits of the return type, so that a missing bound is
/// one error, at that type. The traits of `levels` are imported in a block without user code, so that
/// their methods are candidates for no method call of the user's.
pub(super) fn codec(context: &Context) -> TokenStream {
    let site = Span::mixed_site();
    let output = &context.output;
    // With the user's hygiene too: at the macro's, the error would add that it originates in the macro.
    let at = output.span();
    let runtime = runtime(context.options.runtime.value(), at);
    let witness = quote_spanned! {at=>
        #runtime::Returns::<#output>::new().shape().value().share().error()
    };
    let runtime = &context.runtime;
    let options = context.options;
    let (ttl, none_ttl, stale_if_error) =
        (ttl_of_value(options), none_ttl(options), stale_if_error(options));
    let cache_if = options.cache_if.value().map(|keep| predicate("cache_if", keep));
    let stale_if = options.stale_if.value().map(|serve| predicate("stale_if", serve));
    quote_spanned! {site=>
        let codec = { use #runtime::levels::*; #witness };
        #ttl #cache_if #none_ttl #stale_if_error #stale_if
    }
}

fn ttl_of_value(options: &Options) -> Option<TokenStream> {
    let Some(Ttl::Closure(closure)) = options.ttl.value() else {
        return None;
    };
    let at = Span::mixed_site().located_at(closure.span());
    Some(quote_spanned!(at=> let codec = codec.ttl(#closure);))
}

fn predicate(method: &str, predicate: &Predicate) -> TokenStream {
    let predicate = match predicate {
        Predicate::Closure(closure) => closure.to_token_stream(),
        Predicate::Path(path) => path.to_token_stream(),
    };
    let at = Span::mixed_site().located_at(predicate.span());
    let method = Ident::new(method, at);
    quote_spanned!(at=> let codec = codec.#method(#predicate);)
}

/// Spanned at the option's name, where the compiler reports that the function returns no `Option`: the
/// option is what the user has to remove.
fn none_ttl(options: &Options) -> Option<TokenStream> {
    let time = time(options.none_ttl.value()?);
    let at = Span::mixed_site().located_at(options.none_ttl.name()?.span());
    Some(quote_spanned!(at=> let codec = codec.none_ttl(#time);))
}

/// Requires that the function returns a `Result`. The window itself is a setting of the site.
fn stale_if_error(options: &Options) -> Option<TokenStream> {
    let at = Span::mixed_site().located_at(options.stale_if_error.name()?.span());
    Some(quote_spanned!(at=> let codec = codec.stale_if_error();))
}
