use cache_runtime::cache_result;

#[cache_result]
const fn constant(id: u64) -> u64 {
    id
}

#[cache_result]
async unsafe fn without_a_guarantee(id: u64) -> u64 {
    id
}

#[cache_result]
extern "C" fn foreign(id: u64) -> u64 {
    id
}

fn main() {}
