//! The names that a pattern binds.

use syn::visit::{self, Visit};
use syn::{Expr, Ident, Pat, PatIdent};

/// The names in order, each once: the alternatives of an or-pattern bind the same ones.
pub(crate) fn names(pattern: &Pat) -> Vec<Ident> {
    let mut names = Names(Vec::new());
    names.visit_pat(pattern);
    names.0
}

/// Whether a pattern may bind names that a macro cannot see, which would be missing from the key.
pub(crate) fn is_opaque(pattern: &Pat) -> bool {
    struct Opaque(bool);
    impl Visit<'_> for Opaque {
        fn visit_pat(&mut self, pattern: &Pat) {
            self.0 |= matches!(pattern, Pat::Macro(_) | Pat::Verbatim(_));
            visit::visit_pat(self, pattern);
        }
    }
    let mut opaque = Opaque(false);
    opaque.visit_pat(pattern);
    opaque.0
}

struct Names(Vec<Ident>);

impl Visit<'_> for Names {
    fn visit_pat_ident(&mut self, pattern: &PatIdent) {
        if !self.0.contains(&pattern.ident) {
            self.0.push(pattern.ident.clone());
        }
        visit::visit_pat_ident(self, pattern);
    }

    // Expressions in a pattern (constants, the ends of a range) bind nothing.
    fn visit_expr(&mut self, _: &Expr) {}
}
