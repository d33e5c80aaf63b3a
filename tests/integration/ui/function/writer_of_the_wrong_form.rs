use cache_runtime::cache_invalidate;

#[cache_invalidate(prefix = "areas")]
pub struct Areas;

#[cache_invalidate(prefix = "areas")]
fn not_async(id: u64) -> u64 {
    id
}

pub trait Store {
    #[cache_invalidate(prefix = "areas")]
    fn without_a_body(&self);
}

#[cache_invalidate(prefix = "areas")]
async fn unnamed(id: u64) -> impl Sized {
    id
}

fn main() {
    not_async(1);
    drop(unnamed(1));
}
