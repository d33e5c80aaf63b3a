use cache_runtime::cache_result;

#[cache_result(cache_if = |value| *value > kind.len())]
async fn areas(kind: String) -> usize {
    kind.len()
}

fn main() {}
