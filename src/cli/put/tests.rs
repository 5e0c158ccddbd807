//! `put` against a service that is played by a few lines of HTTP.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;

/// What the service does with a call.
#[derive(Clone, Copy, PartialEq)]
enum Play {
    /// Takes all records.
    Take,
    /// Refuses every second record.
    RefuseOdd,
    /// 503, nothing stored.
    Unavailable,
    /// 400 ResourceNotFoundException.
    NotFound,
}

/// A call as it arrived.
struct Call {
    invocation: String,
    records: Vec<Vec<u8>>,
    /// Of a data stream's records.
    keys: Vec<String>,
}

struct Service {
    url: String,
    calls: mpsc::UnboundedReceiver<Call>,
}

/// Plays `script`, then takes everything.
async fn service(script: &[Play]) -> Service {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, calls) = mpsc::unbounded_channel();
    let script = Arc::new(Mutex::new(script.iter().copied().collect::<VecDeque<_>>()));
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(converse(connection, script.clone(), sender.clone()));
        }
    });
    Service { url, calls }
}

async fn converse(connection: TcpStream, script: Arc<Mutex<VecDeque<Play>>>, calls: mpsc::UnboundedSender<Call>) {
    let mut connection = BufReader::new(connection);
    while let Some(call) = read_call(&mut connection).await {
        let play = script.lock().unwrap().pop_front().unwrap_or(Play::Take);
        let (status, body) = answer(play, call.records.len(), call.keys.is_empty());
        _ = calls.send(call);
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    }
}

async fn read_call(connection: &mut BufReader<TcpStream>) -> Option<Call> {
    let (mut length, mut invocation) = (0, String::new());
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("amz-sdk-invocation-id", value)) => value.clone_into(&mut invocation),
            None if line == "\r\n" => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.ok()?;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let stream = body.get("DeliveryStreamName").or(body.get("StreamName"));
    assert_eq!(stream.and_then(Value::as_str), Some("s"));
    let records = body["Records"].as_array().unwrap();
    let keys = records.iter().filter_map(|record| record["PartitionKey"].as_str()).map(str::to_owned).collect();
    let decode = |record: &Value| base64_simd::STANDARD.decode_to_vec(record["Data"].as_str().unwrap()).unwrap();
    Some(Call { invocation, records: records.iter().map(decode).collect(), keys })
}

fn answer(play: Play, records: usize, firehose: bool) -> (&'static str, Value) {
    let error = |name: &str| json!({"__type": name, "message": "because"});
    match play {
        Play::Unavailable => return ("503 Service Unavailable", error("ServiceUnavailableException")),
        Play::NotFound => return ("400 Bad Request", error("ResourceNotFoundException")),
        Play::Take | Play::RefuseOdd => {}
    }
    let entry = |index| match play {
        Play::RefuseOdd if index % 2 == 1 => {
            json!({"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."})
        }
        _ if firehose => json!({"RecordId": "id"}),
        _ => json!({"SequenceNumber": "1", "ShardId": "shardId-000000000000"}),
    };
    let failed = if play == Play::RefuseOdd { records / 2 } else { 0 };
    let entries: Vec<_> = (0..records).map(entry).collect();
    if firehose {
        return ("200 OK", json!({"FailedPutCount": failed, "RequestResponses": entries}));
    }
    ("200 OK", json!({"FailedRecordCount": failed, "Records": entries}))
}

fn args(service: &Service) -> PutArgs {
    PutArgs {
        stream: "s".into(),
        data_stream: false,
        key: Keys::Random,
        max_record_size: DATA_RECORD_BYTES_DEFAULT,
        file: "-".into(),
        endpoint: service.url.clone(),
        region: "us-east-1".into(),
        in_flight: 1,
        linger: Duration::from_millis(20),
        attempts: 4,
        strip: false,
    }
}

async fn send(service: &Service, input: &[u8]) -> ExitCode {
    put_from(&args(service), Clock::real(), input, Some(input.len() as u64)).await
}

fn calls(service: &mut Service) -> Vec<Call> {
    std::iter::from_fn(|| service.calls.try_recv().ok()).collect()
}

#[tokio::test]
async fn lines_arrive_in_order_in_calls_of_500() {
    let mut service = service(&[]).await;
    let input = (0..1_234).map(|number| format!("line {number}\n")).collect::<Vec<_>>().concat();
    assert_eq!(send(&service, input.as_bytes()).await, ExitCode::SUCCESS);
    let calls = calls(&mut service);
    assert!(calls.iter().all(|call| call.records.len() <= 500));
    assert_eq!(calls.iter().flat_map(|call| call.records.concat()).collect::<Vec<_>>(), input.as_bytes());
}

#[tokio::test]
async fn a_call_holds_no_more_than_4_mib() {
    let mut service = service(&[]).await;
    let mut line = vec![b'x'; 999_999];
    line.push(b'\n');
    assert_eq!(send(&service, &line.repeat(9)).await, ExitCode::SUCCESS);
    let calls = calls(&mut service);
    assert!(calls.iter().all(|call| call.records.concat().len() <= 4 << 20));
    assert_eq!(calls.iter().map(|call| call.records.len()).sum::<usize>(), 9);
}

#[tokio::test]
async fn only_refused_records_are_sent_again() {
    let mut service = service(&[Play::RefuseOdd]).await;
    assert_eq!(send(&service, b"a\nb\nc\nd\n").await, ExitCode::SUCCESS);
    let calls = calls(&mut service);
    assert_eq!(calls[0].records, [b"a\n", b"b\n", b"c\n", b"d\n"]);
    assert_eq!(calls[1].records, [b"b\n", b"d\n"]);
    assert_ne!(calls[0].invocation, calls[1].invocation, "the second call has other records: it is no retry");
}

#[tokio::test]
async fn records_that_stay_refused_are_an_error() {
    let mut service = service(&[Play::RefuseOdd; 9]).await;
    assert_eq!(send(&service, &b"x\n".repeat(64)).await, ExitCode::FAILURE);
    assert_eq!(calls(&mut service).len(), 4);
}

#[tokio::test]
async fn a_call_that_fails_whole_is_repeated_under_its_own_name() {
    let mut service = service(&[Play::Unavailable, Play::Unavailable]).await;
    assert_eq!(send(&service, b"a\n").await, ExitCode::SUCCESS);
    let calls = calls(&mut service);
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call.invocation == calls[0].invocation && call.records == [b"a\n"]));
}

#[tokio::test]
async fn a_stream_that_does_not_exist_ends_it_at_once() {
    let mut service = service(&[Play::NotFound; 9]).await;
    assert_eq!(send(&service, b"a\n").await, ExitCode::FAILURE);
    assert_eq!(calls(&mut service).len(), 1);
}

#[tokio::test]
async fn a_line_over_the_limit_costs_only_itself() {
    let mut service = service(&[]).await;
    let longest = [vec![b'x'; RECORD_BYTES_MAX - 1], b"\n".to_vec()].concat();
    let too_long = [vec![b'y'; RECORD_BYTES_MAX], b"\n".to_vec()].concat();
    let input = [b"a\n".to_vec(), too_long, longest.clone(), b"b".to_vec()].concat();
    assert_eq!(send(&service, &input).await, ExitCode::FAILURE);
    let records: Vec<_> = calls(&mut service).into_iter().flat_map(|call| call.records).collect();
    assert_eq!(records, [b"a\n".to_vec(), longest, b"b".to_vec()]);
}

#[tokio::test]
async fn a_line_goes_out_while_the_input_stays_open() {
    let mut service = service(&[]).await;
    let (mut input, output) = tokio::io::duplex(64);
    let args = args(&service);
    let put = tokio::spawn(async move { put_from(&args, Clock::real(), output, None).await });
    for line in ["first\n", "second\n"] {
        input.write_all(line.as_bytes()).await.unwrap();
        assert_eq!(service.calls.recv().await.unwrap().records, [line.as_bytes()]);
    }
    drop(input);
    assert_eq!(put.await.unwrap(), ExitCode::SUCCESS);
}

/// Sends to a data stream.
async fn send_keyed(service: &Service, key: &str, input: &[u8]) -> ExitCode {
    let args = PutArgs { data_stream: true, key: key.parse().unwrap(), ..args(service) };
    put_from(&args, Clock::real(), input, None).await
}

#[tokio::test]
async fn a_data_stream_gets_keys_and_only_refused_records_again() {
    let mut service = service(&[Play::RefuseOdd]).await;
    let input = b"{\"u\":\"a\"}\n{\"u\":7}\n{\"x\":1,\"u\":\"c\"}\n";
    assert_eq!(send_keyed(&service, "u", input).await, ExitCode::SUCCESS);
    let calls = calls(&mut service);
    assert_eq!(calls[0].keys, ["a", "7", "c"]);
    assert_eq!(calls[0].records.concat(), input);
    assert_eq!((calls[1].keys.concat(), calls[1].records.concat()), ("7".to_owned(), b"{\"u\":7}\n".to_vec()));
    assert_eq!(calls.len(), 2);
}

#[tokio::test]
async fn a_line_without_a_key_costs_only_itself() {
    let mut service = service(&[]).await;
    let long = format!("{{\"u\":\"{}\"}}\n", "x".repeat(257));
    let input = ["plain\n", "{}\n", "{\"u\":\"\"}\n", &long, "{\"u\":1}\n"].concat();
    assert_eq!(send_keyed(&service, "u", input.as_bytes()).await, ExitCode::FAILURE);
    assert_eq!(calls(&mut service).iter().flat_map(|call| call.keys.clone()).collect::<Vec<_>>(), ["1"]);
}

#[tokio::test]
async fn random_keys_differ_and_count_as_bytes_of_the_record() {
    let mut service = service(&[]).await;
    let longest = [vec![b'x'; DATA_RECORD_BYTES_DEFAULT - 17], b"\n".to_vec()].concat();
    let too_long = [b"x", longest.as_slice()].concat();
    let input = [longest.as_slice(), &too_long, b"a\nb\n"].concat();
    assert_eq!(send_keyed(&service, "random", &input).await, ExitCode::FAILURE);
    let calls = calls(&mut service);
    let keys: std::collections::BTreeSet<_> = calls.iter().flat_map(|call| call.keys.clone()).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| key.len() == 16), "{keys:?}");
    assert_eq!(calls.iter().flat_map(|call| call.records.concat()).count(), longest.len() + 4);
}

#[test]
fn record_sizes_have_bounds() {
    assert_eq!(parse_record_size("10 MiB"), Ok(10 << 20));
    for text in ["1 KiB", "11 MiB", "x"] {
        assert!(parse_record_size(text).is_err(), "{text}");
    }
}

#[test]
fn lines_are_stripped_of_their_end_alone() {
    for (line, expected) in
        [("a\n", "a"), ("a\r\n", "a"), ("a", "a"), ("\n", ""), ("\r\n", ""), ("a\r\r\n", "a\r"), (" a \n", " a ")]
    {
        assert_eq!(strip(&Bytes::copy_from_slice(line.as_bytes())), expected);
    }
}

#[test]
fn times_have_units() {
    for (text, expected) in [("200ms", 200), ("2s", 2_000), ("0.5s", 500), ("50", 50), ("0", 0)] {
        assert_eq!(parse_time(text), Ok(Duration::from_millis(expected)), "{text}");
    }
    for text in ["", "ms", "2m", "-1s", "7200s", "1e9s", "nan"] {
        assert!(parse_time(text).is_err(), "{text}");
    }
}
