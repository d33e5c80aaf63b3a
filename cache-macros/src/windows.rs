//! Stale windows that would have no effect.

use quote::ToTokens;

use crate::args::Args;
use crate::errors::Errors;

pub(crate) fn check(args: &Args, errors: &mut Errors) {
    if let (Some(revalidate), Some(error)) =
        (args.stale_while_revalidate.value(), args.stale_if_error.value())
        && error.millis <= revalidate.millis
    {
        let (shorter, longer) = (error.value.to_token_stream(), revalidate.value.to_token_stream());
        let message = format!(
            "`stale_if_error = {shorter}` has no effect within `stale_while_revalidate = {longer}`, where a failing \
             refresh is never seen; make it longer, or leave it out"
        );
        errors.on(&error.value, message);
    }
    if let (Some(word), None) = (args.stale_if.word(), args.stale_if_error.word()) {
        let message =
            "`stale_if` has no effect without `stale_if_error`, as in `stale_if_error = 600`";
        errors.on(word, message);
    }
}
