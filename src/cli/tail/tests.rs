//! `tail` against a service that is played by a few lines of HTTP.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// What is answered to one request: the status line's end, the body, and whether it ends as it should.
type Play = (&'static str, String, bool);

struct Service {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

/// Plays `script`, one answer a connection, then refuses.
async fn service(script: Vec<Play>) -> Service {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = heads.clone();
    tokio::spawn(async move {
        let gone = ("404 Not Found", r#"{"error":"x","message":"it is gone"}"#.to_owned(), true);
        for (status, body, whole) in script.into_iter().chain(std::iter::repeat(gone)) {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(connection.read_u8().await.unwrap());
            }
            seen.lock().unwrap().push(String::from_utf8(head).unwrap());
            let date = "date: Fri, 02 Jan 2026 03:04:05 GMT";
            let start =
                format!("HTTP/1.1 {status}\r\n{date}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
            let end = if whole { "0\r\n\r\n" } else { "" };
            let answer = format!("{start}{:x}\r\n{body}\r\n{end}", body.len());
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    Service { url, heads }
}

fn ok(lines: &[String], whole: bool) -> Play {
    ("200 OK", lines.concat(), whole)
}

fn record(shard: u32, position: u64, arrived: u64, data: &str) -> String {
    let line =
        serde_json::json!({ "shard": shard.to_string(), "position": position, "arrived": arrived, "data": data });
    format!("{line}\n\n")
}

fn args(service: &Service) -> TailArgs {
    TailArgs {
        stream: "s".into(),
        data_stream: false,
        from: StartAt::Latest,
        limit: None,
        no_follow: false,
        format: Format::Text,
        endpoint: service.url.clone(),
        region: "us-east-1".into(),
    }
}

/// Runs to the end: the exit code and what was shown.
async fn run_tail(args: &TailArgs) -> (ExitCode, String) {
    let mut shown = Vec::new();
    let out = Shown::new(&mut shown, args.format, false, args.limit);
    let code = tail(args, &Clock::real(), out).await;
    (code, String::from_utf8(shown).unwrap())
}

/// The targets of the requests, in order.
fn targets(service: &Service) -> Vec<String> {
    let heads = service.heads.lock().unwrap();
    heads.iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_broken_answer_goes_on_where_it_was_and_shows_nothing_twice() {
    let first = [record(0, 1, 5_000, "a"), record(1, 7, 2_000, "b\n"), record(0, 2, 6_000, "c")];
    let second = [record(1, 7, 2_000, "b\n"), record(0, 2, 6_000, "c"), record(0, 10, 7_000, "d")];
    let service = service(vec![ok(&first, false), ok(&second, true)]).await;
    let (code, shown) = run_tail(&args(&service)).await;
    assert_eq!((code, shown.as_str()), (ExitCode::FAILURE, "a\nb\nc\nd\n"), "at last it is gone");
    let from = |time: &str| format!("/v1/streams/s/records?from={time}");
    assert_eq!(
        targets(&service),
        [from("latest"), from("1970-01-01T00%3A00%3A02.000Z"), from("1970-01-01T00%3A00%3A02.000Z")]
    );
}

#[tokio::test]
async fn where_nothing_was_shown_it_goes_on_from_when_it_began() {
    let service = service(vec![ok(&["\n".to_owned()], false)]).await;
    assert_eq!(run_tail(&args(&service)).await, (ExitCode::FAILURE, String::new()));
    assert_eq!(targets(&service)[1], "/v1/streams/s/records?from=2026-01-02T03%3A04%3A05.000Z");
}

#[tokio::test]
async fn a_limit_and_the_end_are_ends() {
    let lines = [record(0, 1, 1, "a"), record(0, 2, 1, "b"), record(0, 3, 1, "c")];
    let service = service(vec![ok(&lines, false), ok(&lines, true)]).await;
    let limited = TailArgs { limit: Some(2), ..args(&service) };
    assert_eq!(run_tail(&limited).await, (ExitCode::SUCCESS, "a\nb\n".into()));
    let all = TailArgs { no_follow: true, from: StartAt::Horizon, data_stream: true, ..args(&service) };
    assert_eq!(run_tail(&all).await, (ExitCode::SUCCESS, "a\nb\nc\n".into()));
    assert_eq!(targets(&service)[1], "/v1/data-streams/s/records?from=horizon&follow=false");
    let heads = service.heads.lock().unwrap();
    for (head, scope) in heads.iter().zip(["firehose", "kinesis"]) {
        assert!(head.contains(&format!("/us-east-1/{scope}/aws4_request")) && head.contains("x-amz-date"), "{head}");
    }
}

#[tokio::test]
async fn json_is_shown_as_it_came_and_bytes_as_they_were() {
    let sequence =
        |number: &str, data: &str| format!("{{\"shard\":\"s\",\"sequence\":\"{number}\",\"arrived\":1,{data}}}\n");
    let lines = [
        sequence("99", "\"key\":\"k\",\"data_base64\":\"AEEK\""),
        "{\"shard\":\"s\",\"missed\":3}\n".to_owned(),
        sequence("100", "\"data\":\"x\""),
        sequence("99", "\"data\":\"again\""),
    ];
    let service = service(vec![ok(&lines, true), ok(&lines, true)]).await;
    let json = TailArgs { format: Format::Json, no_follow: true, ..args(&service) };
    assert_eq!(run_tail(&json).await, (ExitCode::SUCCESS, lines[..3].concat()));
    let text = TailArgs { no_follow: true, ..args(&service) };
    assert_eq!(run_tail(&text).await, (ExitCode::SUCCESS, "\0A\nx\n".into()));
}

#[tokio::test]
async fn what_cannot_be_read_is_said_at_once() {
    let unavailable = ("503 Service Unavailable", r#"{"message":"Slow down."}"#.to_owned(), true);
    let nonsense = ok(&["<html>\n".to_owned()], true);
    for play in [unavailable, nonsense, ("302 Found", "elsewhere".to_owned(), true)] {
        let service = service(vec![play]).await;
        assert_eq!(run_tail(&args(&service)).await, (ExitCode::FAILURE, String::new()));
        assert_eq!(targets(&service).len(), 1);
    }
    let nowhere = Service { url: "http://127.0.0.1:1".into(), heads: Arc::default() };
    assert_eq!(run_tail(&args(&nowhere)).await.0, ExitCode::FAILURE);
    let misnamed = TailArgs { stream: "a/b?".into(), ..args(&nowhere) };
    assert_eq!(run_tail(&misnamed).await.0, ExitCode::FAILURE);
}

#[test]
fn nothing_from_elsewhere_steers_the_terminal() {
    let line = b"{\"shard\":\"s\",\"position\":1,\"arrived\":1,\"data_base64\":\"G1sySkE=\"}";
    let mut shown = Vec::new();
    assert!(Shown::new(&mut shown, Format::Text, true, None).line(line).unwrap());
    assert_eq!(String::from_utf8(shown).unwrap(), "\u{fffd}[2JA\n");
}
