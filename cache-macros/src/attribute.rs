//! The attributes, and their stages in order.

use std::fmt;

use proc_macro2::{Span, TokenStream};
use syn::Path;

use crate::args::Args;
use crate::errors::Errors;
use crate::expand;
use crate::input::Input;
use crate::slot::Slot;
use crate::targets::Targets;
use crate::{check, parts, renamed, unused};

/// Which attribute it is, for what both have in common.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Attribute {
    Result,
    Invalidate,
}

impl Attribute {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Result => "cache_result",
            Self::Invalidate => "cache_invalidate",
        }
    }

    pub(crate) fn without_a_body(self) -> &'static str {
        match self {
            Self::Result => "nothing to cache",
            Self::Invalidate => "nothing is written here",
        }
    }

    /// Why the function has to be asynchronous.
    pub(crate) fn awaited(self) -> &'static str {
        match self {
            Self::Result => "a lookup in Redis is awaited",
            Self::Invalidate => "an invalidation in Redis is awaited",
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "#[{}]", self.name())
    }
}

/// Expands `#[cache_result(attr)] item`.
pub(crate) fn cache_result(attr: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::new();
    let args = Args::parse(attr.clone(), &mut errors);
    check_name(&args.runtime, &mut errors);
    let input = Input::parse(item.clone(), Attribute::Result, &mut errors);
    let checked = input.map(|input| {
        check::cached(&args, &input, &mut errors);
        let parts = parts::of_key(&args, &input, &mut errors);
        let key = (args.key.value(), &parts[..]);
        let tags = parts::of_tags_of_key(args.tags.value(), key, &input, &mut errors);
        let unused = unused::of_key(attr, &input, &parts);
        (input, parts, tags, unused)
    });
    finish(errors, item, checked, |(input, parts, tags, unused)| {
        expand::cached(&args, input, (&parts, &tags), &unused)
    })
}

/// Expands `#[cache_invalidate(attr)] item`.
pub(crate) fn cache_invalidate(attr: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::new();
    let targets = Targets::parse(attr, &mut errors);
    check_name(&targets.runtime, &mut errors);
    let input = Input::parse(item.clone(), Attribute::Invalidate, &mut errors);
    let checked = input.map(|input| {
        check::writing(&targets, &input, &mut errors);
        let tags = parts::of_tags(Some(&targets.tags), &input, &mut errors);
        (input, tags)
    });
    finish(errors, item, checked, |(input, tags)| expand::writing(&targets, input, &tags))
}

/// Without `crate` the runtime has to be there under its own name.
fn check_name(path: &Slot<Path>, errors: &mut Errors) {
    if let Some(message) = renamed::message().filter(|_| path.word().is_none()) {
        errors.at(Span::call_site(), message);
    }
}

/// With a mistake in it the item is emitted as it was beside the messages, so that no error of the
/// compiler follows from ours.
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
