//! Rows given to a plugin in batches, and the search for the guilty ones of a batch that fails.
//!
//! Where batches end depends on the rows alone. Whether a batch fails is only ever found out on a fresh instance, so it
//! depends on the batch alone, and so does the search: on how much fuel it burnt, never on time. With plans of before there
//! was an [`allowance`](super::allowance) a batch is cut in halves, as it was when they were made.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Plugin;
use super::allowance::Grant;
use super::answer::{self, Answer, Rules};
use super::bindings::standpipe::transform::types::Batch;
use super::fault::{Fault, OUTPUT_TOO_LARGE};
use super::gather::{Counts, Gather};
use super::instance::{Cost, Given, Instance, bytes_of};
use super::wasi::Random;
use crate::error::Result;
use crate::limits::{PLUGIN_OUTPUT_BYTES_MAX, PLUGIN_SEARCH_FUEL_FACTOR, PLUGIN_SEARCH_PARTS};
use crate::transform::{Origins, Outcome, Rows};

/// What a run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Batches given, those of searches included.
    pub batches: u64,
    /// Of those, how many failed.
    pub failed_batches: u64,
    /// Instances made.
    pub instances: u64,
    /// Fuel burnt.
    pub fuel: u64,
    /// Bytes of memory of the largest instance.
    pub memory_bytes: usize,
    /// What became of the rows.
    pub rows: Counts,
}

/// One run of a plugin over rows.
pub(super) struct Run<'a> {
    plugin: &'a Plugin,
    rows: &'a Rows,
    origins: &'a Origins,
    gather: Gather<'a>,
    usage: Usage,
    columns: Columns,
}

/// Why a try brought nothing.
struct Refused {
    fault: Fault,
    /// Whether it may be that the batch only wants more than this try allowed.
    wants_more: bool,
}

/// The columns of a batch that are made for it.
#[derive(Default)]
struct Columns {
    ends: Vec<u32>,
    arrived_ms: Vec<u64>,
    positions: Vec<u64>,
    shards: Vec<u32>,
    key_data: Vec<u8>,
    key_ends: Vec<u32>,
}

impl<'a> Run<'a> {
    pub(super) fn new(plugin: &'a Plugin, rows: &'a Rows, origins: &'a Origins) -> Self {
        let gather = Gather::new(rows, plugin.step.arn.as_deref());
        Run { plugin, rows, origins, gather, usage: Usage::default(), columns: Columns::default() }
    }

    /// All batches, in order.
    pub(super) fn run(mut self) -> Result<(Outcome, Usage)> {
        let mut start = 0;
        while start < self.rows.len() {
            let end = self.cut(start);
            self.batch(start..end)?;
            start = end;
        }
        self.usage.rows = self.gather.counts;
        Ok((self.gather.outcome(), self.usage))
    }

    /// Where the batch that begins at `start` ends.
    fn cut(&self, start: usize) -> usize {
        let limits = &self.plugin.step.limits;
        let begin = self.rows.start_of(start);
        let last = self.rows.len().min(start + limits.batch_records.max(1) as usize);
        let fits = self.rows.ends[start..last].partition_point(|&end| end - begin <= limits.batch_bytes);
        start + fits.max(1)
    }

    fn batch(&mut self, range: Range<usize>) -> Result<()> {
        if let Some(mut instance) = self.plugin.kept() {
            if let Ok(answer) = self.call(&mut instance, &range, self.plugin.step.limits.first()) {
                instance.kept &= instance.may_keep(&self.plugin.step.limits, Grant::Batch);
                self.accept(&range, &answer, instance);
                return Ok(());
            }
            // Whether the batch is at fault or what the instance remembered, a fresh one will say. First it makes room.
            drop(instance);
        }
        self.search(range)
    }

    /// Tries `range` on fresh instances, in parts where it fails, until those that are guilty stand alone or the fuel for
    /// the search is burnt: what fails then fails whole.
    fn search(&mut self, range: Range<usize>) -> Result<()> {
        let limits = self.plugin.step.limits;
        let mut fuel =
            limits.fuel_of(self.rows.bytes_of(&range).len() as u64).saturating_mul(PLUGIN_SEARCH_FUEL_FACTOR);
        let mut grant = limits.first();
        // The depths of which a part wanted more. One record that takes all there is makes one part of each do so; where it
        // is a second one they may all need more.
        let mut wanting = BTreeSet::new();
        let mut open = vec![(range, 1)];
        while let Some((range, attempts)) = open.pop() {
            let burnt = self.usage.fuel;
            let Err(mut refused) = self.attempt(&range, grant, attempts)? else { continue };
            if refused.wants_more && (range.len() == 1 || !wanting.insert(attempts)) {
                let Err(guilty) = self.attempt(&range, Grant::Whole, attempts)? else {
                    grant = Grant::Whole;
                    continue;
                };
                refused = guilty;
            }
            fuel = fuel.saturating_sub(self.usage.fuel - burnt);
            if range.len() == 1 || fuel == 0 {
                self.gather.fail(range, &refused.fault, attempts);
            } else {
                open.extend(parts(&range, limits.sparing).rev().map(|part| (part, attempts + 1)));
            }
        }
        Ok(())
    }

    /// Tries `range` on a fresh instance, and takes what it answers.
    fn attempt(
        &mut self,
        range: &Range<usize>,
        grant: Grant,
        attempts: u32,
    ) -> Result<std::result::Result<(), Refused>> {
        let mut instance = self.plugin.fresh()?;
        self.usage.instances += 1;
        // Kept ones are given whole batches alone.
        let grant = if attempts == 1 && grant == Grant::First && instance.kept { Grant::Batch } else { grant };
        let answer = self.call(&mut instance, range, grant);
        instance.kept &= instance.may_keep(&self.plugin.step.limits, grant);
        Ok(answer.map(|answer| self.accept(range, &answer, instance)))
    }

    fn accept(&mut self, range: &Range<usize>, answer: &Answer, mut instance: Instance) {
        self.gather.take(range, answer);
        self.plugin.metrics().count(instance.counted());
        self.plugin.keep(instance);
    }

    /// Gives a batch to an instance and checks what it answers.
    fn call(&mut self, instance: &mut Instance, range: &Range<usize>, grant: Grant) -> Result<Answer, Refused> {
        self.columns.fill(self.rows, self.origins, range);
        let batch = self.columns.batch(&self.rows.data[self.rows.bytes_of(range)]);
        let bytes = bytes_of(&batch);
        let limits = &self.plugin.step.limits;
        let Given { answer, cost, wants_more } = instance.call(batch, limits, grant, self.random(range.start));
        let keys = self.gather.keys();
        let rules = Rules { records: range.len(), bytes_max: limits.output_of(bytes), keys };
        let answer = answer.and_then(|raw| answer::check(raw, &rules)).and_then(|answer| self.within(range, answer));
        let answer = answer.and_then(|answer| if wants_more { Err(Fault::wants_memory()) } else { Ok(answer) });
        self.account(cost, answer.is_ok());
        answer.map_err(|fault| Refused { fault, wants_more })
    }

    /// Refuses an answer that is too much together with those before.
    fn within(&self, range: &Range<usize>, answer: Answer) -> Result<Answer, Fault> {
        let bytes = self.gather.bytes_with(range, &answer);
        if bytes > PLUGIN_OUTPUT_BYTES_MAX {
            let message = format!("{bytes} bytes at once are too much, at most {PLUGIN_OUTPUT_BYTES_MAX} are taken");
            return Err(Fault::new(OUTPUT_TOO_LARGE, message));
        }
        Ok(answer)
    }

    fn account(&mut self, cost: Cost, fine: bool) {
        self.usage.batches += 1;
        self.usage.failed_batches += u64::from(!fine);
        self.usage.fuel = self.usage.fuel.saturating_add(cost.fuel);
        self.usage.memory_bytes = self.usage.memory_bytes.max(cost.memory_bytes);
    }

    fn random(&self, first: usize) -> Random {
        let origin = self.rows.origins[first] as usize;
        let shard = self.origins.shards.get(origin).copied().unwrap_or(0);
        Random::of(self.plugin.stream(), shard, self.origins.positions[origin])
    }
}

impl Columns {
    fn fill(&mut self, rows: &Rows, origins: &Origins, range: &Range<usize>) {
        let begin = rows.start_of(range.start);
        let of = &rows.origins[range.clone()];
        refill(&mut self.ends, rows.ends[range.clone()].iter().map(|end| end - begin));
        refill(&mut self.arrived_ms, of.iter().map(|&origin| origins.arrived_ms[origin as usize]));
        refill(&mut self.positions, of.iter().map(|&origin| origins.positions[origin as usize]));
        self.shards.clear();
        if !origins.shards.is_empty() {
            self.shards.extend(of.iter().map(|&origin| origins.shards[origin as usize]));
        }
        self.key_data.clear();
        self.key_ends.clear();
        if let Some(keys) = &origins.keys {
            for &origin in of {
                self.key_data.extend_from_slice(keys.get(origin as usize));
                self.key_ends.push(u32::try_from(self.key_data.len()).expect("keys have at most 256 characters"));
            }
        }
    }

    fn batch<'a>(&'a self, data: &'a [u8]) -> Batch<'a> {
        Batch {
            data,
            ends: &self.ends,
            arrived_ms: &self.arrived_ms,
            positions: &self.positions,
            shards: &self.shards,
            key_data: &self.key_data,
            key_ends: &self.key_ends,
        }
    }
}

/// The parts in which a batch that failed is tried again.
fn parts(range: &Range<usize>, sparing: bool) -> impl DoubleEndedIterator<Item = Range<usize>> + use<> {
    let (start, records) = (range.start, range.len());
    let parts = if sparing { PLUGIN_SEARCH_PARTS.min(records) } else { 2 };
    let at = move |part: usize| start + records * part / parts;
    (0..parts).map(move |part| at(part)..at(part + 1))
}

fn refill<T>(column: &mut Vec<T>, values: impl Iterator<Item = T>) {
    column.clear();
    column.extend(values);
}
