use cache_runtime::cache_result;

pub struct Counter(u64);

impl Counter {
    #[cache_result(skip(self))]
    pub async fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

#[cache_result(skip(seen))]
async fn areas(id: u64, seen: &mut Vec<u64>) -> u64 {
    seen.push(id);
    id
}

#[cache_result(skip(seen))]
async fn inside(id: u64, seen: Option<&mut u64>) -> u64 {
    seen.map_or(id, |seen| *seen)
}

fn main() {}
