use cache_runtime::cache_result;

#[cache_result(ttl = 3600, stale_if_error = 600)]
async fn number(id: u64) -> u64 {
    id
}

#[cache_result(stale_if_error = 600, stale_if = |_| true)]
async fn option(id: u64) -> Option<u64> {
    Some(id)
}

fn main() {}
