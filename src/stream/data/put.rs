//! Puts: each record into the shard that its hash key says.
//!
//! A put holds a permit of its stream's gate until its appends are over, also when nobody waits for it any more: a
//! reshard that has all permits knows that nothing is behind where it closes a shard.
//!
//! Retries. The journal knows the call again in the same shard. Where shards were split or merged in between, what was
//! stored lies in one that is closed: for as long as calls are remembered those are asked first, the oldest first, and
//! what they know is not stored again. A call leaves in each shard all its records for it or, under AWS's limits, the
//! first of them; so a span says by its length which ones.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::join_all;
use tokio::runtime::Handle;

use super::DataStream;
use super::definition::{Definition, Distribution, Limits};
use super::rates::StreamRates;
use super::route::{Group, groups, pick};
use super::sequence::SequenceNumber;
use super::shard::Shard;
use crate::error::{Error, Kind, Result};
use crate::journal::Append;
use crate::limits::CALL_MEMORY;
use crate::record::{CallId, Records, Span};

/// The records of one call.
#[derive(Clone, Debug)]
pub struct Put {
    /// The records, with keys.
    pub records: Records,
    /// The hash key of each.
    pub hashes: Vec<u128>,
    /// The SDK call that brought them, if it can be known again.
    pub call: Option<CallId>,
}

/// What became of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It is durable.
    Stored {
        /// In this shard.
        shard: u32,
        /// Under this number.
        sequence: SequenceNumber,
        /// It was there already: the call is a retry.
        repeated: bool,
    },
    /// Nothing of it is stored.
    Refused {
        /// The shard that it was for.
        shard: u32,
        /// Why.
        why: Refusal,
    },
}

/// Why a record was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The shard's throughput limit, or a disk budget.
    Throttled,
    /// A fault of ours, or of the disk.
    Failed,
}

impl DataStream {
    /// Stores one call's records; those that are `Stored` are durable when it returns. A call that was stored before is
    /// answered as it was then, also when its shards were split or merged since. Should the caller go away, it is
    /// carried through all the same.
    ///
    /// # Errors
    /// `NotFound` while it is being made and once it takes no more puts; `Invalid` for a record larger than the
    /// stream takes.
    pub async fn put(&self, put: Put) -> Result<Vec<Placed>> {
        assert_eq!(put.records.len(), put.hashes.len(), "each record comes with its hash key");
        let gone = |_| self.streams.shared.settings.not_found(&self.name);
        let permit = self.gate.clone().acquire_owned().await.map_err(gone)?;
        let stream = self.clone();
        Carried(Some(Box::pin(async move {
            let placed = stream.store(put).await;
            drop(permit);
            placed
        })))
        .await
    }

    /// As [`put`](Self::put), with a permit.
    async fn store(&self, put: Put) -> Result<Vec<Placed>> {
        let all = &self.streams.shared;
        // Only now: while there is a permit, the newest definition stays the newest.
        let definition = self.definition()?;
        let rates = all.rates.of(self.id);
        let open = definition.open_shards().next();
        if !definition.takes_puts(all.clock.now_ms()) || open.is_none() {
            return Err(all.settings.not_found(&self.name));
        }
        self.check_sizes(&definition, &put.records)?;
        let call = OneCall { stream: self, definition: &definition, rates: &rates, put: &put };
        let mut placed = vec![None; put.records.len()];
        call.recall_moved(&mut placed).await;
        let placed = call.append_missing(placed).await;
        all.rates.wake(&rates);
        Ok(placed)
    }

    fn check_sizes(&self, definition: &Definition, records: &Records) -> Result<()> {
        let max = definition.record_bytes_max;
        let Some((index, bytes)) = records.sizes().enumerate().find(|(_, bytes)| *bytes > max) else { return Ok(()) };
        let (name, account) = (&self.name, &self.streams.shared.settings.account_id);
        Err(Error::invalid(format!(
            "Record {index} has {bytes} bytes with its partition key, at most {max} are taken by stream {name} under \
             account {account}."
        )))
    }
}

fn size(records: &Records, index: usize) -> usize {
    records.get(index).len() + records.keys.as_ref().map_or(0, |keys| keys.get(index).len())
}

/// Puts what became of each record of a shard at its place in the call.
fn fill(placed: &mut [Option<Placed>], picks: &[u32], answers: impl IntoIterator<Item = Placed>) {
    for (index, answer) in picks.iter().zip(answers) {
        placed[*index as usize] = Some(answer);
    }
}

/// One call under way, by one definition.
struct OneCall<'a> {
    stream: &'a DataStream,
    definition: &'a Definition,
    rates: &'a StreamRates,
    put: &'a Put,
}

impl OneCall<'_> {
    /// Answers the records that a retry finds where they were stored before the shards changed.
    async fn recall_moved(&self, placed: &mut [Option<Placed>]) {
        let Some(call) = self.put.call else { return };
        let now_ms = self.stream.streams.shared.clock.now_ms();
        let remembered = |at_ms: u64| at_ms + CALL_MEMORY.as_millis() as u64 >= now_ms;
        let auto = self.definition.distribution == Distribution::Auto;
        let changed = self.definition.shards.iter().any(|shard| shard.closed.is_some_and(|end| remembered(end.at_ms)));
        if !changed {
            return;
        }
        for shard in &self.definition.shards {
            // A whole call goes into one shard where we choose, so it may be in any.
            let asked = shard.closed.map_or(auto, |closed| remembered(closed.at_ms) && closed.end > 0);
            let inside = |hash: u128| auto || (shard.range.start..=shard.range.end).contains(&hash);
            let picks = || (0..placed.len()).filter(|at| placed[*at].is_none() && inside(self.put.hashes[*at]));
            if !asked || picks().next().is_none() {
                continue;
            }
            let group = Group { shard: shard.index, picks: picks().map(|at| at as u32).collect() };
            if let Some(span) = self.recall(shard, call).await {
                fill(placed, &group.picks, self.stored(shard, &group, span, true).await);
            }
        }
    }

    /// Where the call's records are in `shard`, if it is known. What lies behind the shard's end was never read, and counts
    /// for nothing.
    async fn recall(&self, shard: &Shard, call: CallId) -> Option<Span> {
        let journal = &self.stream.streams.shared.journal;
        let span = journal.recall(self.stream.shard_id(shard.index), call).await.ok()??;
        shard.closed.is_none_or(|closed| span.end <= closed.end).then_some(span)
    }

    /// Stores the records that are not answered yet; an answer for each of the call.
    async fn append_missing(&self, mut placed: Vec<Option<Placed>>) -> Vec<Placed> {
        let groups = self.groups(&placed);
        // Most calls go into one shard as they are: its answers are the call's.
        if let [group] = groups.as_slice()
            && group.picks.len() == placed.len()
        {
            return self.append(group).await;
        }
        let answers = join_all(groups.iter().map(|group| self.append(group))).await;
        for (group, answers) in groups.iter().zip(answers) {
            fill(&mut placed, &group.picks, answers);
        }
        placed.into_iter().map(|one| one.expect("each record is in one shard's group or was recalled")).collect()
    }

    /// The records that are not answered yet, by shard.
    fn groups(&self, placed: &[Option<Placed>]) -> Vec<Group> {
        let missing = |index: usize| placed[index].is_none();
        if self.definition.distribution == Distribution::PartitionKey {
            return groups(self.definition, &self.put.hashes, missing);
        }
        // A retry goes where the first one went, so that the journal knows it again.
        let turn = match self.put.call {
            Some(CallId(digest)) => digest.iter().fold(0, |sum: usize, byte| sum.wrapping_mul(31) + *byte as usize),
            None => self.rates.turn(),
        };
        let picks: Vec<u32> = (0..placed.len()).filter(|index| missing(*index)).map(|index| index as u32).collect();
        let open = self.definition.open_shards().count().max(1);
        let shard = self.definition.open_shards().nth(turn % open).map(|shard| shard.index);
        shard.filter(|_| !picks.is_empty()).map(|shard| Group { shard, picks }).into_iter().collect()
    }

    /// Stores the records of one shard; an answer for each.
    async fn append(&self, group: &Group) -> Vec<Placed> {
        let shard = self.definition.shard(group.shard).expect("groups name shards of this definition");
        let admitted = match self.admit(shard, group).await {
            Ok(admitted) => admitted,
            Err(earlier) => return self.stored(shard, group, earlier, true).await,
        };
        if admitted == 0 {
            return refused(shard, Refusal::Throttled, group.picks.len());
        }
        let append = Append {
            call: self.put.call,
            encrypt: self.definition.encryption_key.is_some(),
            bytes_max: self.definition.bytes_max,
            ..Append::of(pick(&self.put.records, &group.picks[..admitted]))
        };
        let (bytes, records) = (append.records.bytes(), append.records.len());
        let all = &self.stream.streams.shared;
        match all.journal.append(self.stream.shard_id(shard.index), append).await {
            Ok(appended) => {
                if !appended.repeated {
                    self.rates.shard(shard.index).count(all.clock.instant(), bytes, records);
                }
                self.stored(shard, group, appended.span, appended.repeated).await
            }
            Err(error) => refused(shard, self.refusal(shard, &error), group.picks.len()),
        }
    }

    /// How many of a shard's records its limits let in; where a retry left them, if it did.
    async fn admit(&self, shard: &Shard, group: &Group) -> Result<usize, Span> {
        if self.definition.limits == Limits::None {
            return Ok(group.picks.len());
        }
        // What is there already is not throttled.
        if let Some(call) = self.put.call
            && let Some(span) = self.recall(shard, call).await
        {
            return Err(span);
        }
        let sizes = group.picks.iter().map(|index| size(&self.put.records, *index as usize));
        Ok(self.rates.shard(shard.index).admit(self.stream.streams.shared.clock.instant(), sizes))
    }

    /// The answers for a shard whose first records stand in `span`: the others were throttled.
    async fn stored(&self, shard: &Shard, group: &Group, span: Span, repeated: bool) -> Vec<Placed> {
        let arrived_ms = if repeated { self.arrived(span).await } else { self.put.records.arrived_ms };
        let stored = (span.start..span.end).take(group.picks.len());
        let mut answers = Vec::with_capacity(group.picks.len());
        answers.extend(stored.map(|position| {
            let sequence = shard.sequence(position, arrived_ms);
            Placed::Stored { shard: shard.index, sequence, repeated }
        }));
        answers.extend(refused(shard, Refusal::Throttled, group.picks.len() - answers.len()));
        answers
    }

    /// When the records of `span` arrived: a part of their numbers. If they are gone, the time of the retry must do.
    async fn arrived(&self, span: Span) -> u64 {
        let first = self.stream.streams.shared.journal.read(span.shard, span.start, 1).await.ok();
        let first = first.filter(|batch| batch.span.start < span.end);
        first.and_then(|batch| Some(batch.puts.first()?.arrived_ms)).unwrap_or(self.put.records.arrived_ms)
    }

    fn refusal(&self, shard: &Shard, error: &Error) -> Refusal {
        // What ails the journal it says itself, and once: here it would be a line for each call.
        tracing::debug!(stream = &*self.stream.name, shard = shard.index, %error, "records are not stored");
        match error.kind() {
            Kind::Unavailable | Kind::Throttled => Refusal::Throttled,
            _ => Refusal::Failed,
        }
    }
}

fn refused(shard: &Shard, why: Refusal, count: usize) -> Vec<Placed> {
    vec![Placed::Refused { shard: shard.index, why }; count]
}

/// A put that goes on by itself when its caller drops it: else a shard could be closed between an append that the
/// journal has taken in and the word of where it stands.
struct Carried(Option<Storing>);

type Storing = Pin<Box<dyn Future<Output = Result<Vec<Placed>>> + Send>>;

impl Future for Carried {
    type Output = Result<Vec<Placed>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let storing = self.0.as_mut().expect("nobody polls a future that is over");
        let placed = ready!(storing.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(placed)
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        // Where the runtime is going down, so is the owner that could close a shard.
        if let (Some(storing), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(storing);
        }
    }
}

#[cfg(test)]
#[path = "tests/put.rs"]
mod tests;
