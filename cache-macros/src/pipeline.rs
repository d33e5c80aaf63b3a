//! The two attributes as sequences of stages: parse, input, check, parts, expand.

use proc_macro2::{Span, TokenStream};
use syn::Path;

use crate::attribute::Attribute;
use crate::errors::Errors;
use crate::input::Input;
use crate::parse::options::Options;
use crate::parse::slot::Slot;
use crate::parse::targets::Targets;
use crate::{check, expand, manifest, parts};

/// Expands `#[cache_result(attr)] item`.
pub(crate) fn cache_result(attr: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::new();
    let options = Options::parse(attr.clone(), &mut errors);
    check_runtime_name(&options.runtime, &mut errors);
    let input = Input::parse(item.clone(), Attribute::Result, &mut errors);
    let checked = input.map(|input| {
        check::cached(&options, &input, &mut errors);
        let key = parts::of_key(&options, &input, &mut errors);
        let tags = parts::of_tags_of_key(&options, &key, &input, &mut errors);
        let unused = parts::unused(attr, &input, &key);
        (input, key, tags, unused)
    });
    finish(errors, item, checked, |(input, key, tags, unused)| {
        expand::cached(&options, input, (&key, &tags), &unused)
    })
}

/// Expands `#[cache_invalidate(attr)] item`.
pub(crate) fn cache_invalidate(attr: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::new();
    let targets = Targets::parse(attr, &mut errors);
    check_runtime_name(&targets.runtime, &mut errors);
    let input = Input::parse(item.clone(), Attribute::Invalidate, &mut errors);
    let checked = input.map(|input| {
        check::writing(&targets, &input, &mut errors);
        let tags = parts::of_tags(&targets.tags, &input, &mut errors);
        (input, tags)
    });
    finish(errors, item, checked, |(input, tags)| expand::writing(&targets, input, &tags))
}

/// Reports a runtime that Cargo.toml renames. With `crate` the user has named it, so that the
/// manifest is not consulted.
fn check_runtime_name(path: &Slot<Path>, errors: &mut Errors) {
    if let Some(message) = manifest::renamed_runtime().filter(|_| path.name().is_none()) {
        errors.at(Span::call_site(), message);
    }
}

/// Expands a function without mistakes. Otherwise emits the messages and the item as the user wrote
/// it: callers of the function then still compile, and no error of the compiler follows from ours.
fn finish<T>(
    errors: Errors,
    item: TokenStream,
    checked: Option<T>,
    expand: impl FnOnce(T) -> TokenStream,
) -> TokenStream {
    match (errors.finish(), checked) {
        (Err(messages), _) => {
            let mut item = check::without_ours(item);
            item.extend(messages);
            item
        }
        (Ok(()), Some(checked)) => expand(checked),
        (Ok(()), None) => item,
    }
}
