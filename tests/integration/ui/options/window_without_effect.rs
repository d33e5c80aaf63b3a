use cache_runtime::cache_result;

#[cache_result(stale_while_revalidate = 0, stale_if_error = "0s")]
async fn zero(id: u64) -> Result<u64, String> {
    Ok(id)
}

#[cache_result(stale_if_error = 60, stale_while_revalidate = "10m")]
async fn within(id: u64) -> Result<u64, String> {
    Ok(id)
}

#[cache_result(stale_if = |error| error.is_empty())]
async fn alone(id: u64) -> Result<u64, String> {
    Ok(id)
}

fn main() {}
