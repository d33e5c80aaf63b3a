use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn text(value: &(impl Serialize + ?Sized)) -> String {
    let mut text = "before:".to_owned();
    render(value, &mut text).unwrap();
    text.strip_prefix("before:").expect("what was there stays").to_owned()
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.%~".contains(&byte))
}

proptest! {
    #[test]
    fn a_text_is_escaped_injectively_and_never_reads_as_an_escape_of_ours(
        one in ".*", two in ".*",
    ) {
        prop_assert!(is_plain(&text(&one)) && !text(&one).contains("%~"), "{}", text(&one));
        prop_assert_eq!(text(&one) == text(&two), one == two);
    }

    #[test]
    fn numbers_and_letters_read_as_they_are(
        number in any::<i128>(), wide in any::<u128>(), letter in any::<char>(), ratio in any::<f64>(),
    ) {
        prop_assert_eq!(text(&number), number.to_string());
        prop_assert_eq!(text(&wide), wide.to_string());
        prop_assert_eq!(text(&letter), text(&letter.to_string()));
        prop_assert!(is_plain(&text(&ratio)));
    }

    #[test]
    fn compounds_have_a_short_digest_of_their_own(
        one in prop::collection::vec(".{0,3}", 0..4), two in prop::collection::vec(".{0,3}", 0..4),
    ) {
        prop_assert_eq!(text(&one) == text(&two), one == two);
        prop_assert!(text(&one).starts_with("%~") && text(&one).len() == 18 && is_plain(&text(&one)));
    }
}

#[derive(serde::Serialize)]
struct Id(u32);

#[derive(serde::Serialize)]
enum Kind {
    Buy,
    #[serde(rename = "let: go")]
    Let,
    Other(u32),
}

#[derive(serde::Serialize)]
struct Unit;

#[test]
fn each_kind_of_value_has_its_form() {
    assert_eq!(text(&true), "true");
    assert_eq!(text("a b:c/ä"), "a%20b%3Ac%2F%C3%A4");
    assert_eq!(text(&""), "");
    assert_eq!(text(&None::<u8>), "%~");
    assert_eq!(text(&Some(1)), "1");
    assert_eq!(text(&Some("x")), "x");
    assert_eq!(text(&Id(7)), "7");
    assert_eq!(text(&Kind::Buy), "Buy");
    assert_eq!(text(&Kind::Let), "let%3A%20go");
    assert_eq!(text(&Unit), "Unit");
    assert_eq!(text(&f64::NAN), "NaN");
    assert_eq!(text(&-0.5f32), "-0.5");
    for value in [text(&()), text(&Kind::Other(1)), text(&(1, 2)), text(&BTreeMap::from([(1, 2)]))]
    {
        assert!(value.starts_with("%~") && value.len() > 2, "{value}");
    }
}

#[test]
fn a_tag_has_nothing_in_its_key_that_means_something_elsewhere() {
    let token = |tag: &str| {
        let mut key = Buffer::new();
        super::super::tag_token("cache", tag, &mut key);
        String::from_utf8(key.to_vec()).expect("text")
    };
    assert_eq!(token("agent:7/a-b_c.d@e"), "cache:#agent:7/a-b_c.d@e");
    assert_eq!(token("agent:{7}\r\n\0"), "cache:#agent:%7B7%7D%0D%0A%00");
    assert_eq!(token("*?[a]\\ %7B#ä"), "cache:#%2A%3F%5Ba%5D%5C%20%257B%23%C3%A4");
    // The escapes make it longer than the limit.
    let long = token(&"{".repeat(67));
    assert!(long.starts_with("cache:##") && long.len() == "cache:##".len() + 43, "{long}");
    assert_ne!(token(long.strip_prefix("cache:#").expect("a token")), long);
    assert_eq!(token(&"x".repeat(200)), format!("cache:#{}", "x".repeat(200)));
}

#[test]
fn what_was_written_before_a_failure_is_taken_back() {
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: ser::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(ser::Error::custom("it fails"))
        }
    }
    let mut text = "before".to_owned();
    assert!(render(&Fails, &mut text).is_err());
    assert_eq!(text, "before");
}
