//! Which sets have no order, and in which maps the order counts, by the names of the types.
//!
//! Serde hands over a `HashSet` as it does a `Vec`, in the order of its buckets, which differs between
//! two equal sets. Where a compiler calls the type otherwise, two equal sets have two keys; no type of
//! an application has these names, so that no order that counts is lost.
//!
//! Serde hands over an ordered map as it does a `HashMap`. A function may read the order (`sort` of a
//! database is such a document), so two orders are two keys.

const SETS: [&str; 2] = ["std::collections::hash::set::HashSet<", "hashbrown::set::HashSet<"];

/// The default maps of `serde_json` and `toml` are sorted by their keys, so that keeping their order
/// loses nothing.
const ORDERED_MAPS: [&str; 12] = [
    "indexmap::map::IndexMap<",
    "ordermap::map::OrderMap<",
    "linked_hash_map::LinkedHashMap<",
    "hashlink::linked_hash_map::LinkedHashMap<",
    "bson::",
    "serde_json::value::Value",
    "serde_json::map::Map<",
    "toml::value::Value",
    "toml::map::Map<",
    "serde_yaml::value::Value",
    "serde_yaml::mapping::Mapping",
    "rmpv::Value",
];

/// Those that hand their content to serde as if it stood alone.
const AROUND: [&str; 10] = [
    "alloc::boxed::Box<",
    "alloc::sync::Arc<",
    "alloc::rc::Rc<",
    "alloc::borrow::Cow<",
    "core::cell::RefCell<",
    "core::cmp::Reverse<",
    "std::sync::mutex::Mutex<",
    "std::sync::poison::mutex::Mutex<",
    "std::sync::rwlock::RwLock<",
    "std::sync::poison::rwlock::RwLock<",
];

/// Whether a type is a set without an order, or one behind references, smart pointers and locks.
pub(super) fn is_set(name: &str) -> bool {
    let name = innermost(name);
    SETS.iter().any(|set| name.starts_with(set))
}

/// Whether a type is a map whose order counts, or one behind references, smart pointers and locks.
pub(super) fn counts(name: &str) -> bool {
    let name = innermost(name);
    ORDERED_MAPS.iter().any(|map| name.starts_with(map))
}

fn innermost(mut name: &str) -> &str {
    loop {
        let inner = AROUND.iter().find_map(|around| name.strip_prefix(around));
        let inner = inner.or_else(|| name.strip_prefix('&')).or_else(|| name.strip_prefix("mut "));
        match inner {
            Some(inner) => name = without_lifetime(inner),
            None => return name,
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
    use super::{counts, is_set};

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
            assert_eq!(is_set(name), expected, "{name}");
        }
    }

    #[test]
    fn an_ordered_map_is_known_behind_pointers_and_any_other_is_not_taken_for_one() {
        for (name, expected) in [
            ("indexmap::map::IndexMap<u8, u8>", true),
            ("&'_ bson::document::Document", true),
            ("bson::bson::Bson", true),
            ("alloc::sync::Arc<serde_json::value::Value>", true),
            ("serde_json::map::Map<alloc::string::String, serde_json::value::Value>", true),
            ("linked_hash_map::LinkedHashMap<u8, u8>", true),
            ("toml::map::Map<alloc::string::String, toml::value::Value>", true),
            ("ordermap::map::OrderMap<u8, u8>", true),
            ("std::collections::hash::map::HashMap<u8, u8>", false),
            ("alloc::vec::Vec<bson::document::Document>", false),
            ("app::bson::Document", false),
            ("app::Flattened", false),
        ] {
            assert_eq!(counts(name), expected, "{name}");
        }
    }
}
