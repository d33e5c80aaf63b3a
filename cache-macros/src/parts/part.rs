//! The parts of keys and tags.

use proc_macro2::Span;
use syn::{Attribute, Expr, Ident, Member};

/// One part of the key or of a tag.
pub(crate) enum Part {
    /// An argument of a key that is hashed.
    Arg(Ident, Vec<Attribute>),
    /// A value of `key = (..)`, which is hashed.
    Value(Expr),
    /// The text between the placeholders of a template.
    Text(String, Span),
    /// A placeholder of a template: an argument and the fields behind it.
    Placeholder(Ident, Vec<Member>, Vec<Attribute>),
    /// A placeholder of a tag whose value the key lacks. It becomes a part of the key too, since calls
    /// with equal keys must have equal tags.
    Extra(Ident, Vec<Member>, Vec<Attribute>),
}

impl Part {
    /// The `#[cfg]`s of the argument, which decide whether the part is compiled.
    pub(crate) fn cfgs(&self) -> &[Attribute] {
        match self {
            Self::Arg(_, cfgs) | Self::Placeholder(_, _, cfgs) | Self::Extra(_, _, cfgs) => cfgs,
            Self::Value(_) | Self::Text(..) => &[],
        }
    }
}
