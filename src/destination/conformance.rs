//! What every [`Destination`] must do. It looks at objects through a closure, so that it knows nothing of the store.

use std::sync::Arc;

use futures_util::future::join_all;

use super::*;
use crate::error::{Error, Kind};

/// Runs the whole suite on an empty destination; `read` gives an object's bytes, `None` if there is no such object.
pub(crate) async fn all(destination: Arc<dyn Destination>, read: impl Fn(&str) -> Option<Vec<u8>>) {
    assert!(!destination.probe().await.unwrap().is_empty());
    an_object_is_created_once(&*destination, &read).await;
    a_body_that_fails_leaves_nothing(&*destination, &read).await;
    bodies_of_any_shape_arrive_whole(&*destination, &read).await;
    keys_of_any_shape_are_kept(&*destination, &read).await;
    of_many_at_once_one_creates(&destination, &read).await;
    what_was_created_is_listed_and_read(&*destination, &read).await;
}

/// A body of these chunks, sent by a task while it is taken; the last may be an error.
pub(crate) fn body(chunks: Vec<Result<Bytes>>) -> Body {
    let (sender, body) = Body::channel(2);
    tokio::spawn(async move {
        for chunk in chunks {
            match chunk {
                Ok(chunk) => {
                    if !sender.send(chunk).await {
                        return;
                    }
                }
                Err(error) => return sender.fail(error).await,
            }
        }
        sender.finish().await;
    });
    body
}

fn failing() -> Result<Bytes> {
    Err(Error::new(Kind::Corrupt, "the journal could not be read"))
}

async fn create(destination: &dyn Destination, key: &str, bytes: &[u8]) -> Result<Created> {
    destination.create(key, Body::whole(bytes.to_vec()), ObjectFacts::default()).await
}

async fn an_object_is_created_once(destination: &dyn Destination, read: &impl Fn(&str) -> Option<Vec<u8>>) {
    let key = "once/object";
    assert_eq!(read(key), None);
    assert_eq!(destination.find(key).await.unwrap(), None);
    assert_eq!(create(destination, key, b"bytes").await.unwrap(), Created::Created);
    assert_eq!(read(key).unwrap(), b"bytes");
    assert_eq!(destination.find(key).await.unwrap(), Some(5));
    assert_eq!(destination.find("once").await.unwrap_or_default(), None, "what keys begin with is no object");
    for _ in 0..2 {
        assert_eq!(create(destination, key, b"bytes").await.unwrap(), Created::AlreadyThere);
        assert_eq!(read(key).unwrap(), b"bytes");
    }
    let facts = ObjectFacts { content_encoding: Some("gzip") };
    assert_eq!(destination.create("once/gzip", Body::whole("zz"), facts).await.unwrap(), Created::Created);
    assert_eq!(read("once/gzip").unwrap(), b"zz");
}

async fn a_body_that_fails_leaves_nothing(destination: &dyn Destination, read: &impl Fn(&str) -> Option<Vec<u8>>) {
    let key = "failing/object";
    let long = Bytes::from(vec![7; 3 << 20]);
    let bodies = [
        vec![failing()],
        vec![Ok(Bytes::from_static(b"half")), failing()],
        // More than one part of a multipart upload.
        vec![Ok(long.clone()), Ok(long.clone()), Ok(long.clone()), Ok(long), failing()],
    ];
    for chunks in bodies {
        let error = destination.create(key, body(chunks), ObjectFacts::default()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "the producer's own error comes back: {error}");
        assert_eq!(read(key), None);
    }
    // A producer that goes away without a word: a panic, a cancelled task.
    for chunks in [0, 1, 20] {
        let (sender, body) = Body::channel(chunks + 1);
        for _ in 0..chunks {
            assert!(sender.send(Bytes::from(vec![7; 1 << 20])).await);
        }
        drop(sender);
        destination.create(key, body, ObjectFacts::default()).await.unwrap_err();
        assert_eq!(read(key), None);
    }
    assert_eq!(create(destination, key, b"at last").await.unwrap(), Created::Created);
    assert_eq!(read(key).unwrap(), b"at last");
}

async fn bodies_of_any_shape_arrive_whole(destination: &dyn Destination, read: &impl Fn(&str) -> Option<Vec<u8>>) {
    let chunk = |n: usize| Bytes::from((0..n).map(|at| (at * 7 + n) as u8).collect::<Vec<_>>());
    let part = crate::limits::S3_PART_BYTES;
    let shapes = [
        ("no-chunk", vec![]),
        ("empty-chunk", vec![Bytes::new()]),
        ("with-empty-chunks", vec![chunk(3), Bytes::new(), chunk(1), Bytes::new()]),
        ("one-byte", vec![chunk(1)]),
        ("many-chunks", (0..2_000).map(|n| chunk(n % 700)).collect()),
        ("one-part", vec![chunk(part)]),
        ("a-part-and-a-byte", vec![chunk(part), chunk(1)]),
        ("one-large-chunk", vec![chunk(2 * part + 12_345)]),
        ("large-chunks", (0..20).map(|n| chunk((1 << 20) + n)).collect()),
    ];
    for (key, chunks) in shapes {
        let whole = chunks.concat();
        let body = body(chunks.into_iter().map(Ok).collect());
        assert_eq!(destination.create(key, body, ObjectFacts::default()).await.unwrap(), Created::Created, "{key}");
        assert!(read(key).unwrap() == whole, "{key}");
    }
}

async fn keys_of_any_shape_are_kept(destination: &dyn Destination, read: &impl Fn(&str) -> Option<Vec<u8>>) {
    let deep = ["level=1"; 40].join("/") + "/object";
    let long = format!("{}/{}", "n".repeat(255), "é".repeat(127));
    let keys = [
        "web/2024/01/31/23/web-logs-1-2024-01-31-23-59-59-0f8fad5b-d9cb-469f-a165-70867728950e.gz",
        "tenant=größe/日本/🙂.json",
        "a b+c/%2F%20&=?#[]@!$'()*,;:\"<>|~`^{}",
        "...",
        &deep,
        &long,
    ];
    for key in keys {
        assert_eq!(create(destination, key, key.as_bytes()).await.unwrap(), Created::Created, "{key}");
        assert_eq!(create(destination, key, key.as_bytes()).await.unwrap(), Created::AlreadyThere, "{key}");
    }
    for key in keys {
        assert_eq!(read(key).unwrap(), key.as_bytes(), "{key}");
    }
}

async fn of_many_at_once_one_creates(destination: &Arc<dyn Destination>, read: &impl Fn(&str) -> Option<Vec<u8>>) {
    let bytes = vec![42; 300_000];
    for key in ["race/1", "race/2/deep/er", "race/3"] {
        let attempts = (0..8).map(|_| {
            let (destination, bytes) = (destination.clone(), bytes.clone());
            tokio::spawn(async move { create(&*destination, key, &bytes).await })
        });
        let results: Vec<Created> =
            join_all(attempts).await.into_iter().map(|attempt| attempt.unwrap().unwrap()).collect();
        assert_eq!(results.iter().filter(|result| **result == Created::Created).count(), 1, "{key}: {results:?}");
        assert!(read(key).unwrap() == bytes, "{key}");
    }
}

async fn what_was_created_is_listed_and_read(destination: &dyn Destination, read: &impl Fn(&str) -> Option<Vec<u8>>) {
    let keys = ["list/a", "list/a b&<é>/1", "list/a b&<é>/2", "list/b.c", "list/b/1", "list/b/2", "listed"];
    for key in keys {
        create(destination, key, key.as_bytes()).await.unwrap();
    }
    for (prefix, after, expected) in [
        ("list/", None, &keys[..6]),
        ("list/", Some("list/a"), &keys[1..6]),
        ("list/", Some("list/b"), &keys[3..6]),
        ("list/b", Some("list/b.c"), &keys[4..6]),
        ("list/a b", None, &keys[1..3]),
        ("list/c", None, &keys[..0]),
    ] {
        let page = destination.list(prefix, after).await.unwrap();
        let expected: Vec<_> =
            expected.iter().map(|key| Listed { key: (*key).to_owned(), bytes: key.len() as u64 }).collect();
        assert_eq!(page, Page { objects: expected, after: None }, "{prefix} {after:?}");
    }
    for key in ["list/a b&<é>/1", "no-chunk", "one-large-chunk"] {
        let (bytes, mut body) = destination.read(key).await.unwrap().unwrap();
        let mut found = Vec::new();
        while let Some(piece) = body.next().await {
            found.extend_from_slice(&piece.unwrap());
        }
        assert!(found == read(key).unwrap() && found.len() as u64 == bytes, "{key}");
    }
    assert!(destination.read("list/nothing").await.unwrap().is_none());
    assert!(destination.read("list").await.unwrap().is_none(), "what keys begin with is no object");
}
