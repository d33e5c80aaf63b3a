//! Third stage: refuses functions, and combinations of options, that cannot be cached or invalidate.
//!
//! The stage reports mistakes and changes nothing. The next stage, `parts`, reports those in `key`, `skip`
//! and `tags`.

mod arguments;
mod borrows;
mod returns;
mod windows;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::{LitStr, Safety, Signature};

use crate::attribute::Attribute;
use crate::errors::Errors;
use crate::input::{Form, Input};
use crate::parse::options::Options;
use crate::parse::targets::Targets;

pub(crate) use borrows::background_refresh;

/// Checks a function with `#[cache_result]`.
pub(crate) fn cached(options: &Options, input: &Input, errors: &mut Errors) {
    function(input, Attribute::Result, errors);
    arguments::check(input, errors);
    borrows::check(options, input, errors);
    windows::check(options, errors);
    if let Some(prefix) = options.prefix.value() {
        no_template(prefix, "`key`", input, errors);
    }
    if !matches!(input.form, Form::Sync(_)) {
        returns::cached(input, errors);
    }
}

/// Checks a function with `#[cache_invalidate]`.
pub(crate) fn writing(targets: &Targets, input: &Input, errors: &mut Errors) {
    function(input, Attribute::Invalidate, errors);
    for prefix in &targets.prefixes {
        no_template(prefix, "a `tag`", input, errors);
    }
    if !matches!(input.form, Form::Sync(_)) {
        returns::writing(input, errors);
    }
}

fn function(input: &Input, attribute: Attribute, errors: &mut Errors) {
    check_attributes(&input.attrs, attribute, errors);
    check_qualifiers(&input.sig, attribute, errors);
    if let Form::Sync(_) = input.form {
        let awaited = attribute.awaited();
        errors.on(input.sig.fn_token, format!("`{attribute}` needs an `async fn`: {awaited}"));
    }
}

fn check_attributes(attrs: &[syn::Attribute], attribute: Attribute, errors: &mut Errors) {
    for attr in attrs {
        match ours(attr) {
            Some(other) if other == attribute => {
                let message = format!("this function already has a `{attribute}`; merge the two");
                errors.on(attr, message);
            }
            Some(_) => {
                let message = "a hit of `#[cache_result]` skips the body, and would invalidate nothing; \
                               split the function in two";
                errors.on(attr, message);
            }
            None => {}
        }
    }
}

/// The item without further attributes of ours, which would otherwise expand in their turn and report
/// the same mistakes again.
pub(crate) fn without_ours(item: TokenStream) -> TokenStream {
    let parser = |input: ParseStream| {
        let attrs = input.call(syn::Attribute::parse_outer)?;
        Ok((attrs, input.parse::<TokenStream>()?))
    };
    match parser.parse2(item.clone()) {
        Ok((attrs, rest)) => {
            let others = attrs.iter().filter(|attr| ours(attr).is_none());
            others.map(ToTokens::to_token_stream).chain([rest]).collect()
        }
        Err(_) => item,
    }
}

/// Which of our attributes it is, by the last segment of its path: the path may be any re-export's.
fn ours(attr: &syn::Attribute) -> Option<Attribute> {
    let name = &attr.path().segments.last()?.ident;
    [Attribute::Result, Attribute::Invalidate].into_iter().find(|ours| name == ours.name())
}

fn check_qualifiers(sig: &Signature, attribute: Attribute, errors: &mut Errors) {
    let mut refuse = |keyword: &dyn ToTokens, function: &str| {
        errors.on(keyword, format!("`{attribute}` cannot be used on {function}"));
    };
    if let Some(keyword) = &sig.constness {
        refuse(keyword, "a `const fn`");
    }
    if let Safety::Unsafe(keyword) = &sig.safety {
        refuse(keyword, "an `unsafe fn`");
    }
    if let Some(abi) = &sig.abi {
        refuse(&abi.extern_token, "an `extern fn`");
    }
    if let Some(variadic) = &sig.variadic {
        refuse(&variadic.dots, "a variadic function");
    }
}

/// Refuses a prefix that reads like a template. A prefix is the fixed name of a group, by which
/// `invalidate_prefix` finds all of its entries.
fn no_template(prefix: &LitStr, instead: &str, input: &Input, errors: &mut Errors) {
    let text = prefix.value();
    let named = input.args.iter().find(|arg| text.contains(&format!("{{{}}}", arg.ident)));
    if let Some(arg) = named {
        let name = &arg.ident;
        errors.on(prefix, format!("`prefix` is not a template; write `{{{name}}}` into {instead}"));
    }
}
