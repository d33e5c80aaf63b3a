//! The user's function with a new body, of which the old one is a part.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};

use super::tokens::output;
use crate::input::async_trait::BoxedFn;
use crate::input::{Form, Input};

/// The body of the expanded function: statements and the tail expression.
pub(super) struct NewBody {
    pub(super) statements: TokenStream,
    pub(super) tail: TokenStream,
}

/// The function with the body that `new_body` makes. `new_body` gets the user's body as an async block.
pub(super) fn with_body(
    input: Input,
    new_body: impl FnOnce(TokenStream) -> NewBody,
) -> TokenStream {
    let output = output(&input);
    let Input { attrs, vis, sig, form, .. } = input;
    let body = match form {
        Form::Async(body) => async_fn_block(new_body(block(&output, &body))),
        Form::Boxed(boxed) => {
            let new_body = new_body(block(&output, &boxed.body));
            boxed_fn_block(*boxed, new_body)
        }
        Form::Sync(body) => body.into_token_stream(),
    };
    quote!(#(#attrs)* #vis #sig #body)
}

/// The user's body as an async block. The first statement tells the compiler the type of the block, so
/// that `return Err(Box::new(error))` coerces as in a function. The type on `out` lets the compiler
/// report a wrong tail expression at that expression.
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

/// Pins the body on the stack of this future. Passed by value, the runtime's futures would store it again.
pub(super) fn pinned(body: &TokenStream) -> TokenStream {
    quote_spanned! {Span::mixed_site()=>
        let body = #body;
        let body = ::core::pin::pin!(body);
    }
}

fn async_fn_block(new_body: NewBody) -> TokenStream {
    let NewBody { statements, tail } = new_body;
    quote_spanned! {Span::mixed_site()=>
        {
            #statements
            #tail
        }
    }
}

/// For a function that `#[async_trait]` rewrote: the new body goes into the box that is there. The `let`s
/// that bind pattern arguments go first, so that the key may use the names.
///
/// ```text
/// // Input:
/// Box::pin(async move { let Path(kind) = { .. }; let __self = self; let __ret = { .. }; __ret })
///
/// // Output:
/// Box::pin(async move { let Path(kind) = { .. }; let call = ..; .. get_or_compute(..).await })
/// ```
fn boxed_fn_block(boxed: BoxedFn, new_body: NewBody) -> TokenStream {
    let NewBody { statements, tail } = new_body;
    let BoxedFn { before, patterns, .. } = &boxed;
    let before = quote!(#(#before)*);
    let body = quote_spanned! {Span::mixed_site()=>
        #(#patterns)*
        #statements
        #tail
    };
    let call = boxed.call_with(body);
    quote!({ #before #call })
}
