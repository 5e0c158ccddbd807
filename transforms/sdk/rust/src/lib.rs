//! Write a Standpipe transform plugin in Rust: records in, records out, nothing else in sight.
//!
//! ```ignore
//! use standpipe_transform::{Batch, Facts, Outcome, Transform, export};
//!
//! struct Upper;
//!
//! impl Transform for Upper {
//!     fn init(_: Facts) -> Result<Self, String> {
//!         Ok(Upper)
//!     }
//!
//!     fn transform(&mut self, batch: Batch<'_>, out: &mut Outcome) {
//!         for record in batch {
//!             out.emit(&record, &record.data().to_ascii_uppercase());
//!         }
//!     }
//! }
//!
//! export!(Upper);
//! ```
//!
//! A plugin has no clock, no randomness, no files and no network: the same batch must give the same outcome, because a
//! delivery that crashed is repeated by running it again.

#[doc(hidden)]
pub mod bindings {
    #![allow(missing_docs)]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "transform",
        pub_export_macro: true,
        default_bindings_module: "standpipe_transform::bindings",
    });
}

use bindings::standpipe::transform::types;

/// What a plugin is.
pub trait Transform: Sized + 'static {
    /// Called once for each instance, before the first batch. An error refuses the configuration; its text is shown.
    fn init(facts: Facts) -> Result<Self, String>;

    /// Called for each batch. Every record must be emitted (once or several times), dropped or failed.
    fn transform(&mut self, batch: Batch<'_>, out: &mut Outcome);
}

/// Where the plugin runs and how it is configured.
pub struct Facts {
    /// The delivery stream's name.
    pub stream: String,
    config: Vec<(String, String)>,
}

impl Facts {
    /// A configuration value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.config.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A configuration value that must be there; the error names it.
    pub fn require(&self, name: &str) -> Result<&str, String> {
        self.get(name).ok_or_else(|| format!("config value {name:?} is missing"))
    }
}

/// The records of one call, in order.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    inner: &'a types::Batch,
    next: usize,
}

impl<'a> Iterator for Batch<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let index = self.next;
        if index >= self.inner.ends.len() {
            return None;
        }
        self.next += 1;
        Some(Record { batch: self.inner, index })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.inner.ends.len() - self.next;
        (left, Some(left))
    }
}

/// One record.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    batch: &'a types::Batch,
    index: usize,
}

impl<'a> Record<'a> {
    /// Its bytes.
    pub fn data(&self) -> &'a [u8] {
        slice(&self.batch.data, &self.batch.ends, self.index)
    }

    /// When it arrived, milliseconds since 1970.
    pub fn arrived_ms(&self) -> u64 {
        self.batch.arrived_ms[self.index]
    }

    /// Its partition key, if its source has any.
    pub fn key(&self) -> Option<&'a [u8]> {
        let ends = &self.batch.key_ends;
        (!ends.is_empty()).then(|| slice(&self.batch.key_data, ends, self.index))
    }

    /// Where it stands in its shard.
    pub fn position(&self) -> u64 {
        self.batch.position + self.index as u64
    }
}

fn slice<'a>(data: &'a [u8], ends: &[u32], index: usize) -> &'a [u8] {
    let start = if index == 0 { 0 } else { ends[index - 1] as usize };
    &data[start..ends[index] as usize]
}

/// What becomes of a batch.
pub struct Outcome {
    inner: types::Outcome,
}

impl Outcome {
    fn for_batch(batch: &types::Batch) -> Self {
        let rows = batch.ends.len();
        Outcome {
            inner: types::Outcome {
                data: Vec::with_capacity(batch.data.len()),
                ends: Vec::with_capacity(rows),
                inputs: Vec::with_capacity(rows),
                statuses: Vec::with_capacity(rows),
                keys: Vec::new(),
            },
        }
    }

    /// Delivers `data` for `record`; may be called several times for one record.
    pub fn emit(&mut self, record: &Record<'_>, data: &[u8]) -> Row<'_> {
        self.inner.data.extend_from_slice(data);
        self.end_row(record, 0)
    }

    /// Delivers what `write` appends, without a copy.
    pub fn emit_with(&mut self, record: &Record<'_>, write: impl FnOnce(&mut Vec<u8>)) -> Row<'_> {
        write(&mut self.inner.data);
        self.end_row(record, 0)
    }

    /// Leaves `record` out, on purpose: it is counted as dropped.
    pub fn drop(&mut self, record: &Record<'_>) {
        self.end_row(record, 1);
    }

    /// Sends `record` to the error output as it came, with a message for a person.
    pub fn fail(&mut self, record: &Record<'_>, message: &str) {
        self.inner.data.extend_from_slice(message.as_bytes());
        self.end_row(record, 2);
    }

    fn end_row(&mut self, record: &Record<'_>, status: u8) -> Row<'_> {
        self.inner.ends.push(self.inner.data.len() as u32);
        self.inner.inputs.push(record.index as u32);
        self.inner.statuses.push(status);
        for column in &mut self.inner.keys {
            column.ends.push(column.data.len() as u32);
        }
        Row { outcome: self }
    }
}

/// A row that was just emitted, to give it partition keys.
pub struct Row<'a> {
    outcome: &'a mut Outcome,
}

impl Row<'_> {
    /// Gives the row a partition key, for `!{partitionKeyFromLambda:name}` in a prefix.
    pub fn key(self, name: &str, value: &str) -> Self {
        let rows = self.outcome.inner.ends.len();
        let keys = &mut self.outcome.inner.keys;
        let at = keys.iter().position(|column| column.name == name).unwrap_or_else(|| {
            // The rows before had no such key: theirs is empty.
            keys.push(types::KeyColumn { name: name.to_owned(), data: Vec::new(), ends: vec![0; rows] });
            keys.len() - 1
        });
        let column = &mut keys[at];
        column.data.extend_from_slice(value.as_bytes());
        column.ends[rows - 1] = column.data.len() as u32;
        self
    }
}

/// Writes into the service's log.
pub mod log {
    use crate::bindings::standpipe::transform::host::{Level, log};

    /// For whoever writes the plugin.
    pub fn debug(message: &str) {
        log(Level::Debug, message);
    }

    /// Worth knowing.
    pub fn info(message: &str) {
        log(Level::Info, message);
    }

    /// Worth looking at.
    pub fn warn(message: &str) {
        log(Level::Warn, message);
    }

    /// Worth waking somebody.
    pub fn error(message: &str) {
        log(Level::Error, message);
    }
}

/// Adds to a counter of the plugin's own.
pub fn count(name: &str, by: u64) {
    bindings::standpipe::transform::host::counter(name, by);
}

#[doc(hidden)]
pub mod guest {
    use std::cell::RefCell;

    use super::{Batch, Facts, Outcome, Transform, types};

    /// The one instance of the plugin in this module.
    pub struct Slot<T>(RefCell<Option<T>>);

    impl<T: Transform> Slot<T> {
        pub const fn new() -> Self {
            Slot(RefCell::new(None))
        }

        pub fn init(&self, facts: types::Facts) -> Result<(), String> {
            *self.0.borrow_mut() = Some(T::init(Facts { stream: facts.delivery_stream, config: facts.config })?);
            Ok(())
        }

        pub fn transform(&self, batch: types::Batch) -> types::Outcome {
            let mut slot = self.0.borrow_mut();
            let plugin = slot.as_mut().expect("the host calls init before transform");
            let mut out = Outcome::for_batch(&batch);
            plugin.transform(Batch { inner: &batch, next: 0 }, &mut out);
            out.inner
        }
    }
}

/// Makes a type that is [`Transform`] the plugin of this module.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        const _: () = {
            use $crate::bindings::standpipe::transform::types;

            std::thread_local! {
                static PLUGIN: $crate::guest::Slot<$plugin> = const { $crate::guest::Slot::new() };
            }

            struct Guest;

            impl $crate::bindings::Guest for Guest {
                fn init(facts: types::Facts) -> Result<(), String> {
                    PLUGIN.with(|plugin| plugin.init(facts))
                }

                fn transform(batch: types::Batch) -> types::Outcome {
                    PLUGIN.with(|plugin| plugin.transform(batch))
                }
            }

            $crate::bindings::export!(Guest with_types_in $crate::bindings);
        };
    };
}
