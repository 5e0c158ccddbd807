//! The inside of a frame's body, in the clear: the parts before the data, and reading all of them. The head of
//! [`frame`](super) specifies it.

use bytes::Bytes;

use super::{Content, Head};
use crate::journal::Checkpoint;
use crate::record::{Keys, Records};

/// Bytes of a checkpoint's two lengths.
const LENGTHS_BYTES: usize = 4;

/// How many bytes stand before the data.
pub(super) fn columns_bytes(records: &Records, checkpoint: Option<&Checkpoint>) -> usize {
    let keys = records.keys.as_ref().map_or(0, |keys| 4 * keys.ends.len() + keys.data.len());
    let checkpoint = checkpoint.map_or(0, |checkpoint| LENGTHS_BYTES + checkpoint.source.len() + checkpoint.at.len());
    4 * records.len() + keys + checkpoint
}

/// Adds what stands before the data.
pub(super) fn put_columns(into: &mut Vec<u8>, records: &Records, checkpoint: Option<&Checkpoint>) {
    into.reserve(columns_bytes(records, checkpoint));
    put_ends(into, &records.ends);
    if let Some(keys) = &records.keys {
        put_ends(into, &keys.ends);
        into.extend_from_slice(&keys.data);
    }
    if let Some(Checkpoint { source, at }) = checkpoint {
        into.extend_from_slice(&(source.len() as u16).to_le_bytes());
        into.extend_from_slice(&(at.len() as u16).to_le_bytes());
        into.extend_from_slice(source.as_bytes());
        into.extend_from_slice(at);
    }
}

/// Reads a body, sharing its bytes; `None` when it is not what the head says.
pub(super) fn decode(head: &Head, mut rest: Bytes) -> Option<Content> {
    let ends = ends(&mut rest, head.count)?;
    let keys = if head.keys { Some(keys(&mut rest, head.count)?) } else { None };
    let checkpoint = if head.checkpoint { Some(checkpoint(&mut rest)?) } else { None };
    let whole = ends.last().map(|end| *end as usize) == Some(rest.len());
    let records = Records { arrived_ms: head.arrived_ms, ends, data: rest, keys };
    whole.then_some(Content { records, checkpoint })
}

fn put_ends(into: &mut Vec<u8>, ends: &[u32]) {
    for end in ends {
        into.extend_from_slice(&end.to_le_bytes());
    }
}

fn keys(rest: &mut Bytes, count: u32) -> Option<Keys> {
    let ends = ends(rest, count)?;
    let data = take(rest, *ends.last()? as usize)?;
    Some(Keys { ends, data })
}

fn checkpoint(rest: &mut Bytes) -> Option<Checkpoint> {
    let [a, b, c, d] = take(rest, LENGTHS_BYTES)?[..] else { return None };
    let source = take(rest, usize::from(u16::from_le_bytes([a, b])))?;
    let at = take(rest, usize::from(u16::from_le_bytes([c, d])))?;
    let source = std::str::from_utf8(&source).ok().filter(|source| !source.is_empty())?.to_owned();
    Some(Checkpoint { source, at })
}

/// A column of ends. The memory it takes is bounded by the bytes that are really there.
fn ends(rest: &mut Bytes, count: u32) -> Option<Vec<u32>> {
    let table = take(rest, (count as usize).checked_mul(4)?)?;
    let ends: Vec<u32> = table.as_chunks::<4>().0.iter().map(|end| u32::from_le_bytes(*end)).collect();
    ends.is_sorted().then_some(ends)
}

fn take(rest: &mut Bytes, len: usize) -> Option<Bytes> {
    (len <= rest.len()).then(|| rest.split_to(len))
}
