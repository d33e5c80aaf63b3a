#![deny(unused_variables)]

use cache_runtime::cache_result;

struct Page<T>(T);

#[cache_result]
async fn areas(
    kind: String,
    page: u32,
    Page(size): Page<u32>,
    #[allow(unused_variables)] allowed: u8,
    _marked: u8,
    #[cfg(any())] absent: u8,
    read: u8,
    captured: u8,
) -> String {
    format!("{}{captured}", read)
}

struct Service;

impl Service {
    #[cache_result(key = "{id}", when = page < 10)]
    async fn named_by_the_attribute(id: u64, page: u64) -> u64 {
        1
    }

    #[cache_result(skip(self))]
    async fn find(&self, id: u64) -> u64 {
        1
    }
}

fn main() {}
