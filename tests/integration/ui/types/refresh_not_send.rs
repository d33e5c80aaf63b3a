use cache_runtime::cache_result;

use std::rc::Rc;

#[cache_result(stale_while_revalidate = 60)]
async fn behind(id: u64) -> u64 {
    let id = Rc::new(id);
    std::future::ready(()).await;
    *id
}

#[cache_result(refresh_ahead = 1.0, skip(db))]
async fn ahead(db: Rc<u64>, id: u64) -> u64 {
    *db + id
}

fn main() {}
