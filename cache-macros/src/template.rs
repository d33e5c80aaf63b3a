//! The syntax of templates, `"{kind}:{page}"`: readable keys and tags. Whether the names in braces are
//! arguments is not decided here.
//!
//! `fuzz/` compiles this file by itself, so that it uses no other module of the crate.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::{Error, Ident, Index, LitStr, Member, Result};

pub(crate) struct Template {
    /// The option whose value it is, for messages.
    pub(crate) option: &'static str,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) literal: LitStr,
}

pub(crate) enum Piece {
    Text(String),
    Place(Place),
}

/// A placeholder: `{name.field}`.
pub(crate) struct Place {
    /// The argument's name without `r#`, or `self`.
    pub(crate) name: String,
    pub(crate) fields: Vec<Member>,
    /// The text between the braces, as the user wrote it.
    pub(crate) written: String,
}

impl Template {
    /// Cuts a text into text and placeholders. The error combines all mistakes of the text.
    pub(crate) fn parse(literal: LitStr, option: &'static str) -> Result<Self> {
        let text = literal.value();
        let mut cutter =
            Cutter { option, span: literal.span(), pieces: Vec::new(), mistakes: None };
        let mut rest = text.as_str();
        while let Some(brace) = rest.find(['{', '}']) {
            cutter.text(&rest[..brace]);
            rest = cutter.brace(&rest[brace..]);
        }
        cutter.text(rest);
        match cutter.mistakes {
            Some(mistakes) => Err(mistakes),
            None => Ok(Self { option, pieces: cutter.pieces, literal }),
        }
    }
}

struct Cutter {
    option: &'static str,
    span: Span,
    pieces: Vec<Piece>,
    mistakes: Option<Error>,
}

impl Cutter {
    /// Reads the escaped brace or the placeholder at the start of `rest`, and returns the text behind it.
    fn brace<'t>(&mut self, rest: &'t str) -> &'t str {
        if rest.starts_with("{{") || rest.starts_with("}}") {
            self.text(&rest[..1]);
            return &rest[2..];
        }
        let option = self.option;
        let Some(inside) = rest.strip_prefix('{') else {
            self.mistake(format!("unmatched `}}` in `{option}`; write `}}}}` for a brace"));
            return &rest[1..];
        };
        match inside.find(['{', '}']) {
            Some(end) if inside[end..].starts_with('}') => {
                self.place(&inside[..end]);
                &inside[end + 1..]
            }
            _ => {
                self.mistake(format!("unclosed `{{` in `{option}`; write `{{{{` for a brace"));
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
        let option = self.option;
        let (path, specs) = inside.split_once(':').unwrap_or((inside, ""));
        if inside.is_empty() {
            self.mistake(format!("empty `{{}}` in `{option}`; name an argument, as in `{{id}}`"));
        } else if path.len() < inside.len() {
            self.mistake(format!(
                "`{option}` takes no format specs such as `:{specs}`; write `{{{path}}}`"
            ));
        } else if let Some(place) = self.parts(path) {
            if let Some(Piece::Place(before)) = self.pieces.last() {
                let before = &before.written;
                let message = format!(
                    "nothing stands between `{{{before}}}` and `{{{path}}}` in `{option}`, so that `ab` and `c` would \
                     read as `a` and `bc` do; write `{{{before}}}:{{{path}}}`"
                );
                self.mistake(message);
            }
            self.pieces.push(Piece::Place(place));
        } else {
            let way_out = match option {
                "key" => format!("expressions go into parentheses: `key = ({path})`"),
                _ => "give the value an argument or a field of its own".into(),
            };
            self.mistake(format!(
                "`{{{path}}}` in `{option}` is not a name with fields; {way_out}"
            ));
        }
    }

    fn parts(&self, path: &str) -> Option<Place> {
        let mut parts = path.split('.');
        let name = parts.next()?;
        let fields = parts.map(|part| member(part, self.span));
        (name == "self" || is_a_name(name)).then_some(Place {
            name: name.trim_start_matches("r#").into(),
            fields: fields.collect::<Option<_>>()?,
            written: path.into(),
        })
    }

    fn mistake(&mut self, message: String) {
        let mistake = Error::new(self.span, message);
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
    // Compared with the text, since syn's parser skips blanks, which no name contains.
    let reads = |text: &str| syn::parse_str::<Ident>(text).is_ok_and(|ident| ident == text);
    let plain = reads(bare).then(|| Ident::new(bare, span));
    let raw = || reads(&format!("r#{bare}")).then(|| Ident::new_raw(bare, span));
    plain.or_else(raw).map(Member::Named)
}

/// Whether an argument may have the name. Keywords count, since a template writes `r#type` as `{type}`.
fn is_a_name(text: &str) -> bool {
    use syn::parse::Parser;
    Ident::parse_any.parse_str(text).is_ok_and(|ident| ident == text)
}
