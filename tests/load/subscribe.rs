//! Subscribers of a data stream: how long after its acknowledgement a record is with them, and what they cost.
//!
//! November 2026, two busy cores, 64 shards and 100 subscribers, three runs: medians of at most 0.05 ms, p99 0.2 to 3 ms,
//! 26 MiB at the peak; 73 MiB with records of 1 MB, 89 MiB with subscribers that are stuck before 160 MB (`--stuck`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{ShardIteratorType, StartingPosition, SubscribeToShardEventStream};
use serde_json::{Value, json};
use standpipe::clock::{Clock, Instant};

use super::connection::percentiles_ms;
use super::process::Usage;
use super::{Failure, round};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Address of the service, which must take any signature
    #[arg(long, default_value = "127.0.0.1:4573")]
    address: String,
    /// The data stream, which is made if it is not there
    #[arg(long, default_value = "load-subscribe")]
    stream: String,
    /// Its shards
    #[arg(long, default_value_t = 64)]
    shards: i32,
    /// Subscriptions, over all shards and as many consumers as it takes
    #[arg(long, default_value_t = 100)]
    subscribers: usize,
    /// Records, put one after the other
    #[arg(long, default_value_t = 1_000)]
    records: usize,
    /// Bytes of a record
    #[arg(long, default_value_t = 1_000)]
    bytes: usize,
    /// Pause between two records, in milliseconds
    #[arg(long, default_value_t = 5)]
    pause_ms: u64,
    /// Put all records first, subscribe from the horizon and read nothing: what stuck subscribers hold
    #[arg(long)]
    stuck: bool,
    /// Process id of the service, whose CPU time and memory are then measured
    #[arg(long)]
    pid: Option<u32>,
}

/// When each record came to each subscriber, by sequence number.
type Came = Arc<Mutex<HashMap<String, Vec<Instant>>>>;

pub(crate) fn measure(args: &Args) -> Result<Value, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(args))
}

async fn run(args: &Args) -> Result<Value, Failure> {
    let clock = Clock::real();
    let client = client(&args.address);
    let shards = prepare(&client, args).await?;
    if args.stuck {
        return stuck(&clock, &client, args, &shards).await;
    }
    let came = Came::default();
    for mut subscription in subscribe(&client, args, &shards, ShardIteratorType::Latest).await? {
        let (came, clock) = (came.clone(), clock.clone());
        tokio::spawn(async move {
            while let Ok(Some(event)) = subscription.event_stream.recv().await {
                let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event else { continue };
                let now = clock.instant();
                let mut came = came.lock().expect("nobody panics with it");
                for record in event.records() {
                    came.entry(record.sequence_number().to_owned()).or_default().push(now);
                }
            }
        });
    }
    let before = args.pid.map(Usage::of).transpose()?;
    let acknowledged = put(&clock, &client, args).await?;
    clock.sleep(Duration::from_secs(1)).await;
    let came = came.lock().expect("nobody panics with it");
    let mut delays: Vec<Duration> = acknowledged
        .iter()
        .flat_map(|(sequence, at)| {
            came.get(sequence).into_iter().flatten().map(|came| came.saturating_duration_since(*at))
        })
        .collect();
    let (events, (p50, p99, max)) = (delays.len(), percentiles_ms(&mut delays));
    let missing = acknowledged.keys().filter(|sequence| !came.contains_key(*sequence)).count();
    let mut report = json!({
        "shards": shards.len(), "subscribers": args.subscribers, "records": acknowledged.len(), "events": events,
        "records_that_nobody_got": missing, "p50_ms": round(p50), "p99_ms": round(p99), "max_ms": round(max),
    });
    if let (Some(pid), Some(before)) = (args.pid, &before) {
        report["cost"] = Usage::of(pid)?.since(before).report((args.records * args.bytes) as f64 / 1e6);
    }
    Ok(report)
}

/// All subscriptions, of which nothing is read yet.
async fn subscribe(
    client: &Client,
    args: &Args,
    shards: &[String],
    from: ShardIteratorType,
) -> Result<Vec<SubscribeToShardOutput>, Failure> {
    let consumers = consumers(client, args, args.subscribers.div_ceil(shards.len())).await?;
    let pairs = consumers.iter().flat_map(|consumer| shards.iter().map(move |shard| (consumer, shard)));
    let mut subscriptions = Vec::new();
    for (consumer, shard) in pairs.take(args.subscribers) {
        let position = StartingPosition::builder().r#type(from.clone()).build()?;
        let call = client.subscribe_to_shard().consumer_arn(consumer).shard_id(shard).starting_position(position);
        subscriptions.push(call.send().await.map_err(|error| format!("{error:?}"))?);
    }
    Ok(subscriptions)
}

/// What the service holds for subscribers that have a backlog and read nothing of it.
async fn stuck(clock: &Clock, client: &Client, args: &Args, shards: &[String]) -> Result<Value, Failure> {
    put(clock, client, args).await?;
    let before = args.pid.map(Usage::of).transpose()?;
    let subscriptions = subscribe(client, args, shards, ShardIteratorType::TrimHorizon).await?;
    clock.sleep(Duration::from_secs(5)).await;
    let mut report = json!({"shards": shards.len(), "subscribers_that_read_nothing": subscriptions.len()});
    if let (Some(pid), Some(before)) = (args.pid, &before) {
        report["cost"] = Usage::of(pid)?.since(before).report((args.records * args.bytes) as f64 / 1e6);
    }
    Ok(report)
}

/// The stream's open shards; makes the stream if need be.
async fn prepare(client: &Client, args: &Args) -> Result<Vec<String>, Failure> {
    let created = client.create_stream().stream_name(&args.stream).shard_count(args.shards).send().await;
    if let Err(error) = created
        && !error
            .as_service_error()
            .is_some_and(aws_sdk_kinesis::operation::create_stream::CreateStreamError::is_resource_in_use_exception)
    {
        return Err(format!("{error:?}").into());
    }
    let answer = client.list_shards().stream_name(&args.stream).send().await.map_err(|error| format!("{error:?}"))?;
    Ok(answer.shards().iter().map(|shard| shard.shard_id().to_owned()).collect())
}

async fn consumers(client: &Client, args: &Args, count: usize) -> Result<Vec<String>, Failure> {
    let summary = client.describe_stream_summary().stream_name(&args.stream).send().await;
    let summary = summary.map_err(|error| format!("{error:?}"))?;
    let arn = summary.stream_description_summary().ok_or("no description")?.stream_arn().to_owned();
    let mut names = Vec::new();
    for number in 0..count {
        let name = format!("load-{number}-{:08x}", Clock::real().random() as u32);
        let call = client.register_stream_consumer().stream_arn(&arn).consumer_name(name);
        let answer = call.send().await.map_err(|error| format!("{error:?}"))?;
        names.push(answer.consumer().ok_or("no consumer")?.consumer_arn().to_owned());
    }
    Ok(names)
}

/// Puts the records; when each was acknowledged, by sequence number.
async fn put(clock: &Clock, client: &Client, args: &Args) -> Result<HashMap<String, Instant>, Failure> {
    let mut acknowledged = HashMap::new();
    for number in 0..args.records {
        let call = client.put_record().stream_name(&args.stream).partition_key(format!("key-{number}"));
        let answer = call.data(Blob::new(vec![b'x'; args.bytes])).send().await.map_err(|error| format!("{error:?}"))?;
        acknowledged.insert(answer.sequence_number().to_owned(), clock.instant());
        clock.sleep(Duration::from_millis(args.pause_ms)).await;
    }
    Ok(acknowledged)
}

fn client(address: &str) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("standpipe", "standpipe", None, None, "load"))
        .endpoint_url(format!("http://{address}"))
        .build();
    Client::from_conf(config)
}
