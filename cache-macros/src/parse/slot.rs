//! An option that an attribute may set once.

use proc_macro2::Ident;

use crate::errors::Errors;

/// One option's name and value, where the attribute has them.
pub(crate) struct Slot<T> {
    name: Option<Ident>,
    value: Option<T>,
}

// Derived, `Default` would require `T: Default`.
impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { name: None, value: None }
    }
}

impl<T> Slot<T> {
    /// Sets the value. Reports a second setting of the same option, and the error of a refused value.
    pub(crate) fn set(&mut self, name: &Ident, value: syn::Result<T>, errors: &mut Errors) {
        let value = errors.ok(value);
        if let Some(first) = &self.name {
            errors.on(name, format!("`{name}` is set twice"));
            errors.on(first, format!("`{name}` is first set here"));
            return;
        }
        self.name = Some(name.clone());
        self.value = value;
    }

    /// The option's name as the attribute has it, also where the value was refused.
    ///
    /// Checks for the presence of an option use the name and not the value, so that a refused value is
    /// reported once and not a second time as a missing option.
    pub(crate) fn name(&self) -> Option<&Ident> {
        self.name.as_ref()
    }

    /// The value, unless it was refused.
    pub(crate) fn value(&self) -> Option<&T> {
        self.value.as_ref()
    }
}
