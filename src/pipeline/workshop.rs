//! Where chunks are prepared: on the encoders' threads, with a watch on how long their steps take.

use std::sync::Arc;

use super::capacity::Capacity;
use super::chunk::Placed;
use super::encoders::Encoded;
use super::prepare::{Prepared, Recipe};
use crate::clock::Clock;
use crate::error::Result;
use crate::telemetry::metrics::StreamMetrics;

/// What one pipeline prepares its chunks with. Cheap to clone.
#[derive(Clone)]
pub(super) struct Workshop {
    pub capacity: Capacity,
    pub clock: Clock,
    pub metrics: Arc<StreamMetrics>,
}

impl Workshop {
    /// Has a chunk prepared when a processor is free, and `then` what became of it given to `then`, on the same thread.
    pub(super) async fn prepare<T: Send + 'static>(
        &self,
        recipe: &Recipe,
        chunk: Vec<Placed>,
        then: impl FnOnce(Prepared) -> T + Send + 'static,
    ) -> Encoded<Result<T>> {
        let (workshop, recipe) = (self.clone(), recipe.clone());
        self.capacity.encode(move || workshop.work(&recipe, &chunk).map(then)).await
    }

    fn work(&self, recipe: &Recipe, chunk: &[Placed]) -> Result<Prepared> {
        if !recipe.has_steps() {
            return Ok(recipe.encode(recipe.process(chunk)?));
        }
        let began = self.clock.instant();
        let processed = recipe.process(chunk);
        let took = self.clock.instant() - began;
        self.metrics.transform_microseconds.inc_by(took.as_micros() as u64);
        Ok(recipe.encode(processed?))
    }
}
