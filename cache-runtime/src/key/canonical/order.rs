//! Unordered sets and ordered maps, recognized by the names of their types.
//!
//! A `HashSet` is serialized like a `Vec`, in the order of its buckets, which differs between two equal
//! sets. If a compiler names the type differently, two equal sets get two keys, which costs a miss. No
//! type of an application has one of these names, so no list is sorted by mistake.
//!
//! An ordered map is serialized like a `HashMap`. A function may read the order (the `sort` document of a
//! database is such a map), so two orders get two keys.

const SETS: [&str; 2] = ["std::collections::hash::set::HashSet<", "hashbrown::set::HashSet<"];

/// The default maps of `serde_json` and `toml` are sorted by their keys: equal ones have one order.
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

/// Types that serialize as the one value in them.
const TRANSPARENT: [&str; 10] = [
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

/// Whether a type is an unordered set, or one behind references, smart pointers and locks.
pub(super) fn is_unordered_set(name: &str) -> bool {
    let name = innermost(name);
    SETS.iter().any(|set| name.starts_with(set))
}

/// Whether a type is an ordered map, or one behind references, smart pointers and locks.
pub(super) fn is_ordered_map(name: &str) -> bool {
    let name = innermost(name);
    ORDERED_MAPS.iter().any(|map| name.starts_with(map))
}

/// The type behind references, smart pointers and locks, with the brackets that close them.
fn innermost(mut name: &str) -> &str {
    loop {
        let inner = TRANSPARENT.iter().find_map(|outer| name.strip_prefix(outer));
        let inner = inner.or_else(|| name.strip_prefix('&')).or_else(|| name.strip_prefix("mut "));
        match inner {
            Some(inner) => name = without_lifetime(inner),
            None => return name,
        }
    }
}

/// Takes off the lifetime at the beginning, which some compilers print: `&'_ T`, `Cow<'_, T>`.
fn without_lifetime(name: &str) -> &str {
    let Some(lifetime) = name.strip_prefix('\'') else { return name };
    let after = lifetime.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
    after.trim_start_matches([',', ' '])
}

#[cfg(test)]
mod tests {
    use super::{is_ordered_map, is_unordered_set};

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
            assert_eq!(is_unordered_set(name), expected, "{name}");
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
            assert_eq!(is_ordered_map(name), expected, "{name}");
        }
    }
}
