//! One call in its various ways: plain, switched off, breaker open, a hit in process, a hit over
//! Redis, and a bare GET beside it.

use std::hint::black_box;

use cache_runtime::{Cache, Config, cache_result};
use criterion::{Criterion, criterion_group, criterion_main};
use support::Server;
use tokio::runtime::Builder;

async fn plain(of: u64) -> String {
    "v".repeat(black_box(of) as usize)
}

#[cache_result(ttl = 3600)]
async fn text(of: u64) -> String {
    "v".repeat(black_box(of) as usize)
}

fn call(criterion: &mut Criterion) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let server = runtime.block_on(Server::start());
    let redis = runtime.block_on(server.cache());
    let (_folder, nowhere) = Server::absent();
    let down = Cache::new(Config::redis(&nowhere).expect("a well-formed URL"));
    let ways = [
        ("off", Cache::disabled()),
        ("breaker open", down),
        ("hit in process", Cache::in_memory()),
        ("hit over redis", redis),
    ];
    let mut group = criterion.benchmark_group("call");
    group.bench_function("plain", |bencher| {
        bencher.to_async(&runtime).iter(|| plain(200));
    });
    for (name, cache) in ways {
        runtime.block_on(cache.scope(text(200)));
        runtime.block_on(cache.flush());
        group.bench_function(name, |bencher| {
            bencher.to_async(&runtime).iter(|| cache.scope(text(200)));
        });
    }
    let mut connection = runtime.block_on(server.client());
    runtime.block_on(server.command::<String>(&["SET", "key", &"v".repeat(200)]));
    group.bench_function("bare GET", |bencher| {
        bencher.to_async(&runtime).iter(|| {
            let mut connection = connection.clone();
            async move {
                let mut get = redis::cmd("GET");
                get.arg("key");
                connection.send_packed_command(&get).await.expect("it answers")
            }
        });
    });
    runtime
        .block_on(async { drop(redis::cmd("PING").query_async::<String>(&mut connection).await) });
    group.finish();
}

criterion_group!(benches, call);
criterion_main!(benches);
