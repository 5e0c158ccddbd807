//! The Firehose control plane, called as the server calls it: shapes, rejections, updates, listings, durability.

mod destinations;
mod endpoints;
mod glue;
mod lifecycle;
mod listing;
mod processors;
mod rejections;
mod restart;
mod sources;
mod terraform;
mod updates;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use standpipe::api::firehose::control::{self, from_api};
use standpipe::api::{Account, ApiError, AskGlue, Context, RequestFacts};
use standpipe::catalog::Catalog;
use standpipe::clock::Clock;
use standpipe::config::{
    Buckets, Compression, Config, DeliveryStream, Destination, S3Connection, Secret, TableSchema, check_prefixes,
};
use standpipe::disk::Disk;
use standpipe::disk::sim::SimDisk;
use standpipe::error::{Error, Kind, Result};
use standpipe::journal::memory::MemoryJournal;
use standpipe::stream::Streams;
use standpipe::stream::data::{DataStreams, Settings};
use tokio_util::sync::CancellationToken;

const ACCOUNT: &str = "123456789012";
const ROLE: &str = "arn:aws:iam::123456789012:role/firehose";
const BUCKET: &str = "arn:aws:s3:::logs";
const START_MS: u64 = 1_750_000_000_500;

/// A service without a server: the operations over a catalog on `disk`.
struct Service {
    context: Context,
}

impl Service {
    /// With a fresh disk, an encryption key, buckets in S3, and no streams in the file.
    async fn new() -> Service {
        Service::start(&SimDisk::new(1), &config(Vec::new())).await.expect("a fresh disk has no catalog")
    }

    async fn start(disk: &SimDisk, config: &Config) -> Result<Service> {
        Service::start_on(Arc::new(disk.clone()), config).await
    }

    async fn start_on(disk: Arc<dyn Disk>, config: &Config) -> Result<Service> {
        let clock = Clock::simulated(7, START_MS);
        let catalog = Catalog::open(disk, clock.clone(), config, from_api(config.buckets.clone())).await?;
        let journal = Arc::new(MemoryJournal::new(clock.clone()));
        let settings = Settings {
            account_id: ACCOUNT.into(),
            region: "us-east-1".into(),
            shards_max: 50,
            state_delay: Duration::ZERO,
            can_encrypt: true,
        };
        // On a disk of their own: the faults of these tests are the catalog's.
        let apart = Arc::new(SimDisk::new(2));
        let data_streams = DataStreams::open(apart, journal.clone(), clock.clone(), settings, Vec::new()).await?;
        Ok(Service {
            context: Context {
                catalog,
                streams: Streams::new(journal),
                data_streams,
                stopping: CancellationToken::new(),
                account: Account { id: ACCOUNT.into(), region: "us-east-1".into() },
                metrics: Arc::default(),
                clock,
                glue: Some(ask_glue()),
            },
        })
    }

    async fn call(&self, operation: &str, body: &Value) -> Result<Value, ApiError> {
        self.call_bytes(operation, body.to_string().as_bytes()).await
    }

    async fn call_bytes(&self, operation: &str, body: &[u8]) -> Result<Value, ApiError> {
        let request = RequestFacts {
            request_id: "r".into(),
            access_key_id: None,
            peer: [127, 0, 0, 1].into(),
            arrived_ms: START_MS,
            invocation_id: None,
            body_sha256: [0; 32],
        };
        control::call(&self.context, operation, body, &request).await
    }

    /// A call that must succeed.
    async fn ok(&self, operation: &str, body: Value) -> Value {
        self.call(operation, &body).await.unwrap_or_else(|error| panic!("{operation} {body}: {error:?}"))
    }

    /// A call that must fail: its code and message.
    async fn refused(&self, operation: &str, body: Value) -> (&'static str, String) {
        match self.call(operation, &body).await {
            Ok(answer) => panic!("{operation} {body} was accepted: {answer}"),
            Err(error) => (error.code, error.message.into_owned()),
        }
    }

    /// Makes a stream with this extended S3 destination (role and bucket are added).
    async fn create(&self, name: &str, destination: Value) {
        self.ok("CreateDeliveryStream", create(name, destination)).await;
    }

    async fn describe(&self, name: &str) -> Value {
        self.ok("DescribeDeliveryStream", named(name)).await["DeliveryStreamDescription"].clone()
    }

    /// The extended description of the stream's destination.
    async fn destination(&self, name: &str) -> Value {
        self.describe(name).await["Destinations"][0]["ExtendedS3DestinationDescription"].clone()
    }

    async fn update(&self, name: &str, version: &str, update: Value) -> Result<Value, ApiError> {
        self.call("UpdateDestination", &updating(name, version, update)).await
    }
}

/// AWS Glue, with the tables `t`, `u` and, with nested columns, `nested`.
fn ask_glue() -> AskGlue {
    Arc::new(|table| {
        let columns = match table.table.as_str() {
            "t" | "u" => TableSchema::of_texts([("n", "bigint")]),
            "nested" => TableSchema::of_texts([("tags", "array<string>")]),
            "denied" => Err(Error::invalid("Access was denied when calling Glue for the table d.denied: no")),
            "away" => Err(Error::unavailable("AWS Glue does not give the table d.away: timeout")),
            _ => Err(Error::new(Kind::NotFound, format!("AWS Glue has no table {}.{}", table.database, table.table))),
        };
        Box::pin(async move { columns })
    })
}

fn named(name: &str) -> Value {
    json!({ "DeliveryStreamName": name })
}

fn create(name: &str, destination: Value) -> Value {
    json!({ "DeliveryStreamName": name, "ExtendedS3DestinationConfiguration": with_place(destination) })
}

fn updating(name: &str, version: &str, update: Value) -> Value {
    let mut body = named(name);
    body["CurrentDeliveryStreamVersionId"] = version.into();
    body["DestinationId"] = "destinationId-000000000001".into();
    body["ExtendedS3DestinationUpdate"] = update;
    body
}

/// Adds role and bucket where they are missing.
fn with_place(mut destination: Value) -> Value {
    let members = destination.as_object_mut().expect("the test gives an object");
    members.entry("RoleARN").or_insert(ROLE.into());
    members.entry("BucketARN").or_insert(BUCKET.into());
    destination
}

fn config(delivery_streams: Vec<DeliveryStream>) -> Config {
    Config {
        account_id: ACCOUNT.into(),
        encryption_key: Some(Secret::new([1; 32])),
        buckets: Buckets::S3(S3Connection::default()),
        delivery_streams,
        ..Config::new("/data")
    }
}

/// A stream of the configuration file.
fn file_stream(name: &str, prefix: &str) -> DeliveryStream {
    let (prefix, error_prefix) = check_prefixes(Some(prefix), None).expect("the test gives a valid prefix");
    let store = Destination::local("/srv/my lake");
    DeliveryStream::new(name, Destination { prefix, error_prefix, compression: Compression::Zstd, ..store })
}
