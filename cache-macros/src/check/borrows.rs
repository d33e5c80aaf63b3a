//! Borrowed arguments, which a background refresh cannot use: it outlives the call.

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{
    BoundLifetimes, FnArg, GenericParam, Ident, Lifetime, ParenthesizedGenericArguments, Receiver,
    ReceiverKind, TraitBound, TypeFnPtr, TypeImplTrait, TypeReference,
};

use super::returns::{is_static, owned};
use crate::errors::Errors;
use crate::input::Input;
use crate::parse::options::Options;
use crate::vocabulary::quoted;

/// Reports each argument that is borrowed, if `stale_while_revalidate` asks for a background refresh.
pub(crate) fn check(options: &Options, input: &Input, errors: &mut Errors) {
    if options.stale_while_revalidate.name().is_none() {
        return;
    }
    for arg in &input.sig.inputs {
        // `arguments` reports `&mut`.
        let Some(borrow) = of_argument(arg).filter(|borrow| !borrow.is_mutable()) else {
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

/// The option that asks for background refreshes: `stale_while_revalidate`, or `refresh_ahead` if the
/// arguments are owned. With borrowed ones `refresh_ahead` refreshes on the caller's path.
pub(crate) fn background_refresh<'a>(options: &'a Options, input: &Input) -> Option<&'a Ident> {
    let ahead = options.refresh_ahead.name().filter(|_| owns_its_arguments(input));
    options.stale_while_revalidate.name().or(ahead)
}

/// A type parameter counts as borrowed: its type may borrow, or not be `Send`.
fn owns_its_arguments(input: &Input) -> bool {
    let is_type = |param: &GenericParam| matches!(param, GenericParam::Type(_));
    !input.sig.generics.params.iter().any(is_type)
        && !input.sig.inputs.iter().any(|arg| of_argument(arg).is_some() || has_impl_trait(arg))
}

fn has_impl_trait(arg: &FnArg) -> bool {
    struct ImplTrait(bool);
    impl Visit<'_> for ImplTrait {
        fn visit_type_impl_trait(&mut self, _: &TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut found = ImplTrait(false);
    found.visit_fn_arg(arg);
    found.0
}

/// The token that makes an argument a borrowed one.
enum Borrow<'a> {
    Receiver(&'a Receiver),
    Reference(&'a TypeReference),
    Lifetime(&'a Lifetime),
}

impl Borrow<'_> {
    fn is_mutable(&self) -> bool {
        match self {
            Self::Receiver(receiver) => {
                matches!(receiver.kind, ReceiverKind::Reference(_, _, Some(_)))
            }
            Self::Reference(reference) => reference.mutability.is_some(),
            Self::Lifetime(_) => false,
        }
    }

    /// The argument's owned form, for the message.
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

    // These may bind lifetimes of their own (`for<'a>`, `fn(&u8)`, `Fn(&u8)`), which borrow nothing.
    fn visit_trait_bound(&mut self, bound: &'a TraitBound) {
        if bound.lifetimes.is_none() {
            visit::visit_trait_bound(self, bound);
        }
    }
    fn visit_bound_lifetimes(&mut self, _: &'a BoundLifetimes) {}
    fn visit_type_fn_ptr(&mut self, _: &'a TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments(&mut self, _: &'a ParenthesizedGenericArguments) {}
}
