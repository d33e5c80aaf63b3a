//! The items between the parentheses of an attribute, with recovery: a mistake in one item leaves the
//! items behind it readable.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Result, Token, token};

use crate::errors::Errors;
use crate::vocabulary;

/// Reads items up to the end of the attribute. `item` returns `Err` where it cannot tell where the item
/// ends; the next item is then searched for.
pub(crate) fn items(
    attr: TokenStream,
    errors: &mut Errors,
    mut item: impl FnMut(ParseStream, &mut Errors) -> Result<()>,
) {
    let parsed = (|input: ParseStream| {
        while !input.is_empty() {
            let read = item(input, errors);
            let recover = read.is_err();
            errors.ok(read);
            separator(input, recover, errors);
        }
        Ok(())
    })
    .parse2(attr);
    errors.ok(parsed);
}

/// Reads the `= expression` behind the name of an option.
pub(crate) fn value(name: &Ident, input: ParseStream) -> Result<Expr> {
    if input.peek(token::Paren) {
        let group: Group = input.parse()?;
        let message = format!("write `{name} = {}`", group.stream());
        return Err(Error::new(group.span(), message));
    }
    if input.is_empty() || input.peek(Token![,]) {
        let example = vocabulary::example(&name.to_string());
        let message = format!("`{name}` needs a value, as in `{example}`");
        return Err(Error::new_spanned(name, message));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(Error::new_spanned(name, format!("`{name}` has no value")));
    }
    input.parse()
}

/// Reads the `= expression` behind the name of an option that may also stand alone.
pub(crate) fn value_if_any(name: &Ident, input: ParseStream) -> Result<Option<Expr>> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(None);
    }
    if is_empty_group(input) {
        let group: Group = input.parse()?;
        return Err(Error::new(group.span(), format!("write `{name}` without parentheses")));
    }
    value(name, input).map(Some)
}

fn is_empty_group(input: ParseStream) -> bool {
    input.peek(token::Paren)
        && input.fork().parse().is_ok_and(|group: Group| group.stream().is_empty())
}

/// Reads the `(a, b)` behind `skip`.
pub(crate) fn names(name: &Ident, input: ParseStream) -> Result<Vec<Ident>> {
    let error = |message| Err(Error::new_spanned(name, message));
    if !input.peek(token::Paren) {
        pass_over_value(input);
        return error("write the arguments in parentheses, as in `skip(db)`");
    }
    let group: Group = input.parse()?;
    let parser = |names: ParseStream| {
        Punctuated::<_, Token![,]>::parse_terminated_with(names, Ident::parse_any)
    };
    let names = parser.parse2(group.stream())?;
    if names.is_empty() {
        return error("`skip` names no argument; write `skip(db)`, or leave it out");
    }
    Ok(names.into_iter().collect())
}

/// Skips the value of an option that is refused by its name, so that the options behind it are read.
pub(crate) fn pass_over_value(input: ParseStream) {
    let ahead = input.fork();
    let passed = if ahead.peek(token::Paren) {
        ahead.parse::<Group>().is_ok()
    } else {
        ahead.parse::<Token![=]>().is_ok() && ahead.parse::<Expr>().is_ok()
    };
    if passed {
        syn::parse::discouraged::Speculative::advance_to(input, &ahead);
    }
}

/// Moves on to the next item. With `recover` the input stands inside an item that could not be read.
fn separator(input: ParseStream, recover: bool, errors: &mut Errors) {
    let comma = !recover && input.parse::<Token![,]>().is_ok();
    if comma || input.is_empty() {
        return;
    }
    if !recover {
        errors.at(input.span(), "expected `,`");
        if begins_an_item(input) {
            return;
        }
    }
    while !input.is_empty() {
        if input.parse::<Token![,]>().is_err() {
            // Cannot fail: the input is not empty.
            let _ = input.parse::<TokenTree>();
        } else if begins_an_item(input) {
            return;
        }
    }
}

/// Whether an item begins here, and not a part of an unreadable value, such as the `b` of `|a, b| ..`.
fn begins_an_item(input: ParseStream) -> bool {
    let ahead = input.fork();
    let word = ahead.call(Ident::parse_any).is_ok();
    word && (ahead.is_empty()
        || ahead.peek(Token![=])
        || ahead.peek(Token![,])
        || ahead.peek(token::Paren))
}
