//! Stored values as JSON. What JSON lacks is an object with one name that begins with `$`:
//!
//! | value | JSON |
//! |---|---|
//! | bytes | `{"$bytes": "<base64>"}` |
//! | a whole number beyond ±2^53, which many readers would round | `{"$integer": "<decimal>"}` |
//! | a number that is none, or infinite | `{"$float": "NaN"}`, `"inf"`, `"-inf"` |
//! | a map with other keys than strings | `{"$map": [[key, value], ...]}` |

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

/// The largest whole number up to which a double has each.
const EXACT: u64 = 1 << 53;

/// A value of any type, as JSON.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AnyValue(pub(super) Value);

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor).map(Self)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(if value.unsigned_abs() <= EXACT { json!(value) } else { integer(value) })
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(if value <= EXACT { json!(value) } else { integer(value) })
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or_else(|_| integer(value), whole))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or_else(|_| integer(value), whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        let number = serde_json::Number::from_f64(value).map(Value::Number);
        Ok(number.unwrap_or_else(|| json!({ "$float": value.to_string() })))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(json!({ "$bytes": STANDARD.encode(value) }))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(Self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(Self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(AnyValue(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some((AnyValue(key), AnyValue(value))) = map.next_entry()? {
            pairs.push((key, value));
        }
        let named = pairs.iter().all(|(key, _)| key.is_string());
        Ok(if named {
            let named = pairs.into_iter().filter_map(|(key, value)| match key {
                Value::String(name) => Some((name, value)),
                _ => None,
            });
            Value::Object(named.collect())
        } else {
            json!({ "$map": pairs })
        })
    }
}

fn whole(value: i64) -> Value {
    if value.unsigned_abs() <= EXACT { json!(value) } else { integer(value) }
}

fn integer(value: impl fmt::Display) -> Value {
    json!({ "$integer": value.to_string() })
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer as _;
    use serde::de::value::{BytesDeserializer, Error, F64Deserializer, MapDeserializer};

    use super::*;

    fn read<'de>(from: impl Deserializer<'de>) -> Value {
        AnyValue::deserialize(from).map(|AnyValue(value)| value).unwrap_or_default()
    }

    fn number(value: f64) -> Value {
        let from: F64Deserializer<Error> = value.into_deserializer();
        read(from)
    }

    #[test]
    fn what_json_lacks_is_written_as_the_table_says() {
        assert_eq!(read(BytesDeserializer::<Error>::new(b"\x00\xff")), json!({ "$bytes": "AP8=" }));
        assert_eq!(number(f64::NAN), json!({ "$float": "NaN" }));
        assert_eq!(number(f64::NEG_INFINITY), json!({ "$float": "-inf" }));
        assert_eq!(number(1.5), json!(1.5));
        let pairs = [(1_u64, u64::MAX), (2, 1 << 53)];
        let map = MapDeserializer::<_, Error>::new(pairs.into_iter());
        let expected =
            json!({ "$map": [[1, { "$integer": "18446744073709551615" }], [2, 1_u64 << 53]] });
        assert_eq!(read(map), expected);
        let map = MapDeserializer::<_, Error>::new([("a", true)].into_iter());
        assert_eq!(read(map), json!({ "a": true }));
    }
}
