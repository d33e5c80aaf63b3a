//! Second stage: the function under the attribute, with what the later stages ask about it.

pub(crate) mod async_trait;
pub(crate) mod attrs;
mod item;
pub(crate) mod pattern;

use proc_macro2::{Group, TokenStream};
use syn::ext::IdentExt;
use syn::{FnArg, Ident, Pat, PatType, Receiver, ReturnType, Signature, Type, Visibility};

use crate::attribute::Attribute;
use crate::errors::Errors;

use async_trait::BoxedFn;
use item::{End, Function, other_item, without_inner_attributes};

/// The function under the attribute.
pub(crate) struct Input {
    pub(crate) attrs: Vec<syn::Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) form: Form,
    /// The names that the arguments bind, in order; without `self`.
    pub(crate) args: Vec<Arg>,
}

/// A name that an argument binds.
pub(crate) struct Arg {
    pub(crate) ident: Ident,
    /// `#[cfg]`s on the argument, which its part of the key repeats: where the argument is not compiled,
    /// neither is the part.
    pub(crate) cfgs: Vec<syn::Attribute>,
    /// `#[allow]`, `#[warn]`, `#[deny]` and `#[forbid]` on the argument.
    pub(crate) lints: Vec<syn::Attribute>,
}

/// How the function is asynchronous.
pub(crate) enum Form {
    Async(Group),
    /// As `#[async_trait]` rewrites it.
    Boxed(Box<BoxedFn>),
    /// It is not, which `check` reports.
    Sync(Group),
}

impl Form {
    /// The names that an argument binds in the pattern that the user wrote, which `#[async_trait]` moves
    /// into the body.
    pub(crate) fn names(&self, given: &Pat) -> Vec<Ident> {
        let pattern = match self {
            Self::Boxed(boxed) => boxed.pattern(given),
            _ => Some(given),
        };
        pattern.map(pattern::names).unwrap_or_default()
    }
}

impl Input {
    /// `None` if the item is no function with a body, which is reported.
    pub(crate) fn parse(
        item: TokenStream,
        attribute: Attribute,
        errors: &mut Errors,
    ) -> Option<Self> {
        if let Some(keyword) = other_item(item.clone()) {
            errors.on(keyword, format!("`{attribute}` goes on an `async fn`"));
            return None;
        }
        let function = errors.ok(syn::parse2::<Function>(item))?;
        match function.end {
            End::Body(body) => Some(Self::new(function.attrs, function.vis, function.sig, body)),
            End::Semi(semi) => {
                let nothing = attribute.without_a_body();
                errors.on(semi, format!("{nothing}: put `{attribute}` on the implementation"));
                None
            }
        }
    }

    fn new(
        mut attrs: Vec<syn::Attribute>,
        vis: Visibility,
        mut sig: Signature,
        body: Group,
    ) -> Self {
        for arg in &mut sig.inputs {
            let (FnArg::Typed(PatType { attrs, .. }) | FnArg::Receiver(Receiver { attrs, .. })) =
                arg;
            attrs.iter_mut().for_each(attrs::without_expectation);
        }
        let (inner, body) = without_inner_attributes(body);
        attrs.extend(inner);
        let form = match async_trait::parse(&sig, &body) {
            _ if sig.asyncness.is_some() => Form::Async(body),
            Some(boxed) => Form::Boxed(Box::new(boxed)),
            None => Form::Sync(body),
        };
        let args = args(&sig, &form);
        Self { attrs, vis, sig, form, args }
    }

    pub(crate) fn receiver(&self) -> Option<&Receiver> {
        self.sig.receiver()
    }

    /// The argument of that name. `type` finds `r#type`.
    pub(crate) fn arg(&self, name: &str) -> Option<&Arg> {
        self.args.iter().find(|arg| arg.ident.unraw() == name)
    }

    /// The type that the function resolves to; `None` if it has no `->`, which means `()`.
    pub(crate) fn output(&self) -> Option<&Type> {
        match (&self.form, &self.sig.output) {
            (Form::Boxed(boxed), _) => Some(&boxed.output),
            (_, ReturnType::Type(_, output)) => Some(output),
            (_, ReturnType::Default) => None,
        }
    }
}

fn args(sig: &Signature, form: &Form) -> Vec<Arg> {
    let typed = sig.inputs.iter().filter_map(|arg| match arg {
        FnArg::Typed(arg) => Some(arg),
        FnArg::Receiver(_) => None,
    });
    let mut args = Vec::new();
    for PatType { attrs, pat, .. } in typed {
        let only = |is_one: fn(&syn::Attribute) -> bool| -> Vec<syn::Attribute> {
            attrs.iter().filter(|attr| is_one(attr)).cloned().collect()
        };
        let (cfgs, lints) = (only(attrs::is_cfg), only(attrs::is_lint_level));
        for ident in form.names(pat) {
            args.push(Arg { ident, cfgs: cfgs.clone(), lints: lints.clone() });
        }
    }
    args
}
