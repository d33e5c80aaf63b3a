//! What it costs that connections live on a private runtime: one GET over a connection that the
//! caller's runtime drives, and over one that another thread's runtime drives.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use support::Server;
use tokio::runtime::{Builder, Runtime};

async fn dial(url: String) -> MultiplexedConnection {
    let client = redis::Client::open(url).expect("a well-formed URL");
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let config = config.set_pipeline_buffer_size(1024);
    client.get_multiplexed_async_connection_with_config(&config).await.expect("it answers")
}

async fn gets(connection: &MultiplexedConnection, tasks: usize, each: usize) {
    let tasks = (0..tasks).map(|_| {
        let mut connection = connection.clone();
        tokio::spawn(async move {
            let mut get = redis::cmd("GET");
            get.arg("key");
            for _ in 0..each {
                connection.send_packed_command(&get).await.expect("it answers");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
}

fn private() -> tokio::runtime::Handle {
    let runtime: Runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
}

fn hop(criterion: &mut Criterion) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let server = runtime.block_on(Server::start());
    let value = "v".repeat(200);
    runtime.block_on(server.command::<String>(&["SET", "key", &value]));
    let own = runtime.block_on(dial(server.url()));
    let away = runtime.block_on(private().spawn(dial(server.url()))).expect("no panic");

    let mut group = criterion.benchmark_group("hop");
    for tasks in [1, 64, 512] {
        let each = 2048 / tasks;
        group.throughput(Throughput::Elements((tasks * each) as u64));
        for (name, connection) in [("caller's runtime", &own), ("private runtime", &away)] {
            group.bench_function(BenchmarkId::new(name, tasks), |bencher| {
                bencher.to_async(&runtime).iter(|| gets(connection, tasks, each));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, hop);
criterion_main!(benches);
