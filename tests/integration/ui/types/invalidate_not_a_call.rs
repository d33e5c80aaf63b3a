use cache_runtime::{cache_result, invalidate};

#[cache_result]
async fn areas(kind: String) -> usize {
    kind.len()
}

async fn of_a_prefix() {
    let _ = invalidate("areas").await;
}

async fn beside_a_call() {
    let _ = invalidate((areas("buy".into()), "areas")).await;
}

fn main() {}
