//! What functions made of one batch of a partitioned stream, in a file of its own: `lane-<stream>-<shard>-<start>`. It is there
//! before a row of the batch finds its lane, and until the watermark has passed it.
//!
//! ```text
//! "SPBATCH1"  sealed: 1 byte, 0 or 1  7 bytes, 0  key id: 8 bytes  salt: 16 bytes
//! length, 4 bytes  CRC-32C, 4 bytes  label as JSON
//! length, 4 bytes  CRC-32C, 4 bytes  outcome                   little-endian; both of the body as it stands there
//! ```
//! No plan says what is in it, unlike with other staged files: it is known by its name, and must be whole and say the same end.
//! One of which nothing was routed may be made anew under the same name, so its key follows from its salt as well.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::part;
use super::seal::KeyId;
use super::{DIR, Staging, UNFINISHED, path};
use crate::disk::Open;
use crate::error::{Error, Result};
use crate::limits::{STAGED_BATCHES_BYTES_MAX, STAGED_PART_BYTES_MAX};
use crate::record::{ShardId, StreamId};
use crate::transform::Outcome;

const MAGIC: &[u8; 8] = b"SPBATCH1";
const HEAD_BYTES: usize = 40;
const PREFIX: &str = "lane-";

/// Which batch of which delivery stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::pipeline) struct BatchId {
    /// The delivery stream.
    pub stream: StreamId,
    /// The shard whose records it has.
    pub shard: ShardId,
    /// Its first position.
    pub start: u64,
}

/// What a batch's file says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pipeline) struct Label {
    /// One past the last position.
    pub end: u64,
    /// Stands for the steps that were done: see [`digest_of`].
    pub steps: String,
    /// Aggregates among its records: at which of its positions, counted from 0, and how many user records each holds. By
    /// these it is known whose outcome is whose when the journal has lost some of the records since. Earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpacked: Option<Vec<(u32, u32)>>,
}

impl Label {
    /// How many user records the first `positions` of the batch hold, if that is known.
    pub(in crate::pipeline) fn origins(&self, positions: u64) -> Option<u64> {
        let before = self.unpacked.as_ref()?.iter().filter(|(place, _)| u64::from(*place) < positions);
        Some(before.fold(positions, |origins, (_, count)| (origins + u64::from(*count)).saturating_sub(1)))
    }
}

/// Stands for steps as they are written in a target.
pub(in crate::pipeline) fn digest_of(steps: &[u8]) -> String {
    super::file::hex(&digest(&SHA256, steps).as_ref()[..16])
}

impl BatchId {
    fn file(&self) -> String {
        let BatchId { stream, shard, start } = self;
        format!("{PREFIX}{stream}-{}-{}-{start}", shard.stream, shard.index)
    }

    /// What the file of that name holds, if it is one of a batch.
    pub(super) fn of_file(name: &str) -> Option<Self> {
        let mut fields = name.strip_prefix(PREFIX)?.split('-');
        let stream = fields.next()?.parse().ok()?;
        let shard = ShardId { stream: fields.next()?.parse().ok()?, index: fields.next()?.parse().ok()? };
        let id = BatchId { stream, shard, start: fields.next()?.parse().ok()? };
        (id.file() == name).then_some(id)
    }
}

impl Staging {
    /// Takes about so many bytes of room for a batch's file. `false` where there is none until the watermark of a stream advances; the
    /// oldest batch of a shard always finds it, since the others wait for that one.
    pub(in crate::pipeline) fn make_room(&self, id: BatchId, bytes: u64) -> bool {
        let mut batches = self.batches();
        let is_before =
            |other: &BatchId| (other.stream, other.shard) == (id.stream, id.shard) && other.start < id.start;
        let is_first = !batches.keys().any(is_before);
        let used: u64 = batches.iter().filter(|(other, _)| **other != id).map(|(_, bytes)| bytes).sum();
        let fits = is_first || used + bytes <= self.0.bytes_max.min(STAGED_BATCHES_BYTES_MAX);
        if fits {
            batches.insert(id, bytes);
        }
        fits
    }

    /// Keeps what became of a batch, durably, in the place of whatever was there. It blocks.
    ///
    /// # Errors
    /// [`Unavailable`](crate::error::Kind::Unavailable) when the disk fails.
    pub(in crate::pipeline) fn keep_batch(&self, id: BatchId, label: &Label, outcome: &Outcome) -> Result<()> {
        let label = serde_json::to_vec(label).expect("a label is plain data");
        let (bodies, head) = self.sealed(id, [label, part::encode_outcome(outcome)]);
        let bytes = HEAD_BYTES as u64 + bodies.iter().map(|body| body.len() as u64 + 8).sum::<u64>();
        if bodies.iter().any(|body| body.len() > STAGED_PART_BYTES_MAX) {
            return Err(Error::unavailable(format!("what became of a batch has {bytes} bytes, too many to be kept")));
        }
        self.batches().insert(id, bytes);
        let kept = self.write_batch(&id.file(), &head, &bodies);
        if kept.is_err() {
            self.remove_batch(id);
        }
        kept.map_err(|error| Error::unavailable(format!("what functions made cannot be kept in {DIR}")).because(error))
    }

    fn sealed(&self, id: BatchId, mut bodies: [Vec<u8>; 2]) -> ([Vec<u8>; 2], [u8; HEAD_BYTES]) {
        let mut head = [0; HEAD_BYTES];
        head[..8].copy_from_slice(MAGIC);
        if let Some(master) = &self.0.master {
            head[8] = 1;
            head[16..24].copy_from_slice(&master.id());
            for (into, byte) in head[24..].chunks_mut(8).zip([self.0.clock.random(), self.0.clock.random()]) {
                into.copy_from_slice(&byte.to_le_bytes());
            }
            let seal = master.of_file(&seal_name(&id.file(), &head[24..]));
            for (number, body) in (0..).zip(&mut bodies) {
                seal.close(number, body);
            }
        }
        (bodies, head)
    }

    fn write_batch(&self, name: &str, head: &[u8], bodies: &[Vec<u8>]) -> io::Result<()> {
        let disk = &*self.0.disk;
        let unfinished = path(&format!("{name}{UNFINISHED}"));
        let file = match disk.open(&unfinished, Open::CreateNew) {
            // What an attempt left that was broken off.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.remove(&unfinished)?;
                disk.open(&unfinished, Open::CreateNew)?
            }
            file => file?,
        };
        let mut at = head.len() as u64;
        file.write_at(0, &[head])?;
        for body in bodies {
            let len = (body.len() as u32).to_le_bytes();
            file.write_at(at, &[&len, &crc32c::crc32c(body).to_le_bytes(), body])?;
            at += body.len() as u64 + 8;
        }
        file.sync()?;
        disk.rename(&unfinished, &path(name))?;
        disk.sync_dir(Path::new(DIR))
    }

    /// What became of a batch, and its label. It blocks.
    ///
    /// # Errors
    /// [`Corrupt`](crate::error::Kind::Corrupt) when there is no file, or it is not whole, or of a batch that ended elsewhere, or, if
    /// `steps` are given, of other ones; [`Invalid`](crate::error::Kind::Invalid) when it was encrypted with another key;
    /// [`Unavailable`](crate::error::Kind::Unavailable) when it cannot be read.
    pub(in crate::pipeline) fn batch(
        &self,
        id: BatchId,
        (end, steps): (u64, Option<&str>),
    ) -> Result<(Label, Outcome)> {
        let name = id.file();
        let damaged = |how: &str| Error::corrupt(format!("the staged file {name} {how}"));
        let (label, outcome) = self.labelled(&name)?;
        if label.end != end {
            return Err(damaged(&format!("is of a batch that ends at position {}, not {end}", label.end)));
        }
        if steps.is_some_and(|steps| steps != label.steps) {
            return Err(damaged("is of other steps"));
        }
        let origins = label.origins(label.end.saturating_sub(id.start));
        let outcome = part::decode_outcome(&outcome, origins.map_or(usize::MAX, |origins| origins as usize));
        Ok((label, outcome.ok_or_else(|| damaged("has an outcome that cannot be read"))?))
    }

    /// Where the batches of a shard end that are kept one after the other from `start` on, up to `until`, by their starts. Each begins
    /// where the one before ended, or behind what the journal had lost there. It blocks.
    pub(in crate::pipeline) fn batches_from(
        &self,
        stream: StreamId,
        shard: ShardId,
        (start, until): (u64, u64),
    ) -> BTreeMap<u64, u64> {
        let of = |start| BatchId { stream, shard, start };
        let (mut ends, mut at) = (BTreeMap::new(), start);
        while at < until {
            let next = self.batches().range(of(at)..of(until)).next().map(|(id, _)| *id);
            let Some(id) = next else { break };
            // Whoever needs one that cannot be read says so.
            let end = self.labelled(&id.file()).map_or(0, |(label, _)| label.end);
            if end > id.start {
                ends.insert(id.start, end);
            }
            at = end.max(id.start + 1);
        }
        ends
    }

    /// Removes what was kept of batches that began at these positions of a shard: an earlier reading made them, and what is lost of
    /// them cannot be read again. It blocks.
    pub(in crate::pipeline) fn forget_lost(&self, stream: StreamId, shard: ShardId, lost: Range<u64>) {
        let of = |start| BatchId { stream, shard, start };
        let ids = if lost.is_empty() { Vec::new() } else { self.in_range(of(lost.start)..of(lost.end)) };
        for id in ids {
            self.remove_batch(id);
        }
    }

    fn in_range(&self, range: Range<BatchId>) -> Vec<BatchId> {
        self.batches().range(range).map(|(id, _)| *id).collect()
    }

    /// The label of a file, and its outcome as it was written.
    fn labelled(&self, name: &str) -> Result<(Label, Vec<u8>)> {
        let damaged = |how: &str| Error::corrupt(format!("the staged file {name} {how}"));
        let unreadable = |error| Error::unavailable(format!("the staged file {name} cannot be read")).because(error);
        let bytes = match self.read_file(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged("is missing")),
            bytes => bytes.map_err(unreadable)?,
        };
        let (label, outcome) = self.opened(name, &bytes)?;
        Ok((serde_json::from_slice(&label).map_err(|_| damaged("does not say of which batch it is"))?, outcome))
    }

    fn read_file(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = self.0.disk.open(&path(name), Open::Read)?;
        let len = file.len()?.min(HEAD_BYTES as u64 + 2 * (STAGED_PART_BYTES_MAX as u64 + 8));
        let mut bytes = vec![0; len as usize];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    fn opened(&self, name: &str, bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
        let damaged = |how: &str| Error::corrupt(format!("the staged file {name} {how}"));
        let head = bytes.get(..HEAD_BYTES).filter(|head| head.starts_with(MAGIC) && head[8] <= 1);
        let head = head.ok_or_else(|| damaged("does not begin as one of a batch does"))?;
        let mut rest = &bytes[HEAD_BYTES..];
        let mut next = || body(&mut rest).ok_or_else(|| damaged("is not what was written"));
        let bodies = [next()?, next()?];
        if !rest.is_empty() {
            return Err(damaged("goes on where it should end"));
        }
        let [label, outcome] = bodies.map(<[u8]>::to_vec);
        if head[8] == 0 {
            return Ok((label, outcome));
        }
        let key_id: KeyId = head[16..24].try_into().expect("it has 8 bytes");
        let master = self.0.master.as_ref().filter(|master| master.id() == key_id);
        let other = || Error::invalid(format!("the staged file {name} is encrypted with another key"));
        let seal = master.ok_or_else(other)?.of_file(&seal_name(name, &head[24..]));
        let opened = seal.open(0, label).zip(seal.open(1, outcome));
        opened.ok_or_else(|| damaged("cannot be decrypted"))
    }

    /// Removes what was kept of `shard` below `position` for a delivery stream: its watermark has passed that. It blocks.
    pub(in crate::pipeline) fn past(&self, stream: StreamId, shard: ShardId, position: u64) {
        let of = |start| BatchId { stream, shard, start };
        for id in self.in_range(of(0)..of(position)) {
            self.remove_batch(id);
        }
    }

    /// Whether anything is kept for a delivery stream.
    pub(in crate::pipeline) fn has_batches(&self, stream: StreamId) -> bool {
        self.batches().keys().any(|id| id.stream == stream)
    }

    /// Removes all batches of a delivery stream. It blocks.
    pub(in crate::pipeline) fn forget_batches(&self, stream: StreamId) {
        let all: Vec<_> = self.batches().keys().filter(|id| id.stream == stream).copied().collect();
        for id in all {
            self.remove_batch(id);
        }
    }

    fn remove_batch(&self, id: BatchId) {
        match self.0.disk.remove(&path(&id.file())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let file = id.file();
                tracing::warn!(file, %error, "a staged file cannot be removed, will be at the next start");
            }
            _ => {}
        }
        // What is still on disk is cleared at the next start: it must not take room until then.
        self.batches().remove(&id);
    }
}

fn seal_name(file: &str, salt: &[u8]) -> String {
    format!("{file}\0{}", super::file::hex(salt))
}

/// The next body, if it is what was written.
fn body<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, tail) = rest.split_first_chunk::<4>()?;
    let (crc, tail) = tail.split_first_chunk::<4>()?;
    let (body, tail) = tail.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    *rest = tail;
    (crc32c::crc32c(body) == u32::from_le_bytes(*crc)).then_some(body)
}
