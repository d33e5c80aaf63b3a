//! What the runtime logs, for tests that count lines.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Collects the runtime's log lines of this process from the moment it is installed.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl Log {
    /// Installs a log for the whole process; once in a test binary.
    ///
    /// # Panics
    ///
    /// Where the process has one already.
    pub fn install() -> Self {
        let log = Self::default();
        tracing::subscriber::set_global_default(log.clone()).expect("one log in a process");
        log
    }

    /// The lines that contain `text`, at `level` or more severe.
    ///
    /// # Panics
    ///
    /// Never: the lock is not held across a panic.
    pub fn lines(&self, level: Level, text: &str) -> Vec<String> {
        let lines = self.0.lock().expect("not poisoned");
        let matching = lines.iter().filter(|(at, line)| *at <= level && line.contains(text));
        matching.map(|(_, line)| line.clone()).collect()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("cache_runtime")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        if let Ok(mut lines) = self.0.lock() {
            lines.push((*event.metadata().level(), line.0));
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
