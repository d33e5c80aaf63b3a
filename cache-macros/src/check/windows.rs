//! Stale windows and local ages that have no effect, or contradict each other.

use std::time::Duration;

use quote::ToTokens;

use crate::duration;
use crate::errors::Errors;
use crate::parse::options::Options;
use crate::parse::values::{Local, Ttl};

pub(crate) fn check(options: &Options, errors: &mut Errors) {
    if let (Some(revalidate), Some(error)) =
        (options.stale_while_revalidate.value(), options.stale_if_error.value())
        && error.millis <= revalidate.millis
    {
        let (shorter, longer) = (error.value.to_token_stream(), revalidate.value.to_token_stream());
        let message = format!(
            "`stale_if_error = {shorter}` has no effect within `stale_while_revalidate = {longer}`, where a failing \
             refresh is never seen; make it longer, or leave it out"
        );
        errors.on(&error.value, message);
    }
    if let (Some(word), None) = (options.stale_if.name(), options.stale_if_error.name()) {
        let message =
            "`stale_if` has no effect without `stale_if_error`, as in `stale_if_error = 600`";
        errors.on(word, message);
    }
    local(options, errors);
}

fn local(options: &Options, errors: &mut Errors) {
    let (Some(Local::For(local)), Some(Ttl::Fixed(ttl))) =
        (options.local.value(), options.ttl.value())
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
