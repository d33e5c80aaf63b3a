//! Tokens that several modules of this stage emit.

use proc_macro2::{Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Expr, ExprReference, Path, Token};

use crate::input::Input;
use crate::parse::values::Time;

/// The type that the function resolves to.
pub(super) fn output(input: &Input) -> TokenStream {
    input.output().map_or_else(|| quote!(()), ToTokens::to_token_stream)
}

/// The path of the runtime's hidden interface, with all tokens at one location: the compiler joins the
/// spans of a path, and a single token elsewhere would move its message there.
pub(super) fn runtime(path: Option<&Path>, at: Span) -> TokenStream {
    let default = || quote_spanned!(at=> ::cache_runtime);
    let path = path.map_or_else(default, ToTokens::to_token_stream);
    let path = path.into_iter().map(|mut token: TokenTree| {
        token.set_span(token.span().located_at(at));
        token
    });
    let path: TokenStream = path.collect();
    quote_spanned!(at=> #path::__private)
}

/// `&value`, with parentheses where precedence needs them.
pub(super) fn borrowed(value: &Expr) -> TokenStream {
    ExprReference {
        attrs: Vec::new(),
        and_token: Token![&](syn::spanned::Spanned::span(value)),
        mutability: None,
        expr: Box::new(value.clone()),
    }
    .into_token_stream()
}

/// A time as an expression; seconds stay a plain number, so that expansions read like the attribute.
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
