use cache_runtime::cache_result;

pub struct User;

#[cache_result(ttl = 3600)]
async fn users(id: u64) -> Result<Vec<User>, String> {
    Err(id.to_string())
}

fn main() {}
