use cache_runtime::{cache_invalidate, cache_result};

#[cache_result(key = "{a}{b.0}{{}}{a}", tags = ["of:{a}{a}", "{a}:{a}"])]
async fn find(a: String, b: (u8,)) -> String {
    format!("{a}{}", b.0)
}

#[cache_invalidate(tag = "{a}{b}")]
async fn change(a: String, b: String) {
    drop((a, b));
}

fn main() {}
