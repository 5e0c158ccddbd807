//! One shard of a data stream.

use serde::{Deserialize, Serialize};

use super::decimal::digits;
use super::hash::HashRange;
use super::sequence::{INDEX_END, SequenceNumber};
use crate::error::{Error, Kind, Result};

/// One shard: what it takes, where it comes from, and where it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Its number, never given twice in a stream; also its number in the journal.
    pub index: u32,
    /// What it takes.
    pub range: HashRange,
    /// The shard that was split, or the first of the two that were merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// The second of the two that were merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjacent_parent: Option<u32>,
    /// The second in which it was made, as its sequence numbers have it, in milliseconds since 1970. It is later than that of its
    /// parents and of all shards that an earlier stream of this name had, so it may lie ahead of the clock.
    pub created_ms: u64,
    /// When it began to take records, milliseconds since 1970: when its parents were closed.
    pub opened_ms: u64,
    /// Where and when it ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
}

/// The end of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// One past its last position.
    pub end: u64,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
}

impl Shard {
    /// The numbers of those that it was made of.
    pub fn parents(&self) -> impl Iterator<Item = u32> + use<> {
        [self.parent, self.adjacent_parent].into_iter().flatten()
    }

    /// The sequence number of the record at `position`.
    pub fn sequence(&self, position: u64, arrived_ms: u64) -> SequenceNumber {
        self.number(position.saturating_add(1).min(INDEX_END), arrived_ms)
    }

    /// Its StartingSequenceNumber.
    pub fn first_sequence(&self) -> SequenceNumber {
        self.number(0, self.created_ms)
    }

    /// Its EndingSequenceNumber, once it is closed.
    pub fn last_sequence(&self) -> Option<SequenceNumber> {
        self.closed.map(|closed| self.number(INDEX_END, closed.at_ms))
    }

    fn number(&self, index: u64, arrived_ms: u64) -> SequenceNumber {
        let created_s = self.created_ms / 1_000;
        SequenceNumber { created_s, index, arrived_s: arrived_ms / 1_000, shard: self.index }
    }
}

/// `shardId-000000000000`.
pub fn shard_name(index: u32) -> String {
    format!("shardId-{index:012}")
}

/// Appends the name of a shard; called for each record of an answer.
pub fn write_shard_name(index: u32, out: &mut Vec<u8>) {
    let mut name = *b"shardId-000000000000";
    name[8..].copy_from_slice(&digits::<12>(u64::from(index)));
    out.extend_from_slice(&name);
}

/// The number in a shard's name, in any of the forms that AWS takes: `shardId-000000000001`, `shardId-1`, `1`.
///
/// # Errors
/// `NotFound`; the caller adds whose shard it is.
pub fn shard_index(name: &str) -> Result<u32> {
    let digits = name.strip_prefix("shardId-").unwrap_or(name);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let index = digits.parse().ok().filter(|index| plain && *index <= INDEX_MAX);
    index.ok_or_else(|| Error::new(Kind::NotFound, "there is no shard of this name"))
}

/// The highest number of a shard: AWS takes no higher one.
pub(super) const INDEX_MAX: u32 = i32::MAX as u32;

#[cfg(test)]
mod tests {
    use super::super::hash::HashRange;
    use super::*;

    fn shard(closed: Option<Closed>) -> Shard {
        Shard {
            index: 18,
            range: HashRange::ALL,
            parent: None,
            adjacent_parent: None,
            created_ms: 5_900,
            opened_ms: 5_900,
            closed,
        }
    }

    #[test]
    fn every_form_of_a_name_is_understood() {
        for (name, index) in [
            ("shardId-000000000001", Some(1)),
            ("shardId-1", Some(1)),
            ("1", Some(1)),
            ("0000000000000000000000002147483647", Some(INDEX_MAX)),
            ("2147483648", None),
            ("shardId-", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("shardid-1", None),
            ("shardId-shardId-1", None),
            ("1 ", None),
            ("99999999999999999999999999", None),
        ] {
            assert_eq!(shard_index(name).ok(), index, "{name:?}");
        }
        assert_eq!(shard_index(&shard_name(71)).unwrap(), 71);
        for index in [0, 9, 71, INDEX_MAX, u32::MAX] {
            let mut written = Vec::new();
            write_shard_name(index, &mut written);
            assert_eq!(written, shard_name(index).as_bytes());
        }
    }

    #[test]
    fn numbers_lie_between_the_ends_of_their_shard() {
        let open = shard(None);
        let closed = shard(Some(Closed { end: 9, at_ms: 7_000 }));
        let last = closed.last_sequence().unwrap();
        assert_eq!(open.last_sequence(), None);
        let records = [0, 1, 8].map(|position| open.sequence(position, 6_000));
        assert!(open.first_sequence() < records[0] && records.is_sorted() && records[2] < last);
        assert_eq!(records.map(|number| number.position()), [Some(0), Some(1), Some(8)]);
        assert_eq!((last.created_s, last.arrived_s, last.shard), (5, 7, 18));
    }
}
