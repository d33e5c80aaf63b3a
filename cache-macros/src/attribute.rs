//! The stages in order.

use proc_macro2::TokenStream;

use crate::args::Args;
use crate::errors::Errors;
use crate::expand::expand;
use crate::input::Input;
use crate::{check, parts};

/// Expands `#[cache_result(attr)] item`.
///
/// With a mistake in it the item is emitted as it was beside the messages, so that no error of the
/// compiler follows from ours.
pub(crate) fn cache_result(attr: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::new();
    let args = Args::parse(attr, &mut errors);
    let input = Input::parse(item.clone(), &mut errors);
    let parts = input.as_ref().map(|input| {
        check::check(&args, input, &mut errors);
        parts::parts(&args, input, &mut errors)
    });
    match (errors.finish(), input.zip(parts)) {
        (Err(messages), _) => {
            let mut item = check::without_ours(item);
            item.extend(messages);
            item
        }
        (Ok(()), Some((input, parts))) => expand(&args, input, &parts),
        (Ok(()), None) => item,
    }
}
