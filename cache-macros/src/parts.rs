//! Third stage: what key and tags are made of, in terms of the function's arguments.

mod recipe;
mod template;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Attribute, Expr, Ident, Member, Path};

use crate::args::Args;
use crate::errors::Errors;
use crate::input::Input;
use crate::key::Key;
use crate::template::{Piece, Template};
use crate::words::quoted;

use template::of_template;
pub(crate) use template::{of_tags, of_tags_of_key};

/// One part of the key or of a tag.
pub(crate) enum Part {
    /// An argument, which is hashed.
    Arg(Ident, Vec<Attribute>),
    /// A value, which is hashed.
    Value(Expr),
    /// Text of a template.
    Text(String, Span),
    /// A placeholder of a template.
    Place(Ident, Vec<Member>, Vec<Attribute>),
    /// A placeholder of a tag which the key does not have: it becomes part of the key too, since
    /// calls of one key must have the same tags.
    Extra(Ident, Vec<Member>, Vec<Attribute>),
}

impl Part {
    /// What decides whether the part is compiled at all.
    pub(crate) fn cfgs(&self) -> &[Attribute] {
        match self {
            Self::Arg(_, cfgs) | Self::Place(_, _, cfgs) | Self::Extra(_, _, cfgs) => cfgs,
            Self::Value(_) | Self::Text(..) => &[],
        }
    }
}

/// Finds the parts, and the mistakes in `key` and `skip`.
pub(crate) fn of_key(args: &Args, input: &Input, errors: &mut Errors) -> Vec<Part> {
    check_skip(args, input, errors);
    match args.key.value() {
        Some(Key::Template(key)) => readable(key, input, errors),
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

fn readable(key: &Template, input: &Input, errors: &mut Errors) -> Vec<Part> {
    if key.pieces.is_empty() {
        errors.on(&key.literal, "`key` is empty; leave it out to make the key of all arguments");
    } else if !key.pieces.iter().any(|piece| matches!(piece, Piece::Place(_))) {
        one_for_all(&key.literal, input, errors);
    }
    of_template(key, input, errors)
}

fn of_values(values: &[Expr], key: &Expr, input: &Input, errors: &mut Errors) -> Vec<Part> {
    let strangers = values
        .iter()
        .filter_map(local)
        .filter(|name| !is_argument(&name.unraw().to_string(), input));
    let mut strange = false;
    for name in strangers {
        strange = true;
        errors.on(name, not_an_argument("key", &name.to_string(), input));
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

fn not_an_argument(option: &str, name: &str, input: &Input) -> String {
    format!("`{option}` names `{name}`, which is not an argument; {}", the_arguments(input))
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
