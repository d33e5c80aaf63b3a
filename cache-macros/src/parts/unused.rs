//! Arguments that only the key reads. The key's use would hide the compiler's warning of an unused
//! argument, so the expansion provokes the warning again.

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::{Attribute, Ident};

use super::part::Part;
use crate::input::{Form, Input, attrs};

/// An argument for the compiler to warn of.
pub(crate) struct Unused {
    pub(crate) ident: Ident,
    /// `#[cfg]`s and lint levels on the argument, which decide whether there is a warning.
    pub(crate) attrs: Vec<Attribute>,
}

/// The arguments of the key that neither the body nor the attribute mentions. None if the function has
/// another macro attribute, which may read the arguments, as `#[tracing::instrument]` does.
pub(crate) fn of_key(attr: TokenStream, input: &Input, key: &[Part]) -> Vec<Unused> {
    if input.attrs.iter().any(attrs::is_macro) {
        return Vec::new();
    }
    let body = match &input.form {
        Form::Async(body) | Form::Sync(body) => body,
        Form::Boxed(boxed) => &boxed.body,
    };
    let readers: TokenStream = [attr, body.stream()].into_iter().collect();
    let mut unused = Vec::new();
    for part in key {
        let Part::Arg(ident, _) = part else { continue };
        let name = ident.unraw().to_string();
        let is_read = mentions(readers.clone(), &name);
        if let Some(arg) = input.arg(&name).filter(|_| !is_read && !name.starts_with('_')) {
            let attrs = arg.cfgs.iter().chain(&arg.lints).cloned().collect();
            unused.push(Unused { ident: ident.clone(), attrs });
        }
    }
    unused
}

/// Whether tokens mention a name, also inside macros and literals: `format!("{id}")` reads `id`.
fn mentions(tokens: TokenStream, name: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions(group.stream(), name),
        TokenTree::Ident(ident) => ident.unraw() == name,
        TokenTree::Literal(literal) => literal.to_string().contains(name),
        TokenTree::Punct(_) => false,
    })
}
