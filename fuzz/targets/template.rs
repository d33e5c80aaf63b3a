//! The texts of `key` and `tags`, as the macro reads them: a mistake in one is a message, not a panic.
#![no_main]
#![allow(dead_code)] // The macro has more use for it.

use libfuzzer_sys::fuzz_target;
use proc_macro2::Span;
use syn::{LitStr, Member};

#[path = "../../cache-macros/src/template.rs"]
mod template;

use template::{Piece, Template};

fuzz_target!(|text: &str| {
    let Some(written) = read(text).map(|template| write(&template.pieces)) else { return };
    let again = read(&written).expect("what was read can be written again");
    assert_eq!(write(&again.pieces), written);
});

fn read(text: &str) -> Option<Template> {
    match Template::parse(LitStr::new(text, Span::call_site()), "key") {
        Ok(template) => Some(template),
        Err(mistakes) => {
            assert!(mistakes.into_iter().all(|mistake| !mistake.to_string().is_empty()));
            None
        }
    }
}

fn write(pieces: &[Piece]) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.replace('{', "{{").replace('}', "}}"),
        Piece::Place(place) => {
            let fields: String =
                place.fields.iter().map(|field| format!(".{}", name(field))).collect();
            format!("{{{}{fields}}}", place.name)
        }
    };
    pieces.iter().map(piece).collect()
}

fn name(field: &Member) -> String {
    match field {
        Member::Named(name) => name.to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    }
}
