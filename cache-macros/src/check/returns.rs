//! Return types, as far as their tokens tell. Whether the type implements the serde traits is left to
//! the compiler, by the bounds in the expansion.

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{
    BoundLifetimes, GenericArgument, Lifetime, ParenthesizedGenericArguments, PathArguments,
    PathSegment, TraitBound, Type, TypeFnPtr, TypeImplTrait, TypeReference,
};

use crate::errors::Errors;
use crate::input::Input;

pub(crate) fn cached(input: &Input, errors: &mut Errors) {
    match input.output() {
        None => errors.on(&input.sig.ident, NOTHING),
        Some(Type::Tuple(tuple)) if tuple.elems.is_empty() => errors.on(&input.sig.ident, NOTHING),
        Some(never @ Type::Never(_)) => {
            errors.on(never, "nothing to cache: this function never returns");
        }
        Some(output) => Output { errors, is_error: false }.visit_type(output),
    }
}

/// A function that writes may return any type but `impl Trait` and `!`.
pub(crate) fn writing(input: &Input, errors: &mut Errors) {
    match input.output() {
        Some(never @ Type::Never(_)) => {
            errors.on(never, "this function never returns, and would invalidate only when dropped");
        }
        Some(output) => ImplTrait(errors).visit_type(output),
        None => {}
    }
}

struct ImplTrait<'a>(&'a mut Errors);

impl Visit<'_> for ImplTrait<'_> {
    fn visit_type_impl_trait(&mut self, ty: &TypeImplTrait) {
        self.0.on(ty, "name the type: what is returned says whether the function has succeeded");
    }
}

const NOTHING: &str = "nothing to cache: this function returns `()`";

struct Output<'a> {
    errors: &'a mut Errors,
    /// Inside the error type of a `Result`, which is never stored and may therefore be `&'static str`.
    is_error: bool,
}

impl Visit<'_> for Output<'_> {
    fn visit_type_reference(&mut self, reference: &TypeReference) {
        let is_static = reference.lifetime.as_ref().is_some_and(is_static);
        if self.is_error && is_static {
            return visit::visit_type_reference(self, reference);
        }
        let owned = owned(&reference.elem);
        let message =
            format!("a cached value outlives the call and must be owned; return {owned} instead");
        self.errors.on(reference, message);
    }

    fn visit_lifetime(&mut self, lifetime: &Lifetime) {
        if !is_static(lifetime) {
            let message = format!(
                "a cached value outlives the call and must be owned; return a type without `{lifetime}` instead"
            );
            self.errors.on(lifetime, message);
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &TypeImplTrait) {
        let message = "name the type: a value read back from Redis has to be built without the \
                       function; of a response, cache the function that returns its data";
        self.errors.on(ty, message);
    }

    fn visit_path_segment(&mut self, segment: &PathSegment) {
        match &segment.arguments {
            PathArguments::AngleBracketed(list)
                if segment.ident == "Result" && list.args.len() == 2 =>
            {
                self.visit_generic_argument(&list.args[0]);
                self.visit_error(&list.args[1]);
            }
            _ => visit::visit_path_segment(self, segment),
        }
    }

    // These may bind lifetimes of their own (`for<'a>`, `fn(&u8)`, `Fn(&u8)`), which borrow nothing.
    fn visit_trait_bound(&mut self, bound: &TraitBound) {
        if bound.lifetimes.is_none() {
            visit::visit_trait_bound(self, bound);
        }
    }
    fn visit_bound_lifetimes(&mut self, _: &BoundLifetimes) {}
    fn visit_type_fn_ptr(&mut self, _: &TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments(&mut self, _: &ParenthesizedGenericArguments) {}
}

impl Output<'_> {
    fn visit_error(&mut self, error: &GenericArgument) {
        let outer = std::mem::replace(&mut self.is_error, true);
        self.visit_generic_argument(error);
        self.is_error = outer;
    }
}

pub(crate) fn is_static(lifetime: &Lifetime) -> bool {
    lifetime.ident == "static"
}

/// The owned counterpart of a borrowed type, for messages.
pub(crate) fn owned(borrowed: &Type) -> String {
    match borrowed {
        Type::Slice(slice) => simple(&slice.elem).map(|elem| format!("`Vec<{elem}>`")),
        Type::Path(_) => simple(borrowed).map(|name| match name.as_str() {
            "str" => "`String`".into(),
            "Path" => "`PathBuf`".into(),
            _ => format!("`{name}`"),
        }),
        _ => None,
    }
    .unwrap_or_else(|| "an owned type".into())
}

fn simple(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => path.path.get_ident().map(|name| name.to_token_stream().to_string()),
        _ => None,
    }
}
