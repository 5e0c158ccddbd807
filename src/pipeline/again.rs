//! The chunks of a plan, read from the journal once more: the same as those that were encoded while the buffer filled.

use std::collections::VecDeque;

use super::chunk::{Chunker, Placed, Tails};
use crate::error::{Error, Kind, Result};
use crate::ledger::Plan;
use crate::limits;
use crate::record::{Batch, Span};
use crate::stream::Reader;

/// Reads a plan's spans.
pub(super) struct Spans<'a> {
    reader: &'a Reader,
    plan: &'a Plan,
    discarded: u64,
}

impl<'a> Spans<'a> {
    pub(super) fn of(reader: &'a Reader, plan: &'a Plan) -> Self {
        Spans { reader, plan, discarded: 0 }
    }

    /// Positions whose data stream is gone, and their records with it.
    pub(super) fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Reads on within a span; what came, and up to where.
    pub(super) async fn read(&mut self, span: &Span, position: u64) -> Result<(Vec<Placed>, u64)> {
        let batch = self.reader.read(span.shard, position, limits::READ_BYTES).await;
        let is_own = span.shard.stream == self.plan.stream;
        match batch {
            // The rest of a data stream's span that is not there will not be: discarded with its stream, or else damaged.
            Err(error) if error.kind() == Kind::NotFound && !is_own => {
                self.discarded += span.end - position;
                Ok((Vec::new(), span.end))
            }
            Ok(batch) if batch.span.end <= position && !is_own => {
                let is_gone = !self.reader.has_data_stream(span.shard.stream);
                self.discarded += if is_gone { span.end - position } else { 0 };
                Ok((Vec::new(), span.end))
            }
            Ok(batch) if batch.span.end <= position => {
                let message = format!(
                    "the plan's records up to position {} are not in the journal, which ends at {}",
                    span.end, batch.span.end
                );
                Err(Error::corrupt(message))
            }
            batch => Ok(within(span, batch?)),
        }
    }
}

/// How many positions of a plan the journal has no records of any more.
pub(super) async fn lost(reader: &Reader, plan: &Plan) -> Result<u64> {
    let (mut spans, mut there) = (Spans::of(reader, plan), 0);
    for span in &plan.spans {
        let mut position = span.start;
        while position < span.end {
            let (placed, end) = spans.read(span, position).await?;
            there += placed.iter().map(|placed| placed.records.len() as u64).sum::<u64>();
            position = end;
        }
    }
    Ok(plan.spans.iter().map(Span::len).sum::<u64>().saturating_sub(there))
}

/// What of a batch lies before a span's end.
fn within(span: &Span, batch: Batch) -> (Vec<Placed>, u64) {
    let mut at = batch.span.start;
    let mut placed = Vec::with_capacity(batch.puts.len());
    for put in batch.puts {
        let wanted = put.len().min(span.end.saturating_sub(at) as usize);
        let first = at;
        at += put.len() as u64;
        let records = if wanted == put.len() { put } else { put.slice(0, wanted) };
        placed.push(Placed { shard: span.shard, first, records });
    }
    (placed, batch.span.end)
}

/// Whole chunks of a plan's spans, in order.
pub(super) struct Source<'a> {
    reading: Spans<'a>,
    /// The span that is being read, and up to where it was.
    at: Option<(&'a Span, u64)>,
    spans: std::slice::Iter<'a, Span>,
    chunker: Chunker,
    tails: Tails,
    whole: VecDeque<Vec<Placed>>,
}

impl<'a> Source<'a> {
    pub(super) fn of(reader: &'a Reader, plan: &'a Plan) -> Self {
        Source {
            reading: Spans::of(reader, plan),
            at: None,
            spans: plan.spans.iter(),
            chunker: Chunker::default(),
            tails: Tails::default(),
            whole: VecDeque::new(),
        }
    }

    /// Positions whose data stream is gone, and their records with it.
    pub(super) fn discarded(&self) -> u64 {
        self.reading.discarded()
    }

    pub(super) async fn next(&mut self) -> Result<Option<Vec<Placed>>> {
        while self.whole.is_empty() {
            match self.at {
                Some((span, position)) if position < span.end => {
                    let (placed, position) = self.reading.read(span, position).await?;
                    for placed in placed {
                        self.take(placed);
                    }
                    self.at = Some((span, position));
                }
                _ => {
                    let tail = self.chunker.finish().and_then(|tail| self.tails.push(tail));
                    self.whole.extend(tail);
                    self.at = self.spans.next().map(|span| (span, span.start));
                    if self.at.is_none() {
                        self.whole.extend(self.tails.finish());
                        break;
                    }
                }
            }
        }
        Ok(self.whole.pop_front())
    }

    /// Has the halves of the last chunk come next.
    pub(super) fn put_back(&mut self, [first, others]: [Vec<Placed>; 2]) {
        self.whole.push_front(others);
        self.whole.push_front(first);
    }

    fn take(&mut self, placed: Placed) {
        for chunk in self.chunker.push(placed) {
            self.whole.extend(self.tails.finish());
            self.whole.push_back(chunk);
        }
    }
}
