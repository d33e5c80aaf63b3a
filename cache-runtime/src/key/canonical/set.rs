//! Which types have no order of their own, by their names.
//!
//! Serde hands over a `HashSet` as it does a `Vec`, in the order of its buckets, which differs between
//! two equal sets. Where a compiler calls the type otherwise, two equal sets have two keys; no type of
//! anybody's own has these names, so that no order that counts is lost.

const SETS: [&str; 2] = ["std::collections::hash::set::HashSet<", "hashbrown::set::HashSet<"];

/// Those that hand their content to serde as if it stood alone.
const AROUND: [&str; 4] =
    ["alloc::boxed::Box<", "alloc::sync::Arc<", "alloc::rc::Rc<", "alloc::borrow::Cow<"];

/// Whether a type is a set without an order, or one behind references and smart pointers.
pub(super) fn is_one(name: &str) -> bool {
    let mut name = name;
    loop {
        let inner = AROUND.iter().find_map(|around| name.strip_prefix(around));
        let inner = inner.or_else(|| name.strip_prefix('&')).or_else(|| name.strip_prefix("mut "));
        match inner {
            Some(inner) => name = without_lifetime(inner),
            None => return SETS.iter().any(|set| name.starts_with(set)),
        }
    }
}

/// Some compilers print lifetimes: `&'_ T`, `Cow<'_, T>`.
fn without_lifetime(name: &str) -> &str {
    let Some(lifetime) = name.strip_prefix('\'') else { return name };
    let after = lifetime.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
    after.trim_start_matches([',', ' '])
}

#[cfg(test)]
mod tests {
    use super::is_one;

    #[test]
    fn a_set_is_known_behind_pointers_and_nothing_else_is_taken_for_one() {
        for (name, expected) in [
            ("std::collections::hash::set::HashSet<u8>", true),
            ("&std::collections::hash::set::HashSet<u8>", true),
            ("&'_ &'_ mut std::collections::hash::set::HashSet<u8>", true),
            ("alloc::sync::Arc<std::collections::hash::set::HashSet<&str>>", true),
            ("alloc::borrow::Cow<'_, hashbrown::set::HashSet<u8>>", true),
            ("alloc::boxed::Box<&hashbrown::set::HashSet<u8>>", true),
            ("alloc::vec::Vec<std::collections::hash::set::HashSet<u8>>", false),
            ("app::HashSet<u8>", false),
            ("app::std::collections::hash::set::HashSet<u8>", false),
            ("alloc::collections::btree::set::BTreeSet<u8>", false),
            ("indexmap::set::IndexSet<u8>", false),
            ("[u8]", false),
            ("&'_ str", false),
        ] {
            assert_eq!(is_one(name), expected, "{name}");
        }
    }
}
