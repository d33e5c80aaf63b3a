//! First stage: what is written between the parentheses of the attribute.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprClosure, Lit, LitStr, Path, Token, token};

use crate::errors::Errors;
use crate::key::Key;
use crate::slot::Slot;
use crate::values::{self, Time, Ttl};
use crate::words;

/// The options, each as it was written; what was refused is reported and left out.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) ttl: Slot<Ttl>,
    pub(crate) prefix: Slot<LitStr>,
    pub(crate) key: Slot<Key>,
    pub(crate) skip: Slot<Vec<Ident>>,
    pub(crate) when: Slot<Expr>,
    pub(crate) cache_if: Slot<Predicate>,
    pub(crate) none_ttl: Slot<Time>,
    pub(crate) jitter: Slot<f64>,
    pub(crate) version: Slot<u32>,
    pub(crate) cache: Slot<Expr>,
    pub(crate) runtime: Slot<Path>,
}

/// What decides about a value: a closure, or the path of a function.
pub(crate) enum Predicate {
    Closure(ExprClosure),
    Path(Expr),
}

impl Args {
    pub(crate) fn parse(attr: TokenStream, errors: &mut Errors) -> Self {
        let mut args = Self::default();
        let parsed = (|input: ParseStream| {
            while !input.is_empty() {
                let option = args.option(input, errors);
                let recover = option.is_err();
                errors.ok(option);
                separator(input, recover, errors);
            }
            Ok(())
        })
        .parse2(attr);
        errors.ok(parsed);
        args
    }

    /// Reads one option. A value of the wrong kind is reported and passed over; `Err` means that the
    /// end of the option is not known.
    fn option(&mut self, input: ParseStream, errors: &mut Errors) -> syn::Result<()> {
        let word = name(input)?;
        let value = || value(&word, input);
        match word.to_string().as_str() {
            "ttl" => self.ttl.set(&word, values::ttl(value()?), errors),
            "prefix" => self.prefix.set(&word, values::prefix(value()?), errors),
            "key" => self.key.set(&word, Key::parse(value()?), errors),
            "skip" => self.skip.set(&word, names(&word, input), errors),
            "when" => self.when.set(&word, values::when(value()?), errors),
            "cache_if" => self.cache_if.set(&word, values::cache_if(value()?), errors),
            "none_ttl" => self.none_ttl.set(&word, values::none_ttl(value()?), errors),
            "jitter" => self.jitter.set(&word, values::jitter(value()?), errors),
            "version" => self.version.set(&word, values::version(value()?), errors),
            "cache" => self.cache.set(&word, value(), errors),
            "crate" => self.runtime.set(&word, values::path(value()?), errors),
            unknown => {
                errors.on(&word, words::unknown(unknown));
                pass_over_value(input);
            }
        }
        Ok(())
    }
}

/// Reads an option's name. `crate` is one, hence any word.
fn name(input: ParseStream) -> syn::Result<Ident> {
    if input.peek(Lit) {
        let literal: Lit = input.parse()?;
        let message = match literal {
            Lit::Int(_) => "say what it is: `ttl = 3600`",
            Lit::Str(_) => "say what it is: `prefix = \"areas\"` or `key = \"{id}\"`",
            _ => "expected an option, as in `ttl = 3600`",
        };
        return Err(syn::Error::new_spanned(literal, message));
    }
    input.call(Ident::parse_any)
}

/// Reads the `= expression` behind an option's name.
fn value(word: &Ident, input: ParseStream) -> syn::Result<Expr> {
    if input.peek(token::Paren) {
        let group: Group = input.parse()?;
        let message = format!("write `{word} = {}`", group.stream());
        return Err(syn::Error::new(group.span(), message));
    }
    if input.is_empty() || input.peek(Token![,]) {
        let example = words::example(&word.to_string());
        let message = format!("`{word}` needs a value, as in `{example}`");
        return Err(syn::Error::new_spanned(word, message));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(syn::Error::new_spanned(word, format!("`{word}` has no value")));
    }
    input.parse()
}

/// Reads the `(a, b)` behind `skip`.
fn names(word: &Ident, input: ParseStream) -> syn::Result<Vec<Ident>> {
    let error = |message| Err(syn::Error::new_spanned(word, message));
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

/// Leaves the value of an unknown option behind, so that the options after it are still read.
fn pass_over_value(input: ParseStream) {
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

/// Goes to the next option, over whatever a mistake has left.
fn separator(input: ParseStream, recover: bool, errors: &mut Errors) {
    if !recover && !input.is_empty() && !input.peek(Token![,]) {
        errors.at(input.span(), "expected `,`");
        if begins_an_option(input) {
            return;
        }
    }
    while !input.is_empty() {
        if input.parse::<Token![,]>().is_err() {
            // Cannot fail: the input is not empty.
            let _ = input.parse::<TokenTree>();
        } else if input.is_empty() || begins_an_option(input) {
            return;
        }
    }
}

/// Tells the next option from the inside of an unreadable value, `|a, b| ..` for instance.
fn begins_an_option(input: ParseStream) -> bool {
    let ahead = input.fork();
    let word = ahead.call(Ident::parse_any).is_ok();
    word && (ahead.is_empty()
        || ahead.peek(Token![=])
        || ahead.peek(Token![,])
        || ahead.peek(token::Paren))
}
