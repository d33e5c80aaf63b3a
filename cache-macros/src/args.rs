//! First stage: what is written between the parentheses of `#[cache_result]`.

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Expr, Lit, LitStr, Path};

use crate::errors::Errors;
use crate::key::Key;
use crate::reading::{items, names, pass_over_value, value, value_if_any};
use crate::slot::Slot;
use crate::template::Template;
use crate::values::{self, Local, Predicate, Time, Ttl, Written};
use crate::{tags, words};

/// The options, each as it was written; what was refused is reported and left out.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) ttl: Slot<Ttl>,
    pub(crate) prefix: Slot<LitStr>,
    pub(crate) id: Slot<LitStr>,
    pub(crate) key: Slot<Key>,
    pub(crate) skip: Slot<Vec<Ident>>,
    pub(crate) when: Slot<Expr>,
    pub(crate) cache_if: Slot<Predicate>,
    pub(crate) none_ttl: Slot<Time>,
    pub(crate) stale_while_revalidate: Slot<Written>,
    pub(crate) stale_if_error: Slot<Written>,
    pub(crate) stale_if: Slot<Predicate>,
    pub(crate) refresh_ahead: Slot<f64>,
    pub(crate) jitter: Slot<f64>,
    pub(crate) local: Slot<Local>,
    pub(crate) lease: Slot<Written>,
    pub(crate) wait: Slot<Written>,
    pub(crate) tags: Slot<Vec<Template>>,
    pub(crate) version: Slot<u32>,
    pub(crate) cache: Slot<Expr>,
    pub(crate) runtime: Slot<Path>,
}

impl Args {
    pub(crate) fn parse(attr: TokenStream, errors: &mut Errors) -> Self {
        let mut args = Self::default();
        items(attr, errors, |input, errors| args.option(input, errors));
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
            "id" => self.id.set(&word, values::id(value()?), errors),
            "key" => self.key.set(&word, Key::parse(value()?), errors),
            "skip" => self.skip.set(&word, names(&word, input), errors),
            "when" => self.when.set(&word, values::when(value()?), errors),
            "cache_if" => self.cache_if.set(&word, values::cache_if(value()?), errors),
            "none_ttl" => self.none_ttl.set(&word, values::none_ttl(value()?), errors),
            "stale_while_revalidate" => {
                let window = values::written(&value()?, "stale_while_revalidate");
                self.stale_while_revalidate.set(&word, window, errors);
            }
            "stale_if_error" => {
                let window = values::written(&value()?, "stale_if_error");
                self.stale_if_error.set(&word, window, errors);
            }
            "stale_if" => self.stale_if.set(&word, values::stale_if(value()?), errors),
            "refresh_ahead" => {
                self.refresh_ahead.set(&word, values::refresh_ahead(value()?), errors);
            }
            "jitter" => self.jitter.set(&word, values::jitter(value()?), errors),
            "local" => {
                self.local.set(&word, values::local(value_if_any(&word, input)?), errors);
            }
            "lease" => self.lease.set(&word, values::written(&value()?, "lease"), errors),
            "wait" => self.wait.set(&word, values::written(&value()?, "wait"), errors),
            "tags" => self.tags.set(&word, tags::tags(value()?), errors),
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
