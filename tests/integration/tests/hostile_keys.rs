//! Arguments of hostile users: none leaves its part of a key or of a tag, and none reaches what belongs
//! to another prefix or tag.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::collections::HashSet;

use cache_runtime::{Cache, cache_invalidate, cache_result, invalidate, peek};
use support::{Server, apart, computed, hit, key_of, over_both, readable, run, stored};

/// Texts that mean something to Redis, to its tools, or to the cache itself.
fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        "7",
        ":",
        "a:b",
        "a:",
        ":a",
        "{",
        "}",
        "{}",
        "{7}",
        "{{7}}",
        "{slot}",
        "\n",
        "\r\n",
        "7\n",
        "\r\nFLUSHALL\r\n",
        "*",
        "?",
        "[a-z]",
        "\\",
        "\\*",
        "\0",
        "7\0",
        "\u{7f}",
        " ",
        "\t",
        "\"",
        "'",
        "%",
        "%7B",
        "%7b",
        "%257B",
        "%~",
        "~",
        "~a",
        "#",
        "#7",
        "##",
        "~:#",
        "a\u{308}",
        "ä",
        "日本語",
        "\u{202e}",
        "\u{feff}",
        "cache:a:b",
        "cache:~a",
        "cache:#agent:7",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.extend([66, 67, 193, 194, 195, 200, 201].map(|length| "{".repeat(length)));
    texts.extend([193, 194, 195, 200, 201].map(|length| "x".repeat(length)));
    texts.extend(["x", "{", "\n"].map(|letter| letter.repeat(1 << 20)));
    texts
}

#[cache_result(prefix = "pair", key = "{one}:{two}")]
async fn pair(one: &str, two: &str) -> u64 {
    run()
}

#[cache_result(prefix = "a", key = "{one}:{two}")]
async fn of_a(one: &str, two: &str) -> u64 {
    run()
}

#[cache_result(prefix = "a:b", key = "{one}")]
async fn of_a_b(one: &str) -> u64 {
    run()
}

#[cache_result(prefix = "b", key = "{one}")]
async fn of_b(one: &str) -> u64 {
    run()
}

#[cache_result(prefix = "tagged", key = "{agent_id}", tags = ["agent:{agent_id}"])]
async fn of_agent(agent_id: &str) -> u64 {
    run()
}

#[cache_result(prefix = "hashed", tags = ["{kind}:{agent_id}"])]
async fn of_kind(kind: &str, agent_id: &str) -> u64 {
    run()
}

#[cache_invalidate(tag = "agent:{agent_id}")]
async fn change(agent_id: &str) {}

#[cache_invalidate(prefix = "a", tag = "{kind}:{agent_id}")]
async fn change_kind(kind: &str, agent_id: &str) {}

/// Nothing that chooses a slot of a cluster, ends a line, or is a pattern.
fn is_harmless(key: &str) -> bool {
    key.len() < 250
        && key.bytes().all(|byte| byte.is_ascii_graphic() && !b"{}*?[]\\\"'".contains(&byte))
}

#[tokio::test]
async fn no_argument_leaves_its_part_of_a_key() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            let (mut keys, mut runs) = (HashSet::new(), HashSet::new());
            for text in hostile() {
                for (one, two) in [(text.as_str(), "7"), ("7", text.as_str())] {
                    let key = key_of(pair(one, two)).await;
                    assert!(is_harmless(&key) && key.starts_with("cache:pair:"), "{key}");
                    let parts = &readable(&key)["cache:pair:".len()..];
                    assert!(parts.matches(':').count() == 1 || parts.len() == 43, "{key}");
                    // `7:7` is met twice.
                    assert_eq!(keys.insert(key), runs.insert(pair(one, two).await));
                    cache.flush().await;
                }
            }
            assert_eq!(keys.len(), 2 * hostile().len() - 1);
            assert!(server.keys().await.iter().all(|key| is_harmless(key)));
            apart!(cache: pair("a:b", "c"), pair("a", "b:c"), pair("a%3Ab", "c"), pair("", "a:b:c"));
        })
        .await;
}

#[tokio::test]
async fn a_prefix_that_is_invalidated_takes_nothing_of_those_it_looks_like() {
    over_both(|cache| async move {
        stored!(cache, of_a("b:c", "d"));
        let others = [
            stored!(cache, of_a_b("c")),
            stored!(cache, of_b("c")),
            stored!(cache, pair("a", "b")),
        ];
        cache.invalidate_prefix("a").await.unwrap();
        // By hand, with what may be a user's.
        for text in hostile().iter().filter(|text| !["a:b", "b", "pair"].contains(&text.as_str())) {
            cache.invalidate_prefix(text).await.unwrap();
            cache.invalidate_tag(text).await.unwrap();
        }
        assert_eq!(others, [hit!(of_a_b("c")), hit!(of_b("c")), hit!(pair("a", "b"))]);
        computed!(cache, of_a("b:c", "d"));
        cache.invalidate_prefix("a:b").await.unwrap();
        hit!(of_a("b:c", "d"));
        computed!(cache, of_a_b("c"));
    })
    .await;
}

#[tokio::test]
async fn calls_of_two_prefixes_that_read_alike_never_get_each_others_values() {
    over_both(|cache| async move {
        // The colon between the two is the template's own: the functions tell the keys apart.
        let keys = [key_of(of_a("b", "c")).await, key_of(of_a_b("c")).await];
        assert_eq!(readable(&keys[0]), readable(&keys[1]));
        assert_ne!(keys[0], keys[1]);
        let (left, right) = (computed!(cache, of_a("b", "c")), computed!(cache, of_a_b("c")));
        assert_ne!(left, right);
        assert_eq!(hit!(of_a("b", "c")), left);
        assert_eq!(hit!(of_a_b("c")), right);
        cache.invalidate_prefix("a").await.unwrap();
        assert_eq!(hit!(of_a_b("c")), right, "it does not depend on the other's prefix");
        // An argument alone brings none about.
        assert_ne!(key_of(of_a("b:c", "")).await, key_of(of_a_b("c:")).await);
        assert_ne!(key_of(of_a("", "b:c")).await, key_of(of_a_b("c")).await);
    })
    .await;
}

/// Those that are quickly digested.
fn short() -> impl Iterator<Item = String> {
    hostile().into_iter().filter(|text| text.len() < 1000)
}

/// Every other tag's entry is still there.
async fn all_but(cache: &Cache, gone: &str) {
    for text in short() {
        match (text == gone, peek(of_agent(&text)).await) {
            (true, found) => assert_eq!(found, None, "{gone:.20}"),
            (false, found) => assert!(found.is_some(), "{text:.20} went with {gone:.20}"),
        }
    }
    stored!(cache, of_agent(gone));
}

#[tokio::test]
async fn a_tag_made_of_an_argument_takes_along_nothing_but_what_has_it() {
    over_both(|cache| async move {
        for text in short() {
            stored!(cache, of_agent(&text));
        }
        for text in short() {
            change(&text).await;
            all_but(&cache, &text).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_tag_by_hand_is_the_one_that_an_argument_makes() {
    over_both(|cache| async move {
        for text in hostile() {
            stored!(cache, of_agent(&text));
            stored!(cache, of_kind(&text, "7"));
            cache.invalidate_tag(&format!("agent:{text}")).await.unwrap();
            computed!(cache, of_agent(&text));
            hit!(of_kind(&text, "7"));
            change_kind(&text, "7").await;
            computed!(cache, of_kind(&text, "7"));
        }
    })
    .await;
}

#[tokio::test]
async fn the_tokens_of_tags_have_harmless_keys() {
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            for text in hostile() {
                stored!(cache, of_agent(&text));
            }
        })
        .await;
    let mut tokens = server.keys().await;
    assert!(tokens.iter().all(|key| is_harmless(key)), "{tokens:#?}");
    tokens.retain(|key| key.starts_with("cache:#"));
    assert_eq!(tokens.len(), hostile().len(), "{tokens:#?}");
    assert!(tokens.contains(&"cache:#agent:7".to_owned()), "{tokens:#?}");
}

#[tokio::test]
async fn an_argument_of_a_megabyte_makes_a_short_key_whatever_is_done_with_it() {
    let server = Server::start().await;
    let cache = server.cache().await;
    let long = "x".repeat(1 << 20);
    cache
        .scope(async {
            let value = stored!(cache, of_agent(&long));
            stored!(cache, of_kind(&long, &long));
            assert_eq!(peek(of_agent(&long)).await, Some(value));
            assert_ne!(cache_runtime::refresh(of_agent(&long)).await, value);
            cache.flush().await;
            cache_runtime::put(of_agent(&long), 1).await.unwrap();
            assert_eq!(hit!(of_agent(&long)), 1);
            invalidate(of_agent(&long)).await.unwrap();
            computed!(cache, of_agent(&long));
        })
        .await;
    assert!(server.keys().await.iter().all(|key| is_harmless(key)));
    // All that was asked of the server together is no megabyte.
    let stats: String = server.command(&["INFO", "stats"]).await;
    let received = stats.lines().find_map(|line| line.strip_prefix("total_net_input_bytes:"));
    let received: u64 = received.and_then(|bytes| bytes.trim().parse().ok()).expect("a number");
    assert!(received < 100_000, "{received} bytes");
}
