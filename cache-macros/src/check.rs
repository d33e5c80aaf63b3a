//! Fourth stage: what a cached function must not be.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::visit::{self, Visit};
use syn::{Attribute, FnArg, Receiver, ReceiverKind, Safety, Signature, TypeReference};

use crate::args::Args;
use crate::errors::Errors;
use crate::input::{Form, Input};
use crate::{pattern, returns};

/// Reports what the function's signature and attributes say against caching it.
pub(crate) fn check(args: &Args, input: &Input, errors: &mut Errors) {
    check_attributes(&input.attrs, errors);
    check_qualifiers(&input.sig, errors);
    check_arguments(&input.sig, errors);
    check_prefix(args, input, errors);
    match input.form {
        Form::Sync(_) => {
            errors.on(
                input.sig.fn_token,
                "`#[cache_result]` needs an `async fn`: a lookup in Redis is awaited",
            );
        }
        _ => returns::check(input, errors),
    }
}

fn check_attributes(attrs: &[Attribute], errors: &mut Errors) {
    for attr in attrs.iter().filter(|attr| is_ours(attr)) {
        errors.on(attr, "this function already has a `#[cache_result]`; merge the two");
    }
}

/// Takes a second `#[cache_result]` off, which would otherwise report its mistakes once more.
pub(crate) fn without_ours(item: TokenStream) -> TokenStream {
    let parser = |input: ParseStream| {
        let attrs = input.call(Attribute::parse_outer)?;
        Ok((attrs, input.parse::<TokenStream>()?))
    };
    match parser.parse2(item.clone()) {
        Ok((attrs, rest)) => {
            let others = attrs.iter().filter(|attr| !is_ours(attr));
            others.map(ToTokens::to_token_stream).chain([rest]).collect()
        }
        Err(_) => item,
    }
}

/// Whether an attribute is `#[cache_result]`, by whatever path.
fn is_ours(attr: &Attribute) -> bool {
    attr.path().segments.last().is_some_and(|name| name.ident == "cache_result")
}

fn check_qualifiers(sig: &Signature, errors: &mut Errors) {
    let mut refuse = |keyword: &dyn ToTokens, function: &str| {
        errors.on(keyword, format!("`#[cache_result]` cannot be used on {function}"));
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

fn check_arguments(sig: &Signature, errors: &mut Errors) {
    let lost =
        "a hit skips the body, so what it would write through `&mut` is lost; return it instead";
    for arg in &sig.inputs {
        match arg {
            FnArg::Receiver(receiver) if writes_self(receiver) => errors.on(receiver, lost),
            FnArg::Typed(arg) => {
                if borrows_to_write(|visitor| visitor.visit_type(&arg.ty)) {
                    errors.on(&arg.ty, lost);
                }
                if pattern::is_opaque(&arg.pat) {
                    let message = "the names that this pattern binds cannot be seen; give the argument a name";
                    errors.on(&arg.pat, message);
                }
            }
            FnArg::Receiver(_) => {}
        }
    }
}

fn writes_self(receiver: &Receiver) -> bool {
    match &receiver.kind {
        ReceiverKind::Reference(_, _, mutability) => mutability.is_some(),
        ReceiverKind::Typed(_, ty) => borrows_to_write(|visitor| visitor.visit_type(ty)),
        _ => false,
    }
}

fn borrows_to_write(visit: impl FnOnce(&mut Borrows)) -> bool {
    let mut borrows = Borrows(false);
    visit(&mut borrows);
    borrows.0
}

struct Borrows(bool);

impl Visit<'_> for Borrows {
    fn visit_type_reference(&mut self, reference: &TypeReference) {
        self.0 |= reference.mutability.is_some();
        visit::visit_type_reference(self, reference);
    }

    // What a function or a trait takes is not borrowed from here.
    fn visit_type_fn_ptr(&mut self, _: &syn::TypeFnPtr) {}
    fn visit_type_param_bound(&mut self, _: &syn::TypeParamBound) {}
}

/// A prefix is the name of a group: were it a template, `invalidate_prefix` could not name it.
fn check_prefix(args: &Args, input: &Input, errors: &mut Errors) {
    let Some(prefix) = args.prefix.value() else {
        return;
    };
    let text = prefix.value();
    let named = input.args.iter().find(|arg| text.contains(&format!("{{{}}}", arg.ident)));
    if let Some(arg) = named {
        let name = &arg.ident;
        errors.on(prefix, format!("`prefix` is not a template; write `{{{name}}}` into `key`"));
    }
}
