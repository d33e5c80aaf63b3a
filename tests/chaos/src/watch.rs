//! What is seen of a call from outside: the time of its function's run, what the runtime says it spent,
//! and panics anywhere in the process.

use std::cell::Cell;
use std::fmt::Debug;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// What is noted during one call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Notes {
    /// How long the function took, where it ran within the call.
    pub(crate) body: Option<Duration>,
    /// The cache traffic of a call that the runtime calls slow.
    pub(crate) spent: Duration,
}

tokio::task_local! {
    static NOTES: Cell<Notes>;
}

/// Runs a call, and hands out what was noted during it.
pub(crate) async fn noting<F: Future>(call: F) -> (F::Output, Notes) {
    let noted = async { (call.await, NOTES.with(Cell::get)) };
    NOTES.scope(Cell::default(), noted).await
}

fn note(change: impl FnOnce(&mut Notes)) {
    // A refresh behind a call is nobody's.
    let _ = NOTES.try_with(|cell| {
        let mut notes = cell.get();
        change(&mut notes);
        cell.set(notes);
    });
}

/// A run of a function, from now until it is dropped.
pub(crate) struct Body(Instant);

impl Body {
    pub(crate) fn begin() -> Self {
        Self(Instant::now())
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        note(|notes| notes.body = Some(notes.body.unwrap_or_default() + self.0.elapsed()));
    }
}

static PANICS: AtomicU64 = AtomicU64::new(0);

/// How often code of this process has panicked, on any thread, caught or not.
pub(crate) fn panics() -> u64 {
    PANICS.load(Ordering::SeqCst)
}

/// Begins to count panics and to hear what the runtime says; once in a process.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            before(info);
        }));
        // Where a program has a subscriber of its own, waits are told less well apart.
        let _ = tracing::subscriber::set_global_default(Listener);
    });
}

/// Hears how long the traffic of slow calls took, on the task of the call.
struct Listener;

#[derive(Default)]
struct Slow {
    is_slow: bool,
    spent: Duration,
}

impl Visit for Slow {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.is_slow = format!("{value:?}") == "cache slow",
            "spent" => self.spent = parse(&format!("{value:?}")).unwrap_or_default(),
            _ => {}
        }
    }
}

/// A duration as `Debug` writes it.
fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| c != '.' && !c.is_ascii_digit())?;
    let number: f64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "ns" => 1e-9,
        "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * unit).ok()
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        target == "cache_runtime::search::tell" && *metadata.level() == Level::DEBUG
    }

    fn event(&self, event: &Event<'_>) {
        let mut slow = Slow::default();
        if event.metadata().fields().field("spent").is_some() {
            event.record(&mut slow);
        }
        if slow.is_slow {
            note(|notes| notes.spent = slow.spent);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_written() {
        for duration in [7, 1500, 2_250_000, 3_000_000_000].map(Duration::from_nanos) {
            assert_eq!(parse(&format!("{duration:?}")), Some(duration));
        }
    }
}
