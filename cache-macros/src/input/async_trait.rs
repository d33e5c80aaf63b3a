//! The form that `#[async_trait]` gives to an `async fn`. It is the outer attribute, so that the
//! attributes on the methods see its output: a plain `fn` that returns a boxed future.
//!
//! The form is not part of async-trait's documented interface; the tests run against the crate.

use proc_macro2::{Delimiter, Group, TokenStream};
use quote::ToTokens;
use syn::parse::Parser;
use syn::visit::Visit;
use syn::{
    AssocType, Block, Expr, ExprAsync, ExprCall, Ident, Local, Pat, ReturnType, Signature, Stmt,
    Type,
};

/// A function that returns `Box::pin(async move { .. })` as `Pin<Box<dyn Future<Output = ..>>>`.
pub(crate) struct BoxedFn {
    /// Statements in front of `Box::pin(..)`; async-trait writes none today.
    pub(crate) before: Vec<Stmt>,
    /// `Box::pin(async move {})`: the statements of the block are in `patterns` and `body`.
    call: ExprCall,
    /// The type that the future resolves to: the `X` of `Pin<Box<dyn Future<Output = X>>>`, found by
    /// these names, since a macro sees no types.
    pub(crate) output: Type,
    /// The statements that take pattern arguments apart: `let Path(kind) = { .. __arg1 .. };`.
    pub(crate) patterns: Vec<Stmt>,
    /// The other statements of the async block, in braces that have the span of the user's.
    pub(crate) body: Group,
}

/// `None` of a function in any other form.
pub(crate) fn parse(sig: &Signature, body: &Group) -> Option<BoxedFn> {
    let ReturnType::Type(_, returned) = &sig.output else {
        return None;
    };
    let output = output(returned)?;
    let mut before = Block::parse_within.parse2(body.stream()).ok()?;
    let Some(Stmt::Expr(Expr::Call(mut call), None)) = before.pop() else {
        return None;
    };
    if !is_box_pin(&call.func) || call.args.len() != 1 {
        return None;
    }
    let future = call.args.first_mut().and_then(future_mut)?;
    let statements = std::mem::take(&mut future.block.stmts);
    let braces = future.block.brace_token.span.join();
    let (patterns, rest): (Vec<_>, Vec<_>) = statements.into_iter().partition(binds_a_pattern);
    let mut body =
        Group::new(Delimiter::Brace, rest.iter().map(ToTokens::to_token_stream).collect());
    body.set_span(braces);
    Some(BoxedFn { before, call, output, patterns, body })
}

impl BoxedFn {
    /// The pattern that the user wrote for an argument; `None` for `_`.
    pub(crate) fn pattern<'a>(&'a self, given: &'a Pat) -> Option<&'a Pat> {
        match given {
            Pat::Ident(given) if is_positional(&given.ident) => self
                .patterns
                .iter()
                .filter_map(local)
                .find(|(_, init)| mentions(init, |ident| *ident == given.ident))
                .map(|(pattern, _)| pattern),
            _ => Some(given),
        }
    }

    /// `Box::pin(async move { body })`.
    pub(crate) fn call_with(mut self, body: TokenStream) -> TokenStream {
        if let Some(future) = self.call.args.first_mut().and_then(future_mut) {
            future.block.stmts = vec![Stmt::Expr(Expr::Verbatim(body), None)];
        }
        self.call.into_token_stream()
    }
}

/// Finds the `X` in `Pin<Box<dyn Future<Output = X>>>`.
fn output(returned: &Type) -> Option<Type> {
    struct Output(Option<Type>);
    impl Visit<'_> for Output {
        fn visit_assoc_type(&mut self, assoc: &AssocType) {
            if assoc.ident == "Output" && self.0.is_none() {
                self.0 = Some(assoc.ty.clone());
            }
        }
    }
    let Type::Path(path) = returned else {
        return None;
    };
    if path.path.segments.last()?.ident != "Pin" {
        return None;
    }
    let mut found = Output(None);
    found.visit_type(returned);
    found.0
}

/// The async block of `Box::pin(async move { .. })`.
fn future_mut(argument: &mut Expr) -> Option<&mut ExprAsync> {
    match argument {
        Expr::Async(future) if future.capture.is_some() => Some(future),
        _ => None,
    }
}

fn is_box_pin(function: &Expr) -> bool {
    let Expr::Path(function) = function else {
        return false;
    };
    let mut names = function.path.segments.iter().rev().map(|segment| &segment.ident);
    names.next().is_some_and(|name| name == "pin") && names.next().is_some_and(|name| name == "Box")
}

/// Whether async-trait made the name: an argument that is a pattern becomes `__arg1` and the like, and a
/// `let` in the block takes it apart.
fn is_positional(ident: &Ident) -> bool {
    let number = ident.to_string().strip_prefix("__arg").map(str::to_owned);
    number.is_some_and(|number| number.parse::<usize>().is_ok())
}

fn binds_a_pattern(statement: &Stmt) -> bool {
    local(statement).is_some_and(|(pattern, init)| {
        let wild = matches!(pattern, Pat::Ident(name) if is_positional(&name.ident));
        !wild && mentions(init, is_positional)
    })
}

fn local(statement: &Stmt) -> Option<(&Pat, &Expr)> {
    match statement {
        Stmt::Local(Local { pat, init, .. }) => Some((pat, &init.as_ref()?.expr)),
        _ => None,
    }
}

fn mentions(expression: &Expr, is_it: impl Fn(&Ident) -> bool) -> bool {
    struct Mentions<F>(F, bool);
    impl<F: Fn(&Ident) -> bool> Visit<'_> for Mentions<F> {
        fn visit_ident(&mut self, ident: &Ident) {
            self.1 |= (self.0)(ident);
        }
    }
    let mut found = Mentions(is_it, false);
    found.visit_expr(expression);
    found.1
}
