//! Durations written as text, such as `"1h30m"`.

use std::time::Duration;

/// The units and their length in milliseconds, shortest first.
const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Parses one or more numbers, each with its unit. The error is the message for the user.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if text.is_empty() {
        return Err("empty duration; write a number and its unit, as in `\"5m\"`".into());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "`\"{text}\"` has no unit; write `{text}` for seconds or `\"{text}s\"`"
        ));
    }
    let mut millis = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, unit, after) = term(rest);
        let term = milliseconds(number, unit, text)?;
        let sum = millis.checked_add(term);
        millis = sum.ok_or_else(|| too_long(text))?;
        rest = after;
    }
    Ok(Duration::from_millis(millis))
}

/// Formats a duration as [`parse`] reads it, in the longest units that divide it.
pub(crate) fn text(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let terms = UNITS.iter().rev().filter_map(|(name, length)| {
        let number = rest / u128::from(*length);
        rest %= u128::from(*length);
        (number > 0).then(|| format!("{number}{name}"))
    });
    terms.collect()
}

/// Splits `"1h30m"` into `"1"`, `"h"` and `"30m"`.
fn term(text: &str) -> (&str, &str, &str) {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, rest) = text.split_at(digits.unwrap_or(text.len()));
    let letters = rest.find(|c: char| c.is_ascii_digit());
    let (unit, after) = rest.split_at(letters.unwrap_or(rest.len()));
    (number, unit, after)
}

fn milliseconds(number: &str, unit: &str, text: &str) -> Result<u64, String> {
    if number.is_empty() || unit.starts_with('.') {
        return Err(format!(
            "`\"{text}\"` is not a duration; write whole numbers, each with its unit, as in `\"1h30m\"`"
        ));
    }
    if unit.is_empty() {
        return Err(format!("`{number}` has no unit in `\"{text}\"`"));
    }
    let Some((_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let units = crate::vocabulary::quoted(UNITS.iter().map(|(name, _)| name));
        return Err(format!("unknown unit `{unit}` in duration; expected one of {units}"));
    };
    let number: Option<u64> = number.parse().ok();
    let product = number.and_then(|number| number.checked_mul(*length));
    product.ok_or_else(|| too_long(text))
}

fn too_long(text: &str) -> String {
    format!("`\"{text}\"` is too long for a duration")
}
