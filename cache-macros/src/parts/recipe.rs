//! The recipe of a key: the text of what each part is made of. It belongs to the function's identity,
//! so that equal bytes made of other arguments are another key.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Ident, Member};

use super::part::Part;

impl Part {
    /// The part as text. It is the same with every version of the compiler, since processes that were
    /// built with different ones share entries.
    pub(crate) fn recipe(&self) -> String {
        match self {
            Self::Arg(name, _) => path(name, &[]),
            Self::Value(value) => {
                let mut text = String::new();
                spell(value.to_token_stream(), &mut text);
                text
            }
            Self::Text(text, _) => format!("{text:?}"),
            Self::Placeholder(name, fields, _) | Self::Extra(name, fields, _) => {
                format!("{{{}}}", path(name, fields))
            }
        }
    }
}

fn path(name: &Ident, fields: &[Member]) -> String {
    let mut text = name.unraw().to_string();
    for field in fields {
        text.push('.');
        match field {
            Member::Named(name) => text.push_str(&name.unraw().to_string()),
            Member::Unnamed(index) => text.push_str(&index.index.to_string()),
        }
    }
    text
}

/// Writes tokens with one blank between each two: `TokenStream::to_string` lays them out differently from
/// version to version of the compiler.
fn spell(tokens: TokenStream, text: &mut String) {
    for token in tokens {
        let TokenTree::Group(group) = token else {
            word(&token.to_string(), text);
            continue;
        };
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        word(open, text);
        spell(group.stream(), text);
        word(close, text);
    }
}

fn word(word: &str, text: &mut String) {
    if !text.is_empty() && !word.is_empty() {
        text.push(' ');
    }
    text.push_str(word);
}
