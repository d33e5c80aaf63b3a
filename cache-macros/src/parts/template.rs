//! Templates: what their placeholders name.

use proc_macro2::Span;

use super::{Part, not_an_argument};
use crate::errors::Errors;
use crate::input::{Arg, Input};
use crate::template::{Piece, Place, Template};

/// The parts of each tag.
pub(crate) fn of_tags(
    tags: Option<&Vec<Template>>,
    input: &Input,
    errors: &mut Errors,
) -> Vec<Vec<Part>> {
    tags.into_iter().flatten().map(|tag| of_template(tag, input, errors)).collect()
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
        let Arg { ident, cfgs } = input.arg(&place.name)?;
        (ident.clone(), cfgs.clone())
    };
    ident.set_span(ident.span().located_at(at));
    Some(Part::Place(ident, place.fields.clone(), cfgs))
}
