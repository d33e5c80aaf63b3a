//! What `--share` takes out of a report: the names and addresses of hosts, users and the namespace.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::facts::{Facts, Server};

/// Names, longer ones first, with what stands in their place.
#[derive(Debug, Default)]
pub(super) struct Hidden(Option<Vec<(String, String)>>);

impl Hidden {
    /// Hides nothing.
    pub(super) fn nothing() -> Self {
        Self(None)
    }

    pub(super) fn of(facts: &Facts) -> Self {
        let shape = &facts.target.shape;
        let known = shape.addresses.iter().map(String::as_str);
        let found = facts.servers.iter().map(Server::address);
        let unreached = facts.unreached.iter().map(|(address, _)| address.as_str());
        let mut hosts: Vec<&str> = known
            .chain(found)
            .chain(unreached)
            .map(|address| address.rsplit_once(':').map_or(address, |(host, _)| host))
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        let hosts = hosts.into_iter().enumerate();
        let mut names: Vec<_> =
            hosts.map(|(at, host)| (host.to_owned(), format!("host-{}", at + 1))).collect();
        let mut hide = |name: &Option<String>, by: &str| {
            names.extend(name.iter().map(|name| (name.clone(), by.to_owned())));
        };
        hide(&facts.admin, "http://host-of-the-application");
        hide(&shape.username, "user");
        hide(&shape.master, "master-name");
        let is_chosen = shape.namespace != "cache";
        hide(&is_chosen.then(|| shape.namespace.clone()), "namespace");
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self(Some(names))
    }

    pub(super) fn text(&self, text: &str) -> String {
        let Some(names) = &self.0 else { return text.to_owned() };
        let replaced = |text: String, (name, by): &(String, String)| replace_word(&text, name, by);
        // Without colours, whose codes would end in a letter before a name.
        let plain = anstream::adapter::strip_str(text).to_string();
        without_addresses(&names.iter().fold(plain, replaced))
    }

    /// Hides in the texts of a value, and not in its names.
    pub(super) fn json(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.json(field)),
            _ => {}
        }
    }
}

/// Replaces a name where it is no part of a longer word.
fn replace_word(text: &str, name: &str, by: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let (mut result, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(name).filter(|_| !name.is_empty()) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let begins = before.chars().next_back().or_else(|| result.chars().next_back());
        let inside = begins.is_some_and(is_word) || after.chars().next().is_some_and(is_word);
        result.push_str(before);
        result.push_str(if inside { name } else { by });
        rest = after;
    }
    result.push_str(rest);
    result
}

/// Replaces addresses of the internet protocol.
fn without_addresses(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_hexdigit() || ".:[]".contains(c);
    let mut result = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if is_part(c) {
            word.push(c);
            continue;
        }
        // A colon may end a part of the sentence.
        let bare = word.trim_end_matches([':', '.']);
        let is_address = bare.parse::<IpAddr>().is_ok() || bare.parse::<SocketAddr>().is_ok();
        result.push_str(if is_address { "address" } else { bare });
        result.push_str(&word[bare.len()..]);
        result.push(c);
        word.clear();
    }
    result.pop();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hidden_as_words_and_addresses_everywhere() {
        let names = [("redis", "host-1"), ("shop", "namespace")];
        let names = names.map(|(name, by)| (name.to_owned(), by.to_owned()));
        let hidden = Hidden(Some(names.to_vec()));
        let text = "redis-cli -h redis: 10.0.0.5:6379, [::1]:1, ~shop:*, shopping, 7.0, fe80::1";
        let expected =
            "redis-cli -h host-1: address, address, ~namespace:*, shopping, 7.0, address";
        assert_eq!(hidden.text(text), expected);
        let mut json = serde_json::json!({ "shop": ["redis", 1] });
        hidden.json(&mut json);
        assert_eq!(json, serde_json::json!({ "shop": ["host-1", 1] }));
        assert_eq!(Hidden::nothing().text(text), text);
    }
}
