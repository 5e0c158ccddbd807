//! Delivery streams whose records come from a data stream: made, shown, listed, and what they refuse.

use serde_json::{Value, json};
use standpipe::api::firehose::put;
use standpipe::config::{AwsCredentials, DeliveryStream, Destination, KinesisSource, Secret, Source, StartAt};
use standpipe::disk::sim::SimDisk;
use standpipe::stream::data::{Distribution, Mode, NewDataStream};

use super::{ROLE, START_MS, Service, config, create, file_stream, named, updating};

const INVALID: &str = "InvalidArgumentException";
const CLICKS: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks";

/// A create of a stream that reads the data stream `arn`.
fn reading(name: &str, arn: &str) -> Value {
    let mut body = create(name, json!({}));
    body["DeliveryStreamType"] = "KinesisStreamAsSource".into();
    body["KinesisStreamSourceConfiguration"] = json!({ "KinesisStreamARN": arn, "RoleARN": ROLE });
    body
}

/// A service with the data stream `clicks`.
async fn with_clicks(disk: &SimDisk) -> Service {
    let service = Service::start(disk, &config(Vec::new())).await.expect("a fresh disk has no catalog");
    let new = NewDataStream {
        name: "clicks".into(),
        mode: Mode::Provisioned,
        shards: Some(1),
        record_bytes_max: 1 << 20,
        distribution: Distribution::default(),
        warm_mibps: None,
        tags: Vec::new(),
    };
    service.context.data_streams.create(new).await.expect("the name is free");
    service
}

#[tokio::test(start_paused = true)]
async fn a_data_stream_is_read_from_the_making_on() {
    let disk = SimDisk::new(1);
    let service = with_clicks(&disk).await;
    service.ok("CreateDeliveryStream", reading("s", CLICKS)).await;
    let source = Source::DataStream { name: "clicks".into(), start: StartAt::Latest };
    assert_eq!(service.context.catalog.get("s").unwrap().stream.source, source);
    let shown = service.describe("s").await;
    assert_eq!(shown["DeliveryStreamType"], "KinesisStreamAsSource");
    let expected = json!({
        "KinesisStreamSourceDescription": {
            "KinesisStreamARN": CLICKS,
            "RoleARN": ROLE,
            "DeliveryStartTimestamp": START_MS as f64 / 1_000.0,
        },
    });
    assert_eq!(shown["Source"], expected);
    // Another destination is no other source, and a restart none either.
    service.ok("UpdateDestination", updating("s", "1", json!({ "Prefix": "p/" }))).await;
    assert_eq!(service.describe("s").await["Source"], expected);
    let again = Service::start(&disk, &config(Vec::new())).await.unwrap();
    let entry = again.context.catalog.get("s").unwrap();
    assert_eq!((&entry.stream.source, entry.version), (&source, 2));
}

#[tokio::test(start_paused = true)]
async fn only_a_data_stream_of_this_service_is_taken() {
    let service = with_clicks(&SimDisk::new(1)).await;
    let elsewhere = |arn: &str| {
        format!(
            "KinesisStreamARN {arn} is not of this service, whose region is us-east-1 and whose account is \
             123456789012: a stream of Amazon Kinesis is read by a delivery stream of the configuration file, source = \
             {{ kinesis = {{ stream = \"{arn}\" }} }}"
        )
    };
    let (far, theirs) = (
        "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks",
        "arn:aws:kinesis:us-east-1:000000000000:stream/clicks",
    );
    let table = [
        (
            "arn:aws:kinesis:us-east-1:123456789012:stream/clics",
            "KinesisStreamARN arn:aws:kinesis:us-east-1:123456789012:stream/clics: stream clics under account \
             123456789012 not found."
                .to_owned(),
        ),
        (far, elsewhere(far)),
        (theirs, elsewhere(theirs)),
    ];
    for (arn, message) in table {
        assert_eq!(service.refused("CreateDeliveryStream", reading("s", arn)).await, (INVALID, message), "{arn}");
        assert!(service.context.catalog.get("s").is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn puts_and_encryption_are_for_direct_puts() {
    let service = with_clicks(&SimDisk::new(1)).await;
    service.ok("CreateDeliveryStream", reading("s", CLICKS)).await;
    service.create("direct", json!({})).await;
    let message = "This operation is not permitted on KinesisStreamAsSource delivery stream type.";
    // Both puts and plain ingest come this way.
    let error = put::active(&service.context, "s").unwrap_err();
    assert_eq!((error.code, &*error.message), (INVALID, message));
    assert!(put::active(&service.context, "direct").is_ok());
    for operation in ["StartDeliveryStreamEncryption", "StopDeliveryStreamEncryption"] {
        assert_eq!(service.refused(operation, named("s")).await, (INVALID, message.into()), "{operation}");
        service.ok(operation, named("direct")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_is_of_one_type_or_of_all() {
    let service = with_clicks(&SimDisk::new(1)).await;
    service.create("a", json!({})).await;
    service.ok("CreateDeliveryStream", reading("b", CLICKS)).await;
    for (kind, names) in [
        (None, json!(["a", "b"])),
        (Some("DirectPut"), json!(["a"])),
        (Some("KinesisStreamAsSource"), json!(["b"])),
        (Some("MSKAsSource"), json!([])),
    ] {
        let body = kind.map_or_else(|| json!({}), |kind| json!({ "DeliveryStreamType": kind }));
        assert_eq!(service.ok("ListDeliveryStreams", body).await["DeliveryStreamNames"], names, "{kind:?}");
    }
}

/// A stream of the file that copies a real one.
fn copied(secret: &str) -> DeliveryStream {
    let credentials = AwsCredentials {
        access_key_id: "AKID".into(),
        secret_access_key: Secret::new(secret.into()),
        session_token: None,
    };
    let from = KinesisSource { credentials: Some(credentials), ..KinesisSource::new("orders") };
    DeliveryStream {
        source: Source::Kinesis(from.into()),
        ..DeliveryStream::new("copied", Destination::local("/srv/lake"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_source_is_a_new_version_and_a_changed_secret_is_none() {
    let disk = SimDisk::new(1);
    let version = async |stream: DeliveryStream| {
        let name = stream.name.clone();
        let service = Service::start(&disk, &config(vec![stream])).await.unwrap();
        let source = service.describe(&name).await["Source"].clone();
        (service.context.catalog.get(&name).unwrap().version, source)
    };
    let (first, shown) = version(copied("hunter2")).await;
    assert_eq!(first, 1);
    let arn = &shown["KinesisStreamSourceDescription"]["KinesisStreamARN"];
    assert_eq!(arn, "arn:aws:kinesis:us-east-1:123456789012:stream/orders");
    assert_eq!(version(copied("other")).await.0, 1);
    for file in disk.files() {
        assert!(!String::from_utf8_lossy(&disk.read(&file).unwrap()).contains("hunter2"), "{file}");
    }
    let direct = DeliveryStream { source: Source::Direct, ..copied("other") };
    assert_eq!(version(direct).await, (2, Value::Null));
    let start = StartAt::Time(5_000);
    let own = |start| DeliveryStream { source: Source::DataStream { name: "clicks".into(), start }, ..copied("x") };
    let (third, shown) = version(own(start)).await;
    assert_eq!((third, &shown["KinesisStreamSourceDescription"]["DeliveryStartTimestamp"]), (3, &json!(5.0)));
    assert_eq!(version(own(StartAt::Horizon)).await.0, 4);
    // Streams of a catalog that knew no sources come back as they were.
    assert_eq!(version(file_stream("plain", "")).await.0, 1);
    assert_eq!(version(file_stream("plain", "")).await.0, 1);
}
