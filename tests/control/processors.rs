//! The Lambda processor: it names a plugin of the configuration file, and is described as it was given.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use standpipe::config::{Builtin, Config, Delimiter, DeliveryStream, Plugin, PluginKind, Processor, SubRecords};
use standpipe::disk::RealDisk;
use standpipe::disk::sim::SimDisk;

use super::{Service, config, create, file_stream};

pub(super) fn with_plugins(delivery_streams: Vec<DeliveryStream>) -> Config {
    let plugin = |name: &str| Plugin {
        name: name.into(),
        kind: PluginKind::Function {
            url: "http://lambda:9000/f".into(),
            timeout: Duration::from_mins(1),
            retries: 3,
            batch_bytes: 1 << 20,
        },
        config: BTreeMap::new(),
    };
    let plugins = ["enrich", "mask", "s/1"].map(plugin).to_vec();
    Config { plugins, ..config(delivery_streams) }
}

fn lambda(arn: &str, more: &[(&str, &str)]) -> Value {
    let parameter = |(name, value): &(&str, &str)| json!({ "ParameterName": name, "ParameterValue": value });
    let all: Vec<_> = [("LambdaArn", arn)].iter().chain(more).map(parameter).collect();
    json!({ "ProcessingConfiguration": { "Enabled": true, "Processors": [{ "Type": "Lambda", "Parameters": all }] } })
}

const ALL: [(&str, &str); 4] = [
    ("NumberOfRetries", "5"),
    ("RoleArn", "arn:aws:iam::123456789012:role/lambda"),
    ("BufferSizeInMBs", "0.5"),
    ("BufferIntervalInSeconds", "60"),
];

fn steps(service: &Service, name: &str) -> Vec<Processor> {
    service.context.catalog.get(name).expect("the stream is there").stream.process.clone()
}

#[tokio::test(start_paused = true)]
async fn a_lambda_processor_names_a_plugin_and_is_described_unchanged() {
    let service = Service::start(&SimDisk::new(1), &with_plugins(Vec::new())).await.unwrap();
    let sent = lambda("arn:aws:lambda:eu-west-1:999999999999:function:mask:$LATEST", &ALL);
    service.create("s", sent.clone()).await;
    assert_eq!(service.destination("s").await["ProcessingConfiguration"], sent["ProcessingConfiguration"]);
    let expected = Processor::Plugin {
        name: "mask".into(),
        config: BTreeMap::new(),
        retries: Some(5),
        batch_bytes: Some(512 << 10),
    };
    assert_eq!(steps(&service, "s"), [expected]);

    let next = lambda("arn:aws:lambda:eu-west-1:999999999999:function:enrich", &[]);
    service.update("s", "1", next.clone()).await.unwrap();
    assert_eq!(service.destination("s").await["ProcessingConfiguration"], next["ProcessingConfiguration"]);
    assert_eq!(steps(&service, "s"), [Processor::plugin("enrich")]);

    service.update("s", "2", json!({ "ProcessingConfiguration": { "Enabled": false } })).await.unwrap();
    assert_eq!(steps(&service, "s"), []);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_function_is_refused_with_what_there_is() {
    let service = Service::start(&SimDisk::new(1), &with_plugins(Vec::new())).await.unwrap();
    let said = |name: &str| {
        (
            "InvalidArgumentException",
            format!(
                "LambdaArn names the function {name}, and the configuration has no [plugin.{name}]: it has enrich, mask"
            ),
        )
    };
    let arn = |name: &str| format!("arn:aws:lambda:us-east-1:123456789012:function:{name}");
    let body = create("s", lambda(&arn("maks"), &[]));
    assert_eq!(service.refused("CreateDeliveryStream", body).await, said("maks"));
    service.create("s", lambda(&arn("mask"), &[])).await;
    let refused = service.update("s", "1", lambda(&arn("other"), &[])).await.unwrap_err();
    assert_eq!((refused.code, refused.message.into_owned()), said("other"));
    for arn in ["arn:aws:lambda:us-east-1:123456789012:function:s/1", "arn:aws:lambda:::function:mask", "mask"] {
        let (code, message) = service.refused("CreateDeliveryStream", create("t", lambda(arn, &[]))).await;
        assert_eq!(code, "InvalidArgumentException");
        assert!(message.contains("is not the ARN of a function"), "{message}");
    }
}

/// One stream whose plugin is gone must not keep the others from starting.
#[tokio::test(start_paused = true)]
async fn a_plugin_that_was_taken_out_is_no_fault_of_the_service() {
    let dir = tempfile::tempdir().unwrap();
    let open = || std::sync::Arc::new(RealDisk::open(dir.path()).unwrap());
    let service = Service::start_on(open(), &with_plugins(Vec::new())).await.unwrap();
    service.create("s", lambda("arn:aws:lambda:us-east-1:123456789012:function:mask", &ALL)).await;
    let before = steps(&service, "s");
    drop(service);
    let service = Service::start_on(open(), &config(Vec::new())).await.unwrap();
    assert_eq!(steps(&service, "s"), before);
    let refused = service.update("s", "1", json!({ "Prefix": "x/" })).await.unwrap_err();
    assert!(refused.message.ends_with("it has no plugins"), "{}", refused.message);
}

#[tokio::test(start_paused = true)]
async fn steps_of_the_file_are_shown_as_lambda_processors() {
    let own = Processor::Plugin {
        name: "mask".into(),
        config: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        retries: Some(7),
        batch_bytes: Some(1 << 20),
    };
    let stream = DeliveryStream { process: vec![Processor::RequireJson, own], ..file_stream("f", "x/") };
    let unnamed = DeliveryStream { process: vec![Processor::plugin("s/1")], ..file_stream("s", "y/") };
    let dir = tempfile::tempdir().unwrap();
    let open = || std::sync::Arc::new(RealDisk::open(dir.path()).unwrap());
    let service = Service::start_on(open(), &with_plugins(vec![stream, unnamed])).await.unwrap();
    let shown = &service.destination("s").await["ProcessingConfiguration"]["Processors"][0]["Parameters"][0];
    assert_eq!(
        shown["ParameterValue"], "arn:aws:lambda:us-east-1:123456789012:function:s-1",
        "an ARN's name has no slash"
    );
    let shown = service.destination("f").await;
    let expected = lambda(
        "arn:aws:lambda:us-east-1:123456789012:function:mask",
        &[("RoleArn", "arn:aws:iam::123456789012:role/standpipe"), ("NumberOfRetries", "7"), ("BufferSizeInMBs", "1")],
    );
    assert_eq!(shown["ProcessingConfiguration"], expected["ProcessingConfiguration"]);
    let before = steps(&service, "f");
    drop(service);
    // It vanished from the file: it drains as it was.
    let service = Service::start_on(open(), &with_plugins(Vec::new())).await.unwrap();
    assert_eq!(steps(&service, "f"), before);
}

/// Every built-in processor with every parameter, in an order that is not the one in which they work.
#[tokio::test(start_paused = true)]
async fn built_in_processors_are_described_unchanged_and_work_in_their_order() {
    let processor = |kind: &str, parameters: &[(&str, &str)]| {
        let parameter = |(name, value): &(&str, &str)| json!({ "ParameterName": name, "ParameterValue": value });
        json!({ "Type": kind, "Parameters": parameters.iter().map(parameter).collect::<Vec<_>>() })
    };
    let delimited = [("SubRecordType", "DELIMITED"), ("Delimiter", "IyMjIw==")];
    let query = [("MetadataExtractionQuery", "{t:.tenant, l:(.a|length)}"), ("JsonParsingEngine", "JQ-1.6")];
    let destination = |processors: Value| {
        json!({
            "Prefix": "!{partitionKeyFromQuery:t}/!{partitionKeyFromQuery:l}/",
            "ErrorOutputPrefix": "e/!{firehose:error-output-type}/",
            "BufferingHints": { "SizeInMBs": 64, "IntervalInSeconds": 60 },
            "DynamicPartitioningConfiguration": { "Enabled": true },
            "ProcessingConfiguration": { "Enabled": true, "Processors": processors },
        })
    };
    let logs = [("DataMessageExtraction", "true")];
    let all = json!([
        processor("AppendDelimiterToRecord", &[]),
        processor("MetadataExtraction", &query),
        processor("RecordDeAggregation", &delimited),
        processor("CloudWatchLogProcessing", &logs),
        processor("Decompression", &[("CompressionFormat", "GZIP")]),
    ]);
    let service = Service::new().await;
    service.create("s", destination(all.clone())).await;
    assert_eq!(service.destination("s").await["ProcessingConfiguration"]["Processors"], all);
    let builtin = |builtin| Processor::Builtin(builtin);
    let keys = || Builtin::Keys { query: Some("{t:.tenant, l:(.a|length)}".into()), event_time: None };
    let expected = [
        builtin(Builtin::Decompress),
        builtin(Builtin::CloudwatchLogs),
        builtin(Builtin::Deaggregate(SubRecords::Delimited("IyMjIw==".into()))),
        builtin(keys()),
    ];
    assert_eq!(steps(&service, "s"), expected);
    let entry = service.context.catalog.get("s").unwrap();
    assert_eq!(entry.stream.destination.delimiter, Delimiter::Between);

    let less = json!([
        processor("RecordDeAggregation", &[("SubRecordType", "JSON")]),
        processor("Decompression", &[]),
        processor("CloudWatchLogProcessing", &[("DataMessageExtraction", "False")]),
        processor("MetadataExtraction", &query),
    ]);
    let update = json!({ "ProcessingConfiguration": { "Enabled": true, "Processors": less } });
    service.update("s", "1", update).await.unwrap();
    assert_eq!(service.destination("s").await["ProcessingConfiguration"]["Processors"], less);
    let expected = [builtin(Builtin::Decompress), builtin(Builtin::Deaggregate(SubRecords::Json)), builtin(keys())];
    assert_eq!(steps(&service, "s"), expected);
    assert_eq!(service.context.catalog.get("s").unwrap().stream.destination.delimiter, Delimiter::Never);

    let given = processor("AppendDelimiterToRecord", &[("Delimiter", "IyM=")]);
    let alone = json!({ "ProcessingConfiguration": { "Enabled": true, "Processors": [given] } });
    service.create("d", alone).await;
    let shown = &service.destination("d").await["ProcessingConfiguration"]["Processors"];
    assert_eq!(*shown, json!([{ "Type": "AppendDelimiterToRecord", "Parameters": [] }]), "given ones are dropped");
}

#[tokio::test(start_paused = true)]
async fn built_in_steps_of_the_file_are_shown_in_the_words_of_the_api() {
    let process = [Builtin::Decompress, Builtin::CloudwatchLogs, Builtin::Deaggregate(SubRecords::Json)];
    let mut stream = file_stream("f", "x/");
    stream.process = process.map(Processor::Builtin).to_vec();
    stream.destination.delimiter = Delimiter::Between;
    let service = Service::start(&SimDisk::new(1), &config(vec![stream])).await.unwrap();
    let shown = &service.destination("f").await["ProcessingConfiguration"]["Processors"];
    let types: Vec<_> = shown.as_array().unwrap().iter().map(|shown| shown["Type"].as_str().unwrap()).collect();
    let expected = ["Decompression", "CloudWatchLogProcessing", "RecordDeAggregation", "AppendDelimiterToRecord"];
    assert_eq!(types, expected);
    assert_eq!(shown[1]["Parameters"], json!([{ "ParameterName": "DataMessageExtraction", "ParameterValue": "True" }]));
}
