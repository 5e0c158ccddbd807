//! Plain HTTP ingest over the wire.

use std::io::Write;

use crate::harness::{Call, open};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

#[tokio::test]
async fn lines_arrays_and_codings_become_records() {
    let service = open().await;
    let lines = "one\n\ntwo";
    let calls = [
        (Call::ingest("web", "text/plain; charset=utf-8", lines), 2),
        (Call::ingest("web", "application/x-ndjson", gzip(b"{\"a\":1}\n")).with("content-encoding", "gzip"), 1),
        (
            Call::ingest(
                "web",
                "application/json",
                zstd::encode_all(&b"[{\"b\": [1, 2]}, \"text\", 3.0]"[..], 3).unwrap(),
            )
            .with("content-encoding", "zstd"),
            3,
        ),
    ];
    for (call, count) in calls {
        let answer = call.send(&service).await;
        assert_eq!((answer.status, &answer.json()["records"]), (200, &count.into()));
        assert_eq!(answer.json()["request_id"].as_str(), answer.header("x-amzn-requestid"));
    }
    assert_eq!(service.shelf.texts(), ["one", "two", r#"{"a":1}"#, r#"{"b":[1,2]}"#, "text", "3.0"]);
    assert_eq!(service.shelf.appends().len(), 3, "one append for each request");
    assert_eq!(service.metrics.stream("web").incoming_records.get(), 6);
}

#[tokio::test]
async fn a_key_makes_a_request_idempotent() {
    let service = open().await;
    let call = Call::ingest("web", "text/plain", "a\nb").with("idempotency-key", "file-1:0-3");
    for _ in 0..3 {
        assert_eq!(call.send(&service).await.json()["records"], 2);
    }
    assert_eq!(service.shelf.texts(), ["a", "b"]);
}

#[tokio::test]
async fn bad_bodies_store_nothing_and_say_why() {
    let service = open().await;
    let bomb = gzip(&vec![b'\n'; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let zeros = vec![0; 17 << 20];
    let zstd_bomb = zstd::encode_all(&zeros[..], 3).unwrap();
    let half = gzip(b"something that is long enough to be cut")[..20].to_vec();
    let text = |body: &[u8]| Call::ingest("web", "text/plain", body);
    let many = "1\n".repeat(100_001);
    let table = [
        (text(b""), 400, "bad_request", "no record"),
        (text(b"\n\n"), 400, "bad_request", "no record"),
        (text(&vec![b'x'; 1_024_001]), 413, "too_large", "record 1 has 1024001 bytes"),
        (text(many.as_bytes()), 413, "too_large", "more than 100000 records"),
        (text(&vec![b'\n'; (8 << 20) + 1]), 413, "too_large", "8388608 bytes"),
        (text(&bomb).with("content-encoding", "gzip"), 413, "too_large", "16777216 bytes when it is decompressed"),
        (text(&zstd_bomb).with("content-encoding", "zstd"), 413, "too_large", "when it is decompressed"),
        (text(&half).with("content-encoding", "gzip"), 400, "bad_request", "not valid gzip"),
        (text(b"plain").with("content-encoding", "gzip"), 400, "bad_request", "not valid gzip"),
        (text(b"plain").with("content-encoding", "zstd"), 400, "bad_request", "not valid zstd"),
        (text(b"x").with("content-encoding", "br"), 415, "unsupported_media_type", "gzip, zstd or identity"),
        (
            text(b"x").with("content-encoding", "gzip").with("content-encoding", "gzip"),
            415,
            "unsupported_media_type",
            "more than once",
        ),
        (
            Call::ingest("web", "application/x-www-form-urlencoded", "a=b"),
            415,
            "unsupported_media_type",
            "application/x-ndjson",
        ),
        (Call::ingest("web", "application/json", "{}"), 400, "bad_request", "not a JSON array"),
        (Call::ingest("web", "application/json", "[1,"), 400, "bad_request", "not a JSON array"),
        (Call::ingest("web", "application/json", "[]"), 400, "bad_request", "no record"),
        (Call::ingest("no-such", "text/plain", "x"), 404, "stream_not_found", "no-such"),
        (Call::ingest("", "text/plain", "x"), 404, "stream_not_found", ""),
        (Call::ingest("%2e%2e", "text/plain", "x"), 404, "stream_not_found", ""),
        (Call::ingest(&"n".repeat(300), "text/plain", "x"), 404, "stream_not_found", ""),
    ];
    for (call, status, error, part) in table {
        let answer = call.send(&service).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (status, Some(error)), "{part}: {answer:?}");
        assert!(answer.json()["message"].as_str().unwrap().contains(part), "{part}: {answer:?}");
    }
    assert!(service.shelf.records().is_empty());
}
