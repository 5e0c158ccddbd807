//! A journal that says that there is more and then brings nothing: who asks it must not ask for ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use standpipe::api::kinesis::Wire;
use standpipe::error::Result;
use standpipe::journal::memory::MemoryJournal;
use standpipe::journal::{Append, Appended, Extent, Journal};
use standpipe::record::{Batch, CallId, ShardId, Span, StreamId};

use crate::data::{consumer, subscribe};
use crate::harness::{Setup, start};

struct Sulky {
    journal: MemoryJournal,
    reads: Arc<AtomicUsize>,
    /// Reads from before here bring nothing and lead here.
    lost: u64,
}

#[async_trait]
impl Journal for Sulky {
    async fn append(&self, shard: ShardId, put: Append) -> Result<Appended> {
        self.journal.append(shard, put).await
    }

    async fn read(&self, shard: ShardId, start: u64, bytes_max: usize) -> Result<Batch> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if start < self.lost {
            let span = Span { shard, start: self.lost, end: self.lost };
            return Ok(Batch { span, puts: Vec::new() });
        }
        self.journal.read(shard, start, bytes_max).await
    }

    async fn grown(&self, _: ShardId, _: u64) -> Result<()> {
        Ok(())
    }

    async fn extent(&self, shard: ShardId) -> Result<Extent> {
        self.journal.extent(shard).await
    }

    async fn position_at(&self, shard: ShardId, arrived_ms: u64) -> Result<u64> {
        self.journal.position_at(shard, arrived_ms).await
    }

    async fn recall(&self, shard: ShardId, call: CallId) -> Result<Option<Span>> {
        self.journal.recall(shard, call).await
    }

    async fn checkpoints(&self, shard: ShardId) -> Result<BTreeMap<String, Bytes>> {
        self.journal.checkpoints(shard).await
    }

    async fn trim(&self, shard: ShardId, end: u64) -> Result<()> {
        self.journal.trim(shard, end).await
    }

    async fn remove(&self, stream: StreamId) -> Result<()> {
        self.journal.remove(stream).await
    }

    fn healthy(&self) -> Result<()> {
        self.journal.healthy()
    }

    fn disk_bytes(&self) -> u64 {
        self.journal.disk_bytes()
    }

    async fn close(&self) {
        self.journal.close().await;
    }
}

#[tokio::test]
async fn a_subscription_does_not_spin() {
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = reads.clone();
    let setup = Setup {
        journal: Box::new(move |clock| Arc::new(Sulky { journal: MemoryJournal::new(clock), reads: counted, lost: 0 })),
        ..Setup::default()
    };
    let service = start(setup).await;
    service.create("s", 1).await;
    let consumer = consumer(&service).await;
    let mut events = subscribe(&service, Wire::Json, true, &consumer, json!({"Type": "LATEST"})).await;
    events.next().await.expect("an event comes at once");
    // Its clock stands still.
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    assert!(reads.load(Ordering::SeqCst) <= 2, "{reads:?} reads");
}

#[tokio::test]
async fn who_reads_over_damage_is_behind_all_the_same() {
    let reads = Arc::new(AtomicUsize::new(0));
    let setup = Setup {
        journal: Box::new(move |clock| Arc::new(Sulky { journal: MemoryJournal::new(clock), reads, lost: 1 })),
        ..Setup::default()
    };
    let service = start(setup).await;
    service.create("s", 1).await;
    for data in ["YQ==", "Yg=="] {
        let body = json!({"StreamName": "s", "PartitionKey": "k", "Data": data});
        service.ok(Wire::Json, "PutRecord", body).await;
    }
    service.advance(Duration::from_secs(5)).await;
    let begin = json!({"StreamName": "s", "ShardId": "0", "ShardIteratorType": "TRIM_HORIZON"});
    let iterator = service.ok(Wire::Json, "GetShardIterator", begin).await["ShardIterator"].clone();
    let page = service.ok(Wire::Json, "GetRecords", json!({"ShardIterator": iterator})).await;
    assert_eq!(page["Records"], json!([]));
    assert!(page["MillisBehindLatest"].as_u64().unwrap() >= 5_000, "{page}");
}
