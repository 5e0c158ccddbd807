//! The definitions on disk: a [`Documents`] in directory `data_streams`.
//!
//! [`State`] is stored as it is, so the names of its members, and of those of [`Definition`](super::Definition) and its parts,
//! are the format: one that is renamed, and one that is added without a default, is another format. Numbers of 128 bits
//! stand as hexadecimal digits, and so do identities and the key.

use std::sync::Arc;

use crate::disk::Disk;
use crate::disk::document::{Documents, Place};
use crate::error::Result;
use crate::limits::DATA_STREAMS_BYTES_MAX;

use super::state::State;

const PLACE: Place = Place { dir: "data_streams", name: "streams", format: 1, bytes_max: DATA_STREAMS_BYTES_MAX };

/// The stored state.
pub(super) struct Store(Documents);

impl Store {
    /// Reads the newest state; the default where there is none.
    pub(super) async fn open(disk: Arc<dyn Disk>) -> Result<(Self, State)> {
        let (documents, mut state): (_, State) = Documents::open(disk, PLACE).await?;
        for definition in state.streams.values_mut() {
            Arc::make_mut(definition).find_routes();
        }
        Ok((Store(documents), state))
    }

    /// See [`Documents::save`].
    pub(super) async fn save(&mut self, state: &State) -> Result<()> {
        self.0.save(state).await
    }
}

/// A [`StreamId`](crate::record::StreamId) as it prints.
pub(super) mod id {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::record::StreamId;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(crate) fn serialize<S: Serializer>(id: &StreamId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<StreamId, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// Several of them.
pub(super) mod ids {
    use std::collections::BTreeSet;

    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::record::StreamId;

    pub(crate) fn serialize<S: Serializer>(ids: &BTreeSet<StreamId>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(ids.iter().map(ToString::to_string))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<StreamId>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| text.parse().map_err(de::Error::custom)).collect()
    }
}

/// A hash key.
pub(super) mod hash {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(hash: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{hash:x}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        u128::from_str_radix(&String::deserialize(from)?, 16).map_err(de::Error::custom)
    }
}

/// A key of 32 bytes.
pub(super) mod key {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(key: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        let half = |from: usize| {
            u128::from_be_bytes(key[from..from + 16].try_into().expect("a key has two halves of 16 bytes"))
        };
        to.collect_str(&format_args!("{:032x}{:032x}", half(0), half(16)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        let mut key = [0; 32];
        for (at, byte) in key.iter_mut().enumerate() {
            let digits = text.get(2 * at..2 * at + 2).ok_or_else(|| de::Error::custom("a key is too short"))?;
            *byte = u8::from_str_radix(digits, 16).map_err(de::Error::custom)?;
        }
        Ok(key)
    }
}
