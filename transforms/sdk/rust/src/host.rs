//! What the host offers: a log and counters. In a plain `cargo test` there is no host: lines go to the standard error,
//! counters nowhere.
#[cfg(target_family = "wasm")]
use crate::bindings::standpipe::transform::host;

/// Writes into the service's log.
pub mod log {
    use super::{Level, write};

    /// For whoever writes the plugin.
    pub fn debug(message: impl AsRef<str>) {
        write(Level::Debug, message.as_ref());
    }

    /// Worth knowing.
    pub fn info(message: impl AsRef<str>) {
        write(Level::Info, message.as_ref());
    }

    /// Worth looking at.
    pub fn warn(message: impl AsRef<str>) {
        write(Level::Warn, message.as_ref());
    }

    /// Worth waking somebody.
    pub fn error(message: impl AsRef<str>) {
        write(Level::Error, message.as_ref());
    }
}

/// Adds to a counter of the plugin's own, which is exported among the service's metrics.
pub fn count(name: &str, by: u64) {
    #[cfg(target_family = "wasm")]
    host::counter(name, by);
    #[cfg(not(target_family = "wasm"))]
    let _ = (name, by);
}

use crate::bindings::standpipe::transform::host::Level;

fn write(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    host::log(level, message);
    #[cfg(not(target_family = "wasm"))]
    eprintln!("{level:?}: {message}");
}
