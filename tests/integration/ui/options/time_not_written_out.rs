use cache_runtime::cache_result;

#[cache_result(lease = std::time::Duration::from_secs(2), wait = 60 * 5)]
async fn lease_and_wait(id: u64) -> u64 {
    id
}

#[cache_result(stale_while_revalidate = |value| *value, stale_if_error = id)]
async fn windows(id: u64) -> Result<u64, String> {
    Ok(id)
}

fn main() {}
