//! Where a record belongs: the MD5 of its partition key as a number of 128 bits, and ranges of those.

mod lanes;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// The hash key of a partition key: MD5 of its UTF-8 bytes, big endian.
pub fn hash_of(partition_key: &[u8]) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key).into())
}

/// The hash key of each partition key, as [`hash_of`]; many of them at once take a fraction of the time.
pub fn hashes_of<'k>(partition_keys: impl Iterator<Item = &'k [u8]>) -> Vec<u128> {
    let keys: Vec<&[u8]> = partition_keys.collect();
    let mut hashes = Vec::with_capacity(keys.len());
    for some in keys.chunks(lanes::LANES) {
        if some.len() > 1 && some.iter().all(|key| key.len() <= lanes::BYTES_MAX) {
            hashes.extend_from_slice(&lanes::digests(some)[..some.len()]);
        } else {
            hashes.extend(some.iter().map(|key| hash_of(key)));
        }
    }
    hashes
}

/// A range of hash keys, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashRange {
    /// The first.
    #[serde(with = "super::store::hash")]
    pub start: u128,
    /// The last.
    #[serde(with = "super::store::hash")]
    pub end: u128,
}

impl HashRange {
    /// All hash keys.
    pub const ALL: HashRange = HashRange { start: 0, end: u128::MAX };

    /// Whether `hash` is in it.
    pub fn contains(&self, hash: u128) -> bool {
        (self.start..=self.end).contains(&hash)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn many_at_once_hash_as_one_alone(keys in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..70), 0..40)) {
            let alone: Vec<u128> = keys.iter().map(|key| hash_of(key)).collect();
            prop_assert_eq!(hashes_of(keys.iter().map(Vec::as_slice)), alone);
        }
    }

    #[test]
    fn keys_of_every_length_hash_alike_side_by_side() {
        for bytes in 0..=lanes::BYTES_MAX + 1 {
            let keys: Vec<Vec<u8>> = (0..lanes::LANES as u8).map(|lane| vec![lane ^ 0xa5; bytes]).collect();
            let alone: Vec<u128> = keys.iter().map(|key| hash_of(key)).collect();
            assert_eq!(hashes_of(keys.iter().map(Vec::as_slice)), alone, "{bytes} bytes");
        }
    }

    #[test]
    fn a_partition_key_is_hashed_as_md5_is_printed() {
        // RFC 1321, A.5.
        for (key, digest) in [
            ("", 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e_u128),
            ("abc", 0x9001_5098_3cd2_4fb0_d696_3f7d_28e1_7f72),
            ("message digest", 0xf96b_697d_7cb7_938d_525a_2f31_aaf1_61d0),
        ] {
            assert_eq!(hash_of(key.as_bytes()), digest, "{key:?}");
        }
    }

    #[test]
    fn both_ends_are_in_a_range() {
        let range = HashRange { start: 3, end: 5 };
        assert_eq!([2, 3, 5, 6].map(|hash| range.contains(hash)), [false, true, true, false]);
        assert!(HashRange::ALL.contains(0) && HashRange::ALL.contains(u128::MAX));
    }
}
