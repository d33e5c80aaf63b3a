//! Hits in the near cache and nothing else, as many as it is told: `valgrind --tool=callgrind`
//! counts the instructions of two numbers of them, and the difference is that of the hits
//! (`scripts/instructions`).

use std::hint::black_box;
use std::sync::Arc;

use cache_runtime::{Cache, Config, cache_result, observe};

#[cache_result(ttl = 3600, prefix = "near", local)]
async fn areas(kind: &str, page: u64) -> Arc<Vec<u64>> {
    let _ = kind;
    Arc::new(vec![page; 25])
}

fn main() {
    let hits: u64 = std::env::args().nth(1).and_then(|hits| hits.parse().ok()).expect("a number");
    cache_runtime::init(Cache::new(Config::in_memory())).expect("nothing was called before");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        while !observe(areas("buy", 7)).await.1.is_local_hit() {}
        for _ in 0..hits {
            black_box(areas(black_box("buy"), black_box(7)).await);
        }
    });
}
