//! What became of records is counted, and what failed is in the error output alone.

use aws_sdk_firehose::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use standpipe::app::App;
use standpipe::clock::Clock;
use standpipe::config::{PluginKind, Processor};
use standpipe::limits::ENCODED_BYTES_MAX;
use standpipe::telemetry::status::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{GRACE, House, Mixed, Setting, example, put, stop, until};

pub(super) fn firehose(app: &App) -> aws_sdk_firehose::Client {
    let config = aws_sdk_firehose::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
        .endpoint_url(format!("http://{}", app.firehose_addr()))
        .build();
    aws_sdk_firehose::Client::from_conf(config)
}

fn kinesis(app: &App) -> aws_sdk_kinesis::Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
        .endpoint_url(format!("http://{}", app.firehose_addr()))
        .build();
    aws_sdk_kinesis::Client::from_conf(config)
}

/// The body of what the console answers.
pub(super) async fn console(app: &App, path: &str) -> String {
    let mut connection = TcpStream::connect(app.admin_addr()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: console\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_two_splits_drops_and_fails_and_every_record_is_accounted_for() {
    let house = House::new();
    let setting = Mixed::setting("size = \"1 MiB\", interval = \"1s\"");
    let app = App::start(house.config(&setting), Clock::real()).await.unwrap();
    let client = firehose(&app);
    for batch in 0..4 {
        let records = Mixed::records(batch * 100..batch * 100 + 100).into_iter();
        let records = records.map(|text| Record::builder().data(Blob::new(text)).build().unwrap());
        let put = client.put_record_batch().delivery_stream_name("web").set_records(Some(records.collect()));
        assert_eq!(put.send().await.unwrap().failed_put_count(), 0);
    }
    let clock = Clock::real();
    let web = clock
        .within(GRACE, async {
            loop {
                let status: Status = serde_json::from_str(&console(&app, "/v1/status").await).unwrap();
                let web = status.streams.into_iter().next().unwrap();
                assert_eq!(web.unaccounted(), 0, "{web:?}");
                if web.accepted == 400 && web.backlog_records == 0 {
                    return web;
                }
                clock.sleep(std::time::Duration::from_millis(50)).await;
            }
        })
        .await
        .unwrap();
    assert_eq!((web.delivered, web.failed, web.dropped, web.unpacked), (240, 80, 80, 80));
    let metrics = console(&app, "/metrics").await;
    let code = "standpipe_failures_total{stream=\"web\",code=\"Wasm.ProcessingFailedStatus\"} 80";
    for line in [code, "standpipe_dropped_records_total{stream=\"web\"} 80"] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let took = metrics.lines().find(|line| line.starts_with("standpipe_transform_microseconds_total{stream=\"web\"}"));
    assert!(took.is_some_and(|line| !line.ends_with(" 0")), "{took:?}");
    assert!(app.stop(GRACE).await.unwrap().left.is_empty());
    Mixed::is_whole(&house, 400);
    let failed = &house.documents("errors")[0];
    assert_eq!(failed["errorCode"], "Wasm.ProcessingFailedStatus");
    assert!(failed["errorMessage"].as_str().unwrap().contains("4 fields where there are 3 columns"), "{failed}");
    assert!(failed["attemptEndingTimestamp"].as_u64() >= failed["arrivalTimestamp"].as_u64());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_record_among_many_goes_alone_to_the_error_output() {
    let house = House::new();
    let mut setting = Setting::default().stream("web", "size = \"4 MiB\", interval = \"1s\"", &["enrich"]).plugin(
        "enrich",
        example("enrich"),
        &[],
    );
    let PluginKind::Wasm { limits, .. } = &mut setting.plugins[0].kind else { panic!() };
    limits.memory = Some(4 << 20);
    let service = house.start(&setting).await;
    // Taken apart it needs more memory than an instance may have, which traps.
    let poison = format!("{{\"a\":[0{}]}}", ",0".repeat(100_000));
    for batch in 0..20 {
        let mut records: Vec<_> =
            (batch * 500..batch * 500 + 500).map(|number| format!("{{\"n\":{number}}}")).collect();
        if batch == 7 {
            records.insert(321, poison.clone());
        }
        put(&service, "web", &records).await;
    }
    let web = until(&service, "web", |web| web.accepted == 10_001 && web.backlog_records == 0).await;
    assert_eq!((web.delivered, web.failed, web.dropped), (10_000, 1, 0));
    stop(service).await;
    let mut numbers: Vec<_> = house.documents("web").iter().map(|row| row["n"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..10_000).collect::<Vec<_>>());
    let failed = house.documents("errors");
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["rawData"], base64_simd::STANDARD.encode_to_string(&poison));
    let code = failed[0]["errorCode"].as_str().unwrap();
    assert!(["Wasm.OutOfMemory", "Wasm.Trap"].contains(&code), "{code}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_memory_cannot_hold_are_found_once_more() {
    let house = House::new();
    let mut setting = Setting::default().stream("web", "size = \"64 MiB\", interval = \"60s\"", &[]);
    setting.process.insert("web".to_owned(), vec![Processor::RequireJson]);
    let service = house.start(&setting).await;
    // One object, and more of it fails than is kept of all encoded bytes.
    let large = ENCODED_BYTES_MAX / 50 - 16;
    for number in 0..55 {
        put(&service, "web", &[format!("no JSON: {number:02}{}", "x".repeat(large)), format!("{{\"n\":{number}}}")])
            .await;
    }
    stop(service).await;
    assert_eq!(house.documents("web").len(), 55);
    let failed = house.documents("errors");
    let mut heads: Vec<_> = failed.iter().map(|line| line["rawData"].as_str().unwrap()[12..16].to_owned()).collect();
    heads.sort();
    heads.dedup();
    assert_eq!((failed.len(), heads.len()), (55, 55));
}

/// Rows of user records have the shard and the key that they came with.
#[tokio::test(flavor = "multi_thread")]
async fn records_of_a_data_stream_go_through_plugins() {
    let house = House::new();
    let mut setting = Mixed::setting("size = \"1 MiB\", interval = \"60s\"");
    setting.tables = setting
        .tables
        .replace("[delivery_stream.web]\n", "[delivery_stream.web]\nsource = { data_stream = \"clicks\" }\n");
    setting.tables.push_str("[data_stream.clicks]\nshards = 3\n");
    let app = App::start(house.config(&setting), Clock::real()).await.unwrap();
    let client = kinesis(&app);
    for batch in 0..3 {
        let records = Mixed::records(batch * 100..batch * 100 + 100).into_iter().enumerate().map(|(key, text)| {
            let entry = PutRecordsRequestEntry::builder().data(aws_sdk_kinesis::primitives::Blob::new(text));
            entry.partition_key(key.to_string()).build().unwrap()
        });
        let put = client.put_records().stream_name("clicks").set_records(Some(records.collect()));
        assert_eq!(put.send().await.unwrap().failed_record_count(), Some(0));
    }
    assert!(app.stop(GRACE).await.unwrap().left.is_empty());
    Mixed::is_whole(&house, 300);
}
