//! The S3 destination against a server with every fault that S3 is known for.
#![allow(clippy::unwrap_used, reason = "it is a test")]

#[path = "s3/answers.rs"]
mod answers;
#[path = "s3/probe.rs"]
mod probe;
mod support;
#[path = "s3/uploads.rs"]
mod uploads;

use std::time::Duration;

use bytes::Bytes;
use standpipe::config::{AwsCredentials, Checksum, S3Connection, S3Store, Secret};
use standpipe::destination::s3::{Connections, S3Destination, TimeLimits};
use standpipe::destination::{Body, Created, Destination, ObjectFacts};
use standpipe::error::{Kind, Result};
use standpipe::limits::S3_PART_BYTES;

use support::s3::{Options, Server};

const FACTS: ObjectFacts = ObjectFacts { content_encoding: None };

/// A store on `server` with its own key.
fn store(server: &Server) -> S3Store {
    let Options { access_key, secret_key, .. } = server.options().clone();
    S3Store {
        bucket: "lake".to_owned(),
        connection: S3Connection {
            region: Some("us-east-1".to_owned()),
            endpoint: Some(server.endpoint()),
            path_style: true,
            credentials: Some(AwsCredentials {
                access_key_id: access_key,
                secret_access_key: Secret::new(secret_key),
                session_token: None,
            }),
            profile: None,
        },
        sse: None,
        storage_class: None,
        acl: None,
        tags: Vec::new(),
        checksum: Checksum::default(),
    }
}

async fn connect(store: &S3Store) -> S3Destination {
    S3Destination::connect(&Connections::default(), store, "web/").await.unwrap()
}

/// A destination that does not wait long for an answer.
async fn connect_hasty(store: &S3Store) -> S3Destination {
    let limits = TimeLimits { attempt: Duration::from_millis(700), call: Duration::from_secs(2) };
    S3Destination::connect(&Connections::with_limits(limits), store, "web/").await.unwrap()
}

async fn usual() -> (Server, S3Destination) {
    let server = Server::usual().await;
    let destination = connect(&store(&server)).await;
    (server, destination)
}

/// Bytes that differ from place to place, so that parts in the wrong order are seen.
fn bytes(length: usize) -> Bytes {
    let pattern: Vec<u8> = (0..65_521_u32).map(|at| (at / 251 + at) as u8).collect();
    let mut bytes = pattern.repeat(length.div_ceil(pattern.len()));
    bytes.truncate(length);
    bytes.into()
}

/// A body that comes in chunks of `chunk_bytes`, then `end` if that is an error.
fn chunked(bytes: &Bytes, chunk_bytes: usize, end: Result<()>) -> Body {
    let (sender, body) = Body::channel(2);
    let bytes = bytes.clone();
    tokio::spawn(async move {
        for start in (0..bytes.len()).step_by(chunk_bytes) {
            let chunk = bytes.slice(start..bytes.len().min(start + chunk_bytes));
            if !sender.send(chunk).await {
                return;
            }
        }
        match end {
            Ok(()) => _ = sender.finish().await,
            Err(error) => sender.fail(error).await,
        }
    });
    body
}

async fn create(destination: &S3Destination, key: &str, bytes: &Bytes) -> Result<Created> {
    destination.create(key, chunked(bytes, 700_000, Ok(())), FACTS).await
}

/// The object is there, whole, and was made once.
fn assert_made_once(server: &Server, key: &str, bytes: &Bytes) {
    let object = server.store().object("lake", key).unwrap_or_else(|| panic!("{key} is missing"));
    assert!(object.bytes == *bytes, "{key} has other bytes");
    assert_eq!(object.creations, 1, "{key}");
    assert_eq!(object.content_type.as_deref(), Some("application/octet-stream"));
}

#[tokio::test]
async fn bodies_of_every_size_arrive_whole() {
    let (server, destination) = usual().await;
    for length in [0, 1, 699_999, S3_PART_BYTES - 1, S3_PART_BYTES, S3_PART_BYTES + 1, 2 * S3_PART_BYTES, 20 << 20] {
        let (key, bytes) = (format!("web/{length}"), bytes(length));
        assert_eq!(create(&destination, &key, &bytes).await.unwrap(), Created::Created);
        assert_made_once(&server, &key, &bytes);
        assert_eq!(create(&destination, &key, &bytes).await.unwrap(), Created::AlreadyThere);
        assert_made_once(&server, &key, &bytes);
    }
    assert_eq!(server.store().open_uploads(), 0);
}

#[tokio::test]
async fn nothing_is_ever_replaced() {
    let (server, destination) = usual().await;
    let first = bytes(100);
    create(&destination, "k", &first).await.unwrap();
    for length in [5, S3_PART_BYTES + 5] {
        assert_eq!(create(&destination, "k", &bytes(length)).await.unwrap(), Created::AlreadyThere);
        assert_made_once(&server, "k", &first);
    }
}

#[tokio::test]
async fn keys_of_all_kinds_are_kept_as_they_are() {
    let (server, destination) = usual().await;
    let long = "x".repeat(1_024);
    for key in ["a b/ü=1/x+y%2F&z?", "no/../dots//twice/", "q\"<>'`", &long] {
        create(&destination, key, &bytes(10)).await.unwrap();
        assert_made_once(&server, key, &bytes(10));
    }
    for key in ["", &format!("{long}x")] {
        let error = create(&destination, key, &bytes(10)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.message().contains("1 to 1024"), "{error}");
    }
}

#[tokio::test]
async fn one_key_at_once_from_many_sides_is_made_once() {
    let (server, destination) = usual().await;
    let bytes = bytes(S3_PART_BYTES + 1);
    let attempts = (0..4).map(|_| create(&destination, "k", &bytes));
    let results: Vec<_> = futures_util::future::join_all(attempts).await;
    let made = results.iter().filter(|result| *result.as_ref().unwrap() == Created::Created).count();
    assert_eq!(made, 1);
    assert_made_once(&server, "k", &bytes);
    assert_eq!(server.store().open_uploads(), 0);
}

#[tokio::test]
async fn equal_settings_share_a_client_and_others_do_not() {
    let server = Server::usual().await;
    let connections = Connections::default();
    let store = store(&server);
    let mut other = store.clone();
    other.connection.region = Some("eu-central-1".to_owned());
    // No panic, no wait: nothing is sent before the first call.
    for store in [&store, &store, &other] {
        S3Destination::connect(&connections, store, "").await.unwrap();
    }
    assert!(server.calls().is_empty());
}
