//! Fourth stage: the parts of the key and of the tags, in terms of the function's arguments.
//!
//! The stage looks up the arguments that `key`, `skip` and `tags` name, and reports all mistakes in these
//! options. The other options and the function have been checked by `check`.

mod names;
mod part;
mod placeholders;
mod recipe;
mod tags;
mod unused;

use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Expr, Ident, Path};

use crate::errors::Errors;
use crate::input::Input;
use crate::parse::key::Key;
use crate::parse::options::Options;
use crate::template::{Piece, Template};
use crate::vocabulary::quoted;

use names::{is_argument, mentions_an_argument, not_an_argument, the_arguments};
use placeholders::of_template;

pub(crate) use part::Part;
pub(crate) use tags::{of_tags, of_tags_of_key};
pub(crate) use unused::{Unused, of_key as unused};

/// The parts of the key. Reports the mistakes in `key` and `skip`.
pub(crate) fn of_key(options: &Options, input: &Input, errors: &mut Errors) -> Vec<Part> {
    check_skip(options, input, errors);
    match options.key.value() {
        Some(Key::Template(key)) => of_key_template(key, input, errors),
        Some(Key::Values(values, key)) => of_key_values(values, key, input, errors),
        None => all_but_skipped(options, input, errors),
    }
}

fn check_skip(options: &Options, input: &Input, errors: &mut Errors) {
    if let (Some(skip), Some(_)) = (options.skip.name(), options.key.name()) {
        let message = "`skip` has no effect with `key`: the key already says which arguments count";
        errors.on(skip, message);
    }
    let skipped = options.skip.value().map_or(&[][..], Vec::as_slice);
    for (index, name) in skipped.iter().enumerate() {
        if !is_argument(&name.unraw().to_string(), input) {
            errors.on(name, format!("no argument is named `{name}`; {}", the_arguments(input)));
        } else if skipped[..index].contains(name) {
            errors.on(name, format!("`{name}` is skipped twice"));
        }
    }
}

fn all_but_skipped(options: &Options, input: &Input, errors: &mut Errors) -> Vec<Part> {
    let skipped = |name: &Ident| {
        options
            .skip
            .value()
            .is_some_and(|names| names.iter().any(|skip| skip.unraw() == name.unraw()))
    };
    if let Some(receiver) = input.receiver()
        && options.key.name().is_none()
        && !skipped(&receiver.self_token.into())
        && (options.skip.name().is_none() || options.skip.value().is_some())
    {
        let message = "say whether `self` is part of the key: `skip(self)` if every instance returns the same, \
                       or `key = \"..{self.id}\"`";
        errors.on(receiver, message);
    }
    let kept = input.args.iter().filter(|arg| !skipped(&arg.ident));
    kept.map(|arg| Part::Arg(arg.ident.clone(), arg.cfgs.clone())).collect()
}

/// The parts of `key = "{kind}:{page}"`.
fn of_key_template(key: &Template, input: &Input, errors: &mut Errors) -> Vec<Part> {
    if key.pieces.is_empty() {
        errors.on(&key.literal, "`key` is empty; leave it out to make the key of all arguments");
    } else if !key.pieces.iter().any(|piece| matches!(piece, Piece::Place(_))) {
        refuse_constant(&key.literal, input, errors);
    }
    of_template(key, input, errors)
}

/// The parts of `key = (kind, page)`. The values may be any expressions; a variable that is not an
/// argument is reported here, since the compiler's message would point into the expansion.
fn of_key_values(values: &[Expr], key: &Expr, input: &Input, errors: &mut Errors) -> Vec<Part> {
    let unknown: Vec<_> = values
        .iter()
        .filter_map(variable)
        .filter(|name| !is_argument(&name.unraw().to_string(), input))
        .collect();
    for name in &unknown {
        errors.on(name, not_an_argument("key", &name.to_string(), input));
    }
    let uses_arguments = |value: &Expr| mentions_an_argument(value.to_token_stream(), input);
    if unknown.is_empty() && !values.iter().any(uses_arguments) {
        refuse_constant(key, input, errors);
    }
    values.iter().cloned().map(Part::Value).collect()
}

/// Reports a key that is the same for every call. A function whose only argument is `self` may have one:
/// a `key` that leaves `self` out leaves it out on purpose.
fn refuse_constant(key: impl ToTokens, input: &Input, errors: &mut Errors) {
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

/// The variable at the start of a value: `name` in `&name.field`. `None` if there is none; constants, by
/// their capitals, are no variables.
fn variable(value: &Expr) -> Option<&Ident> {
    match value {
        Expr::Path(path) => variable_name(&path.path),
        Expr::Field(field) => variable(&field.base),
        Expr::Group(group) => variable(&group.expr),
        Expr::MethodCall(call) => variable(&call.receiver),
        Expr::Paren(paren) => variable(&paren.expr),
        Expr::Reference(reference) => variable(&reference.expr),
        _ => None,
    }
}

fn variable_name(path: &Path) -> Option<&Ident> {
    let ident = path.get_ident()?;
    let first = ident.unraw().to_string().chars().next()?;
    (first.is_lowercase() || first == '_').then_some(ident)
}
