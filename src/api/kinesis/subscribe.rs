//! SubscribeToShard: records pushed as events over one long answer.
//!
//! The answer is a stream of messages in AWS's event framing ([`events`]): `initial-response` first, for some SDKs take
//! no other beginning; then a `SubscribeToShardEvent` whenever there are records, and at least every five seconds. It ends
//! after five minutes, at the end of a closed shard, and when the service stops; clients go on with another call, after
//! `ContinuationSequenceNumber`. A consumer that subscribes to the shard again takes it over: the older answer ends with
//! the exception `ResourceInUseException`.

mod events;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;

use super::data::encode::{Page, sequence_digits};
use super::data::{Position, check_end, dry_run, report_missed, shard_of, start_of, told};
use super::{Document, Wire, address, schema};
use crate::api::access::Gate;
use crate::api::server::{Answer, Feed, Hold, Place, Received, Response};
use crate::api::{ApiError, Context, RequestFacts, wire as http_wire};
use crate::clock::Instant;
use crate::error::{Error, Kind};
use crate::limits::{
    GET_RECORDS_MAX, PUSH_FREE_BYTES, SHARD_READ_BYTES_PER_SECOND, SUBSCRIPTION_EVENT_BYTES_MAX,
    SUBSCRIPTION_EVENT_BYTES_SMALL, SUBSCRIPTION_EVENT_EVERY, SUBSCRIPTION_EVENT_RECORDS_SMALL, SUBSCRIPTION_TIME_MAX,
};
use crate::record::Records;
use crate::stream::data::{DataStream, Definition, Limits, Read, ReadLimit, Subscription};

const LIMIT: ReadLimit = ReadLimit { records: GET_RECORDS_MAX, bytes: SUBSCRIPTION_EVENT_BYTES_MAX };
const SMALL: ReadLimit = ReadLimit { records: SUBSCRIPTION_EVENT_RECORDS_SMALL, bytes: SUBSCRIPTION_EVENT_BYTES_SMALL };

/// Begins a subscription; its records follow in the answer.
///
/// # Errors
/// `InvalidArgumentException` for a position that cannot be; `ResourceNotFoundException` without such a consumer or
/// shard; `ResourceInUseException` too soon after another one; `LimitExceededException` over the most at once;
/// `DryRunOperationException`.
pub async fn call(
    context: &Context,
    gate: &Gate<'_>,
    wire: Wire,
    body: Received,
    facts: &RequestFacts,
) -> Result<Response, ApiError> {
    let input = schema::read("SubscribeToShard", wire, &body.bytes)?;
    let (name, consumer) = address::consumer(context, gate, "SubscribeToShard", &input)?;
    let stream = context.data_streams.get(&name).map_err(told)?;
    let shard = shard_of(context, &name, &input)?;
    let begin = input.get("StartingPosition").unwrap_or(&Document::Null);
    let begin = Position {
        kind: begin.text("Type").unwrap_or_default(),
        number: begin.text("SequenceNumber"),
        time_ms: begin.time("Timestamp"),
    };
    let start = start_of(&begin).map_err(|fault| fault.told(context, &name, shard))?;
    let position = stream.start(shard, start).await.map_err(told)?;
    if input.flag("DryRun") {
        return Err(dry_run());
    }
    let subscription = stream.subscribe(&consumer, shard).map_err(super::told)?;
    context.metrics.data_stream(&name).subscriptions.inc();
    tracing::debug!(stream = name, shard, consumer, request_id = facts.request_id, "a subscription begins");
    let (feed, answer) = Answer::feed();
    let (context, hold) = (context.clone(), body.hold.another());
    let push = Push { context, hold, stream, shard, position, wire, paid: None, arrived_ms: None };
    tokio::spawn(push.run(feed, subscription));
    let mut response = http_wire::response(StatusCode::OK, events::CONTENT_TYPE, "");
    *response.body_mut() = answer;
    Ok(response)
}

/// One subscription as it is served.
struct Push {
    context: Context,
    /// Where events have their room from.
    hold: Hold,
    stream: DataStream,
    shard: u32,
    /// The next record.
    position: u64,
    wire: Wire,
    /// When the next event may be sent, if not at once: under AWS's limits, when what was sent is paid for.
    paid: Option<Instant>,
    /// When the last record that was sent had arrived, milliseconds since 1970.
    arrived_ms: Option<u64>,
}

/// Why an answer ends.
#[derive(Debug)]
enum End {
    /// As it should.
    Clean,
    /// Nobody reads it any more.
    Gone,
    /// With an exception.
    Exception(ApiError),
}

impl Push {
    async fn run(mut self, feed: Feed, subscription: Subscription) {
        let context = self.context.clone();
        let taken_over =
            "Another subscription of the consumer to this shard took this one over, or it was deregistered.";
        let end = tokio::select! {
            biased;
            () = context.stopping.cancelled() => End::Clean,
            () = subscription.over().cancelled() => End::Exception(ApiError::resource_in_use(taken_over)),
            () = feed.gone() => End::Gone,
            () = context.clock.sleep(SUBSCRIPTION_TIME_MAX) => End::Clean,
            end = self.events(&feed) => end,
        };
        // The place is free for another one, however long this client takes to read the rest.
        drop(subscription);
        if let End::Exception(error) = &end
            && let Some(place) = feed.place().await
        {
            place.send(events::exception(self.wire, error));
        }
        if !matches!(end, End::Gone) {
            feed.end().await;
        }
    }

    /// Sends events until there is nothing more to send.
    async fn events(&mut self, feed: &Feed) -> End {
        let Some(place) = feed.place().await else { return End::Gone };
        place.send(events::initial(self.wire));
        let mut wait = Duration::ZERO;
        loop {
            // Nothing is read before there is room for it: a client that does not read holds two events.
            let Some(place) = feed.place().await else { return End::Gone };
            match self.event(place, wait).await {
                Ok(true) => wait = SUBSCRIPTION_EVENT_EVERY,
                Ok(false) => return End::Clean,
                Err(error) => return ending(error),
            }
        }
    }

    /// Sends one event, after at most `wait` if there is no record; `false` after the last one of the shard.
    async fn event(&mut self, place: Place<'_>, wait: Duration) -> Result<bool, Error> {
        let clock = self.context.clock.clone();
        if let Some(paid) = self.paid.take() {
            clock.sleep_until(paid).await;
        }
        let grown = clock.within(wait, self.stream.grown(self.shard, self.position)).await.transpose()?;
        let Event { definition, read, message, room } = self.next_event().await?;
        place.send_holding(message, room);
        self.account(&definition, &read);
        if grown.is_some() && read.next == self.position {
            // The journal said that there is something, and there was nothing to pass: that is not asked without a pause.
            self.paid = Some(clock.instant() + SUBSCRIPTION_EVENT_EVERY);
        }
        self.position = read.next;
        Ok(!read.ended)
    }

    /// The next event with its room. While others leave none it is a small one, which takes none; a record that is larger
    /// than that waits for room, and nothing of it is held meanwhile.
    async fn next_event(&mut self) -> Result<Event, Error> {
        let mut room = self.hold.try_push_room(SUBSCRIPTION_EVENT_BYTES_MAX);
        let limit = if room.is_some() { LIMIT } else { SMALL };
        loop {
            let mut read = self.stream.read(self.shard, self.position, limit).await?;
            // Looked at after the read: the children of a shard that has ended are in it.
            let definition = self.stream.definition()?;
            check_end(self.context.data_streams.settings(), &definition, self.shard, &mut read)?;
            let message = events::event(self.wire, self.payload(&definition, &read)?);
            let bytes = message.len();
            if let Ok(room) = fit(&self.hold, room, bytes) {
                return Ok(Event { definition, read, message, room });
            }
            drop((read, message));
            room = Some(self.hold.push_room(bytes).await);
        }
    }

    fn payload(&mut self, definition: &Definition, read: &Read) -> Result<Vec<u8>, Error> {
        let shard = definition.shard(self.shard);
        let shard = shard.ok_or_else(|| Error::new(Kind::NotFound, "The shard is not found."))?;
        let mut page = Page::new(self.wire, shard, definition.encryption_key.is_some(), read.first);
        read.puts.iter().for_each(|records| page.add(records));
        self.arrived_ms = read.puts.last().map(|records| records.arrived_ms).or(self.arrived_ms);
        // Of a number it is the position that says where to go on; before the first record stands the shard's start.
        let last = match read.next.checked_sub(1) {
            Some(last) => shard.sequence(last, self.arrived_ms.unwrap_or_else(|| self.context.clock.now_ms())),
            None => shard.first_sequence(),
        };
        let last = sequence_digits(last);
        let onward = (!read.ended).then_some(("ContinuationSequenceNumber", last.as_slice()));
        Ok(page.end(onward, read.behind_ms, &definition.shards).concat())
    }

    fn account(&mut self, definition: &Definition, read: &Read) {
        let metrics = self.context.metrics.data_stream(&definition.name);
        let bytes: usize = read.puts.iter().map(Records::bytes).sum();
        metrics.outgoing_records.inc_by(read.puts.iter().map(|records| records.len() as u64).sum());
        metrics.outgoing_bytes.inc_by(bytes as u64);
        report_missed(&self.context, definition, self.shard, read);
        if definition.limits == Limits::Aws {
            let cost = Duration::from_secs_f64(bytes as f64 / SHARD_READ_BYTES_PER_SECOND as f64);
            self.paid = Some(self.context.clock.instant() + cost);
        }
    }
}

/// One event, ready to be sent.
struct Event {
    definition: Arc<Definition>,
    read: Read,
    message: Bytes,
    room: Option<OwnedSemaphorePermit>,
}

/// Brings `room` to what so many bytes take.
///
/// # Errors
/// There is no more at once; what there was is given back.
fn fit(hold: &Hold, room: Option<OwnedSemaphorePermit>, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, ()> {
    if bytes <= PUSH_FREE_BYTES {
        return Ok(None);
    }
    let Some(mut room) = room else { return hold.try_push_room(bytes).map(Some).ok_or(()) };
    match bytes.checked_sub(room.num_permits()) {
        Some(more) => room.merge(hold.try_push_room(more).ok_or(())?),
        None => drop(room.split(room.num_permits() - bytes)),
    }
    Ok(Some(room))
}

fn ending(error: Error) -> End {
    match error.kind() {
        Kind::Closed => End::Clean,
        Kind::NotFound => End::Exception(error.into()),
        _ => {
            tracing::warn!(%error, "a subscription broke off");
            End::Exception(ApiError::internal_failure("Internal Service Failure"))
        }
    }
}
