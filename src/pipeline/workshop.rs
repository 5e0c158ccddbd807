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
        let prepare = move || {
            let steps = || recipe.process(&chunk);
            let processed = if recipe.has_steps() { workshop.watched(steps) } else { steps() };
            Ok(then(recipe.encode(processed?)))
        };
        self.capacity.encode(prepare).await
    }

    /// Has steps done when a processor is free. An error says that they panicked.
    pub(super) async fn work<T: Send + 'static>(&self, steps: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        self.begin(steps).await.done().await
    }

    /// The same, once a processor is free: they are being done when this returns.
    pub(super) async fn begin<T: Send + 'static>(&self, steps: impl FnOnce() -> T + Send + 'static) -> Encoded<T> {
        let workshop = self.clone();
        self.capacity.encode(move || workshop.watched(steps)).await
    }

    fn watched<T>(&self, steps: impl FnOnce() -> T) -> T {
        let began = self.clock.instant();
        let done = steps();
        let took = self.clock.instant() - began;
        self.metrics.transform_microseconds.inc_by(took.as_micros() as u64);
        done
    }
}
