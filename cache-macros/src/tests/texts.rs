//! Durations, and the nearest name to a misspelt option.

use std::time::Duration;

use crate::{duration, vocabulary};

#[test]
fn durations_are_whole_numbers_with_units() {
    let read = |text| duration::parse(text).ok();
    assert_eq!(read("1500ms"), Some(Duration::from_millis(1500)));
    assert_eq!(read("1h30m"), Some(Duration::from_secs(5400)));
    assert_eq!(read("2d"), Some(Duration::from_secs(172_800)));
    assert_eq!(read("0s"), Some(Duration::ZERO));
    for wrong in ["", "1", "s", "1.5h", "1 h", "1h ", "1h30", "1x", "-1s", "99999999999999999999s"]
    {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}

#[test]
fn a_duration_is_written_as_it_is_read() {
    for text in ["1ms", "1s500ms", "10m", "1h30m", "2d", "1d2h3m4s5ms"] {
        assert_eq!(duration::parse(text).map(duration::text).as_deref(), Ok(text));
    }
    assert_eq!(duration::text(Duration::from_secs(600)), "10m");
}

#[test]
fn a_typing_slip_finds_its_option_and_a_strange_word_does_not() {
    let slips = [
        ("tll", "ttl"),
        ("kye", "key"),
        ("cacheif", "cache_if"),
        ("prefixx", "prefix"),
        ("skp", "skip"),
        ("tgas", "tags"),
        ("stale_while_revalidated", "stale_while_revalidate"),
    ];
    for (slip, option) in slips {
        assert_eq!(
            vocabulary::unknown(slip),
            format!("unknown option `{slip}`; did you mean `{option}`?")
        );
    }
    for word in ["color", "redis", "stale", "tokio"] {
        assert!(vocabulary::unknown(word).contains("; expected one of `ttl`, "), "{word}");
    }
}

#[test]
fn a_word_of_a_peer_is_translated() {
    for (word, option) in [
        ("timeout", "ttl"),
        ("swr", "stale_while_revalidate"),
        ("lock_timeout", "lease"),
        ("tag", "tags"),
        ("beta", "refresh_ahead"),
        ("l1", "local"),
        ("near_cache", "local"),
        ("in_memory", "local"),
        ("local_ttl", "local"),
    ] {
        let message = vocabulary::unknown(word);
        assert!(message.starts_with(&format!("`{word}` is called `{option}` here")), "{message}");
    }
}

#[test]
fn durations_mean_the_same_in_attributes_and_variables() {
    // The runtime reads the same table in its tests.
    for line in include_str!("durations.txt").lines().filter(|line| !line.starts_with('#')) {
        let (text, meaning) = line.split_once(' ').expect("a text and its meaning");
        let meaning = meaning.parse().ok().map(Duration::from_millis);
        assert_eq!(duration::parse(text).ok(), meaning, "{text}");
    }
}
