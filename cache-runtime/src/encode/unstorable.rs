//! What is said about values that are not stored for what they are.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use crate::call::Call;
use crate::returns::Unencoded;
use crate::site::Warning;
use crate::stats::Count;

/// Counts a value that has no bytes, warns once of each kind of reason, and returns the reason.
pub(super) fn report(call: &Call, limit: usize, why: Unencoded) -> Cow<'static, str> {
    call.counters().count(Count::Unstorable);
    let identity = call.identity;
    let (warning, what, reason) = match why {
        Unencoded::TooLarge(size) => {
            let what = "the value is over CACHE_MAX_VALUE: it is not stored";
            if identity.once(Warning::TooLarge) {
                let (function, size) = (identity.path(), size.to_string());
                tracing::warn!(function, size, limit, "{what}");
            }
            return what.into();
        }
        Unencoded::Failed(reason) => {
            (Warning::Unserializable, "a value cannot be serialized: it is not stored", reason)
        }
        Unencoded::Lost(reason) => (
            Warning::Lost,
            "a value does not come back from its own bytes: it is not stored",
            reason,
        ),
    };
    if identity.once(warning) {
        tracing::warn!(function = identity.path(), reason, "{what}");
    }
    if identity.proof.lost(call.owner(call.id()).arguments) {
        let what =
            "not cached any more: none of the function's values so far came back from its bytes";
        switch_off(call, &reason, what);
    }
    format!("{what}: {reason}").into()
}

/// Switches the function off: nothing that it returns can be stored.
pub(super) fn never(call: &Call, reason: &str) {
    switch_off(call, reason, "not cached any more: none of the function's values can be stored");
}

fn switch_off(call: &Call, reason: &str, what: &str) {
    let identity = call.identity;
    identity.off.store(true, Ordering::Relaxed);
    if identity.once(Warning::NeverStorable) {
        tracing::warn!(function = identity.path(), reason, "{what}");
    }
}
