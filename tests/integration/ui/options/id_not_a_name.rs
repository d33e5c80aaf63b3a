use cache_runtime::cache_result;

#[cache_result(id = "")]
async fn empty(id: u64) -> u64 {
    id
}

#[cache_result(id = "user email")]
async fn strange(id: u64) -> u64 {
    id
}

#[cache_result(id = email)]
async fn unquoted(id: u64) -> u64 {
    id
}

fn main() {}
