//! The names that compilers print for a function, brought into one form.
//!
//! `type_name` promises no form. Between versions of the compiler it has differed in how lifetimes are
//! printed, in whether a crate carries its hash, and in how closures and impls are marked.

use std::fmt::Write as _;

/// The name of a function, from the type name of a closure in its body: without lifetimes, hashes of crates
/// and the closures at its end, and with an impl named by its type and trait, wherever the impl is.
///
/// Two functions of one program get one name only where the compiler gives them one, or where they differ
/// in lifetimes of type parameters alone, on which the value of a function cannot depend.
pub(super) fn normalized(name: &str) -> String {
    let name = without_lifetimes(name);
    let name = with_impl_by_type(&name);
    let mut name = name.as_str();
    while let Some(outer) = name.strip_suffix("::{{closure}}") {
        name = outer;
    }
    name.to_owned()
}

/// The generic arguments in the name of a function that has an id; empty where it is not generic. A function
/// is generic where an item in its body, whose type name is `here` and leaves them out, has another path
/// than a closure in its body.
pub(super) fn generic_arguments(name: &str, here: &str) -> String {
    let name = normalized(name);
    let here = here.rsplit_once("::").map_or(here, |(outer, _)| outer);
    if normalized(here) == name {
        return String::new();
    }
    let (mut parameters, mut rest) = (String::new(), name.as_str());
    while let Some(open) = rest.find('<') {
        let end = closing(&rest[open..]).map_or(rest.len(), |length| open + length + 1);
        parameters.push_str(&rest[open..end]);
        rest = &rest[end..];
    }
    parameters
}

/// Takes out lifetimes and hashes of crates, and the numbers of closures. A character that is a const
/// argument is written as its number, since it may be a bracket or a quote.
fn without_lifetimes(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        if let Some((character, after)) = character(rest) {
            let _ = write!(out, "'{}'", u32::from(character));
            rest = after;
        } else if c == '\'' {
            rest = lifetime(rest, &mut out);
        } else if let Some(after) = hash(rest).filter(|_| out.ends_with(is_of_a_word)) {
            rest = after;
        } else if let Some(after) = numbered_closure(rest) {
            out.push_str("{{closure}}");
            rest = after;
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Reads `'x'`: the character, and the text behind it.
fn character(rest: &str) -> Option<(char, &str)> {
    let mut chars = rest.strip_prefix('\'')?.chars();
    let first = chars.next()?;
    if first != '\\' {
        return chars.as_str().strip_prefix('\'').map(|after| (first, after));
    }
    let inside = chars.as_str();
    let end = inside.char_indices().skip(1).find(|(_, c)| *c == '\'')?.0;
    let escape = &inside[..end];
    let hex = escape.strip_prefix("u{").and_then(|hex| hex.strip_suffix('}'));
    let number = hex.or(escape.strip_prefix('x')).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let short = match escape {
        "n" => Some('\n'),
        "r" => Some('\r'),
        "t" => Some('\t'),
        "0" => Some('\0'),
        _ => escape.chars().next(),
    };
    let character = number.map_or(short, char::from_u32)?;
    Some((character, &inside[end + 1..]))
}

/// Passes over the lifetime that `rest` begins with, and over the separators and brackets that would be
/// left of it: returns the text behind, and takes them off `out`.
fn lifetime<'n>(rest: &'n str, out: &mut String) -> &'n str {
    let rest = rest[1..].trim_start_matches(is_of_a_word);
    // `dyn Trait + 'a`
    if let Some(length) = out.strip_suffix(" + ").map(str::len) {
        out.truncate(length);
        return rest;
    }
    // `Type<'a, T>`, `for<'a, 'b> fn(..)` and `&'a T`
    let rest = rest.strip_prefix(", ").or_else(|| rest.strip_prefix(' ')).unwrap_or(rest);
    let Some(after) = rest.strip_prefix('>').filter(|_| out.ends_with('<')) else { return rest };
    out.pop();
    match out.strip_suffix("for").map(str::len) {
        Some(length) if !out[..length].ends_with(is_of_a_word) => {
            out.truncate(length);
            after.strip_prefix(' ').unwrap_or(after)
        }
        _ => after,
    }
}

/// Passes over `[1a2b3c4d]`, the hash behind the name of a crate.
fn hash(rest: &str) -> Option<&str> {
    let (hash, after) = rest.strip_prefix('[')?.split_once(']')?;
    (hash.len() >= 4 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(after)
}

/// Passes over `{closure#0}`, whose number other compilers do not print.
fn numbered_closure(rest: &str) -> Option<&str> {
    let after = rest.strip_prefix("{closure#")?;
    after.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix('}')
}

/// Names an impl by its type and trait instead of its module: `module::<impl Trait for Type>::f` becomes
/// `<Type as Trait>::f`, as the compiler prints it for an impl beside its type.
fn with_impl_by_type(name: &str) -> String {
    let mut depth = 0;
    let mut before = ' ';
    let mut start = None;
    for (at, c) in name.char_indices() {
        if depth == 0 && name[at..].starts_with("<impl ") {
            start = Some(at);
        }
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        before = c;
    }
    let Some(start) = start else { return name.to_owned() };
    let Some(length) = closing(&name[start..]) else { return name.to_owned() };
    let inside = &name[start + "<impl ".len()..start + length];
    let rest = &name[start + length + 1..];
    match at_the_top(inside, " for ") {
        Some(at) => format!("<{} as {}>{rest}", &inside[at + " for ".len()..], &inside[..at]),
        None if is_a_path(inside) => format!("{inside}{rest}"),
        None => format!("<{inside}>{rest}"),
    }
}

/// Whether a type is a path, rather than a reference, a slice, a trait object or the like.
fn is_a_path(ty: &str) -> bool {
    let word = ty.find(|c| !is_of_a_word(c)).unwrap_or(ty.len());
    word > 0 && ty[word..].starts_with("::")
}

/// Whether a generic argument is a closure or local to one. All closures of a function share one name.
pub(super) fn has_closure_parameter(name: &str) -> bool {
    let name = without_lifetimes(name);
    let mut depth = 0;
    let mut before = ' ';
    for (at, c) in name.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            '{' if depth > 0 && name[at..].starts_with("{{closure}}") => return true,
            _ => {}
        }
        before = c;
    }
    false
}

/// The path of a function, for prefixes and the log, from the type name of a closure in its body: without
/// closures, generic arguments, and the trait of `<Type as Trait>`. Characters that do not belong in a key
/// become `_`.
pub(super) fn path(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    strip(&without_lifetimes(name), &mut path);
    let segments = path.split("::").filter(|segment| !segment.starts_with("{{"));
    let joined = segments.collect::<Vec<_>>().join("::");
    let plain = |c: char| if c.is_alphanumeric() || "_:.-".contains(c) { c } else { '_' };
    joined.chars().map(plain).collect()
}

/// Appends `name` to `path` without generic arguments. A qualified type replaces what is in `path`.
fn strip(name: &str, path: &mut String) {
    let mut rest = name;
    while let Some(open) = rest.find('<') {
        path.push_str(&rest[..open]);
        let close = closing(&rest[open..]).map_or(rest.len(), |length| open + length);
        if path.is_empty() || path.ends_with("::") {
            // `module::<impl Trait for Type>` and `<Type as Trait>`: the type's own path is enough.
            let inner = &rest[open + 1..close.max(open + 1)];
            let inner = inner.strip_prefix("impl ").unwrap_or(inner);
            path.clear();
            strip(self_type(inner), path);
        }
        rest = rest.get(close + 1..).unwrap_or_default();
    }
    path.push_str(rest);
}

/// The position of the bracket that closes the one at the beginning of `text`. The `>` of `->` is none.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
        before = c;
    }
    None
}

/// The `Type` in `Type as Trait` or in `Trait for Type`; otherwise all of `inner`.
fn self_type(inner: &str) -> &str {
    if let Some(at) = at_the_top(inner, " as ") {
        return &inner[..at];
    }
    at_the_top(inner, " for ").map_or(inner, |at| &inner[at + " for ".len()..])
}

/// The position of `word` outside of all brackets.
fn at_the_top(text: &str, word: &str) -> Option<usize> {
    text.match_indices(word).map(|(at, _)| at).find(|&at| {
        let before = &text[..at];
        let closed = before.matches('>').count() - before.matches("->").count();
        before.matches('<').count() == closed
    })
}

#[cfg(test)]
mod tests;
