//! Log lines: JSON or text on standard error, never a record's bytes, and a line that repeats is written once a while
//! with a count.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::clock::{Clock, Instant};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON document a line.
    Json,
    /// For a person.
    Text,
}

/// How often the same line (same place, same stream) is written.
const REPEAT_AFTER: Duration = Duration::from_secs(60);
/// Places and streams remembered; beyond it the memory is cleared, and lines are written again.
const REMEMBERED_MAX: usize = 4_096;

/// Starts logging to standard error. `filter` is in the manner of `RUST_LOG`. Called once.
pub fn start(format: LogFormat, filter: &str, clock: Clock) -> Result<(), crate::error::Error> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        crate::error::Error::invalid(format!("the log filter {filter:?} is not valid")).because(error)
    })?;
    let once = Once { clock, seen: Mutex::default() };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
        LogFormat::Text => lines.boxed(),
    };
    let started = tracing_subscriber::registry().with(filter).with(lines.with_filter(once)).try_init();
    started.map_err(|error| crate::error::Error::invalid("logging has been started before").because(error))
}

/// Lets the first of equal lines through and holds the others back for [`REPEAT_AFTER`]. Equal means: from the same
/// place in the program, about the same stream.
struct Once {
    clock: Clock,
    seen: Mutex<HashMap<u64, Instant>>,
}

impl<S: Subscriber> Filter<S> for Once {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let mut key = Key(DefaultHasher::new());
        event.metadata().callsite().hash(&mut key.0);
        event.record(&mut key);
        let (key, now) = (key.0.finish(), self.clock.instant());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.get(&key).is_some_and(|last| now - *last < REPEAT_AFTER) {
            return false;
        }
        if seen.len() >= REMEMBERED_MAX {
            seen.clear();
        }
        seen.insert(key, now);
        true
    }
}

/// What makes two lines from one place different: every field but those that differ each time.
struct Key(DefaultHasher);

impl Visit for Key {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if !matches!(field.name(), "key" | "request_id" | "seconds" | "bytes" | "records" | "position" | "offset") {
            field.name().hash(&mut self.0);
            format!("{value:?}").hash(&mut self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Count(Arc<Mutex<u32>>);

    impl<S: Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            *self.0.lock().unwrap() += 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeated_line_is_written_once_a_minute_and_other_streams_are_not_silenced() {
        let clock = Clock::simulated(1, 0);
        let lines = Arc::new(Mutex::new(0));
        let once = Once { clock: clock.clone(), seen: Mutex::default() };
        let subscriber = tracing_subscriber::registry().with(Count(lines.clone()).with_filter(once));
        let _guard = tracing::subscriber::set_default(subscriber);
        let say = |stream: &str, key: &str| tracing::warn!(stream, key, "an object could not be put");
        say("a", "1");
        say("a", "2");
        say("b", "3");
        assert_eq!(*lines.lock().unwrap(), 2);
        clock.sleep(REPEAT_AFTER).await;
        say("a", "4");
        assert_eq!(*lines.lock().unwrap(), 3);
    }
}
