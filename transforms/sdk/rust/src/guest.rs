//! What `export!` needs: the one plugin of a module, between `init` and the batches.
use std::cell::RefCell;

use crate::bindings::standpipe::transform::types;
use crate::{Batch, Facts, Lifetime, Outcome, Transform, log};

/// The plugin of this module, once `init` made it.
pub struct Slot<T>(RefCell<Option<T>>);

impl<T: Transform> Slot<T> {
    /// A slot before `init`.
    pub const fn empty() -> Self {
        Slot(RefCell::new(None))
    }

    /// See [`Transform::init`].
    pub fn init(&self, facts: types::Facts) -> Result<types::Lifetime, String> {
        std::panic::set_hook(Box::new(|panic| log::error(panic.to_string())));
        let plugin = T::init(Facts { delivery_stream: facts.delivery_stream, config: facts.config })?;
        let lifetime = match plugin.lifetime() {
            Lifetime::Batch => types::Lifetime::Batch,
            Lifetime::Kept => types::Lifetime::Kept,
        };
        *self.0.borrow_mut() = Some(plugin);
        Ok(lifetime)
    }

    /// See [`Transform::transform`].
    pub fn transform(&self, batch: types::Batch) -> types::Outcome {
        let mut slot = self.0.borrow_mut();
        let plugin = slot.as_mut().expect("the host calls init before transform");
        let mut out = Outcome::of(&batch);
        plugin.transform(Batch::new(&batch), &mut out);
        out.into_inner()
    }
}
