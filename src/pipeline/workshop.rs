//! Where chunks are prepared: on the encoders' threads, with a watch on how long their steps take.

use std::sync::Arc;

use super::capacity::Capacity;
use super::chunk::{Placed, halves};
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

/// What became of a chunk.
pub(super) enum Turn {
    Done(Prepared),
    /// It is more than may be in memory at once: these are to be prepared in its place.
    TooMuch([Vec<Placed>; 2]),
}

impl Workshop {
    /// Has a chunk prepared when a processor is free; its halves come back when it becomes too much at once.
    pub(super) async fn prepare(&self, recipe: &Recipe, chunk: Vec<Placed>) -> Encoded<Result<Turn>> {
        let (workshop, recipe) = (self.clone(), recipe.clone());
        self.capacity.encode(move || workshop.turn(&recipe, &chunk)).await
    }

    /// The same of all of a chunk: each part of it is given to `keep`, in order, on the same thread. Nothing when that keeps nothing.
    pub(super) async fn prepare_all<T: Send + 'static>(
        &self,
        recipe: &Recipe,
        chunk: Vec<Placed>,
        keep: impl Fn(Prepared) -> Option<T> + Send + 'static,
    ) -> Encoded<Result<Option<Vec<T>>>> {
        let (workshop, recipe) = (self.clone(), recipe.clone());
        let prepare = move || {
            let (mut chunks, mut kept) = (vec![chunk], Vec::new());
            while let Some(chunk) = chunks.pop() {
                match workshop.turn(&recipe, &chunk)? {
                    Turn::Done(prepared) => match keep(prepared) {
                        Some(part) => kept.push(part),
                        None => return Ok(None),
                    },
                    Turn::TooMuch([first, others]) => chunks.extend([others, first]),
                }
            }
            Ok(Some(kept))
        };
        self.capacity.encode(prepare).await
    }

    fn turn(&self, recipe: &Recipe, chunk: &[Placed]) -> Result<Turn> {
        let steps = || recipe.process(chunk);
        let processed = if recipe.has_steps() { self.watched(steps) } else { steps() }?;
        Ok(processed.map_or_else(|| Turn::TooMuch(halves(chunk)), |processed| Turn::Done(recipe.encode(processed))))
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::super::chunk::tests::placed;
    use super::super::steps::Tool;
    use super::super::target::Target;
    use super::*;
    use crate::config::{self, DeliveryStream, Destination};
    use crate::record::Records;
    use crate::transform::builtin::Builtin;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    /// In tests a KiB of rows is too much at once.
    #[tokio::test]
    async fn records_that_become_large_cost_those_behind_them_nothing() {
        let stream = DeliveryStream::new("web", Destination::local("/lake"));
        let tool = Tool::Builtin(Arc::new(Builtin::new(&config::Builtin::Decompress).unwrap()));
        let recipe = Recipe::without_steps(&Target::of(&stream, Vec::new())).with_tools(vec![tool]);
        let clock = Clock::simulated(1, 0);
        let workshop = Workshop { capacity: Capacity::new(1), clock, metrics: Arc::default() };
        let large = vec![b'x'; 5_000];
        let records =
            [gzip(&large), gzip(b"one"), b"none".to_vec(), gzip(&large), gzip(b"two"), gzip(&large), gzip(b"three")];
        let chunk = || vec![placed(0, Records::from_slices(5, &records))];
        let parts = workshop.prepare_all(&recipe, chunk(), Some).await.done().await.unwrap().unwrap().unwrap();
        assert!(parts.len() > 3, "{} parts", parts.len());
        let failed: Vec<_> = parts.iter().flat_map(|part| &part.failed).map(|refused| &refused.record[..]).collect();
        assert_eq!(failed, [b"none"]);
        let delivered: u64 = parts.iter().map(|part| part.tally.delivered).sum();
        assert_eq!((delivered, parts.iter().map(|part| part.tally.positions()).sum::<u64>()), (6, 7));
        let bytes: u64 = parts.iter().map(|part| part.tally.delivered_bytes).sum();
        assert_eq!(bytes, 3 * 5_000 + 11);
        // The same parts, one by one.
        let (mut chunks, mut same) = (vec![chunk()], Vec::new());
        while let Some(chunk) = chunks.pop() {
            match workshop.prepare(&recipe, chunk).await.done().await.unwrap().unwrap() {
                Turn::Done(prepared) => same.push(prepared.chunk.bytes),
                Turn::TooMuch([first, others]) => chunks.extend([others, first]),
            }
        }
        assert_eq!(same, parts.into_iter().map(|part| part.chunk.bytes).collect::<Vec<_>>());
        let kept = workshop.prepare_all(&recipe, chunk(), |_| None::<()>).await.done().await.unwrap().unwrap();
        assert!(kept.is_none(), "where there is no room for one, there is none for the chunk");
    }
}
