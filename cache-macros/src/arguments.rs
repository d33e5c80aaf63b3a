//! What the arguments of a cached function must not be.

use syn::visit::{self, Visit};
use syn::{FnArg, Receiver, ReceiverKind, Type, TypeFnPtr, TypeParamBound, TypeReference};

use crate::errors::Errors;
use crate::input::Input;
use crate::pattern;

pub(crate) fn check(input: &Input, errors: &mut Errors) {
    let lost =
        "a hit skips the body, so what it would write through `&mut` is lost; return it instead";
    for arg in &input.sig.inputs {
        match arg {
            FnArg::Receiver(receiver) if writes_self(receiver) => errors.on(receiver, lost),
            FnArg::Typed(arg) => {
                if is_written(&arg.ty) {
                    errors.on(&arg.ty, lost);
                }
                if pattern::is_opaque(&arg.pat) {
                    let message = "the names that this pattern binds cannot be seen; give the argument a name";
                    errors.on(&arg.pat, message);
                }
            }
            FnArg::Receiver(_) => {}
        }
    }
}

fn writes_self(receiver: &Receiver) -> bool {
    match &receiver.kind {
        ReceiverKind::Reference(_, _, mutability) => mutability.is_some(),
        ReceiverKind::Typed(_, ty) => is_written(ty),
        _ => false,
    }
}

fn is_written(ty: &Type) -> bool {
    let mut written = Written(false);
    written.visit_type(ty);
    written.0
}

struct Written(bool);

impl Visit<'_> for Written {
    fn visit_type_reference(&mut self, reference: &TypeReference) {
        self.0 |= reference.mutability.is_some();
        visit::visit_type_reference(self, reference);
    }

    // What a function or a trait takes is not borrowed from here.
    fn visit_type_fn_ptr(&mut self, _: &TypeFnPtr) {}
    fn visit_type_param_bound(&mut self, _: &TypeParamBound) {}
}
