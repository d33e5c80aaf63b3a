//! A hit in the near cache, beside what it is made of.

use std::hint::black_box;
use std::sync::Arc;

use cache_runtime::{Cache, Config, cache_result, observe};
use criterion::{Criterion, criterion_group, criterion_main};
use quick_cache::sync::Cache as QuickCache;

#[cache_result(ttl = 3600, prefix = "near", local)]
async fn areas(kind: &str, page: u64) -> Arc<Vec<u64>> {
    let _ = kind;
    Arc::new(vec![page; 25])
}

fn near(c: &mut Criterion) {
    cache_runtime::init(Cache::new(Config::in_memory())).expect("nothing was called before");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
    runtime.block_on(async { while !observe(areas("buy", 7)).await.1.is_local_hit() {} });
    let ready = QuickCache::new(1000);
    let key = ("buy".to_owned(), 7_u64);
    ready.insert(key.clone(), Arc::new(vec![7_u64; 25]));

    let mut group = c.benchmark_group("near");
    group.bench_function("Instant::now", |b| b.iter(std::time::Instant::now));
    group.bench_function("coarse clock", |b| b.iter(coarsetime::Instant::now_without_cache_update));
    group.bench_function("quick_cache get of a ready key", |b| {
        b.iter(|| ready.get(black_box(&key)))
    });
    group.bench_function("hit, Arc", |b| {
        b.to_async(&runtime).iter(|| areas(black_box("buy"), black_box(7)));
    });
    group.finish();
}

criterion_group!(benches, near);
criterion_main!(benches);
