//! One shard, copied from where it was left to its end: by polling, or by a subscription (enhanced fan-out).
//!
//! Each answer becomes puts that carry the sequence number of their last record, so whatever is read twice is stored
//! once: after a crash the copying goes on behind the last record that is durable.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::types::Record;
use tokio::sync::Semaphore;

use super::checkpoint::Progress;
use super::upstream::{Events, Fault, From, Got, Identity, Upstream, What};
use super::{Settings, State};
use crate::clock::{Clock, Instant};
use crate::error::{Error, Kind, Result};
use crate::journal::{Append, Checkpoint};
use crate::limits;
use crate::record::{Keys, Records};
use crate::stream::Stream;
use crate::telemetry::metrics::StreamMetrics;

/// What the copiers of one stream share.
pub(super) struct Shared {
    pub(super) upstream: Upstream,
    /// Who it was when the copying began.
    pub(super) identity: Identity,
    pub(super) settings: Settings,
    pub(super) into: Stream,
    pub(super) clock: Clock,
    pub(super) state: Arc<State>,
    pub(super) metrics: Arc<StreamMetrics>,
    /// Leave to hold an answer.
    pub(super) answers: Arc<Semaphore>,
    /// The ARN of our consumer; polling without.
    pub(super) consumer: Option<String>,
}

impl Shared {
    /// Whether the stream is the one that the copying began with, and our consumer of it is there; also where that cannot be
    /// found out now. Checkpoints are of one stream: what takes its place under its name is copied as another.
    async fn is_as_it_was(&self) -> bool {
        if self.upstream.identity().await.is_ok_and(|now| now != self.identity) {
            return false;
        }
        match &self.consumer {
            Some(consumer) => self.upstream.has_consumer(consumer).await.unwrap_or(true),
            None => true,
        }
    }
}

/// The copying of one shard.
pub(super) struct Copier {
    pub(super) shared: Arc<Shared>,
    /// The shard's name there.
    pub(super) shard: String,
    /// The name under which its checkpoint stands.
    pub(super) source: String,
    /// Its own full name, where that is another one.
    pub(super) of: Option<String>,
    /// Where to go on.
    pub(super) from: From,
    /// Its last record that was copied.
    pub(super) last: Option<Progress>,
    /// When it was last heard of, if it was.
    pub(super) heard: Option<Instant>,
    /// The last answer had no room in our journal.
    pub(super) cramped: bool,
}

impl Copier {
    /// Copies until the shard has ended. An error is one of our journal; faults of the source are waited out.
    pub(super) async fn run(mut self) -> Result<()> {
        let outcome = self.copy().await;
        self.shared.state.left(&self.shard);
        outcome
    }

    async fn copy(&mut self) -> Result<()> {
        let mut pause = limits::SOURCE_PAUSE_MIN;
        loop {
            let before = self.from.clone();
            let fault = match self.read_on().await? {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            };
            if self.from != before {
                pause = limits::SOURCE_PAUSE_MIN;
            }
            let doubtful = matches!(fault.what, What::Lost | What::Gone | What::Refused);
            if doubtful && !self.shared.is_as_it_was().await {
                return Err(Error::unavailable("the source was made anew, or our consumer of it is gone"));
            }
            match fault.what {
                What::NewIterator => continue,
                What::Lost => {
                    self.gap(&fault.message);
                    self.from = From::Horizon;
                    continue;
                }
                // Of a shard that is not listed any more nothing is left to copy.
                What::Gone if self.is_unlisted().await => {
                    self.gap("the shard is gone");
                    return Ok(());
                }
                What::NoRoom => self.no_room(&fault),
                What::Again | What::Gone | What::InUse | What::Refused => self.failed(&fault),
            }
            self.wait(pause).await;
            pause = (pause * 2).min(limits::SOURCE_PAUSE_MAX);
        }
    }

    /// Reads until the shard's end, or a fault.
    async fn read_on(&mut self) -> Result<std::result::Result<(), Fault>> {
        if let Err(fault) = self.look_for_gap().await {
            return Ok(Err(fault));
        }
        if self.shared.consumer.is_some() { self.listen().await } else { self.poll().await }
    }

    async fn poll(&mut self) -> Result<std::result::Result<(), Fault>> {
        let mut iterator = match self.shared.upstream.iterator(&self.shard, &self.from).await {
            Ok(iterator) => Some(iterator),
            Err(fault) => return Ok(Err(fault)),
        };
        loop {
            let read_at = self.shared.clock.instant();
            let leave = self.leave().await;
            // While our journal is full one record shows whether there is room again.
            let most = if self.cramped { 1 } else { i32::try_from(limits::GET_RECORDS_MAX).unwrap_or(i32::MAX) };
            let got = match self.shared.upstream.read(&mut iterator, most).await {
                Ok(got) => got,
                Err(fault) => return Ok(Err(fault)),
            };
            let (ended, idle) = (got.ended, got.records.is_empty() && got.behind_ms == 0);
            if let Err(fault) = self.store(got).await? {
                return Ok(Err(fault));
            }
            drop(leave);
            if ended {
                return Ok(Ok(()));
            }
            let every = if idle { self.shared.settings.poll } else { limits::SOURCE_READ_EVERY_MIN };
            self.shared.clock.sleep_until(read_at + every).await;
        }
    }

    /// One subscription after the other; each lasts five minutes.
    async fn listen(&mut self) -> Result<std::result::Result<(), Fault>> {
        loop {
            let consumer = self.shared.consumer.as_deref().unwrap_or_default();
            let mut events = match self.shared.upstream.subscribe(consumer, &self.shard, &self.from).await {
                Ok(events) => events,
                Err(fault) => return Ok(Err(fault)),
            };
            loop {
                match self.event(&mut events).await {
                    Ok(Some(got)) => {
                        let ended = got.ended;
                        let leave = self.leave().await;
                        if let Err(fault) = self.store(got).await? {
                            return Ok(Err(fault));
                        }
                        drop(leave);
                        if ended {
                            return Ok(Ok(()));
                        }
                    }
                    Ok(None) => break,
                    Err(fault) => return Ok(Err(fault)),
                }
            }
        }
    }

    async fn event(&self, events: &mut Events) -> std::result::Result<Option<Got>, Fault> {
        let silence = || Fault { what: What::Again, message: "a subscription has fallen silent".to_owned() };
        let event = self.shared.clock.within(limits::SOURCE_SILENCE_MAX, Upstream::event(events)).await;
        event.unwrap_or_else(|| Err(silence()))
    }

    /// Makes one answer durable, but for what was copied before. What has no room is given up and read again: an answer
    /// that waited here would keep other importers from reading.
    async fn store(&mut self, mut got: Got) -> Result<std::result::Result<(), Fault>> {
        got.records.retain(|record| !self.is_copied(record));
        for range in puts(&got.records) {
            let records = &got.records[range];
            let last = records.last().expect("a put has a record");
            let sequence = last.sequence_number().to_owned();
            let progress = Progress { sequence, arrived_ms: arrived(last), of: self.of.clone() };
            let checkpoint = Checkpoint { source: self.source.clone(), at: progress.encode() };
            if let Err(error) = self.append(columns(records), checkpoint).await {
                self.cramped = true;
                let no_room = matches!(error.kind(), Kind::Unavailable | Kind::Throttled);
                let fault = || Fault { what: What::NoRoom, message: error.to_string() };
                return if no_room { Ok(Err(fault())) } else { Err(error) };
            }
            self.cramped = false;
            self.from = From::After(progress.sequence.clone());
            self.last = Some(progress);
        }
        self.heard = Some(self.shared.clock.instant());
        self.shared.state.copied(&self.shard, got.records.len() as u64, got.behind_ms);
        Ok(Ok(()))
    }

    /// Whether a record stands before the last one that was copied: then it was copied too. Its time is looked at as well,
    /// should the source have lost its end and give the same numbers again.
    fn is_copied(&self, record: &Record) -> bool {
        let before =
            |last: &Progress| !is_later(record.sequence_number(), &last.sequence) && arrived(record) <= last.arrived_ms;
        self.last.as_ref().is_some_and(before)
    }

    async fn append(&self, records: Records, checkpoint: Checkpoint) -> Result<()> {
        let (count, bytes) = (records.len() as u64, records.data.len() as u64);
        let Settings { encrypt, bytes_max, .. } = self.shared.settings;
        let put = Append { checkpoint: Some(checkpoint), encrypt, bytes_max, ..Append::of(records) };
        self.shared.into.append(put).await?;
        self.shared.metrics.incoming_records.inc_by(count);
        self.shared.metrics.incoming_bytes.inc_by(bytes);
        Ok(())
    }

    /// After a start, and when nothing was heard for a while: says so if the record after the last one that was copied may
    /// be gone, for then so is the last one. The source itself goes on with the oldest that it has, and says nothing.
    async fn look_for_gap(&mut self) -> std::result::Result<(), Fault> {
        let (From::After(last), now) = (&self.from, self.shared.clock.instant()) else { return Ok(()) };
        if self.heard.is_some_and(|heard| now - heard < limits::SOURCE_GAP_AFTER) {
            return Ok(());
        }
        match self.oldest().await {
            Ok(Some(oldest)) if is_later(&oldest, last) => {
                self.gap("the last record that was copied is older than all that are left");
            }
            Ok(_) => {}
            // A subscriber need not be allowed to read in any other way.
            Err(_) if self.shared.consumer.is_some() => {}
            Err(fault) => return Err(fault),
        }
        self.heard = Some(now);
        Ok(())
    }

    /// The number of the oldest record that is left. A stretch without records is answered with nothing, though there is
    /// something behind it.
    async fn oldest(&self) -> std::result::Result<Option<String>, Fault> {
        let Shared { upstream, clock, .. } = &*self.shared;
        let mut iterator = Some(upstream.iterator(&self.shard, &From::Horizon).await?);
        for _ in 0..limits::SOURCE_GAP_READS_MAX {
            let got = upstream.read(&mut iterator, 1).await?;
            if let Some(oldest) = got.records.first() {
                return Ok(Some(oldest.sequence_number().to_owned()));
            }
            if got.ended || got.behind_ms == 0 {
                break;
            }
            clock.sleep(limits::SOURCE_READ_EVERY_MIN).await;
        }
        Ok(None)
    }

    fn gap(&self, why: &str) {
        self.shared.state.gap();
        self.shared.metrics.source_gaps.inc();
        tracing::error!(
            stream = self.shared.settings.name,
            shard = self.shard,
            why,
            "records may have outlived the source's retention before they were copied: they are lost to this stream"
        );
    }

    fn failed(&self, fault: &Fault) {
        let Shared { state, clock, settings, .. } = &*self.shared;
        state.failed(fault.to_string(), clock.now_ms());
        tracing::warn!(stream = settings.name, shard = self.shard, error = %fault, "a source cannot be read, tried again");
    }

    fn no_room(&self, fault: &Fault) {
        let Shared { state, clock, settings, .. } = &*self.shared;
        state.failed(fault.to_string(), clock.now_ms());
        tracing::warn!(stream = settings.name, shard = self.shard, error = %fault, "records of a source wait for room in the journal");
    }

    async fn is_unlisted(&self) -> bool {
        let listed = self.shared.upstream.shards().await;
        listed.is_ok_and(|listed| listed.iter().all(|shard| shard.id != self.shard))
    }

    async fn leave(&self) -> tokio::sync::OwnedSemaphorePermit {
        self.shared.answers.clone().acquire_owned().await.expect("the semaphore of answers is never closed")
    }

    /// Waits about `pause`, so that many copiers do not come back at once.
    async fn wait(&self, pause: Duration) {
        let half = pause / 2;
        let jitter = self.shared.clock.random() % (half.as_millis() as u64).max(1);
        self.shared.clock.sleep(half + Duration::from_millis(jitter)).await;
    }
}

/// Where an answer is divided: what arrived far apart is put apart.
fn puts(records: &[Record]) -> Vec<Range<usize>> {
    let mut puts = Vec::new();
    let mut start = 0;
    for at in 1..=records.len() {
        let apart = |at: usize| arrived(&records[at]).abs_diff(arrived(&records[start])) > limits::SOURCE_PUT_SPREAD_MS;
        if at == records.len() || apart(at) {
            puts.push(start..at);
            start = at;
        }
    }
    puts
}

fn arrived(record: &Record) -> u64 {
    let arrived = record.approximate_arrival_timestamp().and_then(|time| time.to_millis().ok());
    arrived.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0)
}

fn columns(records: &[Record]) -> Records {
    let data: Vec<&[u8]> = records.iter().map(|record| record.data().as_ref()).collect();
    let keys: Vec<&str> = records.iter().map(|record| record.partition_key().unwrap_or_default()).collect();
    let oldest_ms = records.iter().map(arrived).min().unwrap_or(0);
    let Records { ends, data: keys, .. } = Records::from_slices(0, &keys);
    Records { keys: Some(Keys { ends, data: keys }), ..Records::from_slices(oldest_ms, &data) }
}

/// Whether one sequence number is greater than another: decimal digits without leading zeros.
fn is_later(a: &str, b: &str) -> bool {
    (a.len(), a) > (b.len(), b)
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::primitives::{Blob, DateTime};

    use super::*;

    fn record(sequence: &str, arrived_ms: i64) -> Record {
        let record = Record::builder().sequence_number(sequence).partition_key("k").data(Blob::new(sequence));
        record.approximate_arrival_timestamp(DateTime::from_millis(arrived_ms)).build().unwrap()
    }

    #[test]
    fn records_of_different_hours_are_put_apart() {
        let minute = limits::SOURCE_PUT_SPREAD_MS.cast_signed();
        let records = [record("1", 0), record("2", minute), record("3", minute + 1), record("4", 10)];
        assert_eq!(puts(&records), [0..2, 2..4]);
        let far = [record("1", 0), record("2", 10 * minute), record("3", 20 * minute)];
        assert_eq!(puts(&far), [0..1, 1..2, 2..3]);
        assert!(puts(&[]).is_empty());
        let records = columns(&records[2..]);
        assert_eq!(
            (records.arrived_ms, records.get(0), records.keys.as_ref().unwrap().get(1)),
            (10, &b"3"[..], &b"k"[..])
        );
    }

    #[test]
    fn sequence_numbers_are_compared_as_numbers() {
        assert!(is_later("100", "99"));
        assert!(is_later("101", "100"));
        assert!(!is_later("100", "100"));
    }
}
