//! An option that may be given once.

use proc_macro2::Ident;

use crate::errors::Errors;

/// The place of one option's value.
pub(crate) struct Slot<T> {
    word: Option<Ident>,
    value: Option<T>,
}

// Derived, it would ask for `T: Default`.
impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { word: None, value: None }
    }
}

impl<T> Slot<T> {
    /// Sets the value, or reports that it is there already, or that it is not one.
    pub(crate) fn set(&mut self, word: &Ident, value: syn::Result<T>, errors: &mut Errors) {
        let value = errors.ok(value);
        if let Some(first) = &self.word {
            errors.on(word, format!("`{word}` is set twice"));
            errors.on(first, format!("`{word}` is first set here"));
            return;
        }
        self.word = Some(word.clone());
        self.value = value;
    }

    /// The option's name where it was written, though its value may have been refused.
    ///
    /// Checks that ask whether an option is there use this: a refused value is one mistake, not two.
    pub(crate) fn word(&self) -> Option<&Ident> {
        self.word.as_ref()
    }

    pub(crate) fn value(&self) -> Option<&T> {
        self.value.as_ref()
    }
}
