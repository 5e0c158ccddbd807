//! The suite that every destination passes, over the server in memory. What is S3's own is in `tests/s3.rs`.

use super::*;
use crate::config::{AwsCredentials, Checksum, S3Connection, Secret};
use crate::destination::conformance;

#[path = "../../../tests/support/s3/mod.rs"]
mod server;

use server::{Conditions, Options, Server};

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

async fn passes_the_suite(options: Options) {
    let server = Server::start(options).await;
    let destination = S3Destination::connect(&Connections::default(), &store(&server), "").await.unwrap();
    let read = |key: &str| server.store().object("lake", key).map(|object| object.bytes.to_vec());
    conformance::all(Arc::new(destination), read).await;
    assert_eq!(server.store().open_uploads(), 0);
    assert!(server.store().objects("lake").values().all(|object| object.creations == 1));
}

#[tokio::test]
async fn passes_the_suite_of_all_destinations() {
    passes_the_suite(Options::default()).await;
}

#[tokio::test]
async fn passes_it_without_checksums() {
    passes_the_suite(Options { refuse_checksums: true, ..Options::default() }).await;
}

/// Such a store cannot tell the second creation from the first, but the bytes stay what they were.
#[tokio::test]
async fn without_conditions_a_repeat_leaves_the_same_bytes() {
    let server = Server::start(Options { conditions: Conditions::Refuse, ..Options::default() }).await;
    let destination = S3Destination::connect(&Connections::default(), &store(&server), "").await.unwrap();
    destination.probe().await.unwrap();
    for _ in 0..2 {
        destination.create("k", Body::whole("bytes"), ObjectFacts::default()).await.unwrap();
    }
    let object = server.store().object("lake", "k").unwrap();
    assert_eq!((object.bytes.as_ref(), object.creations, object.altered), (&b"bytes"[..], 2, false));
}

#[test]
fn tags_are_a_query_string() {
    assert_eq!(escaped("a-b c/ä=&"), "a-b%20c%2F%C3%A4%3D%26");
}
