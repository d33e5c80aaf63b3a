//! Functions with `#[cache_invalidate]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ExprClosure;
use syn::spanned::Spanned;

use super::function::{self, NewBody};
use super::statements::{statement, tag};
use super::tokens::{self, borrowed, output};
use crate::input::Input;
use crate::parse::targets::Targets;
use crate::parts::Part;

/// Expands `#[cache_invalidate]`.
///
/// ```text
/// // Input:
/// #[cache_invalidate(areas(listing.kind.clone()), |created| profile(created.id), prefix = "search")]
/// async fn rename(listing: Listing) -> Result<Listing, Error> { .. }
///
/// // Output:
/// async fn rename(listing: Listing) -> Result<Listing, Error> {
///     let mut writes = Invalidation::new();
///     writes.call(areas(listing.kind.clone()));
///     writes.prefix("search");
///     let shape = { Returns::<Result<Listing, Error>>::new().shape() };
///     let body = async move { .. };
///     let body = pin!(body);
///     Box::pin(invalidating(shape, writes, body, |value, writes| {
///         { let created = value; writes.call(profile(created.id)); }
///     }))
///     .await
/// }
/// ```
///
/// The calls are evaluated before the body, an `async move` block that takes the arguments with it.
pub(crate) fn writing(targets: &Targets, input: Input, tags: &[Vec<Part>]) -> TokenStream {
    let site = Span::mixed_site();
    let runtime = tokens::runtime(targets.runtime.value(), site);
    let (writes, output) = (writes(targets, tags, &runtime), output(&input));
    let on_success = on_success(&targets.closures);
    function::with_body(input, |body| {
        let body = function::pinned(&body);
        let statements = quote_spanned! {site=>
            #writes
            let shape = { use #runtime::levels::*; #runtime::Returns::<#output>::new().shape() };
            #body
        };
        let tail = quote_spanned! {site=>
            ::std::boxed::Box::pin(#runtime::invalidating(shape, writes, body, #on_success)).await
        };
        NewBody { statements, tail }
    })
}

fn writes(targets: &Targets, tags: &[Vec<Part>], runtime: &TokenStream) -> TokenStream {
    let Targets { calls, prefixes, cache, .. } = targets;
    let site = Span::mixed_site();
    let known = !calls.is_empty() || !prefixes.is_empty() || !tags.is_empty();
    let mutable = known.then(|| quote!(mut));
    let new = cache.value().map_or_else(
        || quote_spanned!(site=> #runtime::Invalidation::new()),
        |cache| {
            let at = site.located_at(cache.span());
            let runtime = tokens::runtime(targets.runtime.value(), at);
            let cache = borrowed(cache);
            quote_spanned!(at=> #runtime::Invalidation::new_in(#cache))
        },
    );
    let calls = calls.iter().map(|call| statement("writes", "call", call));
    let prefixes = prefixes.iter().map(|prefix| statement("writes", "prefix", prefix));
    let tags = tags.iter().map(|parts| tag(parts, "writes"));
    quote_spanned!(site=> let #mutable writes = #new; #(#calls)* #(#prefixes)* #(#tags)*)
}

/// `|value, writes| { .. }`. The bodies of the user's closures are inlined, so that a call may borrow from
/// the value: a closure with one return type cannot return a future that borrows from its argument.
fn on_success(closures: &[ExprClosure]) -> TokenStream {
    let site = Span::mixed_site();
    if closures.is_empty() {
        return quote_spanned!(site=> |_, _| {});
    }
    let calls = closures.iter().map(|closure| {
        let pattern = &closure.inputs[0];
        let call = statement("writes", "call", closure.body.to_token_stream());
        // At the pattern, where the compiler reports an annotated type that is not the value's.
        let value = Ident::new("value", site.located_at(pattern.span()));
        quote_spanned!(site=> { let #pattern = #value; #call })
    });
    quote_spanned!(site=> |value, writes| { #(#calls)* })
}
