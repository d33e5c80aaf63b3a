//! The mistakes found in one attribute, reported together.

use std::fmt::Display;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// Collects mistakes, so that one compile shows all of them.
///
/// Has to be handed to [`Errors::finish`]. Dropping a collector without that panics: a function with
/// mistakes would expand without a message.
pub(crate) struct Errors {
    found: Option<syn::Error>,
    finished: bool,
}

impl Errors {
    pub(crate) fn new() -> Self {
        Self { found: None, finished: false }
    }

    /// Reports a mistake at tokens, from the first to the last.
    pub(crate) fn on(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.add(syn::Error::new_spanned(tokens, message));
    }

    /// Reports a mistake at a span.
    pub(crate) fn at(&mut self, span: Span, message: impl Display) {
        self.add(syn::Error::new(span, message));
    }

    /// Reports the error of a result.
    pub(crate) fn ok<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    fn add(&mut self, error: syn::Error) {
        match &mut self.found {
            Some(found) => found.combine(error),
            None => self.found = Some(error),
        }
    }

    /// Ends the collection: `Err` holds a `compile_error!` for each mistake.
    pub(crate) fn finish(mut self) -> Result<(), TokenStream> {
        self.finished = true;
        match self.found.take() {
            Some(found) => Err(found.into_compile_error()),
            None => Ok(()),
        }
    }
}

/// Collects values; the error combines the errors of all results.
pub(crate) fn all<T>(results: impl Iterator<Item = syn::Result<T>>) -> syn::Result<Vec<T>> {
    let mut values = Vec::new();
    let mut mistakes: Option<syn::Error> = None;
    for result in results {
        match (result, &mut mistakes) {
            (Ok(value), _) => values.push(value),
            (Err(error), Some(mistakes)) => mistakes.combine(error),
            (Err(error), None) => mistakes = Some(error),
        }
    }
    mistakes.map_or(Ok(values), Err)
}

impl Drop for Errors {
    fn drop(&mut self) {
        assert!(
            self.finished || std::thread::panicking(),
            "the mistakes of an attribute were not reported"
        );
    }
}
