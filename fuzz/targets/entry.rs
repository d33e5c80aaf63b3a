//! Bytes in Redis that anybody may have put there: a whole entry, or a body behind a header that is
//! right.
//!
//! That nothing reserves what a length promises is seen to by `-malloc_limit_mb` in `scripts/fuzz`.
#![no_main]

use std::collections::HashMap;

use cache_runtime::fuzzing::{LIMIT, body, entry, look_at, value};
use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Chain {
    name: String,
    next: Option<Box<Self>>,
    kind: Kind,
}

#[derive(Serialize, Deserialize)]
enum Kind {
    Unit,
    New(u64),
    Pair(f64, char),
    Named { bytes: Vec<u8>, wide: i128 },
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Chain(Chain),
    List(Vec<Self>),
    Other(serde_json::Value),
}

fuzz_target!(|data: &[u8]| {
    let [shape, as_what, rest @ ..] = data else { return };
    let bytes = match shape % 4 {
        0 => rest.to_vec(),
        1 => entry(rest, &[[1; 16]], usize::MAX),
        2 => packed(rest),
        _ => return comes_back(*as_what, rest),
    };
    look_at(&bytes);
    read_as(*as_what, &bytes);
});

/// Says that its body is compressed.
fn packed(rest: &[u8]) -> Vec<u8> {
    let mut bytes = entry(rest, &[], usize::MAX);
    bytes[4] |= 1;
    bytes
}

/// What the cache writes it reads, compressed or not.
fn comes_back(compress_above: u8, rest: &[u8]) {
    let bytes = entry(rest, &[[1; 16], [2; 16]], compress_above.into());
    look_at(&bytes);
    assert!(rest.len() > LIMIT || body(&bytes).is_some_and(|body| body == rest));
}

fn read_as(what: u8, bytes: &[u8]) {
    match what % 9 {
        0 => read::<serde_json::Value>(bytes),
        1 => read::<Vec<u8>>(bytes),
        2 => read::<Vec<Vec<u64>>>(bytes),
        3 => read::<String>(bytes),
        4 => read::<HashMap<String, Option<Vec<i8>>>>(bytes),
        5 => read::<Chain>(bytes),
        6 => read::<Either>(bytes),
        7 => read::<(u8, i64, f32, char, bool, Option<()>)>(bytes),
        _ => read::<Vec<Result<Kind, String>>>(bytes),
    }
}

fn read<V: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let _ = value::<V>(bytes);
}
