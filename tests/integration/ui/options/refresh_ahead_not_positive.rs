use cache_runtime::cache_result;

#[cache_result(refresh_ahead = 0)]
async fn zero(id: u64) -> u64 {
    id
}

#[cache_result(refresh_ahead = -1.0)]
async fn below(id: u64) -> u64 {
    id
}

#[cache_result(refresh_ahead = true)]
async fn switch(id: u64) -> u64 {
    id
}

fn main() {}
