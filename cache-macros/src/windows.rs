//! Times that do not go together.

use std::time::Duration;

use quote::ToTokens;

use crate::args::Args;
use crate::duration;
use crate::errors::Errors;
use crate::values::{Local, Ttl};

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
    local(args, errors);
}

fn local(args: &Args, errors: &mut Errors) {
    let (Some(Local::For(local)), Some(Ttl::Fixed(ttl))) = (args.local.value(), args.ttl.value())
    else {
        return;
    };
    let age = Duration::from_millis(local.millis);
    if let Some(ttl) = ttl.known().filter(|ttl| *ttl < age) {
        let (age, ttl) = (duration::text(age), duration::text(ttl));
        let message = format!(
            "`local` ({age}) is longer than `ttl` ({ttl}): the local copy would outlive the one in Redis"
        );
        errors.on(&local.value, message);
    }
}
