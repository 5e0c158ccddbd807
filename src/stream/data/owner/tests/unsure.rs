//! Saves that fail and are durable all the same: the disk holds what nobody was granted.

use super::*;

/// Fails the saves from the next one on, after the new file has its name.
fn fail_saves(house: &House) {
    house.disk.fail_from(Op::SyncDir, 1, std::io::ErrorKind::Other);
}

fn stored(placed: Placed) -> (u32, u64) {
    let Placed::Stored { shard, sequence, .. } = placed else { panic!("{placed:?}") };
    (shard, sequence.position().unwrap())
}

/// Reads a shard as consumers do, to its end if it has one.
async fn texts(streams: &DataStreams, shard: u32) -> Vec<String> {
    let (mut texts, mut position) = (Vec::new(), 0);
    loop {
        let limit = ReadLimit { records: 10, bytes: 1 << 20 };
        let read = streams.get("a").unwrap().read(shard, position, limit).await.unwrap();
        texts.extend(read.puts.iter().flat_map(Records::iter).map(|text| String::from_utf8_lossy(text).into_owned()));
        if read.ended || read.next == position {
            return texts;
        }
        position = read.next;
    }
}

#[tokio::test(start_paused = true)]
async fn records_put_after_a_reshard_that_failed_and_was_durable_are_read_after_a_restart() {
    let house = House::new(1);
    let streams = house.open().await.unwrap();
    streams.create(new_stream("a", 1)).await.unwrap();
    assert_eq!(stored(house.put(&streams, "a", 7).await.unwrap()), (0, 0));
    fail_saves(&house);
    let failed = streams.reshard("a", split("0", 1 << 100)).await;
    refused(failed, Kind::Unavailable, "the data streams could not be stored");
    assert_eq!(stored(house.put(&streams, "a", 7).await.unwrap()), (0, 1));
    drop(streams);

    house.disk.restart();
    house.clock.sleep(Duration::from_secs(9)).await;
    let streams = house.open().await.unwrap();
    let now = definition(&streams, "a");
    let closed = now.shard(0).unwrap().closed.expect("the failed save is what the start found");
    assert_eq!((closed.end, closed.at_ms), (2, START_MS + 9_000));
    assert_eq!(texts(&streams, 0).await.len(), 2);
    assert_eq!(stored(house.put(&streams, "a", 7).await.unwrap()), (1, 0), "the children go on");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_granted_does_not_stay_on_disk_while_the_service_runs() {
    let house = House::new(2);
    let streams = house.open().await.unwrap();
    streams.create(new_stream("a", 1)).await.unwrap();
    fail_saves(&house);
    assert!(streams.delete("a", false).await.is_err());
    house.put(&streams, "a", 7).await.unwrap();
    // The disk stays bad for a while, and nobody asks for a change.
    house.clock.sleep(Duration::from_secs(3)).await;
    house.disk.heal();
    house.clock.sleep(crate::limits::RETRY_PAUSE_MAX).await;
    let saved = house.disk.operations();
    house.clock.sleep(Duration::from_hours(1)).await;
    assert_eq!(house.disk.operations(), saved, "once is enough");
    drop(streams);

    house.disk.restart();
    let streams = house.open().await.unwrap();
    assert_eq!(texts(&streams, 0).await, ["a record"]);
}
