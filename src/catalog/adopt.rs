//! What a start makes of the stored catalog and the configuration file.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::{Config, DeliveryStream};
use crate::error::{Error, Kind, Result};
use crate::record::StreamId;

use super::definition::Definition;
use super::store::{Document, StoredStream, What};
use super::writer::State;
use super::{Entry, FromApi, Origin, Status};

/// The state to begin with: see `Catalog::open`.
pub(super) fn adopt(document: Document, config: &Config, from_api: &FromApi, clock: &Clock) -> Result<State> {
    let mut stored: BTreeMap<String, StoredStream> =
        document.streams.into_iter().map(|stream| (stream.name.clone(), stream)).collect();
    let mut state = State { ids_made: document.ids_made, streams: BTreeMap::new() };
    for stream in &config.delivery_streams {
        let entry = match stored.remove(&stream.name) {
            None => first_seen(state.new_id(clock)?, stream, clock.now_ms()),
            Some(known) => seen_again(known, stream, clock.now_ms())?,
        };
        state.streams.insert(stream.name.clone(), Arc::new(entry));
    }
    for (name, known) in stored {
        let entry = not_in_file(known, config, from_api)?;
        if entry.origin == Origin::File {
            tracing::warn!(
                stream = name,
                "not in the configuration file any more: the stream takes no records, delivers what it holds, and is gone"
            );
        }
        state.streams.insert(name, Arc::new(entry));
    }
    if config.encryption_key.is_none() {
        refuse_encrypted(&state)?;
    }
    Ok(state)
}

fn first_seen(id: StreamId, stream: &DeliveryStream, now_ms: u64) -> Entry {
    Entry {
        id,
        origin: Origin::File,
        status: Status::Active,
        version: 1,
        created_ms: now_ms,
        updated_ms: None,
        tags: Vec::new(),
        stream: Arc::new(stream.clone()),
        api: None,
    }
}

/// A stream of the file that was there at the last start: as it was, or with the next version.
fn seen_again(known: StoredStream, stream: &DeliveryStream, now_ms: u64) -> Result<Entry> {
    let name = &stream.name;
    let What::File(mut before) = known.what else {
        let state = if known.deleting { ", which is still being deleted" } else { "" };
        return Err(Error::new(
            Kind::Conflict,
            format!(
                "delivery stream {name} of the configuration file has the name of delivery stream {name} made through \
                 the API{state}: rename the one in the file, or start without it and delete the other"
            ),
        ));
    };
    let mut entry = Entry {
        id: id_of(name, &known.id)?,
        version: known.version,
        created_ms: known.created_ms,
        updated_ms: known.updated_ms,
        tags: known.tags,
        ..first_seen(StreamId(0), stream, now_ms)
    };
    // A stream that vanished drains whatever it said, so that alone is no change when it comes back.
    if known.deleting {
        before.drain = stream.drain;
    }
    if before != Definition::from(stream) {
        entry.version += 1;
        entry.updated_ms = Some(now_ms);
    }
    Ok(entry)
}

/// A stream of the API, or one that vanished from the file.
fn not_in_file(known: StoredStream, config: &Config, from_api: &FromApi) -> Result<Entry> {
    let (name, vanished) = (&known.name, matches!(known.what, What::File(_)) && !known.deleting);
    let unusable = |error: Error| {
        Error::invalid(format!("the stored delivery stream {name} cannot be used with this configuration"))
            .because(error)
    };
    let (origin, stream, api) = match known.what {
        What::Api(api) => {
            let stream = from_api(name, &api).map_err(unusable)?;
            (Origin::Api, stream, Some(Arc::new(api)))
        }
        What::File(definition) => (Origin::File, definition.restore(name, config).map_err(unusable)?, None),
    };
    if vanished {
        tracing::info!(stream = name, "no longer in the configuration file: it drains and is then deleted");
    }
    let drain = known.drain || vanished;
    Ok(Entry {
        id: id_of(name, &known.id)?,
        origin,
        status: if known.deleting || vanished { Status::Deleting } else { Status::Active },
        version: known.version,
        created_ms: known.created_ms,
        updated_ms: known.updated_ms,
        tags: known.tags,
        stream: Arc::new(DeliveryStream { encrypted: known.encrypted, drain, ..stream }),
        api,
    })
}

fn id_of(name: &str, text: &str) -> Result<StreamId> {
    text.parse().map_err(|error: Error| {
        Error::corrupt(format!("the stored delivery stream {name} has no valid id")).because(error)
    })
}

/// Frames of an encrypted stream can be neither written nor read without the key.
fn refuse_encrypted(state: &State) -> Result<()> {
    match state.streams.values().find(|entry| entry.stream.encrypted) {
        None => Ok(()),
        Some(entry) => Err(Error::invalid(format!(
            "delivery stream {} is encrypted and the configuration has no encryption_key",
            entry.stream.name
        ))),
    }
}
