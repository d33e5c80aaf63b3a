//! What `--share` takes out of a report: the names and addresses of hosts, users and the namespace.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::facts::{Facts, Server};

/// Names, longer ones first, with what stands in their place.
#[derive(Debug)]
pub(super) struct Hidden(Vec<(String, String)>);

impl Hidden {
    /// The names of the configuration and of the servers, and those that checks have been told.
    pub(super) fn of<'a>(
        facts: &Facts,
        told: impl Iterator<Item = &'a (String, &'static str)>,
    ) -> Self {
        let shape = &facts.target.shape;
        let mut names: Vec<_> = hosts(facts)
            .into_iter()
            .enumerate()
            .map(|(at, host)| (host, format!("host-{}", at + 1)))
            .collect();
        let mut hide = |name: Option<&str>, by: &str| {
            names.extend(name.map(|name| (name.to_owned(), by.to_owned())));
        };
        let admin = facts.admin.as_deref().map(|url| url.trim_end_matches('/'));
        hide(admin, "http://host-of-the-application");
        hide(admin.and_then(host_of_url), "host-of-the-application");
        hide(shape.username.as_deref(), "user");
        hide(facts.target.operator_name.as_deref(), "operator");
        hide(shape.master.as_deref(), "master-name");
        hide(Some(shape.namespace.as_str()).filter(|name| *name != "cache"), "namespace");
        // The name by default tells nothing, and is a word of the program's own texts.
        for (name, by) in told.filter(|(name, _)| name != "cache") {
            hide(Some(name), by);
        }
        names.retain(|(name, _)| !name.is_empty());
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self(names)
    }

    pub(super) fn text(&self, text: &str) -> String {
        let replaced = |text: String, (name, by): &(String, String)| replace_word(&text, name, by);
        let text = self.0.iter().fold(without_certified_names(text), replaced);
        without_addresses(&text)
    }
}

/// Replaces the names that a certificate has, with which rustls ends its message about one that it lacks.
fn without_certified_names(text: &str) -> String {
    match text.split_once("is only valid for ") {
        Some((before, _)) => format!("{before}is only valid for other names"),
        None => text.to_owned(),
    }
}

/// The hosts of servers, of those that were reached and of those that they name, in order.
fn hosts(facts: &Facts) -> BTreeSet<String> {
    let known = facts.target.shape.addresses.iter().map(String::as_str);
    let found = facts.servers.iter().map(Server::address);
    let unreached = facts.unreached.iter().map(|(address, _)| address.as_str());
    let addresses = known.chain(found).chain(unreached);
    let hosts = addresses.map(|address| address.rsplit_once(':').map_or(address, |(host, _)| host));
    let masters = facts.servers.iter().filter_map(|server| {
        let info = server.info.as_ref().ok()?;
        Some(info.text("master_host")).filter(|host| !host.is_empty())
    });
    hosts.chain(masters).map(str::to_owned).collect()
}

fn host_of_url(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let address = rest.split('/').next()?;
    Some(address.rsplit_once(':').map_or(address, |(host, _)| host))
}

/// Replaces a name where it is no part of a longer word.
fn replace_word(text: &str, name: &str, by: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let (mut result, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(name) {
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
    use std::sync::Arc;

    use cache_runtime::__admin::shape;
    use cache_runtime::Config;

    use super::super::super::target::Target;
    use super::*;

    #[test]
    fn names_are_hidden_as_words_and_addresses_everywhere() {
        let names = [("redis", "host-1"), ("shop", "namespace")];
        let names = names.map(|(name, by)| (name.to_owned(), by.to_owned()));
        let hidden = Hidden(names.to_vec());
        let text = "redis-cli -h redis: 10.0.0.5:6379, [::1]:1, ~shop:*, shopping, 7.0, fe80::1";
        let expected =
            "redis-cli -h host-1: address, address, ~namespace:*, shopping, 7.0, address";
        assert_eq!(hidden.text(text), expected);
        let text = "certificate not valid for name \"redis\"; certificate is only valid for DnsName(\"db.x\")";
        assert!(!hidden.text(text).contains("db.x"), "{}", hidden.text(text));
    }

    #[tokio::test]
    async fn what_an_application_has_told_is_hidden_and_its_address() {
        let config = Config::in_memory();
        let target = Target {
            shape: shape(&config),
            config,
            switched_off: false,
            operator: None,
            operator_name: Some("oscar".to_owned()),
        };
        let url = "http://shop.internal:8080/cache/".to_owned();
        let facts = Facts::gather(Arc::new(target), Some(url)).await;
        let told =
            [("shop-of-x".to_owned(), "its-namespace"), ("cache".to_owned(), "its-namespace")];
        let hidden = Hidden::of(&facts, told.iter());
        let text = "http://shop.internal:8080/cache: no answer of shop.internal; CACHE_NAMESPACE=shop-of-x, \
                    User oscar may not; the cache works";
        let expected = "http://host-of-the-application: no answer of host-of-the-application; \
                        CACHE_NAMESPACE=its-namespace, User operator may not; the cache works";
        assert_eq!(hidden.text(text), expected);
    }
}
