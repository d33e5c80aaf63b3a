//! The counters, warnings and errors of values that cannot be stored.

use std::borrow::Cow;

use crate::call::Call;
use crate::returns::Unencoded;
use crate::site::Warning;
use crate::stats::Count;

/// Counts a value that could not be encoded, warns once a function for each kind of reason, and returns the
/// reason. A function none of whose values can be decoded from their bytes is switched off.
pub(super) fn report(call: &Call, limit: usize, why: Unencoded) -> Cow<'static, str> {
    call.counters().count(Count::Unstorable);
    let identity = call.identity;
    let (warning, message, reason) = match why {
        Unencoded::TooLarge(size) => {
            let message = "the value is over CACHE_MAX_VALUE: it is not stored";
            call.counters().count(Count::TooLarge);
            if identity.once(Warning::TooLarge) {
                let (function, size) = (identity.path(), size.to_string());
                tracing::warn!(function, size, limit, "{message}");
            }
            return message.into();
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
        tracing::warn!(function = identity.path(), reason, "{message}");
    }
    if identity.proof.lost(call.owner(call.id()).arguments) {
        let message =
            "not cached any more: none of the function's values so far came back from its bytes";
        switch_off(call, &reason, message);
    }
    format!("{message}: {reason}").into()
}

/// Switches the function's cache off: none of its values can be stored.
pub(super) fn never(call: &Call, reason: &str) {
    switch_off(call, reason, "not cached any more: none of the function's values can be stored");
}

fn switch_off(call: &Call, reason: &str, message: &str) {
    let identity = call.identity;
    identity.switch_off(&format!("{message}: {reason}"));
    if identity.once(Warning::NeverStorable) {
        tracing::warn!(function = identity.path(), reason, "{message}");
    }
}
