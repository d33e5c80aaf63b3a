use cache_runtime::cache_result;

pub trait Areas {
    #[cache_result(ttl = 3600, skip(self))]
    fn areas(&self, id: u64) -> impl Future<Output = u64>;
}

fn main() {}
