//! What a start makes of the stored streams and the configuration file. No put is under way then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Settings;
use super::definition::{Definition, FileStream, Mode, Origin, Status};
use super::lineage::closing;
use super::shard::{Closed, shard_name};
use super::state::State;
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::journal::Journal;
use crate::record::ShardId;

/// The key that AWS names where a caller names none.
const FILE_KEY: &str = "alias/aws/kinesis";

/// Brings `state` in line with `file`; see [`DataStreams::open`](super::DataStreams::open).
pub(super) async fn adopt(
    state: &mut State,
    file: Vec<FileStream>,
    settings: &Settings,
    journal: &dyn Journal,
    clock: &Clock,
) -> Result<()> {
    let now_ms = clock.now_ms();
    if state.token_key == [0; 32] {
        clock.fill(&mut state.token_key);
    }
    state.finish_deletions(now_ms);
    for known in state.streams.values_mut() {
        take_ends(known, journal, now_ms).await?;
    }
    vanish(state, &file, now_ms);
    for stream in file {
        match state.streams.get(&stream.name).map(|known| Definition::clone(known)) {
            None => first_seen(state, &stream, clock)?,
            Some(known) if known.origin == Origin::Api => return Err(taken(&known, now_ms)),
            Some(mut known) => {
                seen_again(&mut known, &stream, journal, now_ms).await?;
                state.streams.insert(stream.name, Arc::new(known));
            }
        }
    }
    match state.streams.values().find(|known| known.encryption_key.is_some()) {
        Some(known) if !settings.can_encrypt => Err(Error::invalid(format!(
            "data stream {} is encrypted and the configuration has no encryption_key",
            known.name
        ))),
        _ => Ok(()),
    }
}

/// Holds the ends of closed shards against the journal.
///
/// More is there where the save of a reshard failed, and yet was durable: until the end of that process the shard took
/// records, and they were acknowledged. (Or where a put failed that was durable: nobody misses it, but its retry is known
/// again.) Its children have none that is older, for nobody knew them.
async fn take_ends(known: &mut Arc<Definition>, journal: &dyn Journal, now_ms: u64) -> Result<()> {
    let (id, name) = (known.id, known.name.clone());
    for at in 0..known.shards.len() {
        let (index, Some(closed)) = (known.shards[at].index, known.shards[at].closed) else { continue };
        let end = journal.extent(ShardId { stream: id, index }).await?.end;
        let shard = shard_name(index);
        if end > closed.end {
            tracing::warn!(
                stream = name,
                shard,
                closed_at = closed.end,
                end,
                "a closed shard holds more: it ends later"
            );
            Arc::make_mut(known).shards[at].closed = Some(Closed { end, at_ms: closed.at_ms.max(now_ms) });
        } else if end < closed.end {
            let lost = closed.end - end;
            tracing::error!(
                stream = name,
                shard,
                lost,
                "a closed shard has lost its last records: was the journal damaged?"
            );
        }
    }
    Ok(())
}

fn vanish(state: &mut State, file: &[FileStream], now_ms: u64) {
    let named: BTreeSet<_> = file.iter().map(|stream| stream.name.as_str()).collect();
    for known in state.streams.values_mut() {
        if known.origin == Origin::Api || named.contains(known.name.as_str()) {
            continue;
        }
        tracing::warn!(
            stream = known.name,
            "not in the configuration file any more: the data stream takes no records, and is gone when its last one is \
             past its retention"
        );
        if known.vanished_ms.is_none() {
            Arc::make_mut(known).vanished_ms = Some(now_ms);
        }
    }
}

fn first_seen(state: &mut State, stream: &FileStream, clock: &Clock) -> Result<()> {
    let mut definition = Definition::new(state.new_id(clock)?, &stream.name, Origin::File, clock.now_ms());
    take_over(&mut definition, stream);
    state.add(definition, stream.shards.max(1));
    Ok(())
}

/// One that was there at the last start, perhaps as something else. An on-demand stream keeps the shards that its load
/// gave it.
async fn seen_again(known: &mut Definition, stream: &FileStream, journal: &dyn Journal, now_ms: u64) -> Result<()> {
    take_over(known, stream);
    known.vanished_ms = None;
    if stream.mode == Mode::OnDemand || known.open_shards().count() == stream.shards as usize {
        return Ok(());
    }
    let steps = known.to_count(stream.shards.max(1));
    let mut ends = BTreeMap::new();
    for index in closing(&known.shards, &steps) {
        let shard = ShardId { stream: known.id, index };
        ends.insert(index, journal.extent(shard).await?.end);
    }
    tracing::info!(stream = known.name, shards = stream.shards, "the configuration file has another number of shards");
    known.reshard(&steps, &ends, now_ms)
}

/// All that the file says, but for the shards.
fn take_over(definition: &mut Definition, stream: &FileStream) {
    // Taken apart completely, so that a new field cannot be forgotten here.
    let FileStream { name: _, mode, shards: _, retention, record_bytes_max, limits, bytes_max, encrypted } = stream;
    definition.mode = *mode;
    definition.retention = *retention;
    definition.record_bytes_max = *record_bytes_max;
    definition.limits = *limits;
    definition.bytes_max = *bytes_max;
    definition.encryption_key = encrypted.then(|| FILE_KEY.to_owned());
}

fn taken(known: &Definition, now_ms: u64) -> Error {
    let name = &known.name;
    let state = if known.status(now_ms) == Status::Deleting { ", which is still being deleted" } else { "" };
    Error::new(
        Kind::Conflict,
        format!(
            "data stream {name} of the configuration file has the name of data stream {name} made through the \
             API{state}: rename the one in the file, or start without it and delete the other"
        ),
    )
}
