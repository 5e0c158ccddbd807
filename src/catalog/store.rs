//! The catalog on disk.
//!
//! The member `catalog` of a [`Documents`] in directory `catalog` is a [`Document`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::disk::Disk;
use crate::disk::document::{Documents, Place};
use crate::error::Result;
use crate::limits::CATALOG_BYTES_MAX;

use super::definition::Definition;
use super::writer::State;
use super::{Entry, Origin, Status};

const PLACE: Place = Place { dir: "catalog", name: "catalog", format: 1, bytes_max: CATALOG_BYTES_MAX };

/// What is stored.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) ids_made: u32,
    pub(super) streams: Vec<StoredStream>,
}

/// One stream as it is stored: whose it is shows in `what`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredStream {
    pub(super) name: String,
    /// As a `StreamId` prints.
    pub(super) id: String,
    pub(super) deleting: bool,
    pub(super) version: u64,
    pub(super) created_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) updated_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tags: Vec<(String, Option<String>)>,
    pub(super) encrypted: bool,
    pub(super) drain: bool,
    pub(super) what: What,
}

/// What a stored stream does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    /// See [`Entry::api`].
    Api(Value),
    /// Of the configuration file.
    File(Definition),
}

impl From<&Entry> for StoredStream {
    fn from(entry: &Entry) -> Self {
        let api = entry.api.as_deref().filter(|_| entry.origin == Origin::Api);
        StoredStream {
            name: entry.stream.name.clone(),
            id: entry.id.to_string(),
            deleting: entry.status == Status::Deleting,
            version: entry.version,
            created_ms: entry.created_ms,
            updated_ms: entry.updated_ms,
            tags: entry.tags.clone(),
            encrypted: entry.stream.encrypted,
            drain: entry.stream.drain,
            what: api.map_or_else(|| What::File(entry.stream.as_ref().into()), |api| What::Api(api.clone())),
        }
    }
}

/// The stored catalog.
pub(super) struct Store(Documents);

impl Store {
    /// Reads the newest catalog; an empty one where there is none.
    pub(super) async fn open(disk: Arc<dyn Disk>) -> Result<(Self, Document)> {
        let (documents, document) = Documents::open(disk, PLACE).await?;
        Ok((Store(documents), document))
    }

    /// See [`Documents::save`].
    pub(super) async fn save(&mut self, state: &State) -> Result<()> {
        let streams = state.streams.values().map(|entry| entry.as_ref().into()).collect();
        self.0.save(&Document { ids_made: state.ids_made, streams }).await
    }
}
