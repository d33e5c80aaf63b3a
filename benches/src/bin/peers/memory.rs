//! What a copy in this process costs beyond its key and its value.

use std::sync::Arc;

use cache_runtime::{Cache, Config, cache_result};

use crate::counting;
use crate::report::{Target, count, table, title};
use crate::values::{Small, body};

const ENTRIES: u64 = 100_000;
const TASKS: u64 = 64;

#[cache_result(ttl = 3600, prefix = "memory", local)]
async fn kept(id: u64) -> Arc<Small> {
    Arc::new(body::small(id).await)
}

async fn pass(cache: &Cache) {
    let tasks = (0..TASKS).map(|task| {
        let cache = cache.clone();
        tokio::spawn(async move {
            for id in (task..ENTRIES).step_by(TASKS as usize) {
                cache.scope(kept(id)).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
    cache.flush().await;
}

pub async fn memory(url: &str) -> Vec<Target> {
    let config = Config::redis(url).expect("a well-formed URL").local_bytes(1 << 30);
    let cache = Cache::connect(config).await.expect("the server answers");
    pass(&cache).await;
    counting::begin();
    // A read that was not answered in time leaves no copy.
    for _ in 0..5 {
        pass(&cache).await;
        if cache.stats().local_entries >= ENTRIES {
            break;
        }
    }
    let grown = counting::end().bytes as f64;
    let stats = cache.stats();
    let entries = stats.local_entries as f64;
    let value = Small::of(1);
    let strings = value.title.len() + value.street.len() + value.city.len();
    // The value is an `Arc`, which has two counts.
    let in_memory = (2 * size_of::<usize>() + size_of::<Small>() + strings) as f64;
    // The bound counts keys, encoded values, and 120 bytes each.
    let encoded = rmp_serde::to_vec_named(&value).expect("it can be encoded").len() as f64;
    let key = stats.local_bytes as f64 / entries - encoded - 120.0;
    let beyond = grown / entries - key - in_memory;
    title("Memory of copies in this process", "Bytes for each, by an allocator that counts.");
    let row = [entries, grown / entries, key, in_memory, beyond].map(count);
    table(&["copies", "allocated", "key", "value", "beyond both"], &[row.into()]);
    vec![Target::at_most("memory of a copy beyond its key and value", 120.0, "bytes", beyond)]
}
