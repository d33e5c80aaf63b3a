//! The verbs that only name an entry: their answers.

use std::future::pending;

use super::serve::decode;
use crate::call::Call;
use crate::encode;
use crate::error::{self, Error};
use crate::lookup::Lookup;
use crate::returns::{Codec, Rule, Shape};
use crate::verb::{self, Target, Verb, Verdict};

/// Answers a verb that only names an entry, and never returns: the verb drops the call.
pub(super) async fn answer<S, R>(verb: Verb, codec: Codec<S, R>, call: Box<Call>) -> S::Return
where
    S: Shape,
    S::Return: 'static,
    R: Rule<S>,
{
    match verb {
        Verb::Peek => {
            let limit = call.cache.inner().config.max_value;
            let found = Lookup::new(*call).peek().await;
            let output = found.and_then(|entry| decode(&codec, limit, &entry).ok());
            verb::answer(output);
        }
        Verb::Put => {
            // Encoded before any await: the verb lends the output for this poll only.
            let entry = match verb::lent::<S::Return>() {
                Some(output) => encode::encode_for_put(&codec, &call, &output),
                None => Err(Error::new(
                    error::ErrorKind::Value,
                    "the output is not of the cached function's type: hand over the call itself",
                )),
            };
            let stored = match entry {
                Ok(entry) => Lookup::new(*call).put(entry).await,
                Err(error) => Err(error),
            };
            verb::answer(stored);
        }
        Verb::Explain => {
            let limit = call.cache.inner().config.max_value;
            let (mut explanation, entry) = Lookup::new(*call).explain().await;
            if entry.is_some_and(|entry| decode(&codec, limit, &entry).is_err()) {
                explanation.verdict = Verdict::Compute;
            }
            verb::answer(explanation);
        }
        _ => {
            let key = call.wants_key().then(|| call.key(call.id()));
            verb::answer(Target { cache: (*call.cache).clone(), key, identity: call.identity });
        }
    }
    pending().await
}
