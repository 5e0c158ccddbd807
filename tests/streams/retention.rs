//! Retention: it frees disk, and who comes too late is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardIteratorType};

use super::{House, Running};

/// Bytes of files under the journal's folder.
fn journal_bytes(house: &House) -> u64 {
    let mut folders = vec![house.data.path().join("journal")];
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            // A file may be freed while we look.
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() { folders.push(entry.path()) } else { bytes += found.len() }
        }
    }
    bytes
}

/// What the header says of records that were gone before they were read.
#[derive(Clone, Debug, Default)]
struct Missed(Arc<AtomicU64>);

impl Intercept for Missed {
    fn name(&self) -> &'static str {
        "missed"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(missed) = context.response().headers().get("x-standpipe-missed-records") {
            self.0.store(missed.parse()?, Ordering::SeqCst);
        }
        Ok(())
    }
}

async fn put_megabytes(service: &Running, count: usize) {
    for _ in 0..count {
        let entries = (0..10).map(|key| {
            let entry = PutRecordsRequestEntry::builder().data(Blob::new(vec![b'x'; 100_000]));
            entry.partition_key(key.to_string()).build().unwrap()
        });
        let put = service.client.put_records().stream_name("brief").set_records(Some(entries.collect()));
        assert_eq!(put.send().await.unwrap().failed_record_count(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retention_of_seconds_frees_the_disk_and_tells_those_who_fall_behind() {
    let house = House::new();
    let service = house.start("[data_stream.brief]\nshards = 2\nretention = \"2s\"\n").await;
    let iterator = service.iterator("brief", "0", ShardIteratorType::TrimHorizon).await;
    put_megabytes(&service, 12).await;
    assert!(journal_bytes(&house) > 10_000_000);
    let mut freed = false;
    for _ in 0..600 {
        freed = journal_bytes(&house) < 2_000_000;
        if freed {
            break;
        }
        standpipe::clock::Clock::real().sleep(Duration::from_millis(50)).await;
    }
    assert!(freed, "{} bytes are still there", journal_bytes(&house));
    // The old iterator still works, brings nothing of what is gone, and says that something is.
    let missed = Missed::default();
    let call = service.client.get_records().shard_iterator(iterator).customize().interceptor(missed.clone());
    let answer = call.send().await.unwrap();
    assert!(answer.records().is_empty());
    assert!(answer.next_shard_iterator().is_some());
    assert!(missed.0.load(Ordering::SeqCst) > 0, "nobody said that records were missed");
    service.stop().await;
}
