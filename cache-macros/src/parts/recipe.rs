//! What a key is made of, in words: the same bytes made of other arguments are another key.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Ident, Member};

use super::Part;

impl Part {
    /// The part as it reads, whatever compiler reads it.
    pub(crate) fn recipe(&self) -> String {
        match self {
            Self::Arg(name, _) => path(name, &[]),
            Self::Value(value) => {
                let mut text = String::new();
                spell(value.to_token_stream(), &mut text);
                text
            }
            Self::Text(text, _) => format!("{text:?}"),
            Self::Place(name, fields, _) | Self::Extra(name, fields, _) => {
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

/// One blank between each two tokens: how a compiler lays out a stream changes with its version.
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
