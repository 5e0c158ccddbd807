//! Delivery streams that read data streams: through resharding and restarts, side by side, from where they should begin.

use std::time::Duration;

use chrono::DateTime;
use standpipe::clock::Clock;

use super::{House, delivery, is_in_order, is_whole};

const STREAM: &str = "[data_stream.clicks]\nshards = 2\n";

#[tokio::test(flavor = "multi_thread")]
async fn restarts_lose_and_double_nothing() {
    let house = House::new();
    let tables =
        STREAM.to_owned() + &delivery("lake", "{ data_stream = \"clicks\" }", "size = \"1 KiB\", interval = \"1s\"");
    let mut sent = Vec::new();
    let mut first = 0;
    for round in 0..4 {
        let service = house.start(&tables).await;
        sent.extend(service.put("clicks", 8, first, 20).await);
        first += 20;
        if round % 2 == 0 { service.stop().await } else { service.break_off().await }
    }
    let service = house.start(&tables).await;
    service.stop().await;
    is_whole(&house.delivered("lake"), &sent);
    is_in_order(&house.objects("lake"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_followed_through_splits_and_merges_under_load() {
    let house = House::new();
    let service = house.start("").await;
    service.client.create_stream().stream_name("orders").shard_count(2).send().await.unwrap();
    let firehose = super::import::firehose(&service.endpoint());
    super::import::create_delivery(&firehose, "from-orders", "orders").await;
    let mut sent = Vec::new();
    let mut first = 0;
    for round in 0..6 {
        let puts = service.put("orders", 16, first, 12);
        let reshard = async {
            let open = service.open_shards("orders").await;
            if round % 3 == 2 {
                service.merge("orders", &open[0], &open[1]).await;
            } else {
                service.split("orders", &open[round % open.len()]).await;
            }
        };
        let (lines, ()) = tokio::join!(puts, reshard);
        sent.extend(lines);
        first += 12;
    }
    let listed = service.shards("orders").await;
    assert_eq!(listed.len(), 2 + 4 * 2 + 2, "closed parents are listed too");
    service.stop().await;
    is_whole(&super::import::api_delivered(&house, "from-orders"), &sent);
    is_in_order(&super::import::api_objects(&house, "from-orders"));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_delivery_streams_begin_where_they_are_told() {
    let house = House::new();
    let service = house.start(STREAM).await;
    let early = service.put("clicks", 4, 0, 5).await;
    service.stop().await;
    let clock = Clock::real();
    let time = DateTime::from_timestamp_millis(clock.now_ms().cast_signed()).unwrap();
    clock.sleep(Duration::from_millis(20)).await;
    let small = "size = \"1 KiB\", interval = \"0s\"";
    let at = format!("{{ data_stream = \"clicks\", start = \"{}\" }}", time.to_rfc3339());
    let tables = STREAM.to_owned()
        + &delivery("all", "{ data_stream = \"clicks\" }", small)
        + &delivery("new", "{ data_stream = \"clicks\", start = \"latest\" }", small)
        + &delivery("since", &at, small);
    let service = house.start(&tables).await;
    let late = service.put("clicks", 4, 5, 5).await;
    service.stop().await;
    is_whole(&house.delivered("all"), &[early, late.clone()].concat());
    is_whole(&house.delivered("new"), &late);
    is_whole(&house.delivered("since"), &late);
}
