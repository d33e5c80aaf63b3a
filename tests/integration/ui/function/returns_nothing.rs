use cache_runtime::cache_result;

#[cache_result]
async fn silent(id: u64) {
    drop(id);
}

#[cache_result]
async fn unit(id: u64) -> () {
    drop(id);
}

fn main() {}
