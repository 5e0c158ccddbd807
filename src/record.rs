//! The words for what flows: records in columns, the shard they stand in, and spans of positions.

use std::fmt;

use bytes::Bytes;

/// The identity of one stream's life. A stream that is deleted and made again under its name gets another one, so
/// that nothing of the old life (journal, ledger) can be taken for the new one's. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// Set in the identities of data streams alone, so that theirs and those of delivery streams never meet.
pub const DATA_STREAM_BIT: u64 = 1 << 63;

/// Set in what the ledger knows the backup of a delivery stream by: see [`StreamId::backup`]. Identities are counted in their lower
/// half, and nobody makes two thousand million streams.
const BACKUP_BIT: u64 = 1 << 31;

impl StreamId {
    /// The identity under which the backup of this delivery stream stands in the ledger.
    #[must_use]
    pub fn backup(self) -> StreamId {
        StreamId(self.0 | BACKUP_BIT)
    }
}

/// Sixteen hexadecimal digits: the name of the stream's folder in the data directory.
impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({self})")
    }
}

impl std::str::FromStr for StreamId {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match u64::from_str_radix(text, 16) {
            Ok(id) if id != 0 && text.len() == 16 => Ok(StreamId(id)),
            _ => Err(crate::error::Error::invalid(format!("not a stream id: {text:?}"))),
        }
    }
}

/// One shard of one stream: the unit of order. A stream that takes direct puts has one, number 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ShardId {
    /// The stream.
    pub stream: StreamId,
    /// The shard's number within it.
    pub index: u32,
}

/// A half-open range of positions in one shard. Positions count records from 0 and are dense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The shard.
    pub shard: ShardId,
    /// The first position.
    pub start: u64,
    /// One past the last position.
    pub end: u64,
}

impl Span {
    /// How many positions it covers.
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether it covers none.
    pub fn is_empty(&self) -> bool {
        self.end == self.start
    }
}

/// Records that arrived together, as columns: their bytes one after the other, and where each ends.
///
/// `ends[i]` is the offset in `data` one past record `i`; it begins where `ends[i - 1]` (or 0) says. Cloning and
/// slicing share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// When the call that brought them arrived, in milliseconds since 1970.
    pub arrived_ms: u64,
    /// One past the last byte of each record, in `data`.
    pub ends: Vec<u32>,
    /// The bytes of all records.
    pub data: Bytes,
    /// Their partition keys, where they have any.
    pub keys: Option<Keys>,
}

/// The partition keys of records, as a column beside them: as many as there are records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// One past the last byte of each key, in `data`.
    pub ends: Vec<u32>,
    /// The bytes of all keys, UTF-8.
    pub data: Bytes,
}

impl Keys {
    /// Key `index` as a slice.
    pub fn get(&self, index: usize) -> &[u8] {
        &self.data[start_of(&self.ends, index)..self.ends[index] as usize]
    }

    fn slice(&self, from: usize, to: usize) -> Keys {
        let (ends, range) = rebase(&self.ends, from, to);
        Keys { ends, data: self.data.slice(range) }
    }
}

impl Records {
    /// Records without keys.
    pub fn new(arrived_ms: u64, ends: Vec<u32>, data: Bytes) -> Self {
        Records { arrived_ms, ends, data, keys: None }
    }

    /// Joins separate records.
    pub fn from_slices<T: AsRef<[u8]>>(arrived_ms: u64, records: &[T]) -> Self {
        let mut data = Vec::with_capacity(records.iter().map(|record| record.as_ref().len()).sum());
        let mut ends = Vec::with_capacity(records.len());
        for record in records {
            data.extend_from_slice(record.as_ref());
            ends.push(u32::try_from(data.len()).expect("a put is bounded by limits.rs far below 4 GiB"));
        }
        Records::new(arrived_ms, ends, data.into())
    }

    /// How many bytes they have, keys included.
    pub fn bytes(&self) -> usize {
        self.data.len() + self.keys.as_ref().map_or(0, |keys| keys.data.len())
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Record `index` as a slice.
    pub fn get(&self, index: usize) -> &[u8] {
        &self.data[start_of(&self.ends, index)..self.ends[index] as usize]
    }

    /// The bytes of each record, its key included.
    pub fn sizes(&self) -> impl Iterator<Item = usize> {
        let keys = self.keys.as_ref().map_or(&[][..], |keys| &keys.ends);
        lengths(&self.ends).zip(lengths(keys).chain(std::iter::repeat(0))).map(|(data, key)| data + key)
    }

    /// All records in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Records `from..to`, sharing the bytes.
    #[must_use]
    pub fn slice(&self, from: usize, to: usize) -> Records {
        let (ends, range) = rebase(&self.ends, from, to);
        Records {
            arrived_ms: self.arrived_ms,
            ends,
            data: self.data.slice(range),
            keys: self.keys.as_ref().map(|keys| keys.slice(from, to)),
        }
    }
}

fn lengths(ends: &[u32]) -> impl Iterator<Item = usize> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    ends.iter().zip(starts).map(|(end, start)| (end - start) as usize)
}

fn start_of(ends: &[u32], index: usize) -> usize {
    if index == 0 { 0 } else { ends[index - 1] as usize }
}

/// The ends of elements `from..to` on their own, and where their bytes are.
fn rebase(ends: &[u32], from: usize, to: usize) -> (Vec<u32>, std::ops::Range<usize>) {
    let base = start_of(ends, from);
    let end = if to == from { base } else { ends[to - 1] as usize };
    (ends[from..to].iter().map(|end| end - base as u32).collect(), base..end)
}

/// What one read of a shard brought: the span it covers and the records in it, a [`Records`] for each put.
///
/// The span may begin later than what was asked for where damage was quarantined or old records were trimmed;
/// within the span the records are complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The positions covered; empty at the tail.
    pub span: Span,
    /// The puts in order; their lengths add up to the span's.
    pub puts: Vec<Records>,
}

/// The name of one SDK call, by which its retry is known: a digest of access key, stream, `amz-sdk-invocation-id`
/// and body. 16 bytes of a SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CallId(pub [u8; 16]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_as_part_of_its_record() {
        let records = Records::from_slices(7, &["ab", "", "cde"]);
        let sizes = |records: &Records| records.sizes().collect::<Vec<_>>();
        assert_eq!(sizes(&records), [2, 0, 3]);
        let keys = Keys { ends: vec![1, 1, 3], data: Bytes::from_static(b"kxy") };
        assert_eq!(sizes(&Records { keys: Some(keys), ..records }), [3, 0, 5]);
    }

    #[test]
    fn slices_share_and_rebase() {
        let records = Records::from_slices(7, &["ab", "", "cde", "f"]);
        assert_eq!(records.iter().collect::<Vec<_>>(), [&b"ab"[..], b"", b"cde", b"f"]);
        let part = records.slice(1, 3);
        assert_eq!(part.iter().collect::<Vec<_>>(), [&b""[..], b"cde"]);
        assert_eq!(part.data, "cde");
        assert!(records.slice(4, 4).is_empty());
        assert!(records.slice(0, 0).is_empty());
    }

    #[test]
    fn keys_are_sliced_with_their_records() {
        let keys = Keys { ends: vec![1, 3, 3], data: "abb".into() };
        let records = Records { keys: Some(keys), ..Records::from_slices(7, &["1", "2", "3"]) };
        let part = records.slice(1, 3);
        let keys = part.keys.as_ref().unwrap();
        assert_eq!((keys.get(0), keys.get(1), part.bytes()), (&b"bb"[..], &b""[..], 4));
    }
}
