use cache_runtime::cache_result;

#[cache_result(tll = 3600)]
async fn letter(id: u64) -> u64 {
    id
}

#[cache_result(ttl = 3600, perfix = "areas")]
async fn swapped(id: u64) -> u64 {
    id
}

fn main() {}
