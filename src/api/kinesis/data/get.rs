//! GetRecords: what stands from an iterator on.
//!
//! Answers are large, so the bytes of all of them together are bounded: a call takes room for the most that it may bring
//! before it reads, gives back what it did not need, and holds the rest until its client has read the answer.

use chrono::{DateTime, Utc};
use http::{HeaderName, HeaderValue, StatusCode};

use super::super::{Document, Wire, address, schema};
use super::encode::Page;
use super::{dry_run, rate_exceeded, told};
use crate::api::access::Gate;
use crate::api::server::{Answer, AnswerRoom, Hold, Received, Response};
use crate::api::{ApiError, Context, wire as http_wire};
use crate::error::Error;
use crate::limits::{ANSWER_ROOM_WAIT_MAX, GET_RECORDS_BYTES_MAX, GET_RECORDS_MAX, ITERATOR_TIME_MAX};
use crate::stream::data::{DataStream, Definition, Read, ReadLimit, Settings, Token, TokenFault, shard_name};

/// Tells a reader that records which it asked for are gone.
const MISSED: HeaderName = HeaderName::from_static("x-standpipe-missed-records");
/// Bytes of records after which the writing of an answer lets other tasks have a turn.
const TURN_BYTES: usize = 1 << 20;

/// # Errors
/// `InvalidArgumentException` for what is no iterator; `ExpiredIteratorException`; `ResourceNotFoundException`;
/// `ProvisionedThroughputExceededException` when there is no room for the answer; `DryRunOperationException`.
pub(super) async fn call(context: &Context, gate: &Gate<'_>, wire: Wire, body: Received) -> Result<Response, ApiError> {
    let input = schema::read("GetRecords", wire, &body.bytes)?;
    let (stream, shard, position) = opened(context, &input)?;
    let definition = stream.definition().map_err(told)?;
    gate.check(&address::action("GetRecords"), &context.account.data_stream_arn(&definition.name))?;
    if input.text("StreamARN").is_some() && address::stream_named(&context.account, &input)? != definition.name {
        return Err(ApiError::invalid_argument("The ShardIterator is not one of the stream that StreamARN names."));
    }
    if input.flag("DryRun") {
        return Err(dry_run());
    }
    let records = input.int("Limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(GET_RECORDS_MAX);
    let limit = ReadLimit { records: records.clamp(1, GET_RECORDS_MAX), bytes: GET_RECORDS_BYTES_MAX };
    let throttled = || ApiError::provisioned_throughput_exceeded(rate_exceeded(context, &definition.name, shard));
    if !stream.may_read(&definition, shard) {
        context.metrics.data_stream(&definition.name).read_throttled_requests.inc();
        return Err(throttled());
    }
    let room = room(context, &body.hold, &definition, limit).await.ok_or_else(throttled)?;
    let mut read = stream.read(shard, position, limit).await.map_err(told)?;
    // Looked at after the read: the children of a shard that has ended are in it.
    let definition = stream.definition().map_err(told)?;
    let end = check_end(context.data_streams.settings(), &definition, shard, &mut read);
    if end.is_err() {
        report_missed(context, &definition, shard, &read);
    }
    end.map_err(told)?;
    let bytes = count(context, &stream, shard, &definition, &read);
    let mut response = respond(context, wire, &stream, shard, &definition, &read, room).await?;
    report_missed(context, &definition, shard, &read);
    if read.missed + read.damaged > 0 {
        response.headers_mut().insert(MISSED, HeaderValue::from(read.missed + read.damaged));
    }
    tracing::trace!(stream = definition.name, shard, bytes, "records are read");
    Ok(response)
}

/// Whose iterator it is, and where it stands. Some clients leave the quotes of JSON around it, as AWS does not mind.
fn opened(context: &Context, input: &Document) -> Result<(DataStream, u32, u64), ApiError> {
    let text = input.text("ShardIterator").unwrap_or_default().trim_matches('"');
    let now_ms = context.clock.now_ms();
    match context.data_streams.tokens().open(text, now_ms) {
        Ok(Token::Iterator { stream, shard, position }) => {
            let gone = || ApiError::resource_not_found("The stream of this ShardIterator is not found.");
            Ok((context.data_streams.by_id(stream).ok_or_else(gone)?, shard, position))
        }
        Ok(_) | Err(TokenFault::Invalid) => Err(ApiError::invalid_argument("Invalid ShardIterator.")),
        Err(TokenFault::Expired { issued_ms }) => Err(ApiError::expired_iterator(format!(
            "Iterator expired. The iterator was created at time {} while right now it is {} which is further in the \
             future than the tolerated delay of {} milliseconds.",
            date(issued_ms),
            date(now_ms),
            ITERATOR_TIME_MAX.as_millis()
        ))),
    }
}

/// `Thu Jan 22 01:22:02 UTC 2015`, as Java writes it.
fn date(ms: u64) -> String {
    let date = i64::try_from(ms).ok().and_then(DateTime::<Utc>::from_timestamp_millis).unwrap_or_default();
    date.format("%a %b %d %H:%M:%S UTC %Y").to_string()
}

/// Room for the largest answer that `limit` lets through.
async fn room(context: &Context, hold: &Hold, definition: &Definition, limit: ReadLimit) -> Option<AnswerRoom> {
    let records = limit.records.saturating_mul(definition.record_bytes_max).min(limit.bytes);
    let room = context.clock.within(ANSWER_ROOM_WAIT_MAX, hold.answer_room(definition.id, in_base64(records))).await;
    if room.is_none() {
        context.metrics.data_stream(&definition.name).read_throttled_requests.inc();
        tracing::debug!(stream = definition.name, "no room for an answer of GetRecords");
    }
    room
}

fn in_base64(bytes: usize) -> usize {
    bytes / 3 * 4 + 4
}

async fn respond(
    context: &Context,
    wire: Wire,
    stream: &DataStream,
    shard: u32,
    definition: &Definition,
    read: &Read,
    mut room: AnswerRoom,
) -> Result<Response, ApiError> {
    let found = definition.shard(shard).ok_or_else(|| ApiError::resource_not_found("The shard is not found."))?;
    let mut page = Page::new(wire, found, definition.encryption_key.is_some(), read.first);
    let mut since_turn = 0;
    for records in &read.puts {
        page.add(records);
        since_turn += records.bytes();
        if since_turn >= TURN_BYTES {
            since_turn = 0;
            tokio::task::yield_now().await;
        }
    }
    let next = (!read.ended).then(|| {
        let token = Token::Iterator { stream: stream.id(), shard, position: read.next };
        context.data_streams.tokens().seal(&token, context.clock.now_ms())
    });
    let onward = next.as_ref().map(|token| ("NextShardIterator", token.as_bytes()));
    let pieces = page.end(onward, read.behind_ms, &definition.shards);
    let bytes = pieces.iter().map(bytes::Bytes::len).sum::<usize>();
    room.shrink_to(bytes);
    let mut response = http_wire::response(StatusCode::OK, wire.content_type(), "");
    *response.body_mut() = Answer::pieces(pieces).holding(room);
    Ok(response)
}

/// An end of shard names children, and readers take none without (the KCL stops). Of a shard that outlives its children,
/// as a delivery stream may hold it, the last records are not the end: whoever goes on hears that it is gone, which is how
/// AWS lets go of a shard, and which readers take for the end.
///
/// # Errors
/// `NotFound` for the end of such a shard.
pub(in super::super) fn check_end(
    settings: &Settings,
    definition: &Definition,
    shard: u32,
    read: &mut Read,
) -> Result<(), Error> {
    if !read.ended || definition.children(shard).next().is_some() {
        return Ok(());
    }
    read.ended = false;
    if read.puts.is_empty() {
        return Err(settings.shard_not_found(&definition.name, &shard_name(shard)));
    }
    Ok(())
}

/// Counts what is read; its bytes.
fn count(context: &Context, stream: &DataStream, shard: u32, definition: &Definition, read: &Read) -> usize {
    let metrics = context.metrics.data_stream(&definition.name);
    let bytes = read.puts.iter().map(crate::record::Records::bytes).sum();
    metrics.outgoing_requests.inc();
    metrics.outgoing_records.inc_by(read.puts.iter().map(|records| records.len() as u64).sum());
    metrics.outgoing_bytes.inc_by(bytes as u64);
    stream.has_read(definition, shard, bytes);
    bytes
}

/// Counts records that a reader asked for and that are gone, and says so to the operator: at most once a minute for each
/// stream.
pub(in super::super) fn report_missed(context: &Context, definition: &Definition, shard: u32, read: &Read) {
    let Read { missed, damaged, .. } = *read;
    let is_whole = missed + damaged == 0;
    if is_whole || !context.metrics.data_stream(&definition.name).missed(missed, damaged, context.clock.now_ms()) {
        return;
    }
    let stream = &definition.name;
    if damaged > 0 {
        tracing::error!(stream, shard, damaged, "a reader asked for records that are lost to damage on disk");
    }
    if missed > 0 {
        tracing::warn!(stream, shard, missed, "a reader asked for records that have outlived their retention");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::disk::sim::SimDisk;
    use crate::error::Kind;
    use crate::journal::memory::MemoryJournal;
    use crate::record::Records;
    use crate::stream::data::{DataStreams, Distribution, Mode, NewDataStream, Reshard};

    #[tokio::test(start_paused = true)]
    async fn no_end_of_shard_is_told_without_children() {
        let clock = Clock::simulated(1, 1_000_000);
        let journal = Arc::new(MemoryJournal::new(clock.clone()));
        let settings = Settings {
            account_id: "000000000000".into(),
            region: "us-east-1".into(),
            shards_max: 50,
            state_delay: Duration::ZERO,
            can_encrypt: false,
        };
        let disk = Arc::new(SimDisk::new(1));
        let streams = DataStreams::open(disk, journal, clock, settings, Vec::new()).await.unwrap();
        let new = NewDataStream {
            name: "s".into(),
            mode: Mode::Provisioned,
            shards: Some(1),
            record_bytes_max: 1 << 20,
            distribution: Distribution::default(),
            warm_mibps: None,
            tags: Vec::new(),
        };
        let stream = streams.create(new).await.unwrap();
        streams.reshard("s", Reshard::Split { shard: "0".into(), new_start: 1 << 127 }).await.unwrap();
        let whole = stream.definition().unwrap();
        let mut childless = Definition::clone(&whole);
        childless.shards.truncate(1);
        let last = Records::from_slices(0, &["a"]);
        for (definition, puts, expected) in [
            (&*whole, vec![], Ok(true)),
            (&*whole, vec![last.clone()], Ok(true)),
            (&childless, vec![last], Ok(false)),
            (&childless, vec![], Err(Kind::NotFound)),
        ] {
            let mut read = Read { first: 0, puts, next: 1, behind_ms: 0, ended: true, missed: 0, damaged: 0 };
            let checked = check_end(streams.settings(), definition, 0, &mut read);
            assert_eq!(checked.map(|()| read.ended).map_err(|error| error.kind()), expected);
        }
    }

    #[test]
    fn dates_are_those_of_java() {
        assert_eq!(date(1_421_889_722_000), "Thu Jan 22 01:22:02 UTC 2015");
        assert_eq!(date(u64::MAX), "Thu Jan 01 00:00:00 UTC 1970");
    }
}
