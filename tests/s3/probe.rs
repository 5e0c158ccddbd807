//! What the probe finds out, and how a store that refuses something is written all the same.

use super::support::s3::{Conditions, Fault, Op};
use super::*;

async fn with(options: Options) -> (Server, S3Destination) {
    let server = Server::start(options).await;
    let destination = connect(&store(&server)).await;
    (server, destination)
}

#[tokio::test]
async fn a_store_that_honours_conditions_is_known_by_one_empty_object() {
    let (server, destination) = usual().await;
    for _ in 0..2 {
        assert_eq!(destination.probe().await.unwrap(), "bucket \"lake\" honours If-None-Match");
    }
    let objects = server.store().objects("lake");
    assert_eq!(objects.keys().collect::<Vec<_>>(), ["web/.standpipe-probe"]);
    assert_eq!(server.calls().len(), 3, "the second start needs one call");
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_overwritten_with_the_same_bytes_only() {
    let (server, destination) = with(Options { conditions: Conditions::Ignore, ..Options::default() }).await;
    let found = destination.probe().await.unwrap();
    assert!(found.contains("ignores If-None-Match: exactly-once rests on the plan's nonce alone"), "{found}");
    for length in [10, S3_PART_BYTES + 1] {
        let key = format!("k{length}");
        for _ in 0..2 {
            assert_eq!(create(&destination, &key, &bytes(length)).await.unwrap(), Created::Created);
        }
        let object = server.store().object("lake", &key).unwrap();
        assert_eq!((object.creations, object.altered), (2, false));
    }
}

#[tokio::test]
async fn a_store_that_refuses_conditions_is_written_without() {
    let (server, destination) = with(Options { conditions: Conditions::Refuse, ..Options::default() }).await;
    let found = destination.probe().await.unwrap();
    assert!(found.contains("refuses If-None-Match, so it is not sent"), "{found}");
    for length in [10, S3_PART_BYTES + 1] {
        let key = format!("k{length}");
        assert_eq!(create(&destination, &key, &bytes(length)).await.unwrap(), Created::Created);
        assert_made_once(&server, &key, &bytes(length));
    }
}

#[tokio::test]
async fn a_store_that_refuses_checksums_is_written_without() {
    let (server, destination) = with(Options { refuse_checksums: true, ..Options::default() }).await;
    let found = destination.probe().await.unwrap();
    assert_eq!(found, "bucket \"lake\" honours If-None-Match; refuses checksum headers, so they are not sent");
    for length in [10, S3_PART_BYTES + 1] {
        let key = format!("k{length}");
        assert_eq!(create(&destination, &key, &bytes(length)).await.unwrap(), Created::Created);
        assert_made_once(&server, &key, &bytes(length));
    }
}

#[tokio::test]
async fn a_store_that_refuses_everything_new_is_written_without() {
    let options = Options { conditions: Conditions::Refuse, refuse_checksums: true, ..Options::default() };
    let (server, destination) = with(options).await;
    let found = destination.probe().await.unwrap();
    assert!(found.contains("refuses If-None-Match") && found.contains("refuses checksum headers"), "{found}");
    create(&destination, "k", &bytes(10)).await.unwrap();
    assert_made_once(&server, "k", &bytes(10));
}

#[tokio::test]
async fn what_is_refused_is_found_out_by_the_first_creation_where_the_probe_failed() {
    for length in [10, S3_PART_BYTES + 1] {
        let (server, destination) = with(Options { conditions: Conditions::Refuse, ..Options::default() }).await;
        let error = create(&destination, "k", &bytes(length)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert_eq!(create(&destination, "k", &bytes(length)).await.unwrap(), Created::Created);
        assert_made_once(&server, "k", &bytes(length));
        assert_eq!(server.store().open_uploads(), 0);
    }
}

#[tokio::test]
async fn a_probe_that_cannot_reach_the_store_says_why_and_changes_nothing() {
    let (server, destination) = usual().await;
    server.faults().always(Op::Put, Fault::Answer(403, "AccessDenied"));
    let error = destination.probe().await.unwrap_err();
    assert!(error.message().contains("probe of s3://lake/web/.standpipe-probe failed: AccessDenied (403)"), "{error}");
    server.faults().clear();
    server.faults().always(Op::Put, Fault::Answer(400, "InvalidRequest"));
    assert_eq!(destination.probe().await.unwrap_err().kind(), Kind::Unavailable);
    server.faults().clear();
    create(&destination, "k", &bytes(10)).await.unwrap();
    assert_eq!(server.calls_of(Op::Put).last().unwrap().header("if-none-match"), "*");
}

#[tokio::test]
async fn what_is_there_is_found_with_its_length_and_what_is_not_is_not() {
    let (_server, destination) = usual().await;
    assert_eq!(destination.find("web/object").await.unwrap(), None);
    create(&destination, "web/object", &bytes(1_234)).await.unwrap();
    assert_eq!(destination.find("web/object").await.unwrap(), Some(1_234));
    assert_eq!(destination.find("web/").await.unwrap(), None);
}
