//! The parts of tags, and the rule that a key contains the placeholders of its tags.

use syn::ext::IdentExt;
use syn::{Expr, Ident, Member};

use super::part::Part;
use super::placeholders::of_template;
use crate::errors::Errors;
use crate::input::Input;
use crate::parse::key::Key;
use crate::parse::options::Options;
use crate::template::{Piece, Template};

/// The parts of each tag.
pub(crate) fn of_tags(tags: &[Template], input: &Input, errors: &mut Errors) -> Vec<Vec<Part>> {
    tags.iter().map(|tag| of_template(tag, input, errors)).collect()
}

/// The parts of each tag of a cached function whose key has the parts `key`.
///
/// Calls with equal keys must have equal tags, or they would overwrite each other's entry again and
/// again. So the key must contain the placeholders of the tags: a hashed key takes those in that it
/// lacks ([`Part::Extra`]); of a template, which spells out the whole key, a missing one is reported.
pub(crate) fn of_tags_of_key(
    options: &Options,
    key: &[Part],
    input: &Input,
    errors: &mut Errors,
) -> Vec<Vec<Part>> {
    let tags = options.tags.value().map_or(&[][..], Vec::as_slice);
    let mut all = of_tags(tags, input, errors);
    for (tag, parts) in tags.iter().zip(&mut all) {
        for part in parts {
            let Part::Placeholder(name, fields, cfgs) = part else { continue };
            if let Some(Key::Template(template)) = options.key.value()
                && !key.iter().any(|part| covers(part, name, fields))
            {
                refuse_missing(tag, template, name, errors);
            }
            if !key.iter().any(|part| equals(part, name, fields)) {
                *part = Part::Extra(name.clone(), std::mem::take(fields), std::mem::take(cfgs));
            }
        }
    }
    all
}

fn refuse_missing(tag: &Template, key: &Template, name: &Ident, errors: &mut Errors) {
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

/// Whether a part contains a placeholder's value: it is the placeholder, or one of its outer fields.
fn covers(part: &Part, name: &Ident, fields: &[Member]) -> bool {
    matches!(part, Part::Placeholder(whole, some, _) if whole.unraw() == name.unraw() && fields.starts_with(some))
}

/// Whether a part is exactly a placeholder's value.
fn equals(part: &Part, name: &Ident, fields: &[Member]) -> bool {
    match part {
        Part::Arg(whole, _) => fields.is_empty() && whole.unraw() == name.unraw(),
        Part::Placeholder(whole, some, _) => whole.unraw() == name.unraw() && fields == some,
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
