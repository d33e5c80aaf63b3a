use std::sync::Arc;

use cache_runtime::cache_result;

pub struct Repo<'a, T>(&'a T);

impl<'a> Repo<'a, u8> {
    #[cache_result(refresh_ahead = 1.0, skip(self))]
    async fn of_a_lifetime(self: Arc<Self>, id: u64) -> u64 {
        u64::from(*self.0) + id
    }
}

pub struct Of<T>(T);

impl<T: Into<u64> + Clone + Send + Sync> Of<T> {
    #[cache_result(refresh_ahead = 1.0, skip(self))]
    async fn of_a_type(self: Arc<Self>, id: u64) -> u64 {
        self.0.clone().into() + id
    }
}

fn main() {}
