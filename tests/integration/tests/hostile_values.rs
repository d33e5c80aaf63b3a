//! What lies in Redis may have been put there by anybody: it must not take the process down, nor its
//! memory.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use std::collections::HashMap;

use cache_runtime::{Cache, cache_result, observe};
use peak_alloc::PeakAlloc;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use support::{HEADER, Server, computed, hit, key_of};
use tokio::sync::Mutex;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The memory is the process's: one test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// The largest value that the caches here keep, in bytes.
const MAX_VALUE: usize = 64 << 10;

/// Where a header says that the body is compressed.
const FLAGS: usize = 4;
/// Where a header says how many tokens follow it.
const TOKENS: usize = 5;

/// Where the cost of computing is.
const COST: usize = 12;
/// Where life, claim mark and window are, each in milliseconds.
const TIMES: [usize; 3] = [48, 56, 64];

/// How much memory a test takes at most, beyond what there was, in bytes.
const MOST: usize = 8 << 20;

#[cache_result(ttl = 60)]
async fn document(id: u32) -> Value {
    Value::from(id)
}

#[cache_result(ttl = 60)]
async fn bytes(id: u32) -> Vec<u8> {
    id.to_le_bytes().into()
}

#[cache_result(ttl = 60)]
async fn lists(id: u32) -> Vec<Vec<u32>> {
    vec![vec![id]]
}

#[cache_result(ttl = 60)]
async fn text(id: u32) -> String {
    id.to_string()
}

#[cache_result(ttl = 60)]
async fn map(id: u32) -> HashMap<String, Vec<u32>> {
    HashMap::from([(id.to_string(), vec![id])])
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Chain {
    id: u32,
    next: Option<Box<Self>>,
}

#[cache_result(ttl = 60)]
async fn chain(id: u32) -> Chain {
    Chain { id, next: Some(Box::new(Chain { id, next: None })) }
}

/// What becomes of a real entry.
type Forgery = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// Another body behind the header.
fn body(body: Vec<u8>) -> Forgery {
    Box::new(move |entry| [&entry[..HEADER], &body].concat())
}

/// Another body, of which the header says that it is compressed, and how large it is without.
fn packed(size: u32, packed: &[u8]) -> Forgery {
    let forged = body([&size.to_le_bytes(), packed].concat());
    Box::new(move |entry| changed(FLAGS, &[1])(&forged(entry)))
}

/// Other bytes in the header.
fn changed(at: usize, bytes: &[u8]) -> Forgery {
    let bytes = bytes.to_vec();
    Box::new(move |entry| {
        let mut entry = entry.to_vec();
        entry[at..at + bytes.len()].copy_from_slice(&bytes);
        entry
    })
}

/// So many zeros as lz4 packs them: one, and then over and over the one before.
fn zeros(count: usize) -> Vec<u8> {
    let repeated = count - 1 - 5 - 4 - 15;
    let mut packed = vec![0x1f, 0, 1, 0];
    packed.extend(vec![0xff; repeated / 255]);
    packed.push((repeated % 255) as u8);
    packed.extend([0x50, 0, 0, 0, 0, 0]);
    packed
}

/// In place of each forged entry every type of value is computed, and stored again, in little memory.
async fn refused(forgeries: &[Forgery]) {
    let _alone = ALONE.lock().await;
    let server = Server::start().await;
    let config = server.config().max_value(MAX_VALUE);
    let cache = Cache::connect(config).await.expect("the server answers");
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    macro_rules! each_type {
        ($($function:ident),*) => {$(
            let own = computed!(cache, $function(1));
            let key = key_of($function(1)).await;
            for (at, forge) in forgeries.iter().enumerate() {
                server.set_entry(&key, &forge(&server.entry(&key).await)).await;
                let what = format!("{}, forgery {at}", stringify!($function));
                let (value, outcome) = observe($function(1)).await;
                assert!(outcome.is_computed(), "{what}: {outcome:?}");
                assert_eq!(value, own, "{what}");
                cache.flush().await;
                assert_eq!(hit!($function(1)), own, "{what}");
            }
        )*};
    }
    cache
        .scope(async {
            each_type! { document, bytes, lists, text, map, chain }
        })
        .await;
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken < MOST, "{taken} bytes at a time");
}

#[tokio::test]
async fn a_length_that_is_a_lie_reserves_nothing() {
    let mut forgeries = Vec::new();
    // An array, a map, a string, bytes and an extension of four thousand million each.
    for marker in [0xdd, 0xdf, 0xdb, 0xc6, 0xc9] {
        let lie = [marker, 0xff, 0xff, 0xff, 0xff];
        forgeries.push(body(lie.into()));
        // In a list of one, and as the value of a field.
        forgeries.push(body([&[0x91], &lie[..]].concat()));
        forgeries.push(body([b"\x82\xa2id\x01\xa4next", &lie[..]].concat()));
        // With as much behind it as is kept.
        forgeries.push(body([&lie[..], &vec![0x90; MAX_VALUE - 5]].concat()));
    }
    refused(&forgeries).await;
}

#[tokio::test]
async fn what_is_nested_too_deeply_does_not_exhaust_the_stack() {
    let mut forgeries = Vec::new();
    for depth in [200, 1000, 10_000] {
        forgeries.push(body([vec![0x91; depth], vec![1]].concat()));
        forgeries.push(body([b"\x81\xa1a".repeat(depth), vec![1]].concat()));
        forgeries.push(body([b"\x82\xa2id\x01\xa4next".repeat(depth), vec![0xc0]].concat()));
    }
    refused(&forgeries).await;
}

#[tokio::test]
async fn what_unpacks_to_too_much_is_not_unpacked() {
    let most = MAX_VALUE as u32;
    refused(&[
        packed(64 << 20, &zeros(64 << 20)),
        packed(most + 1, &zeros(MAX_VALUE + 1)),
        // The size is a lie, to either side.
        packed(u32::MAX, &zeros(1000)),
        packed(100, &zeros(64 << 20)),
        packed(most, &zeros(1000)),
        packed(most, b""),
        packed(0, b""),
        changed(FLAGS, &[1]),
        changed(FLAGS, &[0xff]),
        // A match that lies before the beginning, and one of no distance.
        packed(100, b"\x1fa\xff\xff\x10\x50aaaaa"),
        packed(100, b"\x1fa\x00\x00\x10\x50aaaaa"),
        // Not packed at all.
        body(vec![0x90; MAX_VALUE + 1]),
    ])
    .await;
}

#[tokio::test]
async fn a_header_that_is_a_lie_is_no_entry() {
    refused(&[
        // More tokens than there are bytes, none of one, and the wrong ones.
        changed(TOKENS, &[0xff]),
        changed(TOKENS, &[0]),
        changed(HEADER - 16, &[0; 16]),
        // With as many as a header can have.
        Box::new(|entry| [&changed(TOKENS, &[0xff])(entry)[..], &[7; 16 * 255]].concat()),
        // Another magic, format and kind; nothing where there is no `Option`.
        changed(0, b"FC"),
        changed(2, &[1]),
        changed(3, &[0]),
        changed(3, &[0xff]),
        changed(3, &[3]),
        // Less than a header, or nothing behind it.
        Box::new(|entry| entry[..HEADER - 17].to_vec()),
        Box::new(|entry| entry[..HEADER].to_vec()),
        Box::new(|_| Vec::new()),
        Box::new(|_| vec![0; MAX_VALUE]),
        // An older version, another function and another call.
        changed(8, &[0; 4]),
        changed(32, &[0xff; 8]),
        changed(40, &[0xff; 8]),
    ])
    .await;
}

#[cache_result(ttl = 60, stale_while_revalidate = 60, refresh_ahead = 1.0)]
async fn windowed(id: u32) -> Vec<u8> {
    bytes(id).await
}

#[cache_result(ttl = 60, stale_if_error = 60, local)]
async fn forgiving(id: u32) -> Result<Vec<u8>, String> {
    Ok(bytes(id).await)
}

#[tokio::test]
async fn times_in_a_header_may_be_as_long_as_they_like() {
    let _alone = ALONE.lock().await;
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            for time in [0, 1, 1 << 53, u64::MAX >> 1, u64::MAX] {
                for chosen in 0_u32..16 {
                    macro_rules! each {
                        ($($call:expr),*) => {$(
                            let own = $call.await;
                            cache.flush().await;
                            let key = key_of($call).await;
                            let mut entry = server.entry(&key).await;
                            for (bit, at) in TIMES.into_iter().enumerate() {
                                if chosen & 1 << bit != 0 {
                                    entry[at..at + 8].copy_from_slice(&time.to_le_bytes());
                                }
                            }
                            if chosen & 8 != 0 {
                                entry[COST..COST + 4].fill(0xff);
                            }
                            server.set_entry(&key, &entry).await;
                            assert_eq!($call.await, own, "{time}, {chosen:b}");
                            cache_runtime::explain($call).await.expect("a cached function");
                            cache.flush().await;
                        )*};
                    }
                    each! { bytes(1), windowed(1), forgiving(1) }
                }
            }
        })
        .await;
}

#[tokio::test]
async fn a_value_nested_as_deeply_as_it_fits_does_not_exhaust_the_stack() {
    let _alone = ALONE.lock().await;
    let server = Server::start().await;
    let cache = server.cache().await;
    cache
        .scope(async {
            for depth in [10, 100, 500, 1000, 1500, 100_000] {
                computed!(cache, document(depth));
                let key = key_of(document(depth)).await;
                // Arrays of one array each, then a one.
                let forge = body([vec![0x91; depth as usize], vec![1]].concat());
                server.set_entry(&key, &forge(&server.entry(&key).await)).await;
                let (_, outcome) = observe(document(depth)).await;
                assert_eq!(outcome.is_hit(), depth < 128, "{outcome:?}");
                assert_eq!(outcome.is_computed(), depth >= 128, "{outcome:?}");
            }
        })
        .await;
}
