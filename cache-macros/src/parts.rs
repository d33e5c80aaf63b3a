//! Third stage: what the key is made of, in terms of the function's arguments.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Attribute, Expr, Ident, LitStr, Member, Path};

use crate::args::Args;
use crate::errors::Errors;
use crate::input::{Arg, Input};
use crate::key::{Key, Piece, Place};
use crate::words::quoted;

/// One part of the key.
pub(crate) enum Part {
    /// An argument, which is hashed.
    Arg(Ident, Vec<Attribute>),
    /// A value, which is hashed.
    Value(Expr),
    /// Text of a template.
    Text(String, Span),
    /// A placeholder of a template.
    Place(Ident, Vec<Member>, Vec<Attribute>),
}

impl Part {
    /// What decides whether the part is compiled at all.
    pub(crate) fn cfgs(&self) -> &[Attribute] {
        match self {
            Self::Arg(_, cfgs) | Self::Place(_, _, cfgs) => cfgs,
            Self::Value(_) | Self::Text(..) => &[],
        }
    }
}

/// Finds the parts, and the mistakes in `key` and `skip`.
pub(crate) fn parts(args: &Args, input: &Input, errors: &mut Errors) -> Vec<Part> {
    check_skip(args, input, errors);
    match args.key.value() {
        Some(Key::Template(pieces, literal)) => template(pieces, literal, input, errors),
        Some(Key::Values(values, key)) => of_values(values, key, input, errors),
        None => all_but_skipped(args, input, errors),
    }
}

fn check_skip(args: &Args, input: &Input, errors: &mut Errors) {
    if let (Some(skip), Some(_)) = (args.skip.word(), args.key.word()) {
        let message = "`skip` has no effect with `key`: the key already says which arguments count";
        errors.on(skip, message);
    }
    let skipped = args.skip.value().map_or(&[][..], Vec::as_slice);
    for (index, name) in skipped.iter().enumerate() {
        if !is_argument(&name.unraw().to_string(), input) {
            errors.on(name, format!("no argument is named `{name}`; {}", the_arguments(input)));
        } else if skipped[..index].contains(name) {
            errors.on(name, format!("`{name}` is skipped twice"));
        }
    }
}

fn all_but_skipped(args: &Args, input: &Input, errors: &mut Errors) -> Vec<Part> {
    let skipped = |name: &Ident| {
        args.skip.value().is_some_and(|names| names.iter().any(|skip| skip.unraw() == name.unraw()))
    };
    if let Some(receiver) = input.receiver()
        && args.key.word().is_none()
        && !skipped(&receiver.self_token.into())
        && (args.skip.word().is_none() || args.skip.value().is_some())
    {
        let message = "say whether `self` is part of the key: `skip(self)` if every instance returns the same, \
                       or `key = \"..{self.id}\"`";
        errors.on(receiver, message);
    }
    let kept = input.args.iter().filter(|arg| !skipped(&arg.ident));
    kept.map(|arg| Part::Arg(arg.ident.clone(), arg.cfgs.clone())).collect()
}

fn template(pieces: &[Piece], literal: &LitStr, input: &Input, errors: &mut Errors) -> Vec<Part> {
    if pieces.is_empty() {
        errors.on(literal, "`key` is empty; leave it out to make the key of all arguments");
        return Vec::new();
    }
    if !pieces.iter().any(|piece| matches!(piece, Piece::Place(_))) {
        one_for_all(literal, input, errors);
    }
    let part = |piece: &Piece| match piece {
        Piece::Text(text) => Some(Part::Text(text.clone(), literal.span())),
        Piece::Place(place) => resolve(place, literal, input).or_else(|| {
            errors.on(literal, not_an_argument(&place.name, input));
            None
        }),
    };
    pieces.iter().filter_map(part).collect()
}

/// The argument that a placeholder names, with the hygiene of the argument and the place of the text.
fn resolve(place: &Place, literal: &LitStr, input: &Input) -> Option<Part> {
    let (mut ident, cfgs) = if place.name == "self" {
        (input.receiver()?.self_token.into(), Vec::new())
    } else {
        let Arg { ident, cfgs } = input.arg(&place.name)?;
        (ident.clone(), cfgs.clone())
    };
    ident.set_span(ident.span().located_at(literal.span()));
    Some(Part::Place(ident, place.fields.clone(), cfgs))
}

fn of_values(values: &[Expr], key: &Expr, input: &Input, errors: &mut Errors) -> Vec<Part> {
    let strangers = values
        .iter()
        .filter_map(local)
        .filter(|name| !is_argument(&name.unraw().to_string(), input));
    let mut strange = false;
    for name in strangers {
        strange = true;
        errors.on(name, not_an_argument(&name.to_string(), input));
    }
    if !strange && !values.iter().any(|value| mentions_an_argument(value.to_token_stream(), input))
    {
        one_for_all(key, input, errors);
    }
    values.iter().cloned().map(Part::Value).collect()
}

/// Reports a key that is the same for every call. Without arguments it may be: a `self` that the key
/// leaves out is left out on purpose.
fn one_for_all(key: impl ToTokens, input: &Input, errors: &mut Errors) {
    if input.args.is_empty() {
        return;
    }
    let names: Vec<_> = input.args.iter().map(|arg| arg.ident.to_string()).collect();
    errors.on(
        key,
        format!(
            "every call would share one entry: `key` uses none of the arguments ({}); write `skip({})` in place \
             of `key` if that is meant",
            quoted(&names),
            names.join(", ")
        ),
    );
}

/// The variable that a value is, or begins with: `name` in `&name.field`. Constants are none.
fn local(value: &Expr) -> Option<&Ident> {
    match value {
        Expr::Path(path) => variable(&path.path),
        Expr::Field(field) => local(&field.base),
        Expr::Group(group) => local(&group.expr),
        Expr::MethodCall(call) => local(&call.receiver),
        Expr::Paren(paren) => local(&paren.expr),
        Expr::Reference(reference) => local(&reference.expr),
        _ => None,
    }
}

fn variable(path: &Path) -> Option<&Ident> {
    let ident = path.get_ident()?;
    let first = ident.unraw().to_string().chars().next()?;
    (first.is_lowercase() || first == '_').then_some(ident)
}

/// Looks into macros and texts too, since `format!("{id}")` mentions `id`.
fn mentions_an_argument(tokens: TokenStream, input: &Input) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions_an_argument(group.stream(), input),
        TokenTree::Ident(ident) => is_argument(&ident.unraw().to_string(), input),
        TokenTree::Literal(literal) => literal.to_string().contains('{'),
        TokenTree::Punct(_) => false,
    })
}

fn is_argument(name: &str, input: &Input) -> bool {
    input.arg(name).is_some() || name == "self" && input.receiver().is_some()
}

fn not_an_argument(name: &str, input: &Input) -> String {
    format!("`key` names `{name}`, which is not an argument; {}", the_arguments(input))
}

fn the_arguments(input: &Input) -> String {
    let receiver = input.receiver().map(|_| "self".to_owned());
    let names: Vec<_> =
        receiver.into_iter().chain(input.args.iter().map(|arg| arg.ident.to_string())).collect();
    match names.len() {
        0 => "this function has no arguments".into(),
        _ => format!("the arguments are {}", quoted(&names)),
    }
}
