//! The power fails at every operation of the disk in turn.

use super::super::super::Token;
use super::*;
use crate::record::StreamId;

const STEPS: usize = 10;

/// What is asked one after the other.
async fn step(house: &House, streams: &DataStreams, number: usize) -> Result<()> {
    match number {
        0 => streams.create(new_stream("a", 2)).await.map(drop),
        1 => tag(streams, "a", "team").await,
        2 => streams.create(new_stream("b", 1)).await.map(drop),
        3 => house.put(streams, "b", 7).await.map(drop),
        4 => house.put(streams, "a", 7).await.map(drop),
        5 => streams.reshard("a", split("shardId-000000000000", 1 << 100)).await,
        6 => {
            let settings = streams.settings().clone();
            let edit = move |definition: &mut Definition, now_ms| {
                definition.register_consumer("app", Vec::new(), &settings, now_ms).map(drop)
            };
            streams.change("a", edit).await
        }
        7 => streams.delete("b", false).await,
        8 => streams.reshard("a", Reshard::Uniform { target: 2 }).await,
        _ => streams.create(new_stream("b", 3)).await.map(drop),
    }
}

/// The states after 0, 1, … steps, and how many operations of the disk all took.
async fn undisturbed() -> (Vec<Snapshot>, u64) {
    let house = House::new(1);
    let streams = house.open().await.unwrap();
    let mut states = vec![streams.snapshot()];
    for number in 0..STEPS {
        step(&house, &streams, number).await.unwrap();
        states.push(streams.snapshot());
    }
    (states, house.disk.operations())
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_survives_and_the_rest_is_whole_or_not_there() {
    let (states, operations) = undisturbed().await;
    assert!(operations > 30, "{operations} operations");
    for at in 0..operations {
        let house = House::new(1);
        house.disk.crash_after(at);
        let mut done = 0;
        if let Ok(streams) = house.open().await {
            while done < STEPS && step(&house, &streams, done).await.is_ok() {
                done += 1;
            }
            assert_eq!(streams.snapshot(), states[done], "crash at {at}: nothing is seen that was not stored");
        }
        house.disk.crash();
        let streams = house.open().await.unwrap();
        let now = streams.snapshot();
        let next = (done + 1).min(STEPS);
        assert!(now == states[done] || now == states[next], "crash at {at}, after {done} steps: {now:?}");
        for known in states.iter().flat_map(|state| state.values()) {
            if !now.values().any(|left| left.id == known.id) {
                is_freed(&house, known.id).await;
            }
        }
    }
}

/// Waits until nothing is left of a stream that is gone.
async fn is_freed(house: &House, stream: StreamId) {
    for _ in 0..1_000 {
        let extent = house.journal.extent(ShardId { stream, index: 0 }).await;
        if extent.is_ok_and(|extent| extent.disk_bytes > 0) {
            tokio::task::yield_now().await;
        } else {
            return;
        }
    }
    panic!("the records of {stream} are still there");
}

#[tokio::test(start_paused = true)]
async fn tokens_are_good_after_a_restart() {
    let house = House::new(3);
    let token = Token::Streams { after: "a".into() };
    let text = house.open().await.unwrap().tokens().seal(&token, START_MS);
    house.disk.crash();
    assert_eq!(house.open().await.unwrap().tokens().open(&text, START_MS), Ok(token));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_document_is_said() {
    let house = House::new(4);
    let streams = house.open().await.unwrap();
    streams.create(new_stream("a", 1)).await.unwrap();
    drop(streams);
    let files = house.disk.files();
    let newest = files.iter().filter(|file| file.starts_with("data_streams/")).max().unwrap();
    house.disk.flip(newest, 8 * 100);
    let error = house.open().await.map(drop).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.message().contains(newest), "{error}");
}

/// Trimmed records of a slow shard stay on disk for minutes; after a crash they can be read again, and the shard may be
/// forgotten by then.
#[tokio::test(start_paused = true)]
async fn what_a_forgotten_shard_left_is_freed_after_a_crash() {
    use crate::journal::local::{LocalJournal, Options};

    let (disk, clock) = (Arc::new(SimDisk::new(9)), Clock::simulated(9, START_MS));
    let brief = FileStream {
        name: "brief".into(),
        mode: Mode::OnDemand,
        shards: 1,
        retention: Duration::from_secs(1),
        record_bytes_max: DATA_RECORD_BYTES_DEFAULT,
        limits: Limits::None,
        bytes_max: None,
        encrypted: false,
    };
    let open = async || {
        let journal = LocalJournal::open_inline(disk.clone(), clock.clone(), Options::default()).await.unwrap();
        let journal: Arc<dyn Journal> = Arc::new(journal);
        let (settings, file) = (settings(Duration::ZERO), vec![brief.clone()]);
        let streams = DataStreams::open(disk.clone(), journal.clone(), clock.clone(), settings, file).await.unwrap();
        streams.settled();
        (journal, streams)
    };
    let (journal, streams) = open().await;
    let stream = streams.get("brief").unwrap();
    let records = Records::from_slices(clock.now_ms(), &["a record"]);
    stream.put(Put { records, hashes: vec![5], call: None }).await.unwrap();
    streams.rescale(stream.id(), vec![Step::Split { shard: 0, start: 1 << 100 }]).await.unwrap();
    clock.sleep(Duration::from_secs(20)).await;
    assert_eq!(definition(&streams, "brief").shards.len(), 2, "the first is forgotten");
    let first = ShardId { stream: stream.id(), index: 0 };
    assert!(journal.extent(first).await.unwrap().disk_bytes > 0, "but not freed yet");
    drop((journal, streams, stream));
    disk.crash();
    let (journal, _streams) = open().await;
    assert_eq!(journal.extent(first).await.unwrap().start, 0, "it is there again");
    clock.sleep(Duration::from_secs(1)).await;
    let extent = journal.extent(first).await.unwrap();
    assert_eq!((extent.start, extent.end), (1, 1));
    assert!(!disk.files().iter().any(|name| name.contains("/0/") && name.contains(".seg")), "{:?}", disk.files());
}
