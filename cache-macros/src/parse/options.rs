//! The options of `#[cache_result]`.

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Expr, Lit, LitStr, Path};

use crate::errors::Errors;
use crate::parse::items::{items, names, pass_over_value, value, value_if_any};
use crate::parse::key::Key;
use crate::parse::slot::Slot;
use crate::parse::tags;
use crate::parse::values::{self, LiteralTime, Local, Predicate, Time, Ttl};
use crate::template::Template;
use crate::vocabulary;

/// The options of one attribute. A refused value is reported and leaves its slot without a value.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) ttl: Slot<Ttl>,
    pub(crate) prefix: Slot<LitStr>,
    pub(crate) id: Slot<LitStr>,
    pub(crate) key: Slot<Key>,
    pub(crate) skip: Slot<Vec<Ident>>,
    pub(crate) when: Slot<Expr>,
    pub(crate) cache_if: Slot<Predicate>,
    pub(crate) none_ttl: Slot<Time>,
    pub(crate) stale_while_revalidate: Slot<LiteralTime>,
    pub(crate) stale_if_error: Slot<LiteralTime>,
    pub(crate) stale_if: Slot<Predicate>,
    pub(crate) refresh_ahead: Slot<f64>,
    pub(crate) jitter: Slot<f64>,
    pub(crate) local: Slot<Local>,
    pub(crate) lease: Slot<LiteralTime>,
    pub(crate) wait: Slot<LiteralTime>,
    pub(crate) tags: Slot<Vec<Template>>,
    pub(crate) version: Slot<u32>,
    pub(crate) cache: Slot<Expr>,
    pub(crate) runtime: Slot<Path>,
}

impl Options {
    pub(crate) fn parse(attr: TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        items(attr, errors, |input, errors| options.option(input, errors));
        options
    }

    /// Reads one option. A value of the wrong kind is reported here; `Err` means that the end of the
    /// option is unknown, so that the caller has to search for the next one.
    fn option(&mut self, input: ParseStream, errors: &mut Errors) -> syn::Result<()> {
        let name = name(input)?;
        let value = || value(&name, input);
        match name.to_string().as_str() {
            "ttl" => self.ttl.set(&name, values::ttl(value()?), errors),
            "prefix" => self.prefix.set(&name, values::prefix(value()?), errors),
            "id" => self.id.set(&name, values::id(value()?), errors),
            "key" => self.key.set(&name, Key::parse(value()?), errors),
            "skip" => self.skip.set(&name, names(&name, input), errors),
            "when" => self.when.set(&name, values::when(value()?), errors),
            "cache_if" => self.cache_if.set(&name, values::cache_if(value()?), errors),
            "none_ttl" => self.none_ttl.set(&name, values::none_ttl(value()?), errors),
            "stale_while_revalidate" => {
                let window = values::literal_time(&value()?, "stale_while_revalidate");
                self.stale_while_revalidate.set(&name, window, errors);
            }
            "stale_if_error" => {
                let window = values::literal_time(&value()?, "stale_if_error");
                self.stale_if_error.set(&name, window, errors);
            }
            "stale_if" => self.stale_if.set(&name, values::stale_if(value()?), errors),
            "refresh_ahead" => {
                self.refresh_ahead.set(&name, values::refresh_ahead(value()?), errors);
            }
            "jitter" => self.jitter.set(&name, values::jitter(value()?), errors),
            "local" => {
                self.local.set(&name, values::local(value_if_any(&name, input)?), errors);
            }
            "lease" => self.lease.set(&name, values::literal_time(&value()?, "lease"), errors),
            "wait" => self.wait.set(&name, values::literal_time(&value()?, "wait"), errors),
            "tags" => self.tags.set(&name, tags::tags(value()?), errors),
            "version" => self.version.set(&name, values::version(value()?), errors),
            "cache" => self.cache.set(&name, value(), errors),
            "crate" => self.runtime.set(&name, values::path(value()?), errors),
            unknown => {
                errors.on(&name, vocabulary::unknown(unknown));
                pass_over_value(input);
            }
        }
        Ok(())
    }
}

/// Reads an option's name. Keywords are accepted, since `crate` is an option.
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
