//! What one call does, the next one sees at once: nobody has to wait for a write to go out.

// Many functions answer with the number of their run, whatever they are called with.
#![allow(unused_variables)]

use cache_runtime::{cache_result, invalidate, observe, peek, put, refresh};
use support::{over_both, run};

#[cache_result(ttl = 60, prefix = "numbers")]
async fn number(key: u32) -> u64 {
    run()
}

#[tokio::test]
async fn a_call_right_after_a_miss_is_a_hit() {
    over_both(|_| async {
        let (value, outcome) = observe(number(1)).await;
        assert!(outcome.is_computed(), "{outcome:?}");
        let (again, outcome) = observe(number(1)).await;
        assert!(outcome.is_hit(), "{outcome:?}");
        assert_eq!(again, value);
        assert_eq!(peek(number(1)).await, Some(value));
    })
    .await;
}

#[tokio::test]
async fn an_invalidated_value_is_gone_at_once() {
    over_both(|_| async {
        let value = number(2).await;
        invalidate(number(2)).await.unwrap();
        assert_eq!(peek(number(2)).await, None);
        assert_ne!(number(2).await, value);
    })
    .await;
}

#[tokio::test]
async fn put_and_refresh_replace_a_value_at_once() {
    over_both(|_| async {
        let value = number(3).await;
        put(number(3), 99).await.unwrap();
        assert_eq!(number(3).await, 99);
        let refreshed = refresh(number(3)).await;
        assert!(refreshed != 99 && refreshed != value);
        assert_eq!(number(3).await, refreshed);
    })
    .await;
}

#[cache_result(ttl = |seconds| *seconds, prefix = "signed")]
async fn signed(seconds: i64) -> i64 {
    seconds
}

#[tokio::test]
async fn a_ttl_is_of_any_integer_type_and_with_a_negative_one_nothing_is_stored() {
    over_both(|_| async {
        for (seconds, stored) in [(60, Some(60)), (-1, None)] {
            assert_eq!(signed(seconds).await, seconds);
            assert_eq!(peek(signed(seconds)).await, stored);
        }
    })
    .await;
}
