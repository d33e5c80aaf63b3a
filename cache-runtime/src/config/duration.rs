//! Times as variables write them: as attributes do, or as plain numbers.

use std::time::Duration;

/// Each unit and its length in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads `1h30m`, `250ms`, or a plain whole number, which counts `unit`; `None` for any other text.
pub(super) fn parse(text: &str, unit: Duration) -> Option<Duration> {
    if let Ok(number) = text.parse::<u64>() {
        let millis = u64::try_from(unit.as_millis()).ok()?.checked_mul(number)?;
        return Some(Duration::from_millis(millis));
    }
    if text.is_empty() {
        return None;
    }
    let (mut millis, mut rest) = (0_u64, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let (unit, after) =
            after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit)?;
        millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(*length)?)?;
        rest = after;
    }
    Some(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_mean_the_same_in_variables_and_attributes() {
        // The tests of `cache-macros` read the same table.
        let table = include_str!("../../../cache-macros/src/tests/durations.txt");
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            let (text, meaning) = line.split_once(' ').expect("a text and its meaning");
            let meaning = meaning.parse().ok().map(Duration::from_millis);
            assert_eq!(parse(text, Duration::from_secs(1)), meaning, "{text}");
        }
    }

    #[test]
    fn a_plain_number_counts_the_unit_of_the_variable() {
        assert_eq!(parse("60", Duration::from_secs(1)), Some(Duration::from_secs(60)));
        assert_eq!(parse("60", Duration::from_millis(1)), Some(Duration::from_millis(60)));
        assert_eq!(parse("0", Duration::from_secs(1)), Some(Duration::ZERO));
        assert_eq!(parse("", Duration::from_secs(1)), None);
    }
}
