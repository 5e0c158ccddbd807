//! What open lanes hold, and when each is to be cut: every one has a size and a time trigger of its own.
//!
//! Rows are gathered joined and raw, a little of each lane, and then encoded. What does not fit into memory is spilled to disk;
//! where there is no room either it is forgotten: the plan says what its lane's rows are, and they are made again from the journal.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::super::capacity::{Capacity, Held};
use super::super::encoders::Encoded;
use super::super::failed::Refused;
use super::super::prepare::Recipe;
use super::super::spill::Slot;
use super::super::staged;
use super::blocks::Batch;
use super::route::Part;
use crate::clock::Instant;
use crate::config::Buffering;
use crate::format::Chunk;
use crate::ledger::{Lane, Tally};
use crate::limits::{
    LANE_CHUNK_BYTES, LANE_FAILURES_BYTES, LANE_PIECE_BYTES, LANES_RAW_BYTES_MAX, LANES_TOGETHER_BYTES,
};
use crate::record::{ShardId, Span};

/// Bytes of raw rows of a lane's shard with which they are encoded together, after a batch; in tests few, so that lanes have chunks.
/// Where chunks end follows from the batches alone, and an object has the same bytes on every attempt: so a version that changes
/// this number may find objects of plans that it repeats of another length.
pub(super) const CHUNK_BYTES: usize = if cfg!(test) { 256 } else { LANE_CHUNK_BYTES };

/// A chunk without its bytes, and where those are; nothing when there was no room.
pub(super) type Job = Encoded<Option<(Chunk, Held)>>;

/// Records that failed in one batch.
pub(super) enum Refusals {
    Memory(Vec<Refused>, OwnedSemaphorePermit),
    /// Written as one part of a staged file; nothing when there was no room.
    Disk(Encoded<Option<Slot>>),
}

/// What a lane has gathered.
pub(super) struct Filling {
    /// From the first batch with a row of it to the last, for each shard.
    spans: BTreeMap<ShardId, (u64, u64)>,
    /// What was counted.
    pub tally: Tally,
    /// Bytes that count for the size trigger.
    pub bytes: u64,
    /// Arrival of the oldest record, milliseconds since 1970.
    pub oldest_ms: u64,
    /// Arrival of the newest.
    pub newest_ms: u64,
    /// When it is to be cut for its age.
    deadline: Instant,
    /// What it holds.
    content: Content,
}

/// The rows of a lane, or what failed.
#[derive(Default)]
pub(super) struct Content {
    /// Of each shard, in their order.
    pub runs: BTreeMap<ShardId, Run>,
    /// What failed.
    pub refused: Vec<Refusals>,
}

/// A lane's rows of one shard.
#[derive(Default)]
pub(super) struct Run {
    /// Encoded, or being encoded.
    pub jobs: Vec<Job>,
    /// Joined, behind those, and spilled since all lanes together held too much.
    pub early: Vec<Early>,
    /// How many bytes those are.
    early_bytes: usize,
    /// Joined, behind those.
    pub raw: Raw,
}

/// Joined rows as they came from batches: what is large is not copied until it is encoded, what is small is gathered.
#[derive(Default)]
pub(super) struct Raw {
    pieces: Vec<Vec<u8>>,
    bytes: usize,
}

impl Raw {
    fn push(&mut self, joined: Vec<u8>) {
        self.bytes += joined.len();
        match self.pieces.last_mut() {
            Some(last) if last.len() + joined.len() <= LANE_PIECE_BYTES => last.extend_from_slice(&joined),
            _ => self.pieces.push(joined),
        }
    }

    /// Memory that they take.
    fn held(&self) -> usize {
        self.pieces.iter().map(|piece| piece.capacity() + size_of::<Vec<u8>>()).sum()
    }

    /// All of them.
    pub(super) fn joined(mut self) -> Vec<u8> {
        if self.pieces.len() == 1 { self.pieces.remove(0) } else { self.pieces.concat() }
    }
}

/// Raw rows on disk; nothing when there was no room.
pub(super) type Early = Encoded<Option<Slot>>;

impl Filling {
    /// Its spans, in order of the shards.
    pub(super) fn spans(&self) -> Vec<Span> {
        self.spans.iter().map(|(shard, (start, end))| Span { shard: *shard, start: *start, end: *end }).collect()
    }

    /// What it holds.
    pub(super) fn into_content(self) -> Content {
        self.content
    }

    fn raw(&self) -> usize {
        self.content.runs.values().map(|run| run.raw.held()).sum()
    }

    /// How much of its size trigger is met, in thousandths.
    fn fullness(&self, size: u64) -> u64 {
        self.bytes.saturating_mul(1_000) / size.max(1)
    }
}

/// Now, in both ways of telling the time.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub instant: Instant,
    pub ms: u64,
}

impl Now {
    /// When a record that arrived then is due. How old it is already (it may come from a backlog) shortens the wait; a clock that
    /// jumped may neither lengthen it nor make it negative.
    pub(super) fn due(&self, arrived_ms: u64, interval: Duration) -> Instant {
        let age = Duration::from_millis(self.ms.saturating_sub(arrived_ms));
        self.instant + interval.saturating_sub(age)
    }
}

/// All open lanes.
#[derive(Default)]
pub(super) struct Open {
    lanes: BTreeMap<Lane, Filling>,
    /// Bytes in all that are gathered and not encoded.
    raw: usize,
}

impl Open {
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Takes in what a lane gets of a batch.
    pub(super) async fn add(
        &mut self,
        lane: Lane,
        part: Part,
        batch: &Batch,
        (now, interval): (Now, Duration),
        room: &Capacity,
    ) {
        let bytes = part.bytes();
        let deadline = now.due(part.oldest_ms, interval);
        let filling = self.lanes.entry(lane).or_insert_with(|| Filling {
            spans: BTreeMap::new(),
            tally: Tally::default(),
            bytes: 0,
            oldest_ms: part.oldest_ms,
            newest_ms: 0,
            deadline,
            content: Content::default(),
        });
        filling.spans.entry(batch.shard).or_insert((batch.start, batch.end)).1 = batch.end;
        filling.tally.add(&part.tally);
        filling.bytes += bytes;
        filling.oldest_ms = filling.oldest_ms.min(part.oldest_ms);
        filling.newest_ms = filling.newest_ms.max(part.newest_ms);
        filling.deadline = filling.deadline.min(deadline);
        let before = filling.raw();
        let content = &mut filling.content;
        if !part.joined.is_empty() {
            content.runs.entry(batch.shard).or_default().raw.push(part.joined);
        }
        if !part.refused.is_empty() {
            content.refused.push(refusals(part.refused, room).await);
        }
        self.raw = self.raw + filling.raw() - before;
    }

    /// Has what is large enough encoded, the rows of several lanes by one job; when all lanes together hold too much, what is larger
    /// than the mean of their shards is spilled.
    pub(super) async fn encode(&mut self, touched: &[Lane], recipe: &Recipe, room: &Capacity) {
        let (mut whole, mut groups, mut bytes) = (Vec::new(), Vec::<Vec<_>>::new(), 0);
        for lane in touched {
            for (shard, run) in self.lanes.get_mut(lane).into_iter().flat_map(|filling| &mut filling.content.runs) {
                if run.early_bytes + run.raw.bytes >= CHUNK_BYTES {
                    self.raw -= run.raw.held();
                    let took = run.early_bytes + run.raw.bytes;
                    let job = encoding(run, recipe.clone(), room.clone());
                    match groups.last_mut() {
                        Some(group) if bytes < LANES_TOGETHER_BYTES => group.push(job),
                        _ => {
                            groups.push(vec![job]);
                            bytes = 0;
                        }
                    }
                    bytes += took;
                    whole.push((lane, *shard));
                }
            }
        }
        let mut whole = whole.into_iter();
        for group in groups {
            for (job, (lane, shard)) in room.encode_all(group).await.into_iter().zip(whole.by_ref()) {
                if let Some(run) = self.lanes.get_mut(lane).and_then(|filling| filling.content.runs.get_mut(&shard)) {
                    run.jobs.push(job);
                }
            }
        }
        if self.raw > LANES_RAW_BYTES_MAX {
            let runs: usize = self.lanes.values().map(|filling| filling.content.runs.len()).sum();
            let least = self.raw / runs.max(1);
            for filling in self.lanes.values_mut() {
                self.raw -= spill(filling, least.max(1), room).await;
            }
        }
    }

    /// The lanes whose size trigger is met.
    pub(super) fn full(&self, buffering: &Buffering) -> Vec<Lane> {
        let is_full = |lane: &Lane, filling: &Filling| match lane {
            Lane::Failures => filling.bytes >= buffering.size_bytes.min(LANE_FAILURES_BYTES),
            Lane::Keys(_) => filling.bytes >= buffering.size_bytes,
        };
        self.lanes.iter().filter(|(lane, filling)| is_full(lane, filling)).map(|(lane, _)| lane.clone()).collect()
    }

    /// The lanes whose time trigger is met.
    pub(super) fn late(&self, now: Instant) -> Vec<Lane> {
        self.lanes.iter().filter(|(_, filling)| filling.deadline <= now).map(|(lane, _)| lane.clone()).collect()
    }

    /// The half of them that began first: they hold the watermark.
    pub(super) fn oldest(&self) -> Vec<Lane> {
        let mut all: Vec<_> = self.lanes.iter().map(|(lane, filling)| (filling.oldest_ms, lane)).collect();
        all.sort_unstable();
        all.truncate(all.len().div_ceil(2));
        all.into_iter().map(|(_, lane)| lane.clone()).collect()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Lane> {
        self.lanes.keys().cloned().collect()
    }

    /// Those nearest to a trigger, as many as are open beyond `most`: half full is as near as half of the time.
    pub(super) fn beyond(&self, most: usize, buffering: &Buffering, now: Instant) -> Vec<Lane> {
        let excess = self.lanes.len().saturating_sub(most);
        if excess == 0 {
            return Vec::new();
        }
        let interval = buffering.interval.as_millis().max(1) as u64;
        let near = |filling: &Filling| {
            let left = filling.deadline.saturating_duration_since(now).as_millis() as u64;
            let aged = 1_000u64.saturating_sub(left.saturating_mul(1_000) / interval);
            filling.fullness(buffering.size_bytes).max(aged)
        };
        let mut all: Vec<_> = self.lanes.iter().map(|(lane, filling)| (near(filling), lane)).collect();
        all.sort_unstable_by(|one, other| other.cmp(one));
        all.into_iter().take(excess).map(|(_, lane)| lane.clone()).collect()
    }

    /// Takes a lane out.
    pub(super) fn take(&mut self, lane: &Lane) -> Option<Filling> {
        let filling = self.lanes.remove(lane)?;
        self.raw -= filling.raw();
        Some(filling)
    }

    /// When the next time trigger is met.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lanes.values().map(|filling| filling.deadline).min()
    }

    /// Arrival of the oldest record and bytes of all.
    pub(super) fn holds(&self) -> (Option<u64>, u64) {
        let oldest = self.lanes.values().map(|filling| filling.oldest_ms).min();
        (oldest, self.lanes.values().map(|filling| filling.bytes).sum())
    }

    /// The first position of `shard` that an open lane holds.
    pub(super) fn first(&self, shard: ShardId) -> Option<u64> {
        self.lanes.values().filter_map(|filling| filling.spans.get(&shard)).map(|(start, _)| *start).min()
    }
}

async fn refusals(refused: Vec<Refused>, room: &Capacity) -> Refusals {
    if let Some(memory) = room.encoded(refused.iter().map(Refused::held).sum()) {
        return Refusals::Memory(refused, memory);
    }
    let spill = room.clone();
    let write = move || spill.spill(&staged::encode(&staged::Part { failed: refused, ..staged::Part::default() }));
    Refusals::Disk(room.encode(write).await)
}

/// Takes the rows of a lane's shard out and says how they are encoded.
fn encoding(run: &mut Run, recipe: Recipe, room: Capacity) -> impl FnOnce() -> Option<(Chunk, Held)> + Send + use<> {
    let (raw, early) = (std::mem::take(&mut run.raw), std::mem::take(&mut run.early));
    run.early_bytes = 0;
    move || {
        let mut chunk = recipe.encode_joined(&joined(early, raw)?);
        let bytes = std::mem::take(&mut chunk.bytes);
        room.keep(bytes).map(|held| (chunk, held))
    }
}

/// Rows that were spilled early and those behind them. It blocks.
fn joined(early: Vec<Early>, raw: Raw) -> Option<Vec<u8>> {
    if early.is_empty() {
        return Some(raw.joined());
    }
    let mut all = Vec::new();
    for early in early {
        all.extend(early.wait()??.read().ok()?);
    }
    all.extend(raw.joined());
    Some(all)
}

/// Spills the raw rows of a lane where a shard's are at least so many bytes; says how many went.
async fn spill(filling: &mut Filling, least: usize, room: &Capacity) -> usize {
    let mut gone = 0;
    for run in filling.content.runs.values_mut().filter(|run| run.raw.held() >= least) {
        let raw = std::mem::take(&mut run.raw);
        gone += raw.held();
        run.early_bytes += raw.bytes;
        let spill = room.clone();
        run.early.push(room.encode(move || spill.spill(&raw.joined())).await);
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::record::StreamId;

    const SHARD: ShardId = ShardId { stream: StreamId(1), index: 0 };
    const MINUTE: Duration = Duration::from_mins(1);

    fn lane(key: &str) -> Lane {
        Lane::Keys(vec![key.to_owned()])
    }

    fn part(bytes: usize, arrived_ms: u64) -> Part {
        let tally = Tally { delivered: 1, delivered_bytes: bytes as u64, ..Tally::default() };
        Part { joined: vec![b'x'; bytes], tally, oldest_ms: arrived_ms, newest_ms: arrived_ms, ..Part::default() }
    }

    fn batch(start: u64) -> Batch {
        Batch { shard: SHARD, start, end: start + 1, records: Vec::new() }
    }

    fn now(clock: &Clock) -> Now {
        Now { instant: clock.instant(), ms: clock.now_ms() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hot_lane_does_not_have_cold_ones_cut() {
        let (clock, room, mut open) = (Clock::simulated(1, 1_000_000), Capacity::new(1), Open::default());
        let buffering = Buffering { size_bytes: 1_000, interval: MINUTE };
        for cold in 0..499 {
            open.add(lane(&cold.to_string()), part(1, clock.now_ms()), &batch(cold), (now(&clock), MINUTE), &room)
                .await;
        }
        let mut objects = 0;
        for at in 500..1_500 {
            open.add(lane("hot"), part(100, clock.now_ms()), &batch(at), (now(&clock), MINUTE), &room).await;
            assert!(open.beyond(500, &buffering, clock.instant()).is_empty());
            for full in open.full(&buffering) {
                assert_eq!(full, lane("hot"));
                let filling = open.take(&full).unwrap();
                assert_eq!((filling.bytes, filling.spans()[0].len()), (1_000, 10));
                objects += 1;
            }
        }
        assert_eq!((objects, open.first(SHARD)), (100, Some(0)));
        assert!(open.late(clock.instant()).is_empty());
        clock.sleep(MINUTE).await;
        assert_eq!(open.late(clock.instant()).len(), 499);
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_bound_the_nearest_to_a_trigger_go() {
        let (clock, room, mut open) = (Clock::simulated(1, 1_000_000), Capacity::new(1), Open::default());
        let buffering = Buffering { size_bytes: 1_000, interval: MINUTE };
        open.add(lane("old"), part(1, 1_000_000 - 40_000), &batch(0), (now(&clock), MINUTE), &room).await;
        open.add(lane("full"), part(700, 1_000_000), &batch(1), (now(&clock), MINUTE), &room).await;
        open.add(lane("half"), part(500, 1_000_000), &batch(2), (now(&clock), MINUTE), &room).await;
        let nearest = |most| open.beyond(most, &buffering, clock.instant());
        assert_eq!(nearest(3), []);
        assert_eq!(nearest(2), [lane("full")]);
        assert_eq!(nearest(1), [lane("full"), lane("old")]);
    }

    #[tokio::test]
    async fn failures_have_a_size_of_their_own_and_no_memory_spills_them() {
        let (clock, room, mut open) = (Clock::simulated(1, 1_000_000), Capacity::new(1), Open::default());
        let buffering = Buffering { size_bytes: 128 << 20, interval: MINUTE };
        let failure = crate::transform::Failure { code: "A.B".into(), message: "m".into(), attempts: 1, by: None };
        let refused = Refused { record: vec![b'x'; 600 << 10].into(), arrived_ms: 1, place: None, failure };
        let failed = || Part { refused: vec![refused.clone()], ..Part::default() };
        open.add(Lane::Failures, failed(), &batch(0), (now(&clock), MINUTE), &room).await;
        assert_eq!(open.full(&buffering), []);
        let _all = room.encoded(crate::limits::ENCODED_BYTES_MAX - (700 << 10)).unwrap();
        open.add(Lane::Failures, failed(), &batch(1), (now(&clock), MINUTE), &room).await;
        assert_eq!(open.full(&buffering), [Lane::Failures]);
        let filling = open.take(&Lane::Failures).unwrap();
        assert_eq!(filling.spans()[0].len(), 2);
        let mut refused = filling.into_content().refused;
        let Some(Refusals::Disk(spilled)) = refused.pop() else { panic!("there was no memory") };
        assert!(spilled.done().await.unwrap().is_none(), "and no disk is given");
        assert!(matches!(refused[..], [Refusals::Memory(..)]));
    }
}
