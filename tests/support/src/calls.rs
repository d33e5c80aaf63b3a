//! Calls with what must become of them.

/// The value of a call that runs its function and stores what comes out.
#[macro_export]
macro_rules! computed {
    ($cache:expr, $call:expr) => {{
        let (value, outcome) = ::cache_runtime::observe($call).await;
        assert!(outcome.is_computed(), "{}: {outcome:?}", stringify!($call));
        $cache.flush().await;
        value
    }};
}

/// The value of a call that comes from the store.
#[macro_export]
macro_rules! hit {
    ($call:expr) => {{
        let (value, outcome) = ::cache_runtime::observe($call).await;
        assert!(outcome.is_hit(), "{}: {outcome:?}", stringify!($call));
        value
    }};
}

/// The value of a call that is computed the first time and comes from the store the second time.
#[macro_export]
macro_rules! stored {
    ($cache:expr, $call:expr) => {{
        let value = $crate::computed!($cache, $call);
        assert_eq!(value, $crate::hit!($call));
        value
    }};
}

/// Each call computes a value of its own although the others are stored, and keeps it.
#[macro_export]
macro_rules! apart {
    ($cache:ident: $($call:expr),+ $(,)?) => {{
        let runs = [$($crate::stored!($cache, $call)),+];
        let distinct: ::std::collections::HashSet<_> = runs.iter().collect();
        assert_eq!(distinct.len(), runs.len(), "{runs:?}");
        assert_eq!(runs, [$($crate::hit!($call)),+]);
    }};
}
