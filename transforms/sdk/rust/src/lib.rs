//! Write a Standpipe transform plugin in Rust: records in, rows out, nothing else in sight.
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
//!             out.emit(&record, record.data().to_ascii_uppercase());
//!         }
//!     }
//! }
//!
//! export!(Upper);
//! ```
//!
//! A plugin has no clock, no randomness, no files and no network: the same batch must give the same outcome, because a
//! delivery that crashed is repeated by running it again. A panic fails the batch, which is then tried in halves until
//! the record that causes it stands alone; its text is in the service's log.
//!
//! [`testing::run`] runs a plugin in a plain `cargo test`.

mod batch;
#[doc(hidden)]
pub mod guest;
mod host;
mod outcome;
pub mod testing;
#[cfg(test)]
mod tests;

pub use batch::{Batch, Facts, Record};
pub use host::{count, log};
pub use outcome::{Outcome, Row};

#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "transform",
        pub_export_macro: true,
        default_bindings_module: "standpipe_transform::bindings",
    });
}

/// How long an instance of a plugin may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// A new one for every batch: whatever it remembers is gone with the batch.
    Batch,
    /// One instance may be given any number of batches, in any order: what it remembers has no effect on outcomes.
    Kept,
}

/// A plugin.
pub trait Transform: Sized + 'static {
    /// Called once for each instance, before the first batch. An error refuses the configuration; its text is shown.
    fn init(facts: Facts) -> Result<Self, String>;

    /// Called for each batch. Every record must be emitted (once or several times), dropped or failed.
    fn transform(&mut self, batch: Batch<'_>, out: &mut Outcome);

    /// How long this instance may live. [`Lifetime::Kept`] is faster, and right for a plugin that changes nothing in
    /// itself while it transforms.
    fn lifetime(&self) -> Lifetime {
        Lifetime::Batch
    }
}

/// Makes a type that is [`Transform`] the plugin of this module.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        const _: () = {
            use $crate::bindings::standpipe::transform::types;

            std::thread_local! {
                static PLUGIN: $crate::guest::Slot<$plugin> = const { $crate::guest::Slot::empty() };
            }

            struct Guest;

            impl $crate::bindings::Guest for Guest {
                fn init(facts: types::Facts) -> Result<types::Lifetime, String> {
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
