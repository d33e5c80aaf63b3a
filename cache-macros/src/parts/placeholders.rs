//! The placeholders of a template, resolved to arguments.

use proc_macro2::Span;

use super::names::not_an_argument;
use super::part::Part;
use crate::errors::Errors;
use crate::input::{Arg, Input};
use crate::template::{Piece, Place, Template};

/// The parts of a template. Reports each placeholder that names no argument.
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

/// The argument that a placeholder names. The identifier has the argument's hygiene, so that it resolves,
/// and the location of the template, so that the compiler's messages point there.
fn resolve(place: &Place, at: Span, input: &Input) -> Option<Part> {
    let (mut ident, cfgs) = if place.name == "self" {
        (input.receiver()?.self_token.into(), Vec::new())
    } else {
        let Arg { ident, cfgs, .. } = input.arg(&place.name)?;
        (ident.clone(), cfgs.clone())
    };
    ident.set_span(ident.span().located_at(at));
    Some(Part::Placeholder(ident, place.fields.clone(), cfgs))
}
