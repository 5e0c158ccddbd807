//! ListDeliveryStreams and tags: order, pages, limits.

use serde_json::{Value, json};

use super::{Service, config, create, file_stream, named};
use standpipe::disk::sim::SimDisk;

async fn names(service: &Service, query: Value) -> (Vec<String>, bool) {
    let page = service.ok("ListDeliveryStreams", query).await;
    (
        serde_json::from_value(page["DeliveryStreamNames"].clone()).expect("names are strings"),
        page["HasMoreDeliveryStreams"] == true,
    )
}

#[tokio::test(start_paused = true)]
async fn streams_are_listed_sorted_in_pages() {
    let files = vec![file_stream("m", "")];
    let service = Service::start(&SimDisk::new(1), &config(files)).await.unwrap();
    assert_eq!(names(&service, json!({ "DeliveryStreamType": "KinesisStreamAsSource" })).await, (vec![], false));
    for number in (0..11).rev() {
        service.create(&format!("s{number:02}"), json!({})).await;
    }
    let (page, more) = names(&service, json!({})).await;
    assert_eq!((page.len(), page[0].as_str(), page[9].as_str(), more), (10, "m", "s08", true));
    let next = json!({ "ExclusiveStartDeliveryStreamName": "s08", "DeliveryStreamType": "DirectPut" });
    assert_eq!(names(&service, next).await, (vec!["s09".into(), "s10".into()], false));
    // A cursor need not exist; a page that ends with the last name says so.
    let next = json!({ "ExclusiveStartDeliveryStreamName": "s08x", "Limit": 2 });
    assert_eq!(names(&service, next).await, (vec!["s09".into(), "s10".into()], false));
    assert_eq!(names(&service, json!({ "Limit": 1 })).await, (vec!["m".into()], true));
    assert_eq!(names(&service, json!({ "Limit": 10_000 })).await.0.len(), 12);
    assert_eq!(names(&service, json!({ "DeliveryStreamType": "MSKAsSource" })).await, (vec![], false));
}

async fn tags(service: &Service, query: Value) -> (Value, bool) {
    let page = service.ok("ListTagsForDeliveryStream", query).await;
    (page["Tags"].clone(), page["HasMoreTags"] == true)
}

#[tokio::test(start_paused = true)]
async fn tags_are_set_replaced_removed_and_paged() {
    let service = Service::new().await;
    let mut body = create("s", json!({}));
    body["Tags"] = json!([{ "Key": "b", "Value": "1" }, { "Key": "a" }]);
    service.ok("CreateDeliveryStream", body).await;
    let both = json!([{ "Key": "b", "Value": "1" }, { "Key": "a" }]);
    assert_eq!(tags(&service, named("s")).await, (both, false));

    let change =
        json!({ "DeliveryStreamName": "s", "Tags": [{ "Key": "b", "Value": "" }, { "Key": "ü:/", "Value": "x" }] });
    service.ok("TagDeliveryStream", change).await;
    let all = json!([{ "Key": "b", "Value": "" }, { "Key": "a" }, { "Key": "ü:/", "Value": "x" }]);
    assert_eq!(tags(&service, named("s")).await, (all.clone(), false));

    let page = json!({ "DeliveryStreamName": "s", "Limit": 1, "ExclusiveStartTagKey": "b" });
    assert_eq!(tags(&service, page).await, (json!([{ "Key": "a" }]), true));
    let page = json!({ "DeliveryStreamName": "s", "ExclusiveStartTagKey": "ü:/" });
    assert_eq!(tags(&service, page).await, (json!([]), false));
    let page = json!({ "DeliveryStreamName": "s", "ExclusiveStartTagKey": "none" });
    assert_eq!(tags(&service, page).await, (all, false));

    service.ok("UntagDeliveryStream", json!({ "DeliveryStreamName": "s", "TagKeys": ["a", "none"] })).await;
    let left = json!([{ "Key": "b", "Value": "" }, { "Key": "ü:/", "Value": "x" }]);
    assert_eq!(tags(&service, named("s")).await, (left, false));
    // Tags change no version.
    assert_eq!(service.describe("s").await["VersionId"], "1");
}

#[tokio::test(start_paused = true)]
async fn fifty_tags_and_not_one_more() {
    let service = Service::new().await;
    service.create("s", json!({})).await;
    let many: Vec<Value> = (0..50).map(|number| json!({ "Key": format!("k{number}") })).collect();
    service.ok("TagDeliveryStream", json!({ "DeliveryStreamName": "s", "Tags": many })).await;
    let one_more = json!({ "DeliveryStreamName": "s", "Tags": [{ "Key": "k0", "Value": "v" }, { "Key": "other" }] });
    assert_eq!(service.refused("TagDeliveryStream", one_more).await.0, "LimitExceededException");
    let (page, more) = tags(&service, named("s")).await;
    assert_eq!((page.as_array().unwrap().len(), more, &page[0]), (50, false, &json!({ "Key": "k0" })));
    let replace = json!({ "DeliveryStreamName": "s", "Tags": [{ "Key": "k0", "Value": "v" }] });
    service.ok("TagDeliveryStream", replace).await;
    let (code, message) = service
        .refused(
            "TagDeliveryStream",
            json!({
                "DeliveryStreamName": "none", "Tags": [{ "Key": "a" }],
            }),
        )
        .await;
    assert_eq!(
        (code, message.as_str()),
        ("ResourceNotFoundException", "Firehose none under account 123456789012 not found.")
    );
}
