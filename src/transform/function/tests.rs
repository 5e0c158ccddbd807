//! Functions over real connections: what they are sent, and what becomes of rows by what they answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::Response;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::super::KeyColumn;
use super::*;
use crate::record::Keys;

/// What the server is to do with one call.
enum Reply {
    Json(Value),
    Raw(u16, Vec<u8>),
    Error(Value),
    Never,
}

/// A server that answers by a function of the event and of how many calls there were before.
struct Server {
    address: SocketAddr,
    events: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(reply: impl Fn(&Value, usize) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let (reply, seen) = (Arc::new(reply), events.clone());
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (reply, seen) = (reply.clone(), seen.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                        let (reply, seen) = (reply.clone(), seen.clone());
                        async move {
                            assert_eq!(request.headers()["content-type"], "application/json");
                            assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/invoke"));
                            let body = request.into_body().collect().await.unwrap().to_bytes();
                            let event: Value = serde_json::from_slice(&body).unwrap();
                            assert!(body.len() <= 6_000_000 || event["records"].as_array().unwrap().len() == 1);
                            let before = seen.lock().unwrap().len();
                            seen.lock().unwrap().push(event.clone());
                            answer(reply(&event, before)).await
                        }
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    drop(http.serve_connection(TokioIo::new(socket), service).await);
                });
            }
        });
        Server { address, events, task }
    }

    fn events(&self) -> Vec<Value> {
        self.events.lock().unwrap().clone()
    }

    fn settings(&self) -> Settings {
        settings(&format!("http://{}/invoke", self.address))
    }

    fn function(&self, change: impl FnOnce(&mut Settings)) -> Function {
        let mut settings = self.settings();
        change(&mut settings);
        function(settings)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(reply: Reply) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
    let (status, error, body) = match reply {
        Reply::Json(body) => (200, false, body.to_string().into_bytes()),
        Reply::Raw(status, body) => (status, false, body),
        Reply::Error(body) => (200, true, body.to_string().into_bytes()),
        Reply::Never => std::future::pending().await,
    };
    let mut response = Response::builder().status(status);
    if error {
        response = response.header("X-Amz-Function-Error", "Unhandled");
    }
    Ok(response.body(Full::new(body.into())).unwrap())
}

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

fn settings(url: &str) -> Settings {
    Settings {
        name: "f".into(),
        url: url.into(),
        arn: ARN.into(),
        timeout: Duration::from_mins(1),
        retries: 2,
        batch_bytes: 1 << 20,
    }
}

fn function(settings: Settings) -> Function {
    let caller = Caller {
        delivery_stream_arn: "arn:aws:firehose:us-east-1:000000000000:deliverystream/s".into(),
        region: "us-east-1".into(),
        source_arn: None,
    };
    Function::with_pause(settings, caller, Clock::real(), Arc::default(), Duration::from_millis(1)).unwrap()
}

/// Rows of one origin each.
fn rows<T: AsRef<[u8]>>(records: &[T]) -> (Rows, Origins) {
    let mut rows = Rows::default();
    let mut origins = Origins::default();
    for (number, record) in (0..).zip(records) {
        rows.data.extend_from_slice(record.as_ref());
        rows.ends.push(rows.data.len() as u32);
        rows.origins.push(number);
        origins.arrived_ms.push(1_700_000_000_000 + u64::from(number));
        origins.positions.push(100 + u64::from(number));
    }
    (rows, origins)
}

fn encoded(text: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(text)
}

fn decoded(record: &Value) -> Vec<u8> {
    base64_simd::STANDARD.decode_to_vec(record["data"].as_str().unwrap()).unwrap()
}

/// An answer whose records are made from those of the event.
fn each(event: &Value, answer: impl Fn(&Value) -> Value) -> Reply {
    let records: Vec<_> = event["records"].as_array().unwrap().iter().map(answer).collect();
    Reply::Json(json!({ "records": records }))
}

fn upper(record: &Value) -> Value {
    json!({ "recordId": record["recordId"], "result": "Ok", "data": encoded(&decoded(record).to_ascii_uppercase()) })
}

fn lines(rows: &Rows) -> Vec<(u32, String)> {
    (0..rows.len()).map(|row| (rows.origins[row], String::from_utf8_lossy(rows.get(row)).into_owned())).collect()
}

/// Origin, code and attempts of each failure.
fn failures(outcome: &Outcome) -> Vec<(u32, &str, u32)> {
    assert!(outcome.failed.iter().all(|failed| failed.failure.by.as_deref() == Some(ARN)));
    outcome.failed.iter().map(|failed| (failed.origin, &*failed.failure.code, failed.failure.attempts)).collect()
}

#[tokio::test]
async fn a_function_is_sent_firehoses_event_and_its_answer_goes_on() {
    let server = Server::start(|event, _| each(event, upper)).await;
    let (rows, origins) = rows(&["ab", "", "c"]);
    let outcome = server.function(|_| {}).run(&rows, &origins).await.unwrap();
    assert_eq!(lines(&outcome.rows), [(0, "AB".into()), (1, String::new()), (2, "C".into())]);
    assert_eq!((outcome.failed.len(), outcome.rows.keys.len()), (0, 0));
    let [event] = server.events().try_into().unwrap();
    let names: Vec<_> = event.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["invocationId", "deliveryStreamArn", "region", "records"]);
    assert_eq!(event["invocationId"].as_str().unwrap().len(), 36);
    assert_eq!(event["deliveryStreamArn"], "arn:aws:firehose:us-east-1:000000000000:deliverystream/s");
    let expected = json!({
        "recordId": "000000000000000000000000000101000000",
        "approximateArrivalTimestamp": 1_700_000_000_001_u64,
        "data": "",
    });
    assert_eq!(event["records"][1], expected);
    assert_eq!(event["records"][2]["data"], encoded(b"c"));
}

#[tokio::test]
async fn records_of_a_data_stream_say_where_they_stand() {
    let server = Server::start(|event, _| each(event, upper)).await;
    let (mut rows, mut origins) = rows(&["a", "b", "c", "d"]);
    // Two user records of one aggregate, then one of another shard; of the last record an earlier step made two rows.
    origins.positions = vec![7, 7, 7, 8];
    origins.shards = vec![0, 0, 1, 1];
    origins.keys = Some(Keys { ends: vec![1, 2, 4, 4], data: "k\"é".into() });
    rows.origins = vec![0, 1, 3, 3];
    let mut function = server.function(|_| {});
    Arc::get_mut(&mut function.0).unwrap().caller.source_arn = Some("arn:aws:kinesis:x".into());
    let outcome = function.run(&rows, &origins).await.unwrap();
    assert_eq!(outcome.rows.origins, [0, 1, 3, 3]);
    let event = &server.events()[0];
    assert_eq!(event["sourceKinesisStreamArn"], "arn:aws:kinesis:x");
    let expected = json!({
        "shardId": "shardId-000000000000",
        "partitionKey": "\"",
        "approximateArrivalTimestamp": 1_700_000_000_001_u64,
        "sequenceNumber": "7",
        "subsequenceNumber": 1,
    });
    assert_eq!(event["records"][1]["kinesisRecordMetadata"], expected);
    assert_eq!(event["records"][2]["kinesisRecordMetadata"]["subsequenceNumber"], 0);
    let ids: std::collections::BTreeSet<_> = (0..4).map(|at| event["records"][at]["recordId"].to_string()).collect();
    assert_eq!(ids.len(), 4, "each row has an id of its own");
}

#[tokio::test]
async fn each_record_fails_with_its_own_code() {
    let server = Server::start(|event, _| {
        let record = |at: usize| &event["records"][at]["recordId"];
        let ok = |at: usize| json!({ "recordId": record(at), "result": "Ok", "data": encoded(b"x") });
        Reply::Json(json!({ "records": [
            ok(0),
            { "recordId": record(1), "result": "Dropped" },
            { "recordId": record(2), "result": "ProcessingFailed", "data": "!!" },
            ok(4), ok(4),
            { "recordId": record(5), "result": "Ok", "data": null },
            { "recordId": record(6), "result": "Ok", "data": encoded(b"x"), "metadata": { "partitionKeys": { "a": [] } } },
            { "recordId": "nobody's", "result": "Ok", "data": encoded(b"y") },
            { "result": "Dropped" },
            { "recordId": record(7), "result": "Ok", "data": encoded(b"z"), "metadata": null, "more": [[]] },
        ] }))
    })
    .await;
    let (rows, origins) = rows(&["0", "1", "2", "3", "4", "5", "6", "7"]);
    let outcome = server.function(|_| {}).run(&rows, &origins).await.unwrap();
    assert_eq!(lines(&outcome.rows), [(0, "x".into()), (7, "z".into())]);
    assert_eq!(
        failures(&outcome),
        [
            (2, "Lambda.ProcessingFailedStatus", 1),
            (3, "Lambda.MissingRecordId", 1),
            (4, "Lambda.DuplicatedRecordId", 1),
            (5, "Lambda.InvalidReturnFormat", 1),
            (6, "Lambda.InvalidReturnFormat", 1),
        ]
    );
    assert_eq!(outcome.failed[0].failure.message, "ProcessingFailed status set for record");
    assert_eq!(server.events().len(), 1, "nothing is asked for again");
}

/// (answer, code of every record, calls)
#[tokio::test]
async fn whole_batches_fail_with_their_code() {
    type Case = (fn(&Value) -> Reply, &'static str, usize);
    let cases: [Case; 12] = [
        (|_| Reply::Json(json!({ "Records": [] })), "Lambda.MissingRecordId", 1),
        (|_| Reply::Json(Value::Null), "Lambda.MissingRecordId", 1),
        (|_| Reply::Json(json!({ "records": {} })), "Lambda.MissingRecordId", 1),
        (|_| Reply::Json(json!({ "records": [{ "recordId": "x", "result": "ok" }] })), "Lambda.FunctionError", 1),
        (
            |event| each(event, |record| json!({ "recordId": record["recordId"], "result": "Ok", "data": "a!" })),
            "Lambda.FunctionError",
            1,
        ),
        (|_| Reply::Json(json!({ "records": [5] })), "Lambda.FunctionError", 1),
        (|_| Reply::Error(json!({ "errorType": "E", "errorMessage": "m" })), "Lambda.FunctionError", 3),
        (|_| Reply::Json(json!({ "errorMessage": "m", "errorType": "E" })), "Lambda.FunctionError", 3),
        (|_| Reply::Raw(200, b"<html>".to_vec()), "Lambda.JsonProcessingException", 3),
        (|_| Reply::Raw(403, b"no".to_vec()), "Lambda.InvokeAccessDenied", 3),
        (|_| Reply::Raw(404, Vec::new()), "Lambda.ResourceNotFound", 3),
        (|_| Reply::Raw(429, Vec::new()), "Lambda.InvokeLimitExceeded", 3),
    ];
    for (number, (reply, code, calls)) in cases.into_iter().enumerate() {
        let server = Server::start(move |event, _| reply(event)).await;
        let (rows, origins) = rows(&["a", "b"]);
        let outcome = server.function(|_| {}).run(&rows, &origins).await.unwrap();
        let attempts = calls as u32;
        assert_eq!(failures(&outcome), [(0, code, attempts), (1, code, attempts)], "case {number}");
        assert_eq!((outcome.rows.len(), server.events().len()), (0, calls), "case {number}");
    }
}

#[tokio::test]
async fn a_repeated_call_has_the_same_records_and_another_invocation() {
    let server = Server::start(|event, before| match before {
        0 => Reply::Error(json!({ "errorMessage": "once" })),
        1 => Reply::Raw(502, Vec::new()),
        _ => each(event, upper),
    })
    .await;
    let (rows, origins) = rows(&["a", "b"]);
    let outcome = server.function(|_| {}).run(&rows, &origins).await.unwrap();
    assert_eq!((outcome.rows.len(), outcome.failed.len()), (2, 0));
    let [first, second, third] = server.events().try_into().unwrap();
    assert!(first["records"] == second["records"] && second["records"] == third["records"]);
    let id = |event: &Value| event["invocationId"].to_string();
    assert!(id(&first) != id(&second) && id(&second) != id(&third) && id(&first) != id(&third));
}

#[tokio::test]
async fn no_answer_in_time_and_nobody_there_are_failures() {
    let server = Server::start(|_, _| Reply::Never).await;
    let (rows, origins) = rows(&["a"]);
    let function = server.function(|settings| {
        settings.timeout = Duration::from_millis(20);
        settings.retries = 1;
    });
    let outcome = function.run(&rows, &origins).await.unwrap();
    assert_eq!(failures(&outcome), [(0, "Lambda.FunctionError", 2)]);
    let message = "The Lambda function was successfully invoked but it returned an error result.";
    assert_eq!(outcome.failed[0].failure.message, message);

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome =
        super::tests::function(settings(&format!("http://{nobody}/invoke"))).run(&rows, &origins).await.unwrap();
    assert_eq!(failures(&outcome), [(0, "Lambda.FunctionError", 3)]);
    let message = &outcome.failed[0].failure.message;
    assert!(message.starts_with("The Lambda function could not be invoked: "), "{message}");
}

#[tokio::test]
async fn batches_are_cut_by_bytes_and_by_records() {
    let server = Server::start(|event, _| each(event, upper)).await;
    let function = server.function(|settings| settings.batch_bytes = 200_000);
    let mut records = vec![vec![b'a'; 90_000]; 5];
    records.insert(2, vec![b'b'; 7_000_000]);
    let (large, origins) = rows(&records);
    let outcome = function.run(&large, &origins).await.unwrap();
    assert_eq!((outcome.rows.len(), outcome.failed.len()), (6, 0));
    let sizes = |events: &[Value]| -> Vec<usize> {
        events.iter().map(|event| event["records"].as_array().unwrap().len()).collect()
    };
    assert_eq!(sizes(&server.events()), [2, 1, 2, 1]);
    let (tiny, origins) = rows(&vec!["x"; 25_000]);
    let outcome = function.run(&tiny, &origins).await.unwrap();
    assert_eq!((outcome.rows.len(), outcome.rows.data.len()), (25_000, 25_000));
    assert_eq!(sizes(&server.events()[4..]), [10_000, 10_000, 5_000]);
}

/// Each record becomes 2 MB of base64, so two fit into an answer and four do not.
#[tokio::test]
async fn a_batch_whose_answer_is_too_large_is_asked_for_in_halves() {
    let server = Server::start(|event, _| {
        each(event, |record| {
            let mut answer = upper(record);
            answer["data"] = encoded(&decoded(record).repeat(1_500_000)).into();
            answer
        })
    })
    .await;
    let (input, origins) = rows(&["a", "b", "c", "d", "e"]);
    let outcome = server.function(|_| {}).run(&input, &origins).await.unwrap();
    assert_eq!((outcome.rows.origins.as_slice(), outcome.failed.len()), ([0, 1, 2, 3, 4].as_slice(), 0));
    assert!((0..5).all(|row| outcome.rows.get(row) == vec![b'a' + row as u8; 1_500_000]));
    let sizes: Vec<_> = server.events().iter().map(|event| event["records"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [5, 2, 3, 1, 2], "three are too many too");

    // What Lambda itself says, and a record that alone is too much.
    let server = Server::start(|event, _| match event["records"].as_array().unwrap().len() {
        1 if event["records"][0]["data"] == encoded(b"b") => Reply::Raw(413, Vec::new()),
        1 => each(event, upper),
        _ => Reply::Error(json!({ "errorType": "Function.ResponseSizeTooLarge", "errorMessage": "m" })),
    })
    .await;
    let (input, origins) = rows(&["a", "b", "c"]);
    let outcome = server.function(|settings| settings.retries = 1).run(&input, &origins).await.unwrap();
    assert_eq!(outcome.rows.origins, [0, 2]);
    assert_eq!(failures(&outcome), [(1, "Lambda.FunctionError", 2)]);
}

#[tokio::test]
async fn partition_keys_become_columns_beside_those_that_there_were() {
    let server = Server::start(|event, _| {
        each(event, |record| {
            let mut answer = upper(record);
            answer["metadata"] = match decoded(record).as_slice() {
                b"a" => json!({ "partitionKeys": { "tenant": "x", "hour": 7 } }),
                b"b" => json!({ "partitionKeys": { "region": "eu" } }),
                b"d" => json!({ "partitionKeys": (0..51).map(|n| (format!("k{n}"), "v".into())).collect::<serde_json::Map<_, _>>() }),
                b"e" => json!({ "partitionKeys": { "k": "v".repeat(1_025) } }),
                b"f" => json!({ "partitionKeys": "x" }),
                _ => Value::Null,
            };
            answer
        })
    })
    .await;
    let (mut input, origins) = rows(&["a", "b", "c", "d", "e", "f"]);
    input.keys = vec![KeyColumn { name: "tenant".into(), data: "pqrstu".into(), ends: vec![1, 2, 3, 4, 5, 6] }];
    let outcome = server.function(|_| {}).run(&input, &origins).await.unwrap();
    let table: Vec<(&str, Vec<&str>)> = outcome
        .rows
        .keys
        .iter()
        .map(|column| (column.name.as_str(), (0..outcome.rows.len()).map(|row| column.get(row)).collect()))
        .collect();
    let expected = [("tenant", vec!["x", "q", "r"]), ("hour", vec!["7", "", ""]), ("region", vec!["", "eu", ""])];
    assert_eq!(table, expected);
    let code = "Lambda.InvalidReturnFormat";
    assert_eq!(failures(&outcome), [(3, code, 1), (4, code, 1), (5, code, 1)]);
    assert!(outcome.failed[0].failure.message.contains("are more than 50"), "{:?}", outcome.failed[0]);
}

/// A function that gives every record another name must not make a column for each.
#[tokio::test]
async fn the_number_of_columns_is_bounded() {
    let server = Server::start(|event, _| {
        each(event, |record| {
            let mut answer = upper(record);
            answer["metadata"] = json!({ "partitionKeys": { String::from_utf8(decoded(record)).unwrap(): "v" } });
            answer
        })
    })
    .await;
    let names: Vec<_> = (0..60).map(|number| format!("k{number}")).collect();
    let (rows, origins) = rows(&names);
    let outcome = server.function(|_| {}).run(&rows, &origins).await.unwrap();
    assert_eq!((outcome.rows.keys.len(), outcome.rows.len(), outcome.failed.len()), (50, 50, 10));
}

#[tokio::test]
async fn an_origin_fails_whole() {
    let server = Server::start(|event, _| {
        each(event, |record| match decoded(record).as_slice() {
            b"bad" => json!({ "recordId": record["recordId"], "result": "ProcessingFailed" }),
            _ => upper(record),
        })
    })
    .await;
    let (mut rows, mut origins) = rows(&["a", "b", "bad", "c", "bad", "bad", "d"]);
    rows.origins = vec![0, 1, 1, 1, 2, 2, 4];
    origins.positions.truncate(5);
    origins.arrived_ms.truncate(5);
    let outcome = server.function(|_| {}).run(&rows, &origins).await.unwrap();
    assert_eq!(lines(&outcome.rows), [(0, "A".into()), (4, "D".into())]);
    let code = "Lambda.ProcessingFailedStatus";
    assert_eq!(failures(&outcome), [(1, code, 1), (2, code, 1)]);
}

#[tokio::test]
async fn hostile_answers_cost_their_batch_and_nothing_else() {
    let deep = format!("{{\"records\":{}{}}}", "[".repeat(500_000), "]".repeat(500_000));
    let nested = format!(
        "{{\"records\":[{{\"recordId\":\"000000000000000000000000000100000000\",\"result\":\"Ok\",\"data\":\"\",\"metadata\":{}5{}}}]}}",
        "{\"partitionKeys\":{\"a\":".repeat(2_000),
        "}}".repeat(2_000)
    );
    let many = format!("{{\"records\":[{}{{}}]}}", "{},".repeat(1_500_000));
    let cases = [
        (deep, "Lambda.FunctionError"),
        (nested, "Lambda.InvalidReturnFormat"),
        (many, "Lambda.FunctionError"),
        ("{\"records\":[{\"recordId\":\"\\ud800\"}]}".to_owned(), "Lambda.FunctionError"),
        ("{\"records\":[], \"records\":[]}".to_owned(), "Lambda.MissingRecordId"),
    ];
    for (body, code) in cases {
        let shown: String = body.chars().take(40).collect();
        let server = Server::start(move |_, _| Reply::Raw(200, body.clone().into_bytes())).await;
        let (rows, origins) = rows(&["a"]);
        let outcome = server.function(|settings| settings.retries = 0).run(&rows, &origins).await.unwrap();
        assert_eq!(failures(&outcome), [(0, code, 1)], "{shown}");
    }
}

#[tokio::test]
async fn nothing_is_asked_about_nothing() {
    let server = Server::start(|event, _| each(event, upper)).await;
    let outcome = server.function(|_| {}).run(&Rows::default(), &Origins::default()).await.unwrap();
    assert_eq!((outcome, server.events().len()), (Outcome::default(), 0));
}

#[test]
fn certificates_are_read_for_https_alone_and_a_url_must_be_one() {
    let caller = || Caller { delivery_stream_arn: String::new(), region: String::new(), source_arn: None };
    assert!(Function::new(settings("https://example.com/f"), caller(), Clock::real(), Arc::default()).is_ok());
    let refused = Function::new(settings("http://a b"), caller(), Clock::real(), Arc::default()).err().unwrap();
    assert_eq!(refused.kind(), crate::error::Kind::Invalid);
}

proptest! {
    /// Whatever is answered, every row has one verdict and nothing panics.
    #[test]
    fn any_answer_gives_a_verdict_for_each_id(
        body in prop_oneof![
            any::<Vec<u8>>(),
            "[\\[\\]{}:,\"a-z0-9 ]{0,80}".prop_map(String::into_bytes),
            ("(1|2|3|x)", "(Ok|Dropped|ProcessingFailed|ok)", "[A-D=!]{0,8}", "(null|\\{\"partitionKeys\":\\{\"a\":[0-9\"x]{1,3}\\}\\})")
                .prop_map(|(id, result, data, metadata)| format!(
                    "{{\"records\":[{{\"recordId\":\"{id}\",\"result\":\"{result}\",\"data\":\"{data}\",\"metadata\":{metadata}}}]}}"
                ).into_bytes()),
        ],
    ) {
        let ids = ["1", "2", "3"].map(String::from);
        if let Ok(verdicts) = answer::judge(&ids, &body, 1) {
            prop_assert_eq!(verdicts.len(), 3);
        }
    }
}
