//! Sequence numbers, laid out as AWS's are (version 2): decimal digits of a number of 186 bits.
//!
//! Hexadecimal digits from the left: `2` | 9: second of the shard's creation | 1: shard & 0xf | 16: index | 2: `00` |
//! 9: second of the record's arrival | 8: shard | `2`. The index of the record at position `p` is `p + 1`; 0 is the
//! shard's start, `7fffffffffffffff` its end.

use crate::error::Result;

/// One sequence number; ordered as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SequenceNumber {
    /// When its shard was made, seconds since 1970.
    pub created_s: u64,
    /// See the module.
    pub index: u64,
    /// When the record arrived, seconds since 1970.
    pub arrived_s: u64,
    /// The shard.
    pub shard: u32,
}

impl SequenceNumber {
    /// Reads one from decimal digits.
    ///
    /// # Errors
    /// `Invalid` for what is none of ours.
    pub fn parse(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }

    /// Appends its decimal digits; called for each record of an answer, so it is fast.
    pub fn write(&self, out: &mut Vec<u8>) {
        let _ = out;
        todo!()
    }

    /// The record's position in its shard; none for a shard's start or end.
    pub fn position(&self) -> Option<u64> {
        todo!()
    }
}
