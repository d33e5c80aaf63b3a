use cache_runtime::cache_result;

#[cache_result(time = 60)]
async fn time(id: u64) -> u64 {
    id
}

#[cache_result(timeout = 60)]
fn timeout_on_a_sync_fn(id: u64) -> u64 {
    id
}

#[cache_result(expire = 60)]
async fn expire(id: u64) -> u64 {
    id
}

#[cache_result(expiry = 60)]
async fn expiry(id: u64) -> u64 {
    id
}

#[cache_result(ttl_secs = 60)]
async fn ttl_secs(id: u64) -> u64 {
    id
}

#[cache_result(size = 100)]
async fn size(id: u64) -> u64 {
    id
}

#[cache_result(result = true)]
async fn result(id: u64) -> Result<u64, String> {
    Ok(id)
}

#[cache_result(sync_writes = "by_key")]
async fn sync_writes(id: u64) -> u64 {
    id
}

#[cache_result(condition = "#id > 3")]
async fn condition(id: u64) -> u64 {
    id
}

#[cache_result(unless = "#result == null")]
async fn unless(id: u64) -> u64 {
    id
}

#[cache_result(near_cache = true)]
async fn near_cache(id: u64) -> u64 {
    id
}

#[cache_result(local_ttl = 10)]
async fn local_ttl(id: u64) -> u64 {
    id
}

fn main() {}
