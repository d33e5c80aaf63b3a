//! The function's arguments by name, and the messages about names that are not arguments.

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;

use crate::input::Input;
use crate::vocabulary::quoted;

/// Whether tokens mention an argument, or may do so: `format!("{id}")` mentions `id`, and so any literal
/// with a brace counts.
pub(super) fn mentions_an_argument(tokens: TokenStream, input: &Input) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions_an_argument(group.stream(), input),
        TokenTree::Ident(ident) => is_argument(&ident.unraw().to_string(), input),
        TokenTree::Literal(literal) => literal.to_string().contains('{'),
        TokenTree::Punct(_) => false,
    })
}

pub(super) fn is_argument(name: &str, input: &Input) -> bool {
    input.arg(name).is_some() || name == "self" && input.receiver().is_some()
}

pub(super) fn not_an_argument(option: &str, name: &str, input: &Input) -> String {
    format!("`{option}` names `{name}`, which is not an argument; {}", the_arguments(input))
}
/// Lists the arguments, for messages.
pub(super) fn the_arguments(input: &Input) -> String {
    let receiver = input.receiver().map(|_| "self".to_owned());
    let names: Vec<_> =
        receiver.into_iter().chain(input.args.iter().map(|arg| arg.ident.to_string())).collect();
    match names.len() {
        0 => "this function has no arguments".into(),
        _ => format!("the arguments are {}", quoted(&names)),
    }
}
