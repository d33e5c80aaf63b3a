use cache_runtime::cache_result;

use std::borrow::Cow;

pub struct Db;

#[cache_result(stale_while_revalidate = 60, skip(db))]
async fn users(db: &Db, name: &str, of: Cow<'_, str>, fixed: &'static str) -> usize {
    let _ = db;
    name.len() + of.len() + fixed.len()
}

impl Db {
    #[cache_result(stale_while_revalidate = 60, skip(self))]
    async fn find(&self, id: u64) -> u64 {
        id
    }
}

fn main() {
    drop(users(&Db, "", "".into(), ""));
    drop(Db.find(1));
}
