//! The streams that should exist: one writer, watched by everybody.
//!
//! Streams of the configuration file belong to the file; streams made through the API live in the data directory.
//! Both stand side by side in one [`Snapshot`], and every name keeps one [`StreamId`] for its life.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::config::DeliveryStream;
use crate::record::StreamId;

/// Who a stream belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file: the API describes it and refuses to change it.
    File,
    /// The API.
    Api,
}

/// A stream's state, as the Firehose API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Takes puts and delivers.
    Active,
    /// Takes nothing more; gone once its pipeline has drained or discarded what is left.
    Deleting,
}

/// One stream as it should be.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The identity of this life of the name.
    pub id: StreamId,
    /// Who it belongs to.
    pub origin: Origin,
    /// Its state.
    pub status: Status,
    /// Rises by one with each change of the destination; 1 at first. Part of object names.
    pub version: u64,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last changed, if ever.
    pub updated_ms: Option<u64>,
    /// Its tags, in the order in which they were first set.
    pub tags: Vec<(String, Option<String>)>,
    /// What it does.
    pub stream: Arc<DeliveryStream>,
    /// The API's own form of its S3 destination with every member that was given, for Describe and merging updates.
    pub api: Option<Arc<Value>>,
}

/// All streams by name.
pub type Snapshot = Arc<BTreeMap<String, Arc<Entry>>>;
