use cache_runtime::cache_result;

#[cache_result(ttl = 3600)]
pub struct Areas;

#[cache_result]
impl Areas {
    pub fn all() {}
}

#[cache_result]
const LIMIT: u64 = 3;

fn main() {}
