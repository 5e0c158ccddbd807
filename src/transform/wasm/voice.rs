//! What plugins say: lines for the service's log, bounded in length and number.

use std::sync::{Arc, Mutex, PoisonError};

use super::bindings::standpipe::transform::host::Level;
use crate::clock::{Clock, Instant};
use crate::limits::{PLUGIN_LOG_LINES_MAX, PLUGIN_MESSAGE_BYTES_MAX};
use crate::telemetry::metrics::TransformMetrics;

/// The voice of one plugin in one delivery stream, shared by its instances.
pub(super) struct Voice {
    pub(super) stream: String,
    pub(super) plugin: String,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<TransformMetrics>,
    /// When the present second began, and how many lines were written in it.
    second: Mutex<(Instant, u32)>,
}

impl Voice {
    pub(super) fn new(stream: &str, plugin: &str, clock: Clock, metrics: Arc<TransformMetrics>) -> Self {
        let second = Mutex::new((clock.instant(), 0));
        Voice { stream: stream.to_owned(), plugin: plugin.to_owned(), clock, metrics, second }
    }

    fn say(&self, level: Level, line: &str) {
        if !self.may_speak() {
            self.metrics.log_lines_left_out.inc();
            return;
        }
        let (stream, plugin) = (&self.stream, &self.plugin);
        match level {
            Level::Debug => tracing::debug!(stream, plugin, line, "a plugin says"),
            Level::Info => tracing::info!(stream, plugin, line, "a plugin says"),
            Level::Warn => tracing::warn!(stream, plugin, line, "a plugin says"),
            Level::Error => tracing::error!(stream, plugin, line, "a plugin says"),
        }
    }

    fn may_speak(&self) -> bool {
        let now = self.clock.instant();
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(second.0).as_secs() >= 1 {
            *second = (now, 0);
        }
        second.1 = second.1.saturating_add(1);
        second.1 <= PLUGIN_LOG_LINES_MAX
    }
}

/// What one instance says.
pub(super) struct Said {
    voice: Arc<Voice>,
    /// The last line that was an error or came from standard error, in this batch.
    complaint: String,
    /// A line of standard output or error that has not ended yet.
    begun: [String; 2],
}

/// Which of the two.
#[derive(Clone, Copy)]
pub(super) enum Output {
    /// Standard output: informs.
    Out = 0,
    /// Standard error: warns.
    Err = 1,
}

impl Said {
    pub(super) fn new(voice: Arc<Voice>) -> Self {
        Said { voice, complaint: String::new(), begun: [String::new(), String::new()] }
    }

    /// Forgets what was said before.
    pub(super) fn begin(&mut self) {
        self.complaint.clear();
    }

    /// The last complaint; empty without one.
    pub(super) fn complaint(&mut self) -> String {
        self.end_line(Output::Err);
        std::mem::take(&mut self.complaint)
    }

    /// A line of the log.
    pub(super) fn log(&mut self, level: Level, message: &str) {
        let line = bounded(message);
        if level == Level::Error && !line.trim().is_empty() {
            line.trim_end().clone_into(&mut self.complaint);
        }
        self.voice.say(level, line.trim_end());
    }

    /// Bytes of standard output or error.
    pub(super) fn write(&mut self, output: Output, bytes: &[u8]) {
        for (number, part) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if number > 0 {
                self.end_line(output);
            }
            let line = &mut self.begun[output as usize];
            let room = PLUGIN_MESSAGE_BYTES_MAX.saturating_sub(line.len());
            line.push_str(bounded(&String::from_utf8_lossy(&part[..part.len().min(room)])));
        }
    }

    fn end_line(&mut self, output: Output) {
        let line = std::mem::take(&mut self.begun[output as usize]);
        if line.trim().is_empty() {
            return;
        }
        match output {
            Output::Out => self.voice.say(Level::Info, &line),
            Output::Err => {
                self.voice.say(Level::Warn, &line);
                self.complaint = line;
            }
        }
    }
}

/// As much of `message` as is kept.
pub(super) fn bounded(message: &str) -> &str {
    &message[..message.floor_char_boundary(PLUGIN_MESSAGE_BYTES_MAX)]
}
