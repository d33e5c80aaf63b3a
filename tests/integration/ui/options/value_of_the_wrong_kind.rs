use cache_runtime::cache_result;

#[cache_result(3600)]
async fn unnamed(id: u64) -> u64 {
    id
}

#[cache_result(ttl(3600))]
async fn parentheses(id: u64) -> u64 {
    id
}

#[cache_result(ttl)]
async fn bare(id: u64) -> u64 {
    id
}

#[cache_result(ttl = 1.5)]
async fn fraction(id: u64) -> u64 {
    id
}

#[cache_result(prefix = "~areas")]
async fn reserved(id: u64) -> u64 {
    id
}

#[cache_result(prefix = "areas {id}")]
async fn white_space(id: u64) -> u64 {
    id
}

#[cache_result(prefix = "areas:{id}")]
async fn template(id: u64) -> u64 {
    id
}

#[cache_result(key = id)]
async fn key_without_parentheses(id: u64) -> u64 {
    id
}

#[cache_result(skip = id)]
async fn skip_without_parentheses(id: u64) -> u64 {
    id
}

#[cache_result(when = |id| id > 3)]
async fn when_closure(id: u64) -> u64 {
    id
}

#[cache_result(cache_if = true)]
async fn cache_if_value(id: u64) -> u64 {
    id
}

#[cache_result(cache_if = |id, value| value > id)]
async fn cache_if_of_two(id: u64) -> u64 {
    id
}

#[cache_result(none_ttl = |value| 30)]
async fn none_ttl_closure(id: u64) -> Option<u64> {
    Some(id)
}

#[cache_result(version = 0)]
async fn version(id: u64) -> u64 {
    id
}

#[cache_result(crate = cache_runtime)]
async fn path(id: u64) -> u64 {
    id
}

fn main() {}
