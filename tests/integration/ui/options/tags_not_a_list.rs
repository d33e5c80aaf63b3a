use cache_runtime::cache_result;

#[cache_result(tags = "agent:{id}")]
async fn text(id: u64) -> u64 {
    id
}

#[cache_result(tags = [])]
async fn none(id: u64) -> u64 {
    id
}

#[cache_result(tags = ["", id])]
async fn not_tags(id: u64) -> u64 {
    id
}

#[cache_result(tags = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f", "g"])]
async fn many(id: u64) -> u64 {
    id
}

fn main() {}
