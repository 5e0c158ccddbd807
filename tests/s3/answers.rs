//! What each answer to a single `PutObject` means, and which headers it carries.

use standpipe::config::Sse;

use super::support::s3::{Fault, Op};
use super::*;

/// As often as the SDK tries by itself.
const ATTEMPTS: usize = 3;

#[tokio::test]
async fn a_fault_that_passes_is_not_seen() {
    let (server, destination) = usual().await;
    let faults = [
        Fault::Answer(500, "InternalError"),
        Fault::Answer(503, "ServiceUnavailable"),
        Fault::Answer(503, "SlowDown"),
        Fault::CutBody(0),
        Fault::CutBody(1),
        Fault::CutBody(99_999),
        Fault::CutBody(100_000),
    ];
    for (index, fault) in faults.into_iter().enumerate() {
        let key = format!("k{index}");
        server.faults().next(Op::Put, fault.clone());
        let result = create(&destination, &key, &bytes(100_000)).await;
        assert_eq!(result.unwrap(), Created::Created, "{fault:?}");
        assert_made_once(&server, &key, &bytes(100_000));
    }
}

#[tokio::test]
async fn a_lost_answer_is_recognised_as_our_own_success() {
    let (server, destination) = usual().await;
    for (index, fault) in [Fault::StoreThenClose, Fault::StoreThenAnswer(500, "InternalError")].into_iter().enumerate()
    {
        let key = format!("k{index}");
        server.faults().next(Op::Put, fault.clone());
        assert_eq!(create(&destination, &key, &bytes(9)).await.unwrap(), Created::AlreadyThere, "{fault:?}");
        assert_made_once(&server, &key, &bytes(9));
    }
}

#[tokio::test]
async fn a_conflict_is_not_taken_for_exists() {
    let (server, destination) = usual().await;
    server.faults().next_few(Op::Put, ATTEMPTS, &Fault::Answer(409, "ConditionalRequestConflict"));
    let error = create(&destination, "k", &bytes(9)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(server.store().object("lake", "k").is_none());
    server.faults().clear();
    assert_eq!(create(&destination, "k", &bytes(9)).await.unwrap(), Created::Created);
    assert_made_once(&server, "k", &bytes(9));
}

#[tokio::test]
async fn a_failed_precondition_means_it_is_there() {
    let (server, destination) = usual().await;
    server.faults().next(Op::Put, Fault::Answer(412, "PreconditionFailed"));
    assert_eq!(create(&destination, "k", &bytes(9)).await.unwrap(), Created::AlreadyThere);
}

#[tokio::test]
async fn faults_that_stay_are_errors_that_say_what_to_do_and_end_with_their_cause() {
    let (server, destination) = usual().await;
    let cases = [
        (Fault::Answer(500, "InternalError"), Kind::Unavailable, "InternalError (500)"),
        (Fault::Answer(503, "SlowDown"), Kind::Throttled, "SlowDown (503)"),
        (Fault::Answer(403, "AccessDenied"), Kind::Unavailable, "allow s3:PutObject"),
        (Fault::Answer(400, "ExpiredToken"), Kind::Unavailable, "renew the credentials"),
        (Fault::Answer(400, "KMS.DisabledException"), Kind::Unavailable, "check the KMS key"),
        (Fault::Answer(400, "EntityTooLarge"), Kind::Unavailable, "EntityTooLarge (400)"),
        (Fault::Redirect("eu-central-1"), Kind::Unavailable, "is in region eu-central-1"),
        (Fault::CutBody(3), Kind::Unavailable, "put of s3://lake/"),
    ];
    for (index, (fault, kind, text)) in cases.into_iter().enumerate() {
        let key = format!("k{index}");
        server.faults().always(Op::Put, fault.clone());
        let error = create(&destination, &key, &bytes(9)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
        assert!(error.to_string().contains(text), "{fault:?}: {error}");
        assert!(!format!("{error} {error:?}").contains(&server.options().secret_key));
        assert!(server.store().object("lake", &key).is_none());
        server.faults().clear();
        assert_eq!(create(&destination, &key, &bytes(9)).await.unwrap(), Created::Created, "after {fault:?}");
        assert_made_once(&server, &key, &bytes(9));
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_given_up_after_a_while() {
    let (server, destination) = usual().await;
    let hasty = connect_hasty(&store(&server)).await;
    for fault in [Fault::Hang, Fault::Delay(Duration::from_mins(10))] {
        server.faults().always(Op::Put, fault);
        let error = create(&hasty, "k", &bytes(9)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.message().contains("no answer within the time limit"), "{error}");
        server.faults().clear();
    }
    assert_eq!(create(&destination, "k", &bytes(9)).await.unwrap(), Created::Created);
}

#[tokio::test]
async fn a_body_that_arrives_wrong_is_never_stored() {
    let server = Server::usual().await;
    for checksum in [Checksum::Crc64Nvme, Checksum::Crc32, Checksum::Crc32c, Checksum::Sha256, Checksum::None] {
        let key = format!("{checksum:?}");
        let destination = connect(&S3Store { checksum, ..store(&server) }).await;
        server.faults().next_few(Op::Put, ATTEMPTS, &Fault::Garble);
        let error = create(&destination, &key, &bytes(50_000)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert!(server.store().object("lake", &key).is_none());
        server.faults().clear();
        create(&destination, &key, &bytes(50_000)).await.unwrap();
        assert_made_once(&server, &key, &bytes(50_000));
    }
}

#[tokio::test]
async fn a_missing_bucket_is_waited_for() {
    let (server, destination) = usual().await;
    server.store().delete_bucket("lake");
    let error = create(&destination, "k", &bytes(9)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.message().contains("create bucket \"lake\""), "{error}");
    server.store().create_bucket("lake");
    assert_eq!(create(&destination, "k", &bytes(9)).await.unwrap(), Created::Created);
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_stays_secret() {
    let server = Server::usual().await;
    let mut store = store(&server);
    let wrong = "not-the-secret-at-all";
    store.connection.credentials.as_mut().unwrap().secret_access_key = Secret::new(wrong.to_owned());
    let error = create(&connect(&store).await, "k", &bytes(9)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.message().contains("check the access key and its secret"), "{error}");
    assert!(!format!("{error} {error:?} {store:?}").contains(wrong));
    store.connection.credentials.as_mut().unwrap().access_key_id = "AKIDNOBODY".to_owned();
    let error = create(&connect(&store).await, "k", &bytes(9)).await.unwrap_err();
    assert!(error.message().contains("check the access key"), "{error}");
}

#[tokio::test]
async fn a_store_that_is_down_is_waited_for() {
    let (mut server, destination) = usual().await;
    create(&destination, "a", &bytes(9)).await.unwrap();
    server.stop().await;
    let error = create(&destination, "b", &bytes(9)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    server.resume().await;
    assert_eq!(create(&destination, "b", &bytes(9)).await.unwrap(), Created::Created);
    assert_eq!(server.store().objects("lake").len(), 2);
}

#[tokio::test]
async fn an_error_in_the_body_leaves_nothing() {
    let (server, destination) = usual().await;
    let bad = || Err(standpipe::error::Error::corrupt("bad frame"));
    for length in [0, 10, S3_PART_BYTES + 10, 3 * S3_PART_BYTES] {
        let body = chunked(&bytes(length), 1 << 20, bad());
        let error = destination.create("k", body, FACTS).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::Corrupt, "bad frame"));
        assert!(server.store().objects("lake").is_empty());
    }
    assert_eq!(server.store().open_uploads(), 0);
}

#[tokio::test]
async fn requests_carry_what_is_configured() {
    let server = Server::usual().await;
    let store = S3Store {
        sse: Some(Sse::Kms { key: Some("arn:aws:kms:us-east-1:1:key/x".to_owned()) }),
        storage_class: Some("STANDARD_IA".to_owned()),
        acl: Some("bucket-owner-full-control".to_owned()),
        tags: vec![("team".to_owned(), "a b".to_owned()), ("x".to_owned(), "y&z".to_owned())],
        ..store(&server)
    };
    let destination = connect(&store).await;
    let facts = ObjectFacts { content_encoding: Some("gzip") };
    destination.create("small", Body::whole(bytes(10)), facts).await.unwrap();
    destination.create("large", Body::whole(bytes(S3_PART_BYTES + 1)), facts).await.unwrap();
    for op in [Op::Put, Op::Begin] {
        let call = &server.calls_of(op)[0];
        let expected = [
            ("content-type", "application/octet-stream"),
            ("content-encoding", "gzip"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "arn:aws:kms:us-east-1:1:key/x"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-acl", "bucket-owner-full-control"),
            ("x-amz-tagging", "team=a%20b&x=y%26z"),
        ];
        for (name, value) in expected {
            assert_eq!(call.header(name), value, "{op:?} {name}");
        }
    }
    assert_eq!(server.store().object("lake", "large").unwrap().content_encoding.as_deref(), Some("gzip"));
}

#[tokio::test]
async fn every_write_is_conditional_and_carries_its_checksum_as_a_header() {
    let server = Server::usual().await;
    let cases = [
        (Checksum::Crc64Nvme, "x-amz-checksum-crc64nvme"),
        (Checksum::Crc32, "x-amz-checksum-crc32"),
        (Checksum::Crc32c, "x-amz-checksum-crc32c"),
        (Checksum::Sha256, "x-amz-checksum-sha256"),
    ];
    for (checksum, header) in cases {
        let destination = connect(&S3Store { checksum, ..store(&server) }).await;
        create(&destination, &format!("s{checksum:?}"), &bytes(10)).await.unwrap();
        create(&destination, &format!("l{checksum:?}"), &bytes(S3_PART_BYTES + 1)).await.unwrap();
        let last = |op| server.calls_of(op).pop().unwrap();
        assert_ne!(last(Op::Put).header(header), "", "{checksum:?}");
        assert_ne!(last(Op::Part).header(header), "", "{checksum:?}");
        let of_the_whole = checksum != Checksum::Sha256;
        assert_eq!(last(Op::Complete).headers.contains_key(header), of_the_whole, "{checksum:?}");
        let kind = if of_the_whole { "FULL_OBJECT" } else { "COMPOSITE" };
        assert_eq!(last(Op::Begin).header("x-amz-checksum-type"), kind);
        assert_eq!(last(Op::Put).header("if-none-match"), "*");
        assert_eq!(last(Op::Complete).header("if-none-match"), "*");
    }
    for call in server.calls() {
        assert!(!call.headers.contains_key("x-amz-trailer"), "{call:?}");
        assert!(!call.header("content-encoding").contains("aws-chunked"), "{call:?}");
    }
}

#[tokio::test]
async fn without_a_checksum_none_is_sent() {
    let server = Server::usual().await;
    let destination = connect(&S3Store { checksum: Checksum::None, ..store(&server) }).await;
    create(&destination, "small", &bytes(10)).await.unwrap();
    create(&destination, "large", &bytes(S3_PART_BYTES + 1)).await.unwrap();
    for call in server.calls() {
        assert!(!call.headers.keys().any(|name| name.contains("checksum")), "{call:?}");
    }
}
