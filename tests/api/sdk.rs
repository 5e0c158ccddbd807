//! The AWS SDK as its users have it: no setting but the endpoint, the region and the keys.

use aws_sdk_firehose::Client;
use aws_sdk_firehose::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use standpipe::api::server::Bounds;

use crate::harness::{SECRET, Service, key, start};

fn client(service: &Service, secret: &str) -> Client {
    let config = aws_sdk_firehose::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(format!("http://{}", service.address))
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKID", secret, None, None, "test"))
        .build();
    Client::from_conf(config)
}

fn record(data: &[u8]) -> Record {
    Record::builder().data(Blob::new(data)).build().expect("the data is there")
}

#[tokio::test]
async fn the_sdk_puts_and_understands_what_it_is_told() {
    let service = start(vec![key("AKID", None)], &[], Bounds::default()).await;
    let sdk = client(&service, SECRET);
    let one = sdk.put_record().delivery_stream_name("web").record(record(b"one")).send().await.unwrap();
    assert!(!one.record_id().is_empty());
    assert_eq!(one.encrypted(), Some(false));
    let all = (0..500).map(|number: u32| record(&number.to_be_bytes())).collect();
    let many = sdk.put_record_batch().delivery_stream_name("web").set_records(Some(all)).send().await.unwrap();
    assert_eq!((many.failed_put_count(), many.request_responses().len()), (0, 500));
    assert_eq!(service.shelf.records().len(), 501);
    assert_eq!(service.shelf.records()[500], 499u32.to_be_bytes());
    assert!(service.shelf.appends().iter().all(|put| put.call.is_some()), "the SDK names its calls");
    let missing = sdk.put_record().delivery_stream_name("no-such").record(record(b"x")).send().await;
    let missing = missing.unwrap_err().into_service_error();
    assert!(missing.is_resource_not_found_exception(), "{missing:?}");
    assert_eq!(missing.meta().message(), Some("Firehose no-such under account 000000000000 not found."));
    let wrong = client(&service, "wrong").put_record().delivery_stream_name("web").record(record(b"x")).send().await;
    assert_eq!(wrong.unwrap_err().into_service_error().meta().code(), Some("InvalidSignatureException"));
}

#[tokio::test]
async fn the_sdk_repeats_what_could_not_be_stored_until_it_is() {
    let service = start(vec![key("AKID", None)], &[], Bounds::default()).await;
    service.shelf.full.store(true, std::sync::atomic::Ordering::SeqCst);
    let sdk = client(&service, SECRET);
    let (put, ()) = tokio::join!(sdk.put_record().delivery_stream_name("web").record(record(b"late")).send(), async {
        while service.metrics.stream("web").throttled_records.get() == 0 {
            tokio::task::yield_now().await;
        }
        service.shelf.full.store(false, std::sync::atomic::Ordering::SeqCst);
    });
    assert!(put.is_ok());
    assert_eq!(service.shelf.texts(), ["late"]);
}
