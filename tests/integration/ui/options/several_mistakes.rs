use cache_runtime::cache_result;

#[cache_result(tll = 3600, jitter = 2, prefix = "", ttl = "5min", skip(ids))]
fn areas(kind: &str, limit: &mut u64) -> Option<&'static str> {
    *limit += 1;
    (kind == "buy").then_some("one")
}

fn main() {
    // Nothing follows from the mistakes: the function is there.
    let _ = areas("buy", &mut 3);
}
