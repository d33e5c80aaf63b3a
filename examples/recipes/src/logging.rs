//! Logging with tracing-subscriber.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;

/// Everything at info level, and each call of a cached function where `calls` is true.
pub fn subscriber<W>(writer: W, calls: bool) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let cache = if calls { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let levels = Targets::new().with_default(LevelFilter::INFO).with_target("cache_runtime", cache);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    Registry::default().with(lines.with_filter(levels))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use cache_runtime::Cache;

    use super::*;
    use crate::market::Database;
    use crate::testing::areas;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_line_says_which_key_was_hit() {
        let lines = Lines::default();
        let to = lines.clone();
        // For the process: a default of this thread alone may miss lines whose place another thread has met.
        tracing::subscriber::set_global_default(subscriber(move || to.clone(), true)).unwrap();
        let (db, cache) = (Database::default(), Cache::in_memory());
        cache
            .scope(async {
                areas(db.clone(), "buy".into()).await.unwrap();
                cache.flush().await;
                areas(db.clone(), "buy".into()).await.unwrap();
            })
            .await;
        let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let hit = lines.lines().find(|line| line.contains("cache hit")).unwrap_or(&lines);
        assert!(hit.contains("key=\"cache:tested-areas:"), "{hit}");
        assert!(hit.contains("outcome=\"hit\""), "{hit}");
    }
}
