//! Delivery: from a position in a stream to committed objects.
//!
//! One task owns one delivery stream's way out. It reads on from where the ledger says, from one shard or from several, gathers
//! records, and when the size or the time trigger is met it writes a plan into the ledger, lets the object be put, commits, and
//! lets the journal trim. [`plain`] does so with one buffer; a stream whose prefix has partition keys is delivered by [`lanes`].
//!
//! One object holds records of all shards, shard by shard in the order of their numbers: so its bytes do not depend on
//! which shard was read when, and a shard's records stand behind those of its parents.
//!
//! Recovery is start-up: unfinished plans are carried out exactly as written before a new one is made.

mod again;
mod buffer;
mod capacity;
mod chain;
mod chunk;
mod columns;
mod deliver;
mod encoders;
mod encoding;
mod endpoint;
mod failed;
mod force;
mod lanes;
mod loss;
mod outage;
mod place;
mod plain;
mod prepare;
mod rows;
mod spill;
mod stage;
mod staged;
mod state;
mod steps;
mod supply;
mod target;
mod webhook;
mod workshop;

use std::sync::Arc;

use tokio::sync::watch;

pub use capacity::Capacity;
pub use spill::Spill;
pub use staged::Staging;
pub use state::{Seen, State};
pub use target::{Written, modules, modules_of_lanes, staged_file, written};
pub use webhook::Outboxes;

use crate::clock::Clock;
use crate::config::DeliveryStream;
use crate::destination::Stores;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::stream::Feed;
use crate::telemetry::metrics::StreamMetrics;
use crate::transform::Registry;
use crate::transform::function::Caller;

/// How long a pipeline is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until told otherwise.
    Forever,
    /// Deliver what is there without waiting for triggers, then end; an attempt that fails ends it too, and what is
    /// left stays in the journal. For stopping the service.
    Flushed,
    /// End at once; what is left stays in the journal.
    Left,
    /// Deliver what is there, however long it takes, then end. For deleting a stream that drains.
    Drained,
    /// End at once; what is left is given up by the caller. For deleting a stream.
    Discarded,
}

/// What a pipeline is told from outside.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The stream's settings.
    pub stream: Arc<DeliveryStream>,
    /// Their version, part of object names.
    pub version: u64,
    /// How long to go on.
    pub until: Until,
}

/// What a pipeline is made of.
pub struct Parts {
    /// What it is called in logs.
    pub name: String,
    /// Where records come from.
    pub feed: Feed,
    /// Where plans and commits are written down.
    pub ledger: Arc<dyn Ledger>,
    /// Where objects go.
    pub stores: Stores,
    /// Time.
    pub clock: Clock,
    /// What pipelines share.
    pub capacity: Capacity,
    /// What the names of plugins stand for.
    pub registry: Registry,
    /// What functions are told of the stream.
    pub caller: Caller,
    /// Where what they make is kept.
    pub staging: Staging,
    /// Where messages to webhooks wait.
    pub webhooks: Outboxes,
    /// What is counted.
    pub metrics: Arc<StreamMetrics>,
    /// What others see.
    pub state: Arc<State>,
    /// What it is told.
    pub orders: watch::Receiver<Orders>,
}

/// How a pipeline ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Records that are not past: they stay in the journal (or are the caller's to discard).
    pub left: u64,
}

/// Delivers one stream until told to end, or until its settings ask for a pipeline of the other kind. An error is a fault of journal
/// or ledger: nothing is lost, and another call takes up from what is durable.
pub async fn deliver(parts: Parts) -> Result<Ended> {
    let sending = webhook::Sending::begin(webhook::sender(&parts)).await;
    let ended = Box::pin(carry_on(parts)).await?;
    if let Some(sending) = sending {
        sending.finish().await;
    }
    Ok(ended)
}

async fn carry_on(parts: Parts) -> Result<Ended> {
    let standing = parts.ledger.standing(parts.feed.by()).await?;
    // Whole plans are finished before lanes are opened, and lanes closed before a whole plan is made.
    let has_whole = standing.unfinished.iter().any(|(_, plan)| plan.share.is_none());
    if standing.has_lanes() || lanes::is_wanted(&parts.orders.borrow()) && !has_whole {
        let lanes = Box::pin(lanes::Partitioned::start(parts, standing)).await?;
        return Box::pin(lanes.run()).await;
    }
    // What was kept of a time when the stream was partitioned, and never routed.
    if parts.staging.has_batches(parts.feed.by()) {
        let (staging, by) = (parts.staging.clone(), parts.feed.by());
        let _ = tokio::task::spawn_blocking(move || staging.forget_batches(by)).await;
    }
    plain::Pipeline::start(parts, standing).await?.run().await
}
