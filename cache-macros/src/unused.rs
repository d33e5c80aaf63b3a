//! Arguments that nothing but the key reads: the key's use of them would hide the compiler's warning.

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::{Attribute, Ident};

use crate::input::{Form, Input};
use crate::lints;
use crate::parts::Part;

/// An argument that the compiler is to warn of.
pub(crate) struct Unused {
    pub(crate) ident: Ident,
    /// What decides whether it is compiled, and whether it may be unused.
    pub(crate) attrs: Vec<Attribute>,
}

/// The arguments of the key which neither the body nor the attribute mentions; none where another macro is
/// to see the function, which may read them all (`#[tracing::instrument]` records them).
pub(crate) fn of_key(attr: TokenStream, input: &Input, key: &[Part]) -> Vec<Unused> {
    if input.attrs.iter().any(lints::is_macro) {
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

/// Looks into macros and texts too, since `format!("{id}")` reads `id`.
fn mentions(tokens: TokenStream, name: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions(group.stream(), name),
        TokenTree::Ident(ident) => ident.unraw() == name,
        TokenTree::Literal(literal) => literal.to_string().contains(name),
        TokenTree::Punct(_) => false,
    })
}
