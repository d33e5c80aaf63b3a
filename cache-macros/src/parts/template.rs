//! Templates: what their placeholders name.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::{Expr, Ident, Member};

use super::{Part, not_an_argument};
use crate::errors::Errors;
use crate::input::{Arg, Input};
use crate::key::Key;
use crate::template::{Piece, Place, Template};

/// The parts of each tag.
pub(crate) fn of_tags(
    tags: Option<&Vec<Template>>,
    input: &Input,
    errors: &mut Errors,
) -> Vec<Vec<Part>> {
    tags.into_iter().flatten().map(|tag| of_template(tag, input, errors)).collect()
}

/// The parts of each tag of a cached function. Calls of one key that had other tags would overwrite
/// each other's entry for ever: a hashed key takes in the placeholders that it lacks, and a template,
/// which is the whole text of the key, has to name them.
pub(crate) fn of_tags_of_key(
    tags: Option<&Vec<Template>>,
    (written, key): (Option<&Key>, &[Part]),
    input: &Input,
    errors: &mut Errors,
) -> Vec<Vec<Part>> {
    let mut all = of_tags(tags, input, errors);
    for (tag, parts) in tags.into_iter().flatten().zip(&mut all) {
        for part in parts {
            let Part::Place(name, fields, cfgs) = part else { continue };
            if let Some(Key::Template(template)) = written
                && !key.iter().any(|part| covers(part, name, fields))
            {
                missing(tag, template, name, errors);
            }
            if !key.iter().any(|part| is_it(part, name, fields)) {
                *part = Part::Extra(name.clone(), std::mem::take(fields), std::mem::take(cfgs));
            }
        }
    }
    all
}

fn missing(tag: &Template, key: &Template, name: &Ident, errors: &mut Errors) {
    let of_name =
        |piece: &&Piece| matches!(piece, Piece::Place(place) if name.unraw() == *place.name);
    let Some(Piece::Place(place)) = tag.pieces.iter().find(of_name) else { return };
    let (place, key) = (&place.written, key.literal.value());
    let message = format!(
        "calls that differ in `{{{place}}}` alone would overwrite each other's entry, since the tag has it and `key` \
         has not; write `key = \"{key}:{{{place}}}\"`"
    );
    errors.on(&tag.literal, message);
}

/// Whether a part is a placeholder's value, or has it in itself.
fn covers(part: &Part, name: &Ident, fields: &[Member]) -> bool {
    matches!(part, Part::Place(whole, some, _) if whole.unraw() == name.unraw() && fields.starts_with(some))
}

/// Whether a part is a placeholder's very value.
fn is_it(part: &Part, name: &Ident, fields: &[Member]) -> bool {
    match part {
        Part::Arg(whole, _) => fields.is_empty() && whole.unraw() == name.unraw(),
        Part::Place(whole, some, _) => whole.unraw() == name.unraw() && fields == some,
        Part::Value(value) => is_value(value, name, fields),
        Part::Text(..) | Part::Extra(..) => false,
    }
}

fn is_value(value: &Expr, name: &Ident, fields: &[Member]) -> bool {
    match (value, fields) {
        (Expr::Path(path), []) => {
            path.path.get_ident().is_some_and(|it| it.unraw() == name.unraw())
        }
        (Expr::Field(field), [outer @ .., last]) => {
            field.member == *last && is_value(&field.base, name, outer)
        }
        (Expr::Reference(it), _) => is_value(&it.expr, name, fields),
        (Expr::Paren(it), _) => is_value(&it.expr, name, fields),
        (Expr::Group(it), _) => is_value(&it.expr, name, fields),
        _ => false,
    }
}

pub(super) fn of_template(template: &Template, input: &Input, errors: &mut Errors) -> Vec<Part> {
    let literal = &template.literal;
    let part = |piece: &Piece| match piece {
        Piece::Text(text) => Some(Part::Text(text.clone(), literal.span())),
        Piece::Place(place) => resolve(place, literal.span(), input).or_else(|| {
            errors.on(literal, not_an_argument(template.option, &place.name, input));
            None
        }),
    };
    template.pieces.iter().filter_map(part).collect()
}

/// The argument that a placeholder names, with the hygiene of the argument and the place of the text.
fn resolve(place: &Place, at: Span, input: &Input) -> Option<Part> {
    let (mut ident, cfgs) = if place.name == "self" {
        (input.receiver()?.self_token.into(), Vec::new())
    } else {
        let Arg { ident, cfgs, .. } = input.arg(&place.name)?;
        (ident.clone(), cfgs.clone())
    };
    ident.set_span(ident.span().located_at(at));
    Some(Part::Place(ident, place.fields.clone(), cfgs))
}
