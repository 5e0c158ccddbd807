//! A stream of Amazon Kinesis (or of what speaks its protocol) copied into the journal of one delivery stream.
//!
//! One [`Importer`] for each such delivery stream. It lists the shards, copies each in a task of its own, children after
//! all of their parents, and remembers nothing but what stands in the journal: the checkpoint of each shard is in the
//! frame of the records that it speaks of. A shard without a checkpoint begins where the configuration says; what is
//! "latest" is the time at which the delivery stream was made, so that a restart before the first record loses nothing.

mod checkpoint;
mod copier;
mod lineage;
mod slots;
mod upstream;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::State;
use crate::clock::Clock;
use crate::config::{KinesisSource, StartAt};
use crate::error::{Error, Kind, Result};
use crate::limits;
use crate::stream::Stream;
use crate::telemetry::metrics::StreamMetrics;

use checkpoint::Naming;
use copier::{Copier, Shared};
use slots::{Slots, Taken};
use upstream::{Fault, From, Identity, Upstream};

/// What an importer is made of.
pub struct Parts {
    /// What is copied.
    pub source: KinesisSource,
    /// The delivery stream's name, for logs.
    pub name: String,
    /// When the delivery stream was made, milliseconds since 1970.
    pub created_ms: u64,
    /// Where to.
    pub into: Stream,
    /// Whether its frames are encrypted.
    pub encrypt: bool,
    /// Its share of the journal's disk.
    pub bytes_max: Option<u64>,
    /// Time.
    pub clock: Clock,
    /// What others see.
    pub state: Arc<State>,
    /// What is counted.
    pub metrics: Arc<StreamMetrics>,
    /// Leave to hold an answer, shared by all importers: [`SOURCE_ANSWERS_MAX`](limits::SOURCE_ANSWERS_MAX).
    pub answers: Arc<Semaphore>,
}

/// What copiers need to know.
struct Settings {
    name: String,
    poll: Duration,
    encrypt: bool,
    bytes_max: Option<u64>,
}

/// Copies one stream.
pub struct Importer {
    shared: Arc<Shared>,
    slots: Slots,
    start: From,
    /// Shards whose end was copied.
    done: BTreeSet<String>,
    running: BTreeSet<String>,
    copiers: JoinSet<(String, Result<()>)>,
}

impl Importer {
    /// Copies until it is dropped.
    ///
    /// # Errors
    /// What is wrong with our journal or with the settings; what is wrong with the source is waited out. Nothing is
    /// lost, and a new run takes up from what is durable.
    pub async fn run(parts: Parts) -> Result<()> {
        let Parts { source, name, created_ms, into, encrypt, bytes_max, clock, state, metrics, answers } = parts;
        let upstream = Upstream::connect(&source).await?;
        let (identity, consumer) = {
            let mut patience = Patience::new(&name, &clock, &state);
            loop {
                match find(&upstream, source.consumer.as_deref(), &clock).await {
                    Ok(found) => break found,
                    Err(fault) => patience.wait(&fault).await,
                }
            }
        };
        let start = match source.start {
            StartAt::Horizon => From::Horizon,
            StartAt::Latest => From::Time(created_ms),
            StartAt::Time(ms) => From::Time(ms),
        };
        let settings = Settings { name, poll: source.poll, encrypt, bytes_max };
        let naming = Naming::new(&identity.arn, identity.created_ms);
        let importer = Importer {
            slots: Slots::load(naming, &into.checkpoints().await?)?,
            shared: Arc::new(Shared { upstream, identity, settings, into, clock, state, metrics, answers, consumer }),
            start,
            done: BTreeSet::new(),
            running: BTreeSet::new(),
            copiers: JoinSet::new(),
        };
        importer.copy().await
    }

    async fn copy(mut self) -> Result<()> {
        loop {
            let shared = self.shared.clone();
            let mut patience = Patience::new(&shared.settings.name, &shared.clock, &shared.state);
            let listed = loop {
                match shared.upstream.shards().await {
                    Ok(listed) => break listed,
                    Err(fault) => patience.wait(&fault).await,
                }
            };
            self.slots.seen(listed.iter().map(|shard| shard.id.as_str()), shared.clock.now_ms());
            for shard in lineage::ready(&listed, &self.done) {
                self.begin(shard);
            }
            tokio::select! {
                Some(ended) = self.copiers.join_next() => self.ended(ended)?,
                () = shared.clock.sleep(limits::SOURCE_SHARDS_EVERY) => {}
            }
        }
    }

    fn begin(&mut self, shard: &str) {
        if self.running.contains(shard) {
            return;
        }
        let Taken { source, of, last } = self.slots.take(shard, &self.running, self.shared.clock.now_ms());
        self.running.insert(shard.to_owned());
        let from = last.as_ref().map_or(self.start.clone(), |last| From::After(last.sequence.clone()));
        let (heard, cramped) = (None, false);
        let copier =
            Copier { shared: self.shared.clone(), shard: shard.to_owned(), source, of, from, last, heard, cramped };
        let shard = shard.to_owned();
        self.copiers.spawn(async move { (shard, copier.run().await) });
    }

    fn ended(&mut self, ended: std::result::Result<(String, Result<()>), tokio::task::JoinError>) -> Result<()> {
        let (shard, outcome) =
            ended.map_err(|error| Error::new(Kind::Internal, "the copying of a shard panicked").because(error))?;
        outcome?;
        tracing::info!(stream = self.shared.settings.name, shard, "a source's shard is copied to its end");
        self.running.remove(&shard);
        self.done.insert(shard);
        Ok(())
    }
}

/// Who the stream is, and the ARN of our consumer of it.
async fn find(
    upstream: &Upstream,
    consumer: Option<&str>,
    clock: &Clock,
) -> std::result::Result<(Identity, Option<String>), Fault> {
    let identity = upstream.identity().await?;
    let consumer = match consumer {
        Some(name) => Some(upstream.consumer(name, &identity, clock).await?),
        None => None,
    };
    Ok((identity, consumer))
}

/// Waits between calls that fail, longer each time.
struct Patience<'a> {
    name: &'a str,
    clock: &'a Clock,
    state: &'a State,
    pause: Duration,
}

impl<'a> Patience<'a> {
    fn new(name: &'a str, clock: &'a Clock, state: &'a State) -> Self {
        Patience { name, clock, state, pause: limits::SOURCE_PAUSE_MIN }
    }

    async fn wait(&mut self, fault: &Fault) {
        self.state.failed(fault.to_string(), self.clock.now_ms());
        tracing::warn!(stream = self.name, error = %fault, "a source does not answer, tried again");
        self.clock.sleep(self.pause).await;
        self.pause = (self.pause * 2).min(limits::SOURCE_PAUSE_MAX);
    }
}
