//! A body that a macro takes as a `block`.

use cache_runtime::cache_result;

macro_rules! cached {
    ($name:ident($($arg:ident: $ty:ty),*) -> $output:ty $body:block) => {
        #[cache_result]
        async fn $name($($arg: $ty),*) -> $output $body
    };
}

cached! {
    doubled(number: u32) -> u32 {
        number * 2
    }
}

fn main() {
    let _ = doubled(1);
}
