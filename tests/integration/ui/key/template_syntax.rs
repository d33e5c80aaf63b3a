use cache_runtime::cache_result;

#[cache_result(key = "{id")]
async fn unclosed(id: u64) -> u64 {
    id
}

#[cache_result(key = "id}")]
async fn unopened(id: u64) -> u64 {
    id
}

#[cache_result(key = "{}")]
async fn empty(id: u64) -> u64 {
    id
}

#[cache_result(key = "{id:?}")]
async fn format_spec(id: u64) -> u64 {
    id
}

#[cache_result(key = "{id.to_string()}")]
async fn expression(id: u64) -> u64 {
    id
}

fn main() {}
