//! A plan is carried out with the very steps that it was made with, whatever the configuration says since: nothing is lost,
//! doubled or made differently by a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use standpipe::destination::{Body, Created, Destination, ObjectFacts, Stores};
use standpipe::error::{Error, Result};

use super::{House, Mixed, Setting, example, identity, put, status, stop, until};

#[tokio::test(flavor = "multi_thread")]
async fn restarts_lose_and_double_nothing() {
    let house = House::new();
    let setting = Mixed::setting("size = \"2 KiB\", interval = \"1s\"");
    let mut put_before = 0;
    for round in 0..6 {
        let service = house.start(&setting).await;
        for _ in 0..5 {
            put(&service, "web", &Mixed::records(put_before..put_before + 100)).await;
            put_before += 100;
        }
        if round == 1 {
            // Some objects are there when it ends, and some are not.
            until(&service, "web", |web| web.objects > 3).await;
        }
        service.stop(Duration::ZERO).await.unwrap();
    }
    let service = house.start(&setting).await;
    let web = until(&service, "web", |web| web.backlog_records == 0).await;
    assert_eq!((web.accepted, web.delivered, web.failed, web.dropped, web.unpacked), (3_000, 1_800, 600, 600, 600));
    stop(service).await;
    Mixed::is_whole(&house, 3_000);
}

/// A store that is down.
#[derive(Default)]
pub(super) struct Down(AtomicUsize);

#[async_trait]
impl Destination for Down {
    async fn create(&self, _: &str, _: Body, _: ObjectFacts) -> Result<Created> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(Error::unavailable("down"))
    }

    async fn probe(&self) -> Result<String> {
        Ok("a store that is down".to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_plan_uses_the_module_that_it_was_made_with_and_it_is_kept_so_long() {
    let house = House::new();
    let place = house.lake.path().join("plugin.wasm");
    std::fs::copy(example("mask"), &place).unwrap();
    let setting = Setting::default().stream("web", "size = \"1 KiB\", interval = \"0s\"", &["clean"]).plugin(
        "clean",
        place.clone(),
        &[],
    );
    let record = |number: usize| json!({ "n": number, "level": "info", "ip": "203.0.113.9" }).to_string();

    let down = Arc::new(Down::default());
    let service = house.start_into(&setting, Stores::fixed(down.clone())).await;
    put(&service, "web", &[record(1), "no JSON".to_owned()]).await;
    until(&service, "web", |web| web.under_way == 1 && web.last_error.is_some()).await;
    service.stop(Duration::ZERO).await.unwrap();
    assert!(down.0.load(Ordering::SeqCst) > 0);

    // Another module in the place of the first: what is planned does not go through it.
    std::fs::copy(identity(), &place).unwrap();
    let service = house.start_into(&setting, Stores::fixed(down)).await;
    assert_eq!(house.modules().len(), 2, "one for the plan, one for what comes");
    put(&service, "web", &[record(2), "no JSON".to_owned()]).await;
    until(&service, "web", |web| web.under_way == 2).await;
    service.stop(Duration::ZERO).await.unwrap();

    // And none at all any more: plans need no configuration.
    let bare = Setting::default().stream("web", "size = \"1 KiB\", interval = \"0s\"", &[]);
    let service = house.start(&bare).await;
    put(&service, "web", &[record(3)]).await;
    let web = until(&service, "web", |web| web.backlog_records == 0).await;
    assert_eq!((web.delivered, web.failed), (4, 1));
    stop(service).await;
    let mut lines = house.lines("web");
    lines.sort();
    let masked = record(1).replace("113.9", "113.0");
    let mut expected = [masked, record(2), record(3), "no JSON".to_owned()];
    expected.sort();
    assert_eq!(lines, expected);

    let service = house.start(&bare).await;
    assert!(house.modules().is_empty(), "nobody needs them any more: {:?}", house.modules());
    stop(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_under_one_configuration_value_keeps_it_when_it_was_planned() {
    let house = House::new();
    let setting = |columns: &str| {
        Setting::default().stream("web", "size = \"1 KiB\", interval = \"0s\"", &["csv"]).plugin(
            "csv",
            example("csv"),
            &[("columns", columns)],
        )
    };
    let service = house.start_into(&setting("a,b"), Stores::fixed(Arc::new(Down::default()))).await;
    put(&service, "web", &["1,2"]).await;
    until(&service, "web", |web| web.under_way == 1).await;
    service.stop(Duration::ZERO).await.unwrap();
    let service = house.start(&setting("x,y")).await;
    put(&service, "web", &["3,4"]).await;
    until(&service, "web", |web| web.backlog_records == 0).await;
    assert_eq!(status(&service, "web").await.delivered, 2);
    stop(service).await;
    let mut documents = house.documents("web");
    documents.sort_by_key(ToString::to_string);
    assert_eq!(documents, [json!({ "a": "1", "b": "2" }), json!({ "x": "3", "y": "4" })]);
}
