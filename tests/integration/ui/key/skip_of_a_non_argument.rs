use cache_runtime::cache_result;

#[cache_result(skip(ids))]
async fn slip(id: u64) -> u64 {
    id
}

#[cache_result(skip(self))]
async fn no_method(id: u64) -> u64 {
    id
}

#[cache_result(skip(id, id))]
async fn twice(id: u64) -> u64 {
    id
}

#[cache_result(skip())]
async fn nothing(id: u64) -> u64 {
    id
}

fn main() {}
