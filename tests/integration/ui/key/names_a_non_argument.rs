use cache_runtime::cache_result;

const LIMIT: u64 = 3;

#[cache_result(key = "{uid}")]
async fn in_a_template(id: u64) -> u64 {
    id + LIMIT
}

#[cache_result(key = (id, uid, LIMIT))]
async fn among_values(id: u64) -> u64 {
    id
}

#[cache_result(key = "{self.id}:{id}")]
async fn no_method(id: u64) -> u64 {
    id
}

fn main() {}
