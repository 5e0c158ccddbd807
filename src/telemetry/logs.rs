//! Log lines: JSON or text on standard error, never a record's bytes, and a line that repeats is written once a
//! while.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::clock::{Clock, Instant};
use crate::error::{Error, Result};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON document a line.
    Json,
    /// For a person.
    Text,
}

/// How often the same line (same place, same stream) is written.
const REPEAT_AFTER: Duration = Duration::from_mins(1);
/// Fields that do not make a line another one. Lines that tell of lost records carry one that is not here (`first_position`), and
/// are all shown.
const DIFFERENT_EACH_TIME: &[&str] =
    &["key", "error", "request_id", "attempts", "seconds", "bytes", "records", "position", "offset"];
/// Places and streams remembered; beyond it the memory is cleared, and lines are written again.
const REMEMBERED_MAX: usize = 4_096;

/// Starts logging to standard error. `filter` is in the manner of `RUST_LOG`; nothing is `info`. Called once.
///
/// Below `info` only our own lines are shown, whatever the filter says: the AWS SDK and hyper show headers and bodies
/// there, and no payload and no credential may get into a log line.
///
/// # Errors
/// A filter that cannot be read.
pub fn start(format: LogFormat, filter: &str, clock: Clock) -> Result<()> {
    let filter = parse(filter)?;
    let once = Once { clock, seen: Mutex::default() };
    let own = filter_fn(|line| shown(line.target(), *line.level()));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
    };
    let started = tracing_subscriber::registry().with(filter).with(own).with(lines.with_filter(once)).try_init();
    started.map_err(|error| Error::invalid("logging has been started before").because(error))
}

fn shown(target: &str, level: Level) -> bool {
    level <= Level::INFO || target == "standpipe" || target.starts_with("standpipe::")
}

fn parse(filter: &str) -> Result<EnvFilter> {
    let text = if filter.trim().is_empty() { "info" } else { filter };
    EnvFilter::try_new(text)
        .map_err(|error| Error::invalid(format!("the log filter {text:?} is not one")).because(error))
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

/// What makes two lines from one place different: every field but those that differ each time. The text of an error is
/// one of them: it names keys and numbers.
struct Key(DefaultHasher);

impl Visit for Key {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if !DIFFERENT_EACH_TIME.contains(&field.name()) {
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
        let say = |stream: &str, key: &str| {
            tracing::warn!(stream, key, error = format!("{key} is refused"), "an object could not be put");
        };
        say("a", "1");
        say("a", "2");
        say("b", "3");
        assert_eq!(*lines.lock().unwrap(), 2);
        for (start, lines_now) in [(0, 3), (0, 3), (9, 4)] {
            tracing::error!(stream = "a", first_position = start, records = 5 + start, "records are given up");
            assert_eq!(*lines.lock().unwrap(), lines_now, "each loss is told, once");
        }
        clock.sleep(REPEAT_AFTER).await;
        say("a", "4");
        assert_eq!(*lines.lock().unwrap(), 5);
    }

    #[test]
    fn a_filter_is_taken_or_refused_by_name() {
        assert_eq!(parse("").unwrap().to_string(), "info");
        assert_eq!(parse("standpipe=debug").unwrap().to_string(), "standpipe=debug");
        assert!(parse("standpipe=loud").unwrap_err().to_string().contains("\"standpipe=loud\""));
    }

    #[test]
    fn what_others_say_below_info_is_never_shown() {
        for (target, level, expected) in [
            ("standpipe::api", Level::TRACE, true),
            ("standpipe_other", Level::DEBUG, false),
            ("aws_smithy_runtime::client", Level::TRACE, false),
            ("hyper", Level::DEBUG, false),
            ("hyper", Level::INFO, true),
        ] {
            assert_eq!(shown(target, level), expected, "{target} {level}");
        }
    }
}
