use cache_runtime::cache_result;

pub struct Service {
    id: u64,
}

impl Service {
    #[cache_result]
    async fn by_reference(&self, id: u64) -> u64 {
        self.id + id
    }

    #[cache_result(skip(id))]
    async fn by_value(self, id: u64) -> u64 {
        self.id + id
    }

    #[cache_result]
    async fn shared(self: std::sync::Arc<Self>) -> u64 {
        self.id
    }
}

fn main() {
    let _ = Service { id: 1 }.by_reference(1);
    let _ = Service { id: 1 }.by_value(1);
    let _ = std::sync::Arc::new(Service { id: 1 }).shared();
}
