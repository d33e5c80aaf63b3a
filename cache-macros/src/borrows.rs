//! Arguments that do not outlive the call: no refresh behind the call can have them.

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{
    BoundLifetimes, FnArg, GenericParam, Ident, Lifetime, ParenthesizedGenericArguments, Receiver,
    ReceiverKind, TraitBound, TypeFnPtr, TypeImplTrait, TypeReference,
};

use crate::args::Args;
use crate::errors::Errors;
use crate::input::Input;
use crate::returns::{is_static, owned};
use crate::words::quoted;

/// Reports what `stale_while_revalidate` would borrow, at the borrow.
pub(crate) fn check(args: &Args, input: &Input, errors: &mut Errors) {
    if args.stale_while_revalidate.word().is_none() {
        return;
    }
    for arg in &input.sig.inputs {
        // That nothing may be written through an argument is told elsewhere.
        let Some(borrow) = of_argument(arg).filter(|borrow| !borrow.is_written()) else {
            continue;
        };
        let (name, instead) = match arg {
            FnArg::Receiver(_) => ("`self`".into(), "`self: Arc<Self>`".into()),
            FnArg::Typed(arg) => (quoted(input.form.names(&arg.pat)), borrow.instead()),
        };
        let name = if name.is_empty() { "this argument" } else { &name };
        let message = format!(
            "a background refresh outlives this call and cannot borrow {name}; take {instead}, or drop \
             `stale_while_revalidate`"
        );
        errors.on(borrow, message);
    }
}

/// The option that asks for refreshes behind the call, if they can be there.
pub(crate) fn behind<'a>(args: &'a Args, input: &Input) -> Option<&'a Ident> {
    let ahead = args.refresh_ahead.word().filter(|_| owns_its_arguments(input));
    args.stale_while_revalidate.word().or(ahead)
}

/// A type parameter may borrow, or not be `Send`.
fn owns_its_arguments(input: &Input) -> bool {
    let is_type = |param: &GenericParam| matches!(param, GenericParam::Type(_));
    !input.sig.generics.params.iter().any(is_type)
        && !input.sig.inputs.iter().any(|arg| of_argument(arg).is_some() || is_unnamed(arg))
}

fn is_unnamed(arg: &FnArg) -> bool {
    struct Unnamed(bool);
    impl Visit<'_> for Unnamed {
        fn visit_type_impl_trait(&mut self, _: &TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut unnamed = Unnamed(false);
    unnamed.visit_fn_arg(arg);
    unnamed.0
}

enum Borrow<'a> {
    Receiver(&'a Receiver),
    Reference(&'a TypeReference),
    Lifetime(&'a Lifetime),
}

impl Borrow<'_> {
    fn is_written(&self) -> bool {
        match self {
            Self::Receiver(receiver) => {
                matches!(receiver.kind, ReceiverKind::Reference(_, _, Some(_)))
            }
            Self::Reference(reference) => reference.mutability.is_some(),
            Self::Lifetime(_) => false,
        }
    }

    fn instead(&self) -> String {
        match self {
            Self::Receiver(_) => "`self: Arc<Self>`".into(),
            Self::Reference(reference) => owned(&reference.elem),
            Self::Lifetime(lifetime) => format!("a type without `{lifetime}`"),
        }
    }
}

impl ToTokens for Borrow<'_> {
    fn to_tokens(&self, tokens: &mut proc_macro2::TokenStream) {
        match self {
            Self::Receiver(receiver) => receiver.to_tokens(tokens),
            Self::Reference(reference) => reference.to_tokens(tokens),
            Self::Lifetime(lifetime) => lifetime.to_tokens(tokens),
        }
    }
}

fn of_argument(arg: &FnArg) -> Option<Borrow<'_>> {
    let ty = match arg {
        FnArg::Typed(arg) => &arg.ty,
        FnArg::Receiver(receiver) => match &receiver.kind {
            ReceiverKind::Reference(_, lifetime, _) => {
                let is_static = lifetime.as_ref().is_some_and(is_static);
                return (!is_static).then_some(Borrow::Receiver(receiver));
            }
            ReceiverKind::Typed(_, ty) => ty,
            _ => return None,
        },
    };
    let mut found = First(None);
    found.visit_type(ty);
    found.0
}

/// The first borrow in a type.
struct First<'a>(Option<Borrow<'a>>);

impl<'a> Visit<'a> for First<'a> {
    fn visit_type_reference(&mut self, reference: &'a TypeReference) {
        if reference.lifetime.as_ref().is_some_and(is_static) {
            visit::visit_type_reference(self, reference);
        } else {
            self.0.get_or_insert(Borrow::Reference(reference));
        }
    }

    fn visit_lifetime(&mut self, lifetime: &'a Lifetime) {
        if !is_static(lifetime) {
            self.0.get_or_insert(Borrow::Lifetime(lifetime));
        }
    }

    // The lifetimes of these are their own.
    fn visit_trait_bound(&mut self, bound: &'a TraitBound) {
        if bound.lifetimes.is_none() {
            visit::visit_trait_bound(self, bound);
        }
    }
    fn visit_bound_lifetimes(&mut self, _: &'a BoundLifetimes) {}
    fn visit_type_fn_ptr(&mut self, _: &'a TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments(&mut self, _: &'a ParenthesizedGenericArguments) {}
}
