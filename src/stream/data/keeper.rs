//! The task that lets go what is over: records beyond retention, shards without records, streams that vanished from the
//! file; and that looks at the load of on-demand streams.
//!
//! It sleeps until the first moment at which something can be over. A stream without records, or without load, costs
//! nothing until the put that wakes it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::definition::{Definition, Mode, Status};
use super::demand::{self, Load, Patience};
use super::shard::Shard;
use super::{DataStream, DataStreams, Shared, Snapshot};
use crate::clock::Clock;
use crate::error::{Kind, Result};
use crate::limits::{DEMAND_LOOK_EVERY, KEEPER_PAUSE_MAX, KEEPER_PAUSE_MIN, RETENTION_STEP_MAX, RETENTION_STEP_MIN};
use crate::record::{ShardId, StreamId};

/// How long records may outlive their retention: a twentieth of it, within bounds.
pub(super) fn step(retention: Duration) -> Duration {
    (retention / 20).clamp(RETENTION_STEP_MIN, RETENTION_STEP_MAX)
}

/// Starts the task. It ends when the last handle is dropped.
pub(super) fn spawn(streams: &DataStreams) {
    let keeper = Keeper {
        shared: Arc::downgrade(&streams.shared),
        clock: streams.shared.clock.clone(),
        seen: streams.watch(),
        woken: streams.shared.rates.woken(),
        kept: HashMap::new(),
        known: None,
        swept: false,
    };
    tokio::spawn(keeper.run());
}

impl DataStreams {
    /// Says that each delivery stream over a data stream has its [`pin`](Self::pin). Until then nothing is trimmed, for
    /// somebody may need it; to be called once after a start.
    pub fn settled(&self) {
        self.shared.pins.settle();
        self.shared.rates.woken().notify_one();
    }
}

struct Keeper {
    shared: Weak<Shared>,
    clock: Clock,
    seen: watch::Receiver<Snapshot>,
    woken: Arc<Notify>,
    kept: HashMap<StreamId, Kept>,
    /// The snapshot that `kept` follows.
    known: Option<Snapshot>,
    /// What shards that were forgotten before the start had left is freed.
    swept: bool,
}

/// What the keeper knows of one stream. Times are milliseconds since 1970; none: not before the next put.
struct Kept {
    definition: Arc<Definition>,
    trim_due: Option<u64>,
    look_due: Option<u64>,
    patience: Patience,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let Some(shared) = self.shared.upgrade() else { return };
            let pause = self.round(&DataStreams { shared }).await;
            tokio::select! {
                () = self.clock.sleep(pause) => {}
                () = self.woken.notified() => {}
                changed = self.seen.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Does what is due; how long there is nothing more to do.
    async fn round(&mut self, streams: &DataStreams) -> Duration {
        self.follow(streams);
        if !streams.shared.pins.is_settled() {
            return KEEPER_PAUSE_MAX;
        }
        if !std::mem::replace(&mut self.swept, true) {
            sweep(streams).await;
        }
        let now_ms = self.clock.now_ms();
        for (id, kept) in &mut self.kept {
            // One that is gone meanwhile will be missing in the next snapshot.
            let Some(stream) = streams.by_id(*id) else { continue };
            kept.wake(&stream, now_ms);
            if is_due(kept.trim_due, now_ms) {
                kept.trim_due = kept.trim(&stream, now_ms).await;
            }
            if is_due(kept.look_due, now_ms) {
                kept.look_due = kept.look(&stream, now_ms).await;
            }
            kept.stay_awake(&stream);
        }
        let first = self.kept.values().flat_map(|kept| [kept.trim_due, kept.look_due]).flatten().min();
        let pause = first.map(|due| Duration::from_millis(due.saturating_sub(self.clock.now_ms())));
        // Also not for ever where nothing is due: the wall clock may jump.
        pause.unwrap_or(KEEPER_PAUSE_MAX).clamp(KEEPER_PAUSE_MIN, KEEPER_PAUSE_MAX)
    }

    /// Takes over what changed in the definitions, and forgets what belongs to what is no more.
    fn follow(&mut self, streams: &DataStreams) {
        let snapshot = self.seen.borrow_and_update().clone();
        if self.known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &snapshot)) {
            return;
        }
        let now_ms = self.clock.now_ms();
        let mut before = std::mem::take(&mut self.kept);
        for definition in snapshot.values() {
            let kept = match before.remove(&definition.id) {
                Some(kept) if Arc::ptr_eq(&kept.definition, definition) => kept,
                kept => Kept {
                    definition: definition.clone(),
                    trim_due: Some(now_ms),
                    look_due: (definition.mode == Mode::OnDemand).then_some(now_ms),
                    patience: kept.map(|kept| kept.patience).unwrap_or_default(),
                },
            };
            self.kept.insert(definition.id, kept);
        }
        self.known = Some(snapshot);
        prune(streams);
    }
}

/// Frees what is left of shards that are not in the map any more. What was trimmed of a slow shard is freed late, and comes
/// back with a crash before that; for a shard that is forgotten nobody else would ever trim it again.
async fn sweep(streams: &DataStreams) {
    for definition in streams.snapshot().values() {
        for index in (0..definition.next_shard).filter(|index| definition.shard(*index).is_none()) {
            let shard = ShardId { stream: definition.id, index };
            if let Err(error) = streams.shared.journal.trim(shard, u64::MAX).await {
                tracing::debug!(stream = definition.name, shard = index, %error, "a forgotten shard is not freed");
            }
        }
    }
}

/// By what is there at this moment, not by a snapshot: what was pinned, or subscribed to, since then must stay.
fn prune(streams: &DataStreams) {
    let shared = &streams.shared;
    let exists = |id| streams.by_id(id).is_some();
    shared.pins.retain(exists);
    shared.rates.retain(exists);
    shared.subscriptions.retain(|id, consumer, since_ms| {
        let definition = streams.by_id(id).and_then(|stream| stream.definition().ok());
        let registered = |definition: Arc<Definition>| {
            let mut consumers = definition.consumers.iter();
            consumers.any(|registered| registered.name == consumer && registered.created_ms == since_ms)
        };
        definition.is_some_and(registered)
    });
}

fn is_due(due: Option<u64>, now_ms: u64) -> bool {
    due.is_some_and(|due| due <= now_ms)
}

impl Kept {
    /// Whether a put should wake us, for there is nothing else that would.
    fn waits_for_puts(&self) -> bool {
        self.trim_due.is_none() || (self.definition.mode == Mode::OnDemand && self.look_due.is_none())
    }

    /// Looks after a stream that was put into; from here on it is asleep, until a put or [`stay_awake`](Self::stay_awake).
    fn wake(&mut self, stream: &DataStream, now_ms: u64) {
        let rates = stream.streams.shared.rates.of(stream.id);
        if self.waits_for_puts() && !rates.is_asleep() {
            self.trim_due = self.trim_due.or(Some(now_ms));
            self.look_due = self.look_due.or((self.definition.mode == Mode::OnDemand).then_some(now_ms));
        }
        // Before the look at what there is: a put after it is heard.
        if is_due(self.trim_due, now_ms) || is_due(self.look_due, now_ms) {
            rates.sleep(true);
        }
    }

    fn stay_awake(&self, stream: &DataStream) {
        if !self.waits_for_puts() {
            stream.streams.shared.rates.of(stream.id).sleep(false);
        }
    }

    /// Lets go what is over; when there may be more.
    async fn trim(&self, stream: &DataStream, now_ms: u64) -> Option<u64> {
        let step_ms = step(self.definition.retention).as_millis() as u64;
        match trim(stream, &self.definition, now_ms).await {
            Ok(due) => due.map(|due| due.max(now_ms + step_ms)),
            Err(error) => {
                if error.kind() != Kind::NotFound {
                    tracing::debug!(stream = &*stream.name, %error, "records over their retention are not let go");
                }
                Some(now_ms + RETENTION_STEP_MAX.as_millis() as u64)
            }
        }
    }

    /// Has the shards follow the load; when to look again.
    async fn look(&mut self, stream: &DataStream, now_ms: u64) -> Option<u64> {
        let least = demand::least_shards(&self.definition);
        let loads = stream.loads(&self.definition);
        let is_idle = loads.iter().all(|load| load.rate.records_per_second == 0 && load.rate.bytes_per_second == 0);
        if is_idle && loads.len() <= least {
            self.patience = Patience::default();
            return None;
        }
        let active = self.definition.status(now_ms) == Status::Active && self.definition.vanished_ms.is_none();
        if active && let Some(step) = self.patience.look(&loads, least) {
            tracing::info!(stream = &*stream.name, shards = loads.len(), ?step, "shards follow the load");
            if let Err(error) = stream.streams.rescale(stream.id, vec![step]).await {
                tracing::warn!(stream = &*stream.name, %error, "shards cannot follow the load");
            }
        }
        Some(now_ms + DEMAND_LOOK_EVERY.as_millis() as u64)
    }
}

impl DataStream {
    /// The open shards in the order of their ranges, with their load.
    fn loads(&self, definition: &Definition) -> Vec<Load> {
        let (rates, now) = (self.streams.shared.rates.of(self.id), self.streams.shared.clock.instant());
        let load =
            |shard: &Shard| Load { shard: shard.index, range: shard.range, rate: rates.shard(shard.index).rate(now) };
        let mut loads: Vec<_> = definition.open_shards().map(load).collect();
        loads.sort_by_key(|load| load.range.start);
        loads
    }
}

/// What is left of a shard.
enum Left {
    /// Records, of which the oldest is over then.
    Records(u64),
    /// None, but the shard is shown until then: it was closed within retention, or is held.
    Shown(u64),
    /// None; it is open.
    Empty,
    /// None, and nobody will ask for it.
    Over,
}

/// Trims the shards of a stream; when the next of its records is over.
async fn trim(stream: &DataStream, definition: &Definition, now_ms: u64) -> Result<Option<u64>> {
    let (mut due, mut over, mut is_empty) = (None, Vec::new(), true);
    let mut at_least = |then: u64| due = Some(due.map_or(then, |due: u64| due.min(then)));
    for shard in &definition.shards {
        match trim_shard(stream, definition, shard, now_ms).await? {
            Left::Records(until) => {
                is_empty = false;
                at_least(until);
            }
            Left::Shown(until) => at_least(until),
            Left::Empty => {}
            // While a parent is listed its children are too, the empty ones that a rescale left included: whoever still reads
            // the parent must see by them that what they became comes later.
            Left::Over if shard.parents().any(|parent| is_listed(definition, parent, &over)) => {}
            Left::Over => over.push(shard.index),
        }
    }
    let shared = &stream.streams.shared;
    if definition.vanished_ms.is_some() && is_empty {
        stream.streams.gone(stream.id).await?;
    } else if !over.is_empty() {
        stream.streams.forget_shards(stream.id, over.clone()).await?;
        shared.pins.forget_shards(stream.id, &over);
        shared.rates.of(stream.id).forget_shards(&over);
    }
    Ok(due)
}

/// Whether a shard is in the map, and will be when those that are `over` are forgotten.
fn is_listed(definition: &Definition, index: u32, over: &[u32]) -> bool {
    definition.shard(index).is_some() && over.binary_search(&index).is_err()
}

async fn trim_shard(stream: &DataStream, definition: &Definition, shard: &Shard, now_ms: u64) -> Result<Left> {
    let journal = &stream.streams.shared.journal;
    let id = stream.shard_id(shard.index);
    let extent = journal.extent(id).await?;
    let end = shard.closed.map_or(extent.end, |closed| closed.end);
    let horizon = stream.horizon(definition, shard).await?;
    if horizon > extent.start {
        journal.trim(id, horizon).await?;
        stream.streams.shared.rates.of(stream.id).count_expired(horizon - extent.start);
    }
    let retention_ms = definition.retention.as_millis() as u64;
    if horizon < end {
        let oldest = journal.read(id, horizon, 1).await?;
        // Without one the journal has lost the shard's end: nothing is left.
        if let Some(records) = oldest.puts.first() {
            return Ok(Left::Records(records.arrived_ms.saturating_add(retention_ms)));
        }
    }
    let Some(closed) = shard.closed else { return Ok(Left::Empty) };
    let shown_until = closed.at_ms.saturating_add(retention_ms);
    let held = stream.streams.shared.pins.lowest(stream.id, shard.index).is_some_and(|position| position < end);
    if now_ms < shown_until || held { Ok(Left::Shown(shown_until)) } else { Ok(Left::Over) }
}

#[cfg(test)]
#[path = "tests/keeper.rs"]
mod tests;
