use cache_runtime::cache_result;

#[cache_result(local = true)]
async fn on(id: u64) -> u64 {
    id
}

#[cache_result(local = false)]
async fn off(id: u64) -> u64 {
    id
}

#[cache_result(local())]
async fn nothing(id: u64) -> u64 {
    id
}

#[cache_result(local("10s"))]
async fn parentheses(id: u64) -> u64 {
    id
}

#[cache_result(local = LOCAL)]
async fn constant(id: u64) -> u64 {
    id
}

#[cache_result(local = 0)]
async fn zero(id: u64) -> u64 {
    id
}

fn main() {}
