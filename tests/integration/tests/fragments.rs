//! Functions that a `macro_rules!` puts together from fragments, which arrive in invisible brackets.

use cache_runtime::{Cache, cache_result, observe};

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

#[tokio::test]
async fn a_body_that_is_a_fragment_of_a_macro_is_a_body() {
    let cache = Cache::in_memory();
    assert_eq!(cache.scope(doubled(4)).await, 8);
    cache.flush().await;
    let (value, outcome) = cache.scope(observe(doubled(4))).await;
    assert!(value == 8 && outcome.is_hit(), "{outcome:?}");
}
