//! The targets of `#[cache_invalidate]`: calls, closures, prefixes and tags.

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::visit::Visit;
use syn::{
    Error, Expr, ExprAsync, ExprAwait, ExprClosure, ExprReturn, ExprTry, Lit, LitStr, Path, Result,
    ReturnType, Token,
};

use crate::errors::Errors;
use crate::parse::expr;
use crate::parse::items::{items, pass_over_value, value};
use crate::parse::slot::Slot;
use crate::parse::tags;
use crate::parse::values::{self, with_one_argument};
use crate::template::Template;
use crate::vocabulary;

/// The targets and options of one attribute. A refused one is reported and left out.
#[derive(Default)]
pub(crate) struct Targets {
    pub(crate) calls: Vec<Expr>,
    /// Calls whose arguments depend on the value that the function returned.
    pub(crate) closures: Vec<ExprClosure>,
    pub(crate) prefixes: Vec<LitStr>,
    pub(crate) tags: Vec<Template>,
    pub(crate) cache: Slot<Expr>,
    pub(crate) runtime: Slot<Path>,
}

impl Targets {
    pub(crate) fn parse(attr: TokenStream, errors: &mut Errors) -> Self {
        let mut targets = Self::default();
        let mut named = false;
        items(attr, errors, |input, errors| {
            let option = option(input);
            named |= option.as_ref().is_none_or(|name| name != "cache" && name != "crate");
            match option {
                Some(name) => targets.option(&name, input, errors),
                None => targets.call(input.parse()?, errors),
            }
        });
        if !named {
            errors.at(Span::call_site(), NOTHING);
        }
        targets
    }

    /// Reads the value behind `name`.
    fn option(&mut self, name: &Ident, input: ParseStream, errors: &mut Errors) -> Result<()> {
        let value = || value(name, input);
        match name.to_string().as_str() {
            "prefix" => self.prefixes.extend(errors.ok(values::invalidated_prefix(value()?))),
            "tag" => self.tags.extend(errors.ok(tags::tag(value()?))),
            "cache" => self.cache.set(name, value(), errors),
            "crate" => self.runtime.set(name, values::path(value()?), errors),
            unknown => {
                errors.on(name, vocabulary::unknown_target(unknown));
                pass_over_value(input);
            }
        }
        Ok(())
    }

    /// Takes an expression that may be a call. Whether the called function is cached is known only at
    /// run time.
    #[allow(clippy::unnecessary_wraps)]
    fn call(&mut self, value: Expr, errors: &mut Errors) -> Result<()> {
        match expr::plain(value) {
            Expr::Closure(closure) => self.closures.extend(errors.ok(over_the_value(closure))),
            call => self.calls.extend(errors.ok(a_call(call))),
        }
        Ok(())
    }
}

const NOTHING: &str =
    "nothing to invalidate: name a call, as in `areas(kind.clone())`, a `prefix` or a `tag`";

/// Reads the name in `name = value`, or a name that lacks its value. `None` of anything else:
/// `crate::find(id)` and `cache(id)` are calls.
fn option(input: ParseStream) -> Option<Ident> {
    let ahead = input.fork();
    let name = ahead.call(Ident::parse_any).ok()?;
    let assigned = ahead.peek(Token![=]) && !ahead.peek(Token![==]) && !ahead.peek(Token![=>]);
    let bare = ahead.is_empty() || ahead.peek(Token![,]);
    let is_one = assigned || bare && vocabulary::is_target(&name.to_string());
    // `ahead` is a fork: consume the name from the input too, which cannot fail.
    is_one.then(|| input.call(Ident::parse_any).ok()).flatten()
}

fn over_the_value(closure: ExprClosure) -> Result<ExprClosure> {
    if let ReturnType::Type(..) = closure.output {
        let message = "a call has no type that could be written; leave it out";
        return Err(Error::new_spanned(closure.output, message));
    }
    stays_here(&closure.body)?;
    with_one_argument(
        closure,
        "of `#[cache_invalidate]`",
        "the value that was returned: `|created| find(created.id)`",
    )
}

/// Refuses `?` and `return`, which would return from the function before its body has run, and
/// `.await`, which would run the call instead of naming it.
fn stays_here(call: &Expr) -> Result<()> {
    struct Leaves(Option<Error>);
    impl Leaves {
        fn refuse(&mut self, at: impl ToTokens, word: &str) {
            let message = format!("a call is named, not run: `{word}` has no place in it");
            self.0.get_or_insert_with(|| Error::new_spanned(at, message));
        }
    }
    impl Visit<'_> for Leaves {
        fn visit_expr_try(&mut self, inner: &ExprTry) {
            self.refuse(inner.question_token, "?");
        }
        fn visit_expr_await(&mut self, inner: &ExprAwait) {
            self.refuse(inner.await_token, ".await");
        }
        fn visit_expr_return(&mut self, inner: &ExprReturn) {
            self.refuse(inner.return_token, "return");
        }
        // Inside these, `?`, `return` and `.await` do not leave the function.
        fn visit_expr_closure(&mut self, _: &ExprClosure) {}
        fn visit_expr_async(&mut self, _: &ExprAsync) {}
    }
    let mut leaves = Leaves(None);
    leaves.visit_expr(call);
    leaves.0.map_or(Ok(()), Err)
}

fn a_call(call: Expr) -> Result<Expr> {
    let message = match &call {
        Expr::Path(path) => {
            let path = path.to_token_stream().to_string().replace(' ', "");
            format!("write the call, as in `{path}(..)`")
        }
        Expr::Await(_) => "write the call without `.await`: it is named, not run".into(),
        Expr::Try(_) => "write the call without `?`: it is named, not run".into(),
        Expr::Lit(literal) if matches!(literal.lit, Lit::Str(_)) => {
            "say what it is: `prefix = \"areas\"` or `tag = \"agent:{agent_id}\"`".into()
        }
        Expr::Lit(_) => "write a call, as in `areas(kind.clone())`".into(),
        _ => return stays_here(&call).map(|()| call),
    };
    Err(Error::new_spanned(call, message))
}
