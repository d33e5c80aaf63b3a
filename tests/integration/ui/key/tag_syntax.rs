use cache_runtime::cache_result;

#[cache_result(tags = ["{id", "id}", "{}", "{id:>4}", "{id + 1}"])]
async fn areas(id: u64) -> u64 {
    id
}

fn main() {}
