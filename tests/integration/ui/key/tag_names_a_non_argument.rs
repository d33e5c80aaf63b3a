use cache_runtime::{cache_invalidate, cache_result};

#[cache_result(tags = ["agent:{agent_id}", "all", "{self.id}"])]
async fn areas(kind: String, id: u64) -> usize {
    kind.len() + id as usize
}

#[cache_invalidate(tag = "agent:{agent_id}", prefix = "{id}")]
async fn rename(id: u64) -> u64 {
    id
}

fn main() {
    drop(areas(String::new(), 1));
    drop(rename(1));
}
