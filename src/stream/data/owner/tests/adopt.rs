//! The configuration file against what is stored.

use super::*;

fn file_stream(name: &str, shards: u32) -> FileStream {
    FileStream {
        name: name.into(),
        mode: Mode::Provisioned,
        shards,
        retention: Duration::from_secs(30),
        record_bytes_max: DATA_RECORD_BYTES_DEFAULT,
        limits: Limits::None,
        bytes_max: None,
        encrypted: false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_the_file_keeps_its_identity_and_becomes_what_the_file_says() {
    let house = House::new(1);
    let streams = house.open_with(vec![file_stream("a", 2)]).await.unwrap();
    let first = definition(&streams, "a");
    assert_eq!((first.open_shards().count(), first.retention), (2, Duration::from_secs(30)));
    house.put(&streams, "a", 7).await.unwrap();
    drop(streams);

    let on_demand = |shards| FileStream { mode: Mode::OnDemand, ..file_stream("a", shards) };
    for (stream, open) in [
        (file_stream("a", 2), 2),
        (file_stream("a", 5), 5),
        (on_demand(9), 5),
        (file_stream("a", 1), 1),
        (FileStream { retention: Duration::from_hours(1), ..file_stream("a", 1) }, 1),
        (FileStream { encrypted: true, limits: Limits::Aws, ..file_stream("a", 1) }, 1),
        (FileStream { bytes_max: Some(1 << 30), record_bytes_max: 5 << 20, ..file_stream("a", 1) }, 1),
    ] {
        house.disk.restart();
        let streams = house.open_with(vec![stream.clone()]).await.unwrap();
        let now = definition(&streams, "a");
        let identity = (now.id, now.created_ms, now.open_shards().count());
        assert_eq!(identity, (first.id, first.created_ms, open), "{stream:?}");
        assert_eq!((now.mode, now.retention, now.limits), (stream.mode, stream.retention, stream.limits));
        assert_eq!((now.bytes_max, now.record_bytes_max), (stream.bytes_max, stream.record_bytes_max));
        assert_eq!(now.encryption_key.is_some(), stream.encrypted);
        // The record of the beginning is before the end of its shard, whatever became of it.
        let shard = now.shard(0).unwrap();
        assert!(shard.closed.is_none_or(|closed| closed.end == 1), "{shard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_api_reads_a_stream_of_the_file_and_changes_little() {
    let house = House::new(2);
    let streams = house.open_with(vec![file_stream("a", 2)]).await.unwrap();
    let said = "data stream a under account 000000000000 belongs to the configuration file: change it there";
    refused(streams.delete("a", true).await, Kind::Conflict, said);
    refused(streams.reshard("a", split("0", 9)).await, Kind::Conflict, said);
    let settings = streams.settings().clone();
    let retention = streams.change("a", move |a, now_ms| a.increase_retention(48, &settings, now_ms));
    refused(retention.await, Kind::Conflict, said);
    tag(&streams, "a", "team").await.unwrap();
    streams.change("a", |a, _| a.set_policy(Some("{}".into()))).await.unwrap();
    let settings = streams.settings().clone();
    let consumer = streams.change("a", move |a, now_ms| a.register_consumer("app", Vec::new(), &settings, now_ms));
    consumer.await.unwrap();
    // And these survive the file.
    house.disk.crash();
    let streams = house.open_with(vec![file_stream("a", 2)]).await.unwrap();
    let now = definition(&streams, "a");
    assert_eq!((now.tags.len(), now.consumers.len(), now.policy.as_deref()), (1, 1, Some("{}")));
}

#[tokio::test(start_paused = true)]
async fn one_that_vanished_takes_no_puts_and_comes_back_or_goes() {
    let house = House::new(3);
    let streams = house.open_with(vec![file_stream("a", 1), file_stream("b", 1)]).await.unwrap();
    let id = definition(&streams, "a").id;
    house.put(&streams, "a", 7).await.unwrap();
    drop(streams);
    house.disk.restart();
    let streams = house.open_with(vec![file_stream("b", 1)]).await.unwrap();
    assert_eq!(house.put(&streams, "a", 7).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(definition(&streams, "a").vanished_ms, Some(START_MS));
    // One that is still in the file is never gone.
    streams.gone(definition(&streams, "b").id).await.unwrap();
    assert!(streams.get("b").is_ok());
    drop(streams);

    house.disk.restart();
    let streams = house.open_with(vec![file_stream("a", 1)]).await.unwrap();
    house.put(&streams, "a", 7).await.unwrap();
    assert_eq!((definition(&streams, "a").id, definition(&streams, "a").vanished_ms), (id, None));
    drop(streams);

    house.disk.restart();
    let streams = house.open_with(Vec::new()).await.unwrap();
    streams.gone(id).await.unwrap();
    assert!(streams.get("a").is_err());
    freed(&house).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_the_api_took_is_refused() {
    let house = House::new(4);
    let streams = house.open().await.unwrap();
    streams.create(new_stream("a", 1)).await.unwrap();
    drop(streams);
    let said = "data stream a of the configuration file has the name of data stream a made through the API: rename the \
                one in the file, or start without it and delete the other";
    refused(house.open_with(vec![file_stream("a", 1)]).await.map(drop), Kind::Conflict, said);
}

#[tokio::test(start_paused = true)]
async fn an_encrypted_stream_needs_the_key() {
    let mut house = House::new(5);
    let encrypted = FileStream { encrypted: true, ..file_stream("a", 1) };
    house.open_with(vec![encrypted.clone()]).await.unwrap();
    house.settings.can_encrypt = false;
    house.disk.restart();
    let said = "data stream a is encrypted and the configuration has no encryption_key";
    refused(house.open_with(vec![encrypted]).await.map(drop), Kind::Invalid, said);
}
