//! The function with something else round its body.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};

use super::output;
use crate::boxed::Boxed;
use crate::input::{Form, Input};

/// What becomes of the body: statements, and the value of them all.
pub(super) struct Around {
    pub(super) statements: TokenStream,
    pub(super) last: TokenStream,
}

/// Keeps the function and hands its body on, as an async block.
pub(super) fn around(input: Input, around: impl FnOnce(TokenStream) -> Around) -> TokenStream {
    let output = output(&input);
    let Input { attrs, vis, sig, form, .. } = input;
    let body = match form {
        Form::Async(body) => of_async_fn(around(block(&output, &body))),
        Form::Boxed(boxed) => {
            let around = around(block(&output, &boxed.body));
            of_boxed(*boxed, around)
        }
        Form::Sync(body) => body.into_token_stream(),
    };
    quote!(#(#attrs)* #vis #sig #body)
}

/// The body as a future. The first statement lets `return Err(Box::new(error))` coerce, which it
/// would not if the type of the block were inferred; the second points at the tail of the body if
/// its type is wrong.
fn block(output: &TokenStream, body: &impl ToTokens) -> TokenStream {
    quote_spanned! {Span::mixed_site()=>
        async move {
            if let ::core::option::Option::Some(r) = ::core::option::Option::None::<#output> {
                return r;
            }
            #[allow(clippy::diverging_sub_expression, unused_braces)]
            let out: #output = #body;
            #[allow(unreachable_code)]
            out
        }
    }
}

/// A body that stays where it is, so that no other future stores it again.
pub(super) fn pinned(body: &TokenStream) -> TokenStream {
    quote_spanned! {Span::mixed_site()=>
        let body = #body;
        let body = ::core::pin::pin!(body);
    }
}

fn of_async_fn(around: Around) -> TokenStream {
    let Around { statements, last } = around;
    quote_spanned! {Span::mixed_site()=>
        {
            #statements
            #last
        }
    }
}

/// The `let`s that bind pattern arguments go first, so that the key may use their names. The
/// future is in a box already.
///
/// ```text
/// // Input:
/// Box::pin(async move { let Path(kind) = { .. }; let __self = self; let __ret = { .. }; __ret })
///
/// // Output:
/// Box::pin(async move { let Path(kind) = { .. }; let codec = ..; .. get_or_compute(..).await })
/// ```
fn of_boxed(boxed: Boxed, around: Around) -> TokenStream {
    let Around { statements, last } = around;
    let Boxed { before, patterns, .. } = &boxed;
    let before = quote!(#(#before)*);
    let body = quote_spanned! {Span::mixed_site()=>
        #(#patterns)*
        #statements
        #last
    };
    let call = boxed.call_with(body);
    quote!({ #before #call })
}
