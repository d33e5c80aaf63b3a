use cache_runtime::cache_result;

#[cache_result(ttl = "5min")]
async fn word(id: u64) -> u64 {
    id
}

#[cache_result(ttl = "1.5h")]
async fn fraction(id: u64) -> u64 {
    id
}

#[cache_result(none_ttl = "1h30")]
async fn second_term(id: u64) -> Option<u64> {
    Some(id)
}

fn main() {}
