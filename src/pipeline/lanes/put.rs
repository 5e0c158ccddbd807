//! A plan that holds a share, carried out: from what its lane has gathered, or from the journal once more, where the rows of all
//! lanes are made again and the others let go.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::super::again::Spans;
use super::super::capacity::Held;
use super::super::deliver::{Courier, entry_name, produce, send, send_lines};
use super::super::failed::{self, Codes, Refused, Sheet};
use super::super::prepare::Recipe;
use super::super::spill::Slot;
use super::super::stage::blocking;
use super::super::staged;
use super::super::target::Target;
use super::blocks::{Batch, Cuts, Cutter};
use super::keep::{Planned, rules_of};
use super::open::{CHUNK_BYTES, Content, Refusals};
use super::route::{Part, route};
use crate::destination::{Body, BodySender, Destination};
use crate::error::{Error, Kind, Result};
use crate::format::{Chunk, Container};
use crate::ledger::{ErrorType, Lane, Plan, Share, Tally};

/// What there is of a share's object already.
pub(in super::super) struct ShareLoad {
    /// What its lane has gathered and was counted; `None` where the journal is to be read once more.
    gathered: Option<(Content, Tally)>,
    /// The same, encoded: kept until the plan is done.
    encoded: Option<(Encoded, Tally)>,
    /// Which batches there were.
    batches: Arc<Batches>,
}

/// What is known of the batches above the watermark, beside what follows from positions and bytes.
pub(super) struct Batches {
    /// Where they were cut.
    pub cuts: Cuts,
    /// Those that are kept, of an earlier process.
    pub kept: Arc<Planned>,
}

/// What an object is made of, encoded.
#[derive(Default)]
struct Encoded {
    /// Chunks without their bytes, and where those are.
    chunks: Vec<(Chunk, Held)>,
    refused: Vec<Known>,
}

/// Records that failed in one batch.
enum Known {
    Memory { refused: Vec<Refused>, _room: OwnedSemaphorePermit },
    Disk(Arc<Slot>),
}

impl ShareLoad {
    pub(super) fn new(gathered: Option<(Content, Tally)>, batches: Arc<Batches>) -> Self {
        ShareLoad { gathered, encoded: None, batches }
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
        let recipe = Recipe::without_steps(target);
        if let Some((content, tally)) = load.gathered.take() {
            load.encoded = self.encoded(content, &recipe).await?.map(|encoded| (encoded, tally));
        }
        if let Some((encoded, tally)) = &load.encoded {
            match self.put_gathered(destination, (plan, share), (encoded, *tally), (target, &recipe)).await {
                Err(Unput::Unread(error)) => {
                    tracing::warn!(stream = self.name, key = plan.key, %error, "rows are made again from the journal");
                    load.encoded = None;
                }
                Err(Unput::Failed(error)) => return Err(error),
                Ok(done) => return Ok(done),
            }
        }
        // What functions made is read, and no step is done again.
        let recipe = if target.calls_functions() { recipe } else { Recipe::load(target, &self.tools).await? };
        self.put_share_again(destination, plan, share, (target, &recipe), &load.batches).await
    }

    /// Everything that a lane has gathered, encoded; nothing when there was no room for it.
    async fn encoded(&self, content: Content, recipe: &Recipe) -> Result<Option<Encoded>> {
        let Content { runs, refused } = content;
        let (mut encoded, mut tail) = (Encoded::default(), Vec::new());
        for refusals in refused {
            encoded.refused.push(match refusals {
                Refusals::Memory(refused, memory) => Known::Memory { refused, _room: memory },
                Refusals::Disk(job) => match job.done().await? {
                    Some(slot) => Known::Disk(Arc::new(slot)),
                    None => return Ok(None),
                },
            });
        }
        for run in runs.into_values() {
            if !run.jobs.is_empty() || tail.len() >= CHUNK_BYTES {
                encoded.chunks.extend(self.finish(&mut tail, recipe).await?);
            }
            for job in run.jobs {
                let Some(chunk) = job.done().await? else { return Ok(None) };
                encoded.chunks.push(chunk);
            }
            for early in run.early {
                let Some(slot) = early.done().await? else { return Ok(None) };
                let Ok(rows) = blocking(move || slot.read()).await else { return Ok(None) };
                tail.extend(rows);
            }
            tail.append(&mut run.raw.joined());
        }
        encoded.chunks.extend(self.finish(&mut tail, recipe).await?);
        Ok(Some(encoded))
    }

    /// The last chunk of what is to be encoded, if there is any.
    async fn finish(&self, tail: &mut Vec<u8>, recipe: &Recipe) -> Result<Option<(Chunk, Held)>> {
        if tail.is_empty() {
            return Ok(None);
        }
        let (raw, recipe) = (std::mem::take(tail), recipe.clone());
        let mut chunk = self.workshop.capacity.encode(move || recipe.encode_joined(&raw)).await.done().await?;
        let bytes = std::mem::take(&mut chunk.bytes);
        Ok(Some((chunk, Held::Memory { bytes, _room: None })))
    }

    /// Reads the spans from the journal and puts what its lane gets of them; memory is bound by a few chunks. For each further
    /// object of error output they are read once more.
    async fn put_share_again(
        &self,
        destination: &dyn Destination,
        plan: &Plan,
        share: &Share,
        (target, recipe): (&Target, &Recipe),
        batches: &Batches,
    ) -> Result<(Tally, Codes)> {
        let again = Again { courier: self, plan, share, target, recipe, batches, sheet: None };
        if share.lane != Lane::Failures {
            return self.put_again_once(destination, &again).await;
        }
        let sheet = Sheet::new(plan, target, (ErrorType::Processing, &plan.error_key));
        let (mut tally, codes) = self.put_again_once(destination, &Again { sheet: Some(sheet), ..again }).await?;
        for output in plan.error_output(&tally).iter().filter(|output| output.of != ErrorType::Processing) {
            let sheet = Sheet::new(plan, target, (output.of, output.key));
            let (once_more, _) = self.put_again_once(destination, &Again { sheet: Some(sheet), ..again }).await?;
            tally.objects += once_more.objects;
        }
        Ok((tally, codes))
    }

    async fn put_again_once(&self, destination: &dyn Destination, again: &Again<'_>) -> Result<(Tally, Codes)> {
        let (sender, mut body) = Body::channel(1);
        let producer = produce(sender, async |sender| again.send(sender).await);
        let consumer = async {
            if body.is_void().await? {
                return Ok(None);
            }
            self.create_share(destination, again.plan, again.target, again.sheet, body).await.map(Some)
        };
        let (read, written) = tokio::join!(producer, consumer);
        let written = written?;
        let (mut tally, codes) = read?;
        tally.objects = u64::from(written.is_some());
        tally.object_bytes = written.flatten().unwrap_or(tally.object_bytes);
        Ok((tally, codes))
    }

    /// Puts an object of a share, that of its rows without `sheet`; gives the bytes that it has, if those are others than the
    /// body's.
    async fn create_share(
        &self,
        destination: &dyn Destination,
        plan: &Plan,
        target: &Target,
        sheet: Option<Sheet<'_>>,
        body: Body,
    ) -> Result<Option<u64>> {
        let Some(sheet) = sheet else { return self.create_rows(destination, plan, target, body).await };
        self.create_failures(destination, plan, sheet.key, body).await.map(|()| None)
    }

    /// Puts what is at hand.
    async fn put_gathered(
        &self,
        destination: &dyn Destination,
        (plan, share): (&Plan, &Share),
        (encoded, mut tally): (&Encoded, Tally),
        (target, recipe): (&Target, &Recipe),
    ) -> Result<(Tally, Codes), Unput> {
        if share.lane != Lane::Failures {
            let pieces = Pieces::of(plan, encoded, None, recipe);
            let (bytes, _) = self.put_pieces(destination, (plan, target), encoded, pieces).await?;
            (tally.objects, tally.object_bytes) = (1, bytes);
            return Ok((tally, Codes::new()));
        }
        let mut codes = Codes::new();
        for output in plan.error_output(&tally) {
            let sheet = Sheet::new(plan, target, (output.of, output.key));
            let pieces = Pieces::of(plan, encoded, Some(sheet), recipe);
            let (_, counted) = self.put_pieces(destination, (plan, target), encoded, pieces).await?;
            tally.objects += 1;
            codes.extend(counted);
        }
        Ok((tally, codes))
    }

    /// Puts one object; gives the bytes that it has, and the codes that were counted in it.
    async fn put_pieces(
        &self,
        destination: &dyn Destination,
        (plan, target): (&Plan, &Target),
        encoded: &Encoded,
        mut pieces: Pieces<'_>,
    ) -> Result<(u64, Codes), Unput> {
        let sheet = pieces.sheet;
        let created = if encoded.is_in_memory() {
            let mut ready = Vec::new();
            while let Some(piece) = pieces.next().await.map_err(Unput::Unread)? {
                ready.push(piece);
            }
            self.create_share(destination, plan, target, sheet, Body::ready(ready)).await
        } else {
            let (sender, body) = Body::channel(1);
            let mut unread = None;
            let producer = produce(sender, async |sender| {
                loop {
                    match pieces.next().await {
                        Ok(None) => return Ok(()),
                        Ok(Some(piece)) if piece.is_empty() => {}
                        Ok(Some(piece)) => send(sender, piece).await?,
                        Err(error) => {
                            let said = Error::unavailable(error.to_string());
                            unread = Some(error);
                            return Err(said);
                        }
                    }
                }
            });
            let (sent, created) = tokio::join!(producer, self.create_share(destination, plan, target, sheet, body));
            if let Some(error) = unread {
                return Err(Unput::Unread(error));
            }
            // One that was there already need not be sent whole.
            if created.is_ok() { created } else { sent.and(created) }
        };
        let converted = created.map_err(Unput::Failed)?;
        Ok((converted.unwrap_or(pieces.bytes), pieces.codes))
    }
}

/// Why what is at hand was not put.
enum Unput {
    /// It cannot be read.
    Unread(Error),
    Failed(Error),
}

impl Encoded {
    fn is_in_memory(&self) -> bool {
        self.chunks.iter().all(|(_, held)| matches!(held, Held::Memory { .. }))
            && self.refused.iter().all(|known| matches!(known, Known::Memory { .. }))
    }
}

/// The bytes of an object, piece by piece.
struct Pieces<'a> {
    encoded: &'a Encoded,
    /// Which failures are in it; nothing for an object of rows.
    sheet: Option<Sheet<'a>>,
    /// Of an object of rows, until it is at its end.
    container: Option<Container>,
    /// What stands between two chunks.
    separator: Option<Chunk>,
    at: usize,
    bytes: u64,
    codes: Codes,
}

impl<'a> Pieces<'a> {
    fn of(plan: &Plan, encoded: &'a Encoded, sheet: Option<Sheet<'a>>, recipe: &Recipe) -> Self {
        let container = sheet.is_none().then(|| Container::new(recipe.encoding(), entry_name(&plan.key)));
        Pieces { encoded, sheet, container, separator: recipe.separator(), at: 0, bytes: 0, codes: Codes::new() }
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        let at = self.at;
        self.at += 1;
        let piece = if let Some(known) = self.encoded.refused.get(at) {
            self.lines(known).await?
        } else if let Some(container) = &mut self.container {
            match at.checked_sub(1).map(|at| self.encoded.chunks.get(at)) {
                None => container.head(),
                Some(Some((chunk, held))) => {
                    let bytes = held.bytes().await?;
                    match self.separator.as_ref().filter(|_| at > 1) {
                        None => {
                            container.add_kept(chunk, bytes.len());
                            bytes
                        }
                        Some(separator) => {
                            container.add(separator);
                            container.add_kept(chunk, bytes.len());
                            [&separator.bytes[..], &bytes].concat().into()
                        }
                    }
                }
                Some(None) => self.container.take().map_or_else(Bytes::new, Container::tail),
            }
        } else {
            return Ok(None);
        };
        self.bytes += piece.len() as u64;
        Ok(Some(piece))
    }

    async fn lines(&mut self, known: &Known) -> Result<Bytes> {
        let slot = match known {
            Known::Memory { refused, .. } => return Ok(self.lines_of(refused)),
            Known::Disk(slot) => slot.clone(),
        };
        let read = blocking(move || Ok(staged::decode(&slot.read()?))).await?;
        let part = read.ok_or_else(|| Error::unavailable("records that were spilled cannot be read"))?;
        Ok(self.lines_of(&part.failed))
    }

    fn lines_of(&mut self, refused: &[Refused]) -> Bytes {
        let Some(sheet) = self.sheet else { return Bytes::new() };
        failed::count(&mut self.codes, sheet.pick(refused));
        sheet.lines(refused)
    }
}

/// An object of a share made again from the journal.
#[derive(Clone, Copy)]
struct Again<'a> {
    courier: &'a Courier,
    plan: &'a Plan,
    share: &'a Share,
    target: &'a Target,
    recipe: &'a Recipe,
    batches: &'a Batches,
    /// Which failures are in it; nothing for an object of rows.
    sheet: Option<Sheet<'a>>,
}

/// What was made so far.
struct Making {
    container: Container,
    begun: bool,
    /// Whether any chunk was sent.
    has_any: bool,
    /// What is left of shards before.
    tail: Vec<u8>,
    /// Rows of the shard that is being read, and whether chunks of it were sent.
    joined: Vec<u8>,
    has_chunks: bool,
    tally: Tally,
    codes: Codes,
}

impl Again<'_> {
    /// Sends the pieces of the object; nothing at all when nothing is in it.
    async fn send(&self, out: &BodySender) -> Result<(Tally, Codes)> {
        let container = Container::new(self.recipe.encoding(), entry_name(&self.plan.key));
        let mut making = Making {
            container,
            begun: false,
            has_any: false,
            tail: Vec::new(),
            joined: Vec::new(),
            has_chunks: false,
            tally: Tally::default(),
            codes: Codes::new(),
        };
        let mut spans = Spans::of(&self.courier.reader, self.plan);
        for span in &self.plan.spans {
            let (mut cutter, cuts) = (Cutter::default(), self.batches.cuts.get(&span.shard));
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
            self.end_shard(&mut making, out).await?;
        }
        self.end(making, spans.discarded() > 0, out).await
    }

    async fn take(&self, batch: Batch, making: &mut Making, out: &BodySender) -> Result<()> {
        let Some(part) = self.part(batch).await? else { return Ok(()) };
        making.tally.add(&part.tally);
        failed::count(&mut making.codes, &part.refused);
        if let Some(sheet) = self.sheet {
            return send_lines(out, sheet.lines(&part.refused)).await;
        }
        making.joined.extend_from_slice(&part.joined);
        making.begun |= part.tally.delivered + part.tally.unpacked > 0;
        if making.joined.len() < CHUNK_BYTES {
            return Ok(());
        }
        // Chunks end where those of a lane that gathers them do: see [`Courier::encoded`].
        self.flush_tail(making, out).await?;
        making.has_chunks = true;
        let chunk = std::mem::take(&mut making.joined);
        self.flush(chunk, making, out).await
    }

    async fn end_shard(&self, making: &mut Making, out: &BodySender) -> Result<()> {
        if !making.has_chunks && making.tail.len() >= CHUNK_BYTES {
            self.flush_tail(making, out).await?;
        }
        making.has_chunks = false;
        making.tail.append(&mut making.joined);
        Ok(())
    }

    async fn flush_tail(&self, making: &mut Making, out: &BodySender) -> Result<()> {
        let tail = std::mem::take(&mut making.tail);
        self.flush(tail, making, out).await
    }

    /// What the lane gets of a batch.
    async fn part(&self, batch: Batch) -> Result<Option<Part>> {
        let (recipe, lane, rules) = (self.recipe.clone(), self.share.lane.clone(), rules_of(self.target)?);
        if self.target.calls_functions() {
            // Its rows were planned, so it is there, and no function is called.
            let of = (self.plan.stream, &self.batches.kept.wholes);
            let mut routed = self.courier.kept(&recipe, &rules, (of, None), &batch).await?;
            return Ok(routed.parts.remove(&lane));
        }
        let job = move || route(&recipe, &rules, &batch.records);
        let routed = self.courier.workshop.capacity.encode(job).await.done().await??;
        // Where a batch was routed in halves is written down with the plan.
        let mut routed = routed.ok_or_else(|| Error::corrupt("a batch that was routed becomes too much at once"))?;
        Ok(routed.parts.remove(&lane))
    }

    async fn flush(&self, mut rows: Vec<u8>, making: &mut Making, out: &BodySender) -> Result<()> {
        if let Some((mut chunk, held)) = self.courier.finish(&mut rows, self.recipe).await? {
            chunk.bytes = held.bytes().await?;
            let head = match self.recipe.separator() {
                Some(separator) if making.has_any => {
                    making.container.add(&separator);
                    separator.bytes
                }
                _ if making.has_any => Bytes::new(),
                _ => making.container.head(),
            };
            making.has_any = true;
            making.container.add(&chunk);
            for piece in [head, chunk.bytes].into_iter().filter(|piece| !piece.is_empty()) {
                making.tally.object_bytes += piece.len() as u64;
                send(out, piece).await?;
            }
        }
        Ok(())
    }

    async fn end(&self, mut making: Making, is_gone: bool, out: &BodySender) -> Result<(Tally, Codes)> {
        self.flush_tail(&mut making, out).await?;
        let Making { container, begun, has_any, mut tally, codes, .. } = making;
        if begun {
            // Rows without any byte make a container without chunks.
            let head = if has_any { Bytes::new() } else { container.head() };
            for piece in [head, container.tail()] {
                tally.object_bytes += piece.len() as u64;
                // Also an empty one: it says that there is an object.
                send(out, piece).await?;
            }
        }
        let lost = self.share.positions.saturating_sub(tally.positions());
        let beyond = tally.positions().saturating_sub(self.share.positions);
        if beyond > 0 {
            tracing::error!(
                stream = self.courier.name,
                key = self.plan.key,
                records = beyond,
                "records were lost from the journal that a plugin saw with these: more of them than planned became rows, counted beyond records"
            );
            tally.fold(beyond);
        }
        if is_gone {
            tally.discarded += lost;
        } else {
            tally.damaged += lost;
        }
        Ok((tally, codes))
    }
}
