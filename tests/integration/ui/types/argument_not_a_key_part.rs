use cache_runtime::cache_result;

use std::sync::Arc;

pub struct Db;

#[cache_result(ttl = 3600)]
async fn users(db: Arc<Db>, id: u64) -> u64 {
    drop(db);
    id
}

fn main() {}
