//! The `key` option: a template, or values in parentheses.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::{Error, Expr, Ident, Index, Lit, LitStr, Member, Result};

use crate::values;

pub(crate) enum Key {
    /// `"{kind}:{page}"`
    Template(Vec<Piece>, LitStr),
    /// `(kind, page)`
    Values(Vec<Expr>, Expr),
}

/// A piece of a template.
pub(crate) enum Piece {
    Text(String),
    Place(Place),
}

/// What stands between braces: `{name.field}`.
pub(crate) struct Place {
    /// The argument's name, or `self`.
    pub(crate) name: String,
    pub(crate) fields: Vec<Member>,
}

impl Key {
    pub(crate) fn parse(value: Expr) -> Result<Self> {
        match values::plain(value) {
            Expr::Lit(literal) if matches!(literal.lit, Lit::Str(_)) => {
                let text = values::text(Expr::Lit(literal), "")?;
                Ok(Self::Template(template(&text)?, text))
            }
            Expr::Tuple(tuple) => {
                let values = tuple.elems.iter().cloned().collect();
                Ok(Self::Values(values, Expr::Tuple(tuple)))
            }
            Expr::Paren(one) => Ok(Self::Values(vec![(*one.expr).clone()], Expr::Paren(one))),
            other => Err(Error::new_spanned(
                other,
                "`key` takes a template, as in `key = \"{id}\"`, or values in parentheses, as in `key = (id)`",
            )),
        }
    }
}

/// Cuts a template into its pieces. All its mistakes come together.
fn template(literal: &LitStr) -> Result<Vec<Piece>> {
    let text = literal.value();
    let mut template = Template { literal, pieces: Vec::new(), mistakes: None };
    let mut rest = text.as_str();
    while let Some(brace) = rest.find(['{', '}']) {
        template.text(&rest[..brace]);
        rest = template.brace(&rest[brace..]);
    }
    template.text(rest);
    match template.mistakes {
        Some(mistakes) => Err(mistakes),
        None => Ok(template.pieces),
    }
}

struct Template<'a> {
    literal: &'a LitStr,
    pieces: Vec<Piece>,
    mistakes: Option<Error>,
}

impl Template<'_> {
    /// Reads what a brace begins and returns what follows it.
    fn brace<'t>(&mut self, rest: &'t str) -> &'t str {
        if rest.starts_with("{{") || rest.starts_with("}}") {
            self.text(&rest[..1]);
            return &rest[2..];
        }
        let Some(inside) = rest.strip_prefix('{') else {
            self.mistake("unmatched `}` in `key`; write `}}` for a brace".into());
            return &rest[1..];
        };
        match inside.find(['{', '}']) {
            Some(end) if inside[end..].starts_with('}') => {
                self.place(&inside[..end]);
                &inside[end + 1..]
            }
            _ => {
                self.mistake("unclosed `{` in `key`; write `{{` for a brace".into());
                inside
            }
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(Piece::Text(last)) = self.pieces.last_mut() {
            last.push_str(text);
        } else if !text.is_empty() {
            self.pieces.push(Piece::Text(text.into()));
        }
    }

    fn place(&mut self, inside: &str) {
        let (path, specs) = inside.split_once(':').unwrap_or((inside, ""));
        if inside.is_empty() {
            self.mistake("empty `{}` in `key`; name an argument, as in `{id}`".into());
        } else if path.len() < inside.len() {
            let message =
                format!("`key` takes no format specs such as `:{specs}`; write `{{{path}}}`");
            self.mistake(message);
        } else if let Some(place) = self.parts(path) {
            self.pieces.push(Piece::Place(place));
        } else {
            self.mistake(format!(
                "`{{{path}}}` in `key` is not a name with fields; expressions go into parentheses: `key = ({path})`"
            ));
        }
    }

    fn parts(&self, path: &str) -> Option<Place> {
        let mut parts = path.split('.');
        let name = parts.next()?;
        let fields = parts.map(|part| member(part, self.literal.span()));
        (name == "self" || is_a_name(name)).then_some(Place {
            name: name.trim_start_matches("r#").into(),
            fields: fields.collect::<Option<_>>()?,
        })
    }

    fn mistake(&mut self, message: String) {
        let mistake = Error::new(self.literal.span(), message);
        match &mut self.mistakes {
            Some(mistakes) => mistakes.combine(mistake),
            None => self.mistakes = Some(mistake),
        }
    }
}

/// A field by its name or its number.
fn member(part: &str, span: Span) -> Option<Member> {
    if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
        let index = part.parse().ok()?;
        return Some(Member::Unnamed(Index { index, span }));
    }
    let bare = part.trim_start_matches("r#");
    let plain = syn::parse_str::<Ident>(bare).map(|_| Ident::new(bare, span));
    let ident = plain.or_else(|_| {
        syn::parse_str::<Ident>(&format!("r#{bare}")).map(|_| Ident::new_raw(bare, span))
    });
    ident.ok().map(Member::Named)
}

/// Whether an argument could be called so; keywords count, as `r#type` may be written `{type}`.
fn is_a_name(text: &str) -> bool {
    use syn::parse::Parser;
    Ident::parse_any.parse_str(text).is_ok_and(|ident| ident == text)
}
