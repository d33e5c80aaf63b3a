//! Last stage: the function with its body between a lookup and a populate, or before an
//! invalidation.
//!
//! Locals have the hygiene of this macro (mixed site), so that they neither see the names of the
//! function nor are seen by them. What may fail to type-check is spanned at what the user wrote.

mod call;
mod codec;
mod function;
mod part;
mod writes;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{Expr, ExprReference, Path, Token};

use crate::args::Args;
use crate::borrows;
use crate::input::Input;
use crate::parts::Part;
use crate::unused::Unused;

use function::Around;
pub(crate) use writes::writing;

/// Expands a cached function in which no mistake was found.
///
/// ```text
/// // Input:
/// #[cache_result(ttl = 3600, prefix = "areas")]
/// async fn areas(kind: String) -> Result<Vec<Area>, Error> { .. }
///
/// // Output:
/// async fn areas(kind: String) -> Result<Vec<Area>, Error> {
///     let call = {
///         let codec = { Returns::<Result<Vec<Area>, Error>>::new() .. };
///         let mut call = { static __SITE: Site = Site::new("areas").prefix("areas"); __SITE.call(..) };
///         call.ttl(3600u64);
///         call.arg(&kind);
///         begin(codec, call)
///     };
///     let body = async move { .. };
///     let body = pin!(body);
///     get_or_compute(call, body).await
/// }
/// ```
///
/// A body that may run behind the call is boxed, and `get_or_refresh` asks it to be `Send`. With
/// `local`, `pace().await;` comes first, and before `begin`
///
/// ```text
///         if let Some(hit) = near(&codec, &call) { return hit; }
/// ```
///
/// An argument that nothing else reads is bound once more, in a block of its own before all that, so
/// that the compiler warns of it: `{ let kind = true; }`.
pub(crate) fn cached(
    args: &Args,
    input: Input,
    (key, tags): (&[Part], &[Vec<Part>]),
    unused: &[Unused],
) -> TokenStream {
    let expansion = Expansion {
        args,
        name: input.sig.ident.unraw().to_string(),
        output: output(&input),
        runtime: runtime(args.runtime.value(), Span::mixed_site()),
        key,
        tags,
        behind: borrows::behind(args, &input),
    };
    let (codec, call) = (codec::codec(&expansion), call::call(&expansion));
    let ([pace, near], runtime) = (expansion.near(), &expansion.runtime);
    let unused = unused.iter().map(|Unused { ident, attrs }| {
        quote_spanned!(Span::mixed_site()=> { #(#attrs)* let #ident = true; })
    });
    // In a block: what is large there has no place in the future that waits.
    let before = quote_spanned! {Span::mixed_site()=>
        #(#unused)*
        #pace
        let call = {
            #codec
            #call
            #near
            #runtime::begin(codec, call)
        };
    };
    function::around(input, |body| expansion.body(&body, &before))
}

struct Expansion<'a> {
    args: &'a Args,
    name: String,
    output: TokenStream,
    /// `::cache_runtime::__private`
    runtime: TokenStream,
    key: &'a [Part],
    tags: &'a [Vec<Part>],
    /// The option that lets the body run behind the call.
    behind: Option<&'a Ident>,
}

impl Expansion<'_> {
    /// With `local`: returns the value where this process has a copy of it, before there is a body.
    /// It does not wait for anything while the call is there, which would make the future larger.
    fn near(&self) -> [TokenStream; 2] {
        if self.args.local.value().is_none() {
            return Default::default();
        }
        let runtime = &self.runtime;
        let pace = quote_spanned!(Span::mixed_site()=> #runtime::pace().await;);
        let near = quote_spanned! {Span::mixed_site()=>
            if let ::core::option::Option::Some(hit) = #runtime::near(&codec, &call) {
                return hit;
            }
        };
        [pace, near]
    }

    fn body(&self, body: &TokenStream, before: &TokenStream) -> Around {
        let site = Span::mixed_site();
        if let Some(word) = self.behind {
            return self.boxed(body, before, site.located_at(word.span()));
        }
        let (runtime, body) = (&self.runtime, function::pinned(body));
        Around {
            statements: quote!(#before #body),
            last: quote_spanned!(site=> #runtime::get_or_compute(call, body).await),
        }
    }

    /// That a body is not `Send` is told at the option that asks for it.
    fn boxed(&self, body: &TokenStream, before: &TokenStream, at: Span) -> Around {
        let runtime = runtime(self.args.runtime.value(), at);
        let body = quote_spanned! {Span::mixed_site()=>
            let body = ::std::boxed::Box::pin(#body);
        };
        Around {
            statements: quote!(#before #body),
            last: quote_spanned!(at=> #runtime::get_or_refresh(call, body).await),
        }
    }
}

/// What the function resolves to.
fn output(input: &Input) -> TokenStream {
    input.output().map_or_else(|| quote!(()), ToTokens::to_token_stream)
}

/// The path of the hidden interface, every token at one place: a single one elsewhere would drag
/// the error there.
fn runtime(path: Option<&Path>, at: Span) -> TokenStream {
    let default = || quote_spanned!(at=> ::cache_runtime);
    let path = path.map_or_else(default, ToTokens::to_token_stream);
    let path = path.into_iter().map(|mut token: TokenTree| {
        token.set_span(token.span().located_at(at));
        token
    });
    let path: TokenStream = path.collect();
    quote_spanned!(at=> #path::__private)
}

/// `&value`, with parentheses where the value needs them.
fn borrowed(value: &Expr) -> TokenStream {
    ExprReference {
        attrs: Vec::new(),
        and_token: Token![&](syn::spanned::Spanned::span(value)),
        mutability: None,
        expr: Box::new(value.clone()),
    }
    .into_token_stream()
}
