//! The witness of the return type, and what is asked about a value.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;

use super::{Expansion, runtime};
use crate::args::Args;
use crate::values::{Predicate, Time, Ttl};

/// The only place that asks the return type for anything, so a missing bound is one error, at
/// that type. The traits that do the asking are in sight of nothing the user wrote.
pub(super) fn codec(expansion: &Expansion) -> TokenStream {
    let site = Span::mixed_site();
    let output = &expansion.output;
    // Not even in this macro's hygiene, or the error would say that it originates in the macro.
    let at = output.span();
    let runtime = runtime(expansion.args.runtime.value(), at);
    let witness = quote_spanned! {at=>
        #runtime::Returns::<#output>::new().shape().value().share().error()
    };
    let runtime = &expansion.runtime;
    let args = expansion.args;
    let (ttl, none_ttl, stale_if_error) =
        (ttl_of_value(args), none_ttl(args), stale_if_error(args));
    let cache_if = args.cache_if.value().map(|keep| predicate("cache_if", keep));
    let stale_if = args.stale_if.value().map(|serve| predicate("stale_if", serve));
    quote_spanned! {site=>
        let codec = { use #runtime::levels::*; #witness };
        #ttl #cache_if #none_ttl #stale_if_error #stale_if
    }
}

fn ttl_of_value(args: &Args) -> Option<TokenStream> {
    let Some(Ttl::Closure(closure)) = args.ttl.value() else {
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

/// All of it at the option's name, which is what has to go where nothing can be `None`.
fn none_ttl(args: &Args) -> Option<TokenStream> {
    let time = time(args.none_ttl.value()?);
    let at = Span::mixed_site().located_at(args.none_ttl.word()?.span());
    Some(quote_spanned!(at=> let codec = codec.none_ttl(#time);))
}

/// Asks for a `Result` and for nothing else: the window itself is the site's.
fn stale_if_error(args: &Args) -> Option<TokenStream> {
    let at = Span::mixed_site().located_at(args.stale_if_error.word()?.span());
    Some(quote_spanned!(at=> let codec = codec.stale_if_error();))
}

/// Seconds as they are, so that they read in an expansion as in the attribute.
pub(super) fn time(time: &Time) -> TokenStream {
    let number = |number: u64, span| {
        let mut literal = Literal::u64_suffixed(number);
        literal.set_span(span);
        literal
    };
    match time {
        Time::Seconds(seconds, span) => number(*seconds, *span).into_token_stream(),
        Time::Text(duration, span) => {
            let millis = number(duration.as_millis() as u64, *span);
            quote_spanned!(Span::mixed_site().located_at(*span)=> ::core::time::Duration::from_millis(#millis))
        }
        Time::Expression(expression) => expression.to_token_stream(),
    }
}
