//! The catalog on disk.
//!
//! # Format
//! Directory `catalog/` holds files `<20 digits>.json`; the one with the highest number is the catalog. Each is
//! `{"format": 1, "crc32c": <number>, "catalog": {...}}`, where the checksum is over the bytes of the member
//! `catalog` as they stand in the file. The member is a [`Document`].
//!
//! Each save writes a new file with the next number: without a name, synced, then linked, then the directory synced.
//! So a file that has a name is whole, and the old catalog or the new one is there after a crash, never none. The
//! file before the newest is kept for a person; older ones are removed.
//!
//! A newest file that is damaged is therefore never a torn write, and the service refuses to start with it: the
//! changes in it were acknowledged, and the file before lacks them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::disk::{Disk, Open};
use crate::error::{Error, Kind, Result};
use crate::limits::CATALOG_BYTES_MAX;

use super::definition::Definition;
use super::writer::State;
use super::{Entry, Origin, Status};

const DIR: &str = "catalog";
const FORMAT: u32 = 1;
const DIGITS: usize = 20;

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    format: u32,
    crc32c: u32,
    #[serde(borrow)]
    catalog: &'a RawValue,
}

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

/// The directory and the number of the next file.
pub(super) struct Store {
    disk: Arc<dyn Disk>,
    next: u64,
}

impl Store {
    /// Reads the newest catalog; an empty one where there is none.
    pub(super) async fn open(disk: Arc<dyn Disk>) -> Result<(Self, Document)> {
        blocking(move || {
            let (newest, document) = load(disk.as_ref())?;
            Ok((Store { disk, next: newest + 1 }, document))
        })
        .await
    }

    /// Makes `state` the stored catalog; durable when it returns `Ok`. After an error it may or may not be: the next
    /// save takes another number, so nothing is written twice.
    pub(super) async fn save(&mut self, state: &State) -> Result<()> {
        let document =
            Document { ids_made: state.ids_made, streams: state.streams.values().map(|e| e.as_ref().into()).collect() };
        let bytes = encode(&document)?;
        let (disk, number) = (self.disk.clone(), self.next);
        self.next += 1;
        blocking(move || {
            write(disk.as_ref(), number, &bytes).map_err(|error| {
                Error::unavailable(format!("cannot store {}", path(number).display())).because(error)
            })?;
            remove_before(disk.as_ref(), number - 1);
            Ok(())
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::new(Kind::Internal, "the catalog's disk work was stopped").because(error)),
    }
}

fn path(number: u64) -> PathBuf {
    Path::new(DIR).join(format!("{number:0DIGITS$}.json"))
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    (digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

fn encode(document: &Document) -> Result<Vec<u8>> {
    let catalog = serde_json::value::to_raw_value(document).expect("the document has string keys only");
    let crc32c = crc32c::crc32c(catalog.get().as_bytes());
    let envelope = Envelope { format: FORMAT, crc32c, catalog: &catalog };
    let bytes = serde_json::to_vec(&envelope).expect("the envelope has string keys only");
    if bytes.len() > CATALOG_BYTES_MAX {
        let said = format!("the catalog would have {} bytes, more than {CATALOG_BYTES_MAX}", bytes.len());
        return Err(Error::new(Kind::Throttled, said));
    }
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<Document> {
    let damaged = |what: &str| Error::corrupt(format!("damaged: {what}"));
    let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(|e| damaged("not a catalog").because(e))?;
    if envelope.format != FORMAT {
        return Err(Error::invalid(format!("has format {}, this version reads {FORMAT}", envelope.format)));
    }
    let text = envelope.catalog.get();
    if crc32c::crc32c(text.as_bytes()) != envelope.crc32c {
        return Err(damaged("its checksum does not match"));
    }
    serde_json::from_str(text).map_err(|e| damaged("its content is not that of a catalog").because(e))
}

fn load(disk: &dyn Disk) -> Result<(u64, Document)> {
    let failed = |error: std::io::Error| Error::unavailable("cannot read directory catalog").because(error);
    disk.create_dirs(Path::new(DIR)).map_err(failed)?;
    disk.sync_dir(Path::new("")).map_err(failed)?;
    let entries = disk.list(Path::new(DIR)).map_err(failed)?;
    let files = entries.iter().filter(|entry| !entry.is_dir);
    let Some(newest) = files.filter_map(|entry| number_of(&entry.name)).max() else {
        return Ok((0, Document::default()));
    };
    let name = path(newest);
    let bytes = read(disk, &name)
        .map_err(|error| Error::unavailable(format!("cannot read {}", name.display())).because(error))?;
    let document = decode(&bytes).map_err(|error| {
        let said = format!(
            "{} {}; restore it from a backup, or remove it to go back to the file before, which lacks the last change",
            name.display(),
            error.message()
        );
        Error::new(error.kind(), said).because(error)
    })?;
    Ok((newest, document))
}

fn read(disk: &dyn Disk, name: &Path) -> std::io::Result<Vec<u8>> {
    let file = disk.open(name, Open::Read)?;
    let len = file.len()?;
    if len > CATALOG_BYTES_MAX as u64 {
        return Err(std::io::Error::other(format!("it has {len} bytes, more than {CATALOG_BYTES_MAX}")));
    }
    let mut bytes = vec![0; usize::try_from(len).expect("bounded above")];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

fn write(disk: &dyn Disk, number: u64, bytes: &[u8]) -> std::io::Result<()> {
    let dir = Path::new(DIR);
    let file = disk.unnamed(dir)?;
    file.write_at(0, &[bytes])?;
    file.sync()?;
    file.link(&path(number))?;
    disk.sync_dir(dir)
}

/// Removes files older than `number`. What cannot be removed now is removed by a later save.
fn remove_before(disk: &dyn Disk, number: u64) {
    let Ok(entries) = disk.list(Path::new(DIR)) else { return };
    for old in entries.iter().filter_map(|entry| number_of(&entry.name)).filter(|&old| old < number) {
        if let Err(error) = disk.remove(&path(old)) {
            tracing::warn!(%error, file = %path(old).display(), "cannot remove an old catalog");
        }
    }
}
