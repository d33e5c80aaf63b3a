use cache_runtime::cache_result;

#[cache_result(ttl = 3600, none_ttl = 30)]
async fn users(id: u64) -> Result<u64, String> {
    Ok(id)
}

fn main() {}
