//! Functions with `#[cache_result]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;

use super::context::Context;
use super::function::{self, NewBody};
use super::tokens::{output, runtime};
use super::{call, codec};
use crate::check;
use crate::input::Input;
use crate::parse::options::Options;
use crate::parts::{Part, Unused};

/// Expands `#[cache_result]`.
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
/// If the options ask for a background refresh, the body is boxed and `get_or_refresh` requires it to be
/// `Send`. With `local`, the first statement is `pace().await;`, which lets other tasks run between the
/// hits of a loop, and before `begin` the expansion returns a copy that this process has:
///
/// ```text
///         if let Some(hit) = near(&codec, &call) { return hit; }
/// ```
///
/// For an argument that only the key reads, a block in front of all statements binds its name once more,
/// so that the compiler warns of it: `{ let kind = true; }`.
pub(crate) fn cached(
    options: &Options,
    input: Input,
    (key, tags): (&[Part], &[Vec<Part>]),
    unused: &[Unused],
) -> TokenStream {
    let context = Context {
        options,
        name: input.sig.ident.unraw().to_string(),
        output: output(&input),
        runtime: runtime(options.runtime.value(), Span::mixed_site()),
        key,
        tags,
        background_refresh: check::background_refresh(options, &input),
    };
    let (codec, call) = (codec::codec(&context), call::call(&context));
    let ([pace, near], runtime) = (near(&context), &context.runtime);
    let unused = unused.iter().map(|Unused { ident, attrs }| {
        quote_spanned!(Span::mixed_site()=> { #(#attrs)* let #ident = true; })
    });
    // In a block, so that `codec` and `call` are gone at the first await of the future, which would
    // otherwise store them and grow.
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
    function::with_body(input, |body| {
        let NewBody { statements, tail } = run(&context, &body);
        NewBody { statements: quote!(#before #statements), tail }
    })
}

/// With `local`: `pace`, and the statement that returns the copy of this process, before the body
/// exists. Nothing is awaited while `call` lives, which would make the future larger.
fn near(context: &Context) -> [TokenStream; 2] {
    if context.options.local.value().is_none() {
        return Default::default();
    }
    let runtime = &context.runtime;
    let pace = quote_spanned!(Span::mixed_site()=> #runtime::pace().await;);
    let near = quote_spanned! {Span::mixed_site()=>
        if let ::core::option::Option::Some(hit) = #runtime::near(&codec, &call) {
            return hit;
        }
    };
    [pace, near]
}

/// Hands the body to the runtime.
fn run(context: &Context, body: &TokenStream) -> NewBody {
    let site = Span::mixed_site();
    if let Some(option) = context.background_refresh {
        return run_boxed(context, body, site.located_at(option.span()));
    }
    let runtime = &context.runtime;
    NewBody {
        statements: function::pinned(body),
        tail: quote_spanned!(site=> #runtime::get_or_compute(call, body).await),
    }
}

/// The same for a body that may outlive the call. The call is spanned at the option that asks for the
/// refresh, where the compiler then reports a body that is not `Send`.
fn run_boxed(context: &Context, body: &TokenStream, option: Span) -> NewBody {
    let runtime = runtime(context.options.runtime.value(), option);
    NewBody {
        statements: quote_spanned! {Span::mixed_site()=>
            let body = ::std::boxed::Box::pin(#body);
        },
        tail: quote_spanned!(option=> #runtime::get_or_refresh(call, body).await),
    }
}
