//! Arguments: none may be written through, and all names that they bind have to be visible.

use syn::visit::{self, Visit};
use syn::{FnArg, Receiver, ReceiverKind, Type, TypeFnPtr, TypeParamBound, TypeReference};

use crate::errors::Errors;
use crate::input::{Input, pattern};

pub(crate) fn check(input: &Input, errors: &mut Errors) {
    let lost =
        "a hit skips the body, so what it would write through `&mut` is lost; return it instead";
    for arg in &input.sig.inputs {
        match arg {
            FnArg::Receiver(receiver) if is_mutable(receiver) => errors.on(receiver, lost),
            FnArg::Typed(arg) => {
                if has_mutable_reference(&arg.ty) {
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

fn is_mutable(receiver: &Receiver) -> bool {
    match &receiver.kind {
        ReceiverKind::Reference(_, _, mutability) => mutability.is_some(),
        ReceiverKind::Typed(_, ty) => has_mutable_reference(ty),
        _ => false,
    }
}

fn has_mutable_reference(ty: &Type) -> bool {
    let mut found = MutableReference(false);
    found.visit_type(ty);
    found.0
}

struct MutableReference(bool);

impl Visit<'_> for MutableReference {
    fn visit_type_reference(&mut self, reference: &TypeReference) {
        self.0 |= reference.mutability.is_some();
        visit::visit_type_reference(self, reference);
    }

    // The `&mut` in `fn(&mut T)` and `impl Fn(&mut T)` is an argument of that function, no borrow here.
    fn visit_type_fn_ptr(&mut self, _: &TypeFnPtr) {}
    fn visit_type_param_bound(&mut self, _: &TypeParamBound) {}
}
