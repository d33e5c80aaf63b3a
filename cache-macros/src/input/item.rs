//! The item under the attribute, parsed: a function, or the keyword of any other item.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Signature, Token, Visibility};

/// A function with an unparsed body. While the user types, the body may not parse; the macro still
/// expands then, and editors keep their completion.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) end: End,
}

pub(crate) enum End {
    Body(Group),
    Semi(Token![;]),
}

impl Parse for Function {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        Ok(Self {
            attrs: input.call(Attribute::parse_outer)?,
            vis: input.parse()?,
            sig: input.parse()?,
            end: if input.peek(Token![;]) {
                End::Semi(input.parse()?)
            } else {
                End::Body(body(input)?)
            },
        })
    }
}

fn body(input: ParseStream) -> syn::Result<Group> {
    match input.parse()? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Ok(group),
        // A `$body:block` of `macro_rules!` comes in a group without delimiters.
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
            body.parse2(group.stream())
        }
        other => Err(syn::Error::new(other.span(), "expected the body of the function")),
    }
}

/// Splits the `#![..]` from a body and makes them `#[..]` for the function: the body
/// becomes the block of a `let`, where stable Rust takes no inner attributes.
pub(crate) fn without_inner_attributes(body: Group) -> (Vec<Attribute>, Group) {
    let parser = |input: ParseStream| {
        let inner = input.call(Attribute::parse_inner)?;
        Ok((inner, input.parse::<TokenStream>()?))
    };
    match parser.parse2(body.stream()) {
        Ok((inner, rest)) if !inner.is_empty() => {
            let mut without = Group::new(Delimiter::Brace, rest);
            without.set_span(body.span());
            (inner.into_iter().map(outer).collect(), without)
        }
        _ => (Vec::new(), body),
    }
}

fn outer(attr: Attribute) -> Attribute {
    Attribute { style: syn::AttrStyle::Outer, ..attr }
}

/// The keyword of an item that is not a function; `None` of a function.
pub(crate) fn other_item(item: TokenStream) -> Option<TokenTree> {
    let parser = |input: ParseStream| {
        let _ = input.call(Attribute::parse_outer)?;
        let _: Visibility = input.parse()?;
        input.parse::<TokenStream>()
    };
    let rest = parser.parse2(item).ok()?;
    let is = |token: &TokenTree, words: &[&str]| words.contains(&token.to_string().as_str());
    let function =
        rest.clone().into_iter().take_while(|token| !matches!(token, TokenTree::Group(_)));
    if function.clone().any(|token| is(&token, &["fn"])) {
        return None;
    }
    let items = ["struct", "enum", "union", "trait", "impl", "mod", "static", "type", "use"];
    let keyword = function.clone().find(|token| is(token, &items));
    keyword.or_else(|| rest.into_iter().next())
}
