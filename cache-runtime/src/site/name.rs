//! What the compiler calls a function, made the same whichever compiler it is.
//!
//! `type_name` promises nothing. Between versions it has differed in how lifetimes are printed, in
//! whether a crate carries its hash, and in how a closure and an impl are marked.

use std::fmt::Write as _;

/// The name of the function that a closure in its body has the name of: without lifetimes, hashes of
/// crates and the closures at its end, and with an impl named by its type and trait, wherever it is.
/// Two functions of one program have one name only where the compiler gives them one; the lifetimes
/// of type parameters apart, by which a function cannot differ in what it returns.
pub(super) fn normal(name: &str) -> String {
    let name = without_lifetimes(name);
    let name = of_impl(&name);
    let mut name = name.as_str();
    while let Some(outer) = name.strip_suffix("::{{closure}}") {
        name = outer;
    }
    name.to_owned()
}

/// What of a name belongs to a function that has an id: nothing, or its type parameters where it is
/// generic, which it is where an item in its body, `here`, goes by another path than a closure.
pub(super) fn of_id(name: &str, here: &str) -> String {
    let name = normal(name);
    let here = here.rsplit_once("::").map_or(here, |(outer, _)| outer);
    if normal(here) == name {
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

/// Takes out lifetimes and hashes of crates. A character that is a parameter is written as its number,
/// since it may be a bracket or a quote.
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

/// `'x'`, with what follows it.
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

/// Passes over the lifetime that `rest` begins with, and what would be left of its place.
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

/// `[1a2b3c4d]` behind the name of a crate.
fn hash(rest: &str) -> Option<&str> {
    let (hash, after) = rest.strip_prefix('[')?.split_once(']')?;
    (hash.len() >= 4 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(after)
}

/// `{closure#0}`, whose number other compilers do not tell.
fn numbered_closure(rest: &str) -> Option<&str> {
    let after = rest.strip_prefix("{closure#")?;
    after.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix('}')
}

/// Names an impl that is not beside its type or trait by these: of `module::<impl Trait for Type>::f`
/// makes `<Type as Trait>::f`.
fn of_impl(name: &str) -> String {
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

/// Whether a type is named by a path, and not a reference, a slice, a trait object or the like.
fn is_a_path(ty: &str) -> bool {
    let word = ty.find(|c| !is_of_a_word(c)).unwrap_or(ty.len());
    word > 0 && ty[word..].starts_with("::")
}

/// Whether a generic argument is a closure, whose name other closures of its function share.
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

/// The path in the type name of a closure: without closures, generic arguments, and the trait of
/// `<Type as Trait>`. Characters that do not belong in a key become `_`.
pub(super) fn path(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    strip(&without_lifetimes(name), &mut path);
    let segments = path.split("::").filter(|segment| !segment.starts_with("{{"));
    let joined = segments.collect::<Vec<_>>().join("::");
    let plain = |c: char| if c.is_alphanumeric() || "_:.-".contains(c) { c } else { '_' };
    joined.chars().map(plain).collect()
}

fn strip(name: &str, path: &mut String) {
    let mut rest = name;
    while let Some(open) = rest.find('<') {
        path.push_str(&rest[..open]);
        let close = closing(&rest[open..]).map_or(rest.len(), |length| open + length);
        if path.is_empty() || path.ends_with("::") {
            // A qualified type stands for everything before it.
            let inner = &rest[open + 1..close.max(open + 1)];
            let inner = inner.strip_prefix("impl ").unwrap_or(inner);
            path.clear();
            strip(self_type(inner), path);
        }
        rest = rest.get(close + 1..).unwrap_or_default();
    }
    path.push_str(rest);
}

/// Where the bracket that begins `text` is closed.
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

/// `Type` of `Type as Trait` and of `Trait for Type`.
fn self_type(inner: &str) -> &str {
    if let Some(at) = at_the_top(inner, " as ") {
        return &inner[..at];
    }
    at_the_top(inner, " for ").map_or(inner, |at| &inner[at + " for ".len()..])
}

/// Where a word stands outside of all brackets.
fn at_the_top(text: &str, word: &str) -> Option<usize> {
    text.match_indices(word).map(|(at, _)| at).find(|&at| {
        let before = &text[..at];
        let closed = before.matches('>').count() - before.matches("->").count();
        before.matches('<').count() == closed
    })
}

#[cfg(test)]
mod tests;
