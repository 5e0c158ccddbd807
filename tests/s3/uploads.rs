//! Uploads in parts with a fault at every step: the object is whole or absent, and no parts are left behind.

use super::support::s3::{Fault, Op};
use super::*;

const ATTEMPTS: usize = 3;
const LENGTH: usize = 2 * S3_PART_BYTES + 12_345;

/// Waits until `done`; a test that waits for ever is a test that fails.
async fn until(done: impl Fn() -> bool) {
    let clock = standpipe::clock::Clock::real();
    while !done() {
        clock.sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn parts_have_one_size_but_the_last() {
    let (server, destination) = usual().await;
    create(&destination, "k", &bytes(LENGTH)).await.unwrap();
    let mut sizes: Vec<_> = server.calls_of(Op::Part).iter().map(|call| call.body_bytes).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [12_345, S3_PART_BYTES, S3_PART_BYTES]);
    assert!(server.calls_of(Op::Put).is_empty());
}

#[tokio::test]
async fn a_fault_that_passes_is_not_seen() {
    let (server, destination) = usual().await;
    let faults = [
        (Op::Begin, Fault::Answer(500, "InternalError")),
        (Op::Begin, Fault::CutBody(0)),
        (Op::Part, Fault::Answer(503, "SlowDown")),
        (Op::Part, Fault::CutBody(5_000_000)),
        (Op::Part, Fault::StoreThenClose),
        (Op::Complete, Fault::Answer(500, "InternalError")),
        (Op::Complete, Fault::ErrorIn200("InternalError")),
        (Op::Complete, Fault::CutBody(10)),
    ];
    for (index, (op, fault)) in faults.into_iter().enumerate() {
        let key = format!("k{index}");
        server.faults().next(op, fault.clone());
        let result = create(&destination, &key, &bytes(LENGTH)).await;
        assert_eq!(result.unwrap(), Created::Created, "{op:?} {fault:?}");
        assert_made_once(&server, &key, &bytes(LENGTH));
    }
    assert_eq!(server.store().open_uploads(), 0);
}

#[tokio::test]
async fn a_fault_that_stays_fails_cleanly_and_the_next_attempt_makes_the_object() {
    let (server, destination) = usual().await;
    let faults = [
        (Op::Begin, Fault::Answer(403, "AccessDenied")),
        (Op::Part, Fault::Answer(500, "InternalError")),
        (Op::Part, Fault::Answer(403, "AccessDenied")),
        (Op::Part, Fault::Garble),
        (Op::Complete, Fault::Answer(500, "InternalError")),
        (Op::Complete, Fault::Answer(409, "ConditionalRequestConflict")),
        (Op::Complete, Fault::ErrorIn200("InternalError")),
    ];
    for (index, (op, fault)) in faults.into_iter().enumerate() {
        let key = format!("k{index}");
        server.faults().always(op, fault.clone());
        let error = create(&destination, &key, &bytes(LENGTH)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{op:?} {fault:?}: {error}");
        assert!(server.store().object("lake", &key).is_none(), "{op:?} {fault:?}");
        assert_eq!(server.store().open_uploads(), 0, "{op:?} {fault:?}");
        server.faults().clear();
        assert_eq!(create(&destination, &key, &bytes(LENGTH)).await.unwrap(), Created::Created);
        assert_made_once(&server, &key, &bytes(LENGTH));
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_in_the_middle_is_given_up_and_cleaned_up() {
    let (server, destination) = usual().await;
    let hasty = connect_hasty(&store(&server)).await;
    for op in [Op::Part, Op::Complete] {
        server.faults().always(op, Fault::Hang);
        let error = create(&hasty, "k", &bytes(LENGTH)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert!(server.store().objects("lake").is_empty());
        server.faults().clear();
        until(|| server.store().open_uploads() == 0).await;
    }
    assert_eq!(create(&destination, "k", &bytes(LENGTH)).await.unwrap(), Created::Created);
}

#[tokio::test]
async fn a_completion_whose_answer_is_lost_is_found_again_by_the_next_attempt() {
    let (server, destination) = usual().await;
    for (index, fault) in [Fault::StoreThenClose, Fault::StoreThenAnswer(500, "InternalError")].into_iter().enumerate()
    {
        let key = format!("k{index}");
        server.faults().next(Op::Complete, fault.clone());
        // The SDK completes again and hears that there is no such upload: we do not know what became of it.
        let error = create(&destination, &key, &bytes(LENGTH)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{fault:?}: {error}");
        assert_eq!(create(&destination, &key, &bytes(LENGTH)).await.unwrap(), Created::AlreadyThere);
        assert_made_once(&server, &key, &bytes(LENGTH));
        assert_eq!(server.store().open_uploads(), 0);
    }
}

#[tokio::test]
async fn an_abort_that_fails_does_not_hide_the_fault() {
    let (server, destination) = usual().await;
    server.faults().next_few(Op::Part, ATTEMPTS * 3, &Fault::Answer(403, "AccessDenied"));
    server.faults().next_few(Op::Abort, ATTEMPTS, &Fault::Answer(500, "InternalError"));
    let error = create(&destination, "k", &bytes(LENGTH)).await.unwrap_err();
    assert!(error.message().contains("AccessDenied (403)"), "{error}");
    assert_eq!(server.store().open_uploads(), 1, "a lifecycle rule has to remove it");
}

#[tokio::test]
async fn an_upload_that_is_dropped_is_aborted() {
    let (server, destination) = usual().await;
    let (sender, body) = Body::channel(1);
    let task = tokio::spawn(async move { destination.create("k", body, FACTS).await });
    assert!(sender.send(bytes(S3_PART_BYTES + 1)).await);
    until(|| server.calls_of(Op::Part).len() == 1).await;
    assert_eq!(server.store().open_uploads(), 1);
    task.abort();
    until(|| server.store().open_uploads() == 0).await;
    assert!(server.store().objects("lake").is_empty());
}

#[tokio::test]
async fn more_uploads_than_parts_in_memory_all_end() {
    let (server, destination) = usual().await;
    let bytes = bytes(3 * S3_PART_BYTES + 1);
    let keys: Vec<_> = (0..6).map(|index| format!("k{index}")).collect();
    let all = futures_util::future::join_all(keys.iter().map(|key| create(&destination, key, &bytes))).await;
    assert!(all.into_iter().all(|result| result.unwrap() == Created::Created));
    for key in &keys {
        assert_made_once(&server, key, &bytes);
    }
}

/// Everything at once, by seed: with retries each object is there once, with its own bytes.
#[tokio::test]
async fn through_a_storm_of_faults_each_object_is_made_once() {
    let server = Server::start(Options { seed: 7, ..Options::default() }).await;
    let destination = connect(&store(&server)).await;
    let storm = ["500", "slowdown", "409", "store-500", "store-close", "garble", "cut-100", "200-error", "delay-20"];
    for fault in storm {
        server.faults().by_chance(None, fault.parse().unwrap(), 0.05);
    }
    for index in 0..40 {
        let length = if index % 8 == 0 { S3_PART_BYTES + index } else { 1_000 * index };
        let (key, bytes) = (format!("k{index}"), bytes(length));
        while create(&destination, &key, &bytes).await.is_err() {}
        assert_made_once(&server, &key, &bytes);
    }
    assert_eq!(server.store().objects("lake").keys().filter(|key| key.starts_with('k')).count(), 40);
}
