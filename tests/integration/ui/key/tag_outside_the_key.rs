use cache_runtime::cache_result;

pub struct User {
    id: u64,
    org: u64,
}

#[cache_result(key = "{page}:{user.id}", tags = ["user:{user.id}", "org:{user.org}:{lang}", "all"])]
async fn find(page: u32, user: User, lang: String) -> String {
    format!("{page}{}{}{lang}", user.id, user.org)
}

fn main() {}
