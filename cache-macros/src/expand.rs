//! Last stage: the function with its body between a lookup and a populate.
//!
//! Locals have the hygiene of this macro (mixed site), so that they neither see the names of the
//! function nor are seen by them. What may fail to type-check is spanned at what the user wrote.

mod call;
mod codec;

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;

use crate::args::Args;
use crate::boxed::Boxed;
use crate::input::{Form, Input};
use crate::parts::Part;

/// Expands a function in which no mistake was found.
///
/// ```text
/// // Input:
/// #[cache_result(ttl = 3600, prefix = "areas")]
/// async fn areas(kind: String) -> Result<Vec<Area>, Error> { .. }
///
/// // Output:
/// async fn areas(kind: String) -> Result<Vec<Area>, Error> {
///     let codec = { Returns::<Result<Vec<Area>, Error>>::new() .. };
///     let mut call = { static __SITE: Site = Site::new("areas").prefix("areas"); __SITE.call(..) };
///     call.ttl(3600u64);
///     call.arg(&kind);
///     let body = async move { .. };
///     let body = pin!(body);
///     Box::pin(get_or_compute(codec, call, body)).await
/// }
/// ```
pub(crate) fn expand(args: &Args, input: Input, parts: &[Part]) -> TokenStream {
    let site = Span::mixed_site();
    let expansion = Expansion {
        args,
        name: input.sig.ident.unraw().to_string(),
        output: input.output().map_or_else(|| quote!(()), ToTokens::to_token_stream),
        runtime: runtime(args, site),
        parts,
    };
    let Input { attrs, vis, sig, form, .. } = input;
    let body = match form {
        Form::Async(body) => expansion.of_async_fn(&body),
        Form::Boxed(boxed) => expansion.of_boxed(*boxed),
        Form::Sync(body) => body.into_token_stream(),
    };
    quote!(#(#attrs)* #vis #sig #body)
}

struct Expansion<'a> {
    args: &'a Args,
    name: String,
    output: TokenStream,
    /// `::cache_runtime::__private`
    runtime: TokenStream,
    parts: &'a [Part],
}

impl Expansion<'_> {
    fn of_async_fn(&self, body: &Group) -> TokenStream {
        let (runtime, around) = (&self.runtime, self.around(body));
        quote_spanned! {Span::mixed_site()=>
            {
                #around
                ::std::boxed::Box::pin(#runtime::get_or_compute(codec, call, body)).await
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
    fn of_boxed(&self, boxed: Boxed) -> TokenStream {
        let (runtime, around) = (&self.runtime, self.around(&boxed.body));
        let Boxed { before, patterns, .. } = &boxed;
        let before = quote!(#(#before)*);
        let body = quote_spanned! {Span::mixed_site()=>
            #(#patterns)*
            #around
            #runtime::get_or_compute(codec, call, body).await
        };
        let call = boxed.call_with(body);
        quote!({ #before #call })
    }

    fn around(&self, body: &Group) -> TokenStream {
        let (codec, call, body) = (codec::codec(self), call::call(self), self.body(body));
        quote!(#codec #call #body)
    }

    /// The first statement lets `return Err(Box::new(error))` coerce, which it would not if the type
    /// of the block were inferred; the second points at the tail of the body if its type is wrong.
    fn body(&self, body: &Group) -> TokenStream {
        let output = &self.output;
        quote_spanned! {Span::mixed_site()=>
            let body = async move {
                if let ::core::option::Option::Some(r) = ::core::option::Option::None::<#output> {
                    return r;
                }
                #[allow(clippy::diverging_sub_expression, unused_braces)]
                let out: #output = #body;
                #[allow(unreachable_code)]
                out
            };
            let body = ::core::pin::pin!(body);
        }
    }
}

/// The path of the hidden interface, every token at one place: a single one elsewhere would drag
/// the error there.
fn runtime(args: &Args, at: Span) -> TokenStream {
    let default = || quote_spanned!(at=> ::cache_runtime);
    let path = args.runtime.value().map_or_else(default, ToTokens::to_token_stream);
    let path = path.into_iter().map(|mut token: TokenTree| {
        token.set_span(token.span().located_at(at));
        token
    });
    let path: TokenStream = path.collect();
    quote_spanned!(at=> #path::__private)
}
