//! A plan that holds a share, carried out: from what its lane has gathered, or from the journal once more, where the rows of all
//! lanes are made again and the others let go.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::super::again::Spans;
use super::super::deliver::{Courier, entry_name, note_repeat, produce, send};
use super::super::failed::{self, Codes, Refused};
use super::super::prepare::Recipe;
use super::super::staged::BatchId;
use super::super::target::Target;
use super::blocks::{Batch, Cuts, Cutter};
use super::keep::rules_of;
use super::open::Content;
use super::route::{Part, route};
use crate::destination::{Body, BodySender, Destination, ObjectFacts};
use crate::error::{Error, Kind, Result};
use crate::format::{Chunk, Container};
use crate::ledger::{Lane, Plan, Share, Tally};
use crate::limits::{ENCODE_CHUNK_BYTES, LANE_CHUNK_BYTES};

/// What there is of a share's object already.
pub(in super::super) struct ShareLoad {
    /// What its lane has gathered and was counted; `None` where the journal is to be read once more.
    gathered: Option<(Content, Tally)>,
    /// The same, encoded: kept until the plan is done.
    encoded: Option<(Encoded, Tally)>,
    /// Where batches were cut early.
    cuts: Arc<Cuts>,
}

/// An object's chunks, with the memory that they hold.
struct Encoded {
    chunks: Vec<Chunk>,
    refused: Vec<(Vec<Refused>, OwnedSemaphorePermit)>,
    memory: Vec<OwnedSemaphorePermit>,
}

impl ShareLoad {
    pub(super) fn new(gathered: Option<(Content, Tally)>, cuts: Arc<Cuts>) -> Self {
        ShareLoad { gathered, encoded: None, cuts }
    }
}

impl Courier {
    /// One attempt at a plan that holds a share.
    pub(in super::super) async fn put_share(
        &self,
        destination: &dyn Destination,
        plan: &Plan,
        target: &Target,
        load: &mut ShareLoad,
    ) -> Result<(Tally, Codes)> {
        let share = plan.share.as_ref().ok_or_else(|| Error::new(Kind::Internal, "the plan holds no share"))?;
        if let Some((content, tally)) = load.gathered.take() {
            let recipe = Recipe::without_steps(target);
            load.encoded = self.encoded(content, &recipe).await?.map(|encoded| (encoded, tally));
        }
        if let Some((encoded, tally)) = &load.encoded {
            let recipe = Recipe::without_steps(target);
            return put_ready(destination, plan, share, encoded, *tally, &recipe).await;
        }
        // What functions made is read, and no step is done again.
        let recipe = match target.calls_functions() {
            true => Recipe::without_steps(target),
            false => Recipe::load(target, &self.tools).await?,
        };
        self.put_share_again(destination, plan, share, (target, &recipe), &load.cuts).await
    }

    /// Everything that a lane has gathered, encoded; nothing when memory was short.
    async fn encoded(&self, content: Content, recipe: &Recipe) -> Result<Option<Encoded>> {
        let Content { runs, refused } = content;
        let mut encoded = Encoded { chunks: Vec::new(), refused, memory: Vec::new() };
        let mut tail = Vec::new();
        for mut run in runs.into_values() {
            if !run.jobs.is_empty() || tail.len() >= LANE_CHUNK_BYTES {
                self.finish(&mut tail, recipe, &mut encoded.chunks).await?;
            }
            for job in run.jobs {
                let Some((chunk, memory)) = job.done().await? else { return Ok(None) };
                encoded.chunks.push(chunk);
                encoded.memory.push(memory);
            }
            tail.append(&mut run.raw);
        }
        self.finish(&mut tail, recipe, &mut encoded.chunks).await?;
        Ok(Some(encoded))
    }

    async fn finish(&self, tail: &mut Vec<u8>, recipe: &Recipe, chunks: &mut Vec<Chunk>) -> Result<()> {
        if !tail.is_empty() {
            let (raw, recipe) = (std::mem::take(tail), recipe.clone());
            chunks.push(self.workshop.capacity.encode(move || recipe.encode_joined(&raw)).await.done().await?);
        }
        Ok(())
    }

    /// Reads the spans from the journal and puts what its lane gets of them; memory is bound by a few chunks.
    async fn put_share_again(
        &self,
        destination: &dyn Destination,
        plan: &Plan,
        share: &Share,
        (target, recipe): (&Target, &Recipe),
        cuts: &Cuts,
    ) -> Result<(Tally, Codes)> {
        let (sender, mut body) = Body::channel(1);
        let again = Again { courier: self, plan, share, target, recipe, cuts };
        let producer = produce(sender, async |sender| again.send(sender).await);
        let consumer = async {
            if body.is_void().await? {
                return Ok(false);
            }
            let (key, facts) = place(plan, share, recipe);
            note_repeat(plan, destination.create(key, body, facts).await?);
            Ok::<_, Error>(true)
        };
        let (read, written) = tokio::join!(producer, consumer);
        let written = written?;
        let (mut tally, codes) = read?;
        tally.objects = u64::from(written);
        Ok((tally, codes))
    }
}

/// The key of a share's object, and what is said about it.
fn place<'a>(plan: &'a Plan, share: &Share, recipe: &Recipe) -> (&'a str, ObjectFacts) {
    match share.lane {
        Lane::Failures => (&plan.error_key, ObjectFacts::default()),
        Lane::Keys(_) => (&plan.key, ObjectFacts { content_encoding: recipe.encoding().content_encoding() }),
    }
}

/// Puts what is at hand.
async fn put_ready(
    destination: &dyn Destination,
    plan: &Plan,
    share: &Share,
    encoded: &Encoded,
    mut tally: Tally,
    recipe: &Recipe,
) -> Result<(Tally, Codes)> {
    let mut codes = Codes::new();
    let mut pieces = Vec::new();
    if share.lane == Lane::Failures {
        for (refused, _) in &encoded.refused {
            failed::count(&mut codes, refused);
            pieces.push(failed::lines(refused, plan.planned_ms));
        }
    } else {
        let mut container = Container::new(recipe.encoding(), entry_name(&plan.key));
        pieces.push(container.head());
        for chunk in &encoded.chunks {
            container.add(chunk);
            pieces.push(chunk.bytes.clone());
        }
        pieces.push(container.tail());
        tally.object_bytes = pieces.iter().map(Bytes::len).sum::<usize>() as u64;
    }
    let (key, facts) = place(plan, share, recipe);
    note_repeat(plan, destination.create(key, Body::ready(pieces), facts).await?);
    tally.objects = 1;
    Ok((tally, codes))
}

/// A share made again from the journal.
struct Again<'a> {
    courier: &'a Courier,
    plan: &'a Plan,
    share: &'a Share,
    target: &'a Target,
    recipe: &'a Recipe,
    cuts: &'a Cuts,
}

/// What was made so far.
struct Making {
    container: Container,
    begun: bool,
    joined: Vec<u8>,
    tally: Tally,
    codes: Codes,
}

impl Again<'_> {
    /// Sends the pieces of the object; nothing at all when nothing is in it.
    async fn send(&self, out: &BodySender) -> Result<(Tally, Codes)> {
        let container = Container::new(self.recipe.encoding(), entry_name(&self.plan.key));
        let mut making =
            Making { container, begun: false, joined: Vec::new(), tally: Tally::default(), codes: Codes::new() };
        let mut spans = Spans::of(&self.courier.reader, self.plan);
        for span in &self.plan.spans {
            let (mut cutter, cuts) = (Cutter::default(), self.cuts.get(&span.shard));
            let mut position = span.start;
            while position < span.end {
                let (placed, end) = spans.read(span, position).await?;
                let mut batches = Vec::new();
                // A hole ends the batch before it.
                if placed.first().is_none_or(|placed| placed.first > position) {
                    batches.extend(cutter.cut());
                }
                batches.extend(placed.into_iter().flat_map(|placed| cutter.push(placed, cuts)));
                position = end;
                if position >= span.end {
                    batches.extend(cutter.cut());
                }
                for batch in batches {
                    self.take(batch, &mut making, out).await?;
                }
            }
        }
        self.end(making, spans.discarded() > 0, out).await
    }

    async fn take(&self, batch: Batch, making: &mut Making, out: &BodySender) -> Result<()> {
        let Some(part) = self.part(batch).await? else { return Ok(()) };
        making.tally.add(&part.tally);
        failed::count(&mut making.codes, &part.refused);
        if !part.refused.is_empty() {
            return send(out, failed::lines(&part.refused, self.plan.planned_ms)).await;
        }
        making.joined.extend_from_slice(&part.joined);
        making.begun |= part.tally.delivered + part.tally.unpacked > 0;
        if making.joined.len() >= ENCODE_CHUNK_BYTES { self.flush(making, out).await } else { Ok(()) }
    }

    /// What the lane gets of a batch.
    async fn part(&self, batch: Batch) -> Result<Option<Part>> {
        let (recipe, lane, rules) = (self.recipe.clone(), self.share.lane.clone(), rules_of(self.target)?);
        if self.target.calls_functions() {
            // Its rows were planned, so it is there, and no function is called.
            let id = BatchId { stream: self.plan.stream, shard: batch.shard, start: batch.start };
            let mut routed = self.courier.kept(&recipe, &rules, (id, None), &batch).await?;
            return Ok(routed.parts.remove(&lane));
        }
        let job = move || route(&recipe, &rules, &batch.records).map(|mut routed| routed.parts.remove(&lane));
        self.courier.workshop.capacity.encode(job).await.done().await?
    }

    async fn flush(&self, making: &mut Making, out: &BodySender) -> Result<()> {
        let mut chunks = Vec::new();
        self.courier.finish(&mut making.joined, self.recipe, &mut chunks).await?;
        for chunk in chunks {
            let is_first = making.tally.object_bytes == 0;
            let head = if is_first { making.container.head() } else { Bytes::new() };
            making.container.add(&chunk);
            for piece in [head, chunk.bytes].into_iter().filter(|piece| !piece.is_empty()) {
                making.tally.object_bytes += piece.len() as u64;
                send(out, piece).await?;
            }
        }
        Ok(())
    }

    async fn end(&self, mut making: Making, is_gone: bool, out: &BodySender) -> Result<(Tally, Codes)> {
        self.flush(&mut making, out).await?;
        let Making { container, begun, mut tally, codes, .. } = making;
        if begun {
            // Rows without any byte make a container without chunks.
            let head = if tally.object_bytes == 0 { container.head() } else { Bytes::new() };
            for piece in [head, container.tail()] {
                tally.object_bytes += piece.len() as u64;
                // Also an empty one: it says that there is an object.
                send(out, piece).await?;
            }
        }
        let lost = self.share.positions.saturating_sub(tally.positions());
        if is_gone {
            tally.discarded += lost;
        } else {
            tally.damaged += lost;
        }
        Ok((tally, codes))
    }
}
