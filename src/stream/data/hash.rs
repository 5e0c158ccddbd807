//! Where a record belongs: the MD5 of its partition key as a number of 128 bits, and ranges of those.

/// The hash key of a partition key: MD5 of its UTF-8 bytes, big endian.
pub fn hash_of(partition_key: &[u8]) -> u128 {
    let _ = partition_key;
    todo!()
}

/// A range of hash keys, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashRange {
    /// The first.
    pub start: u128,
    /// The last.
    pub end: u128,
}
