//! Webhooks as their users see them: a receiver that answers as it is told, and what it was told of the objects that are there.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use standpipe::disk::Disk;
use standpipe::telemetry::status::WebhookStatus;

use super::receiver::{Got, Receiver, Reply};
use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ARN: &str = "arn:aws:firehose:us-east-1:000000000000:deliverystream/web";

/// A stream into the lake that tells `url`.
fn stream(url: &str, webhook: &str, more: &str) -> String {
    let stream = local_stream("web", "size = \"1 KiB\", interval = \"0s\"", more);
    format!("{stream}error_prefix = \"failed/\"\n[delivery_stream.web.webhook]\nurl = \"{url}\"\n{webhook}\n")
}

async fn told(service: &Service, what: impl Fn(&WebhookStatus) -> bool) -> WebhookStatus {
    let status = until(service, "web", |web| web.webhook.as_ref().is_some_and(&what)).await;
    status.webhook.unwrap()
}

/// The bytes of each object by its key.
fn sizes(house: &House) -> BTreeMap<String, u64> {
    let (mut sizes, mut folders) = (BTreeMap::new(), vec![house.lake.path().to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let key = entry.path().strip_prefix(house.lake.path()).unwrap().display().to_string();
                sizes.insert(key, entry.metadata().unwrap().len());
            }
        }
    }
    sizes
}

/// The sizes that a receiver was told, by key.
fn told_sizes(got: &[Got]) -> BTreeMap<String, u64> {
    let object = |got: &Got| got.json["data"]["object"].clone();
    got.iter().map(object).map(|o| (o["key"].as_str().unwrap().to_owned(), o["size"].as_u64().unwrap())).collect()
}

fn taken() -> Reply {
    Reply::Body("thanks".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_object_is_told_once_with_all_that_is_known_of_it() {
    let receiver = Receiver::start(|_, _| Reply::Status(204)).await;
    let house = House::new();
    let keys = format!("secret = \"{SECRET}\"\nheaders = {{ Authorization = \"Bearer hush\" }}");
    let config = stream(&receiver.url(), &keys, "process = [{ type = \"require-json\" }]");
    let service = house.start(&config).await;
    put(&service, "web", &["{\"a\":1}".to_owned(), "{\"a\":2}".to_owned(), "no json".to_owned()]).await;
    let status = told(&service, |told| told.sent == 2 && told.waiting == 0).await;
    assert_eq!((status.failures, status.dropped, status.last_error), (0, 0, None));
    let got = receiver.requests();
    assert_eq!(told_sizes(&got), sizes(&house));
    let by_type = |name: &str| got.iter().find(|got| got.json["type"] == name).unwrap();
    let (object, error) = (by_type("object.delivered"), by_type("error-output.delivered"));
    let data = &object.json["data"];
    assert_eq!(data["deliveryStream"], json!({ "name": "web", "arn": ARN }));
    assert_eq!(data["store"], json!({ "type": "local", "path": house.lake.path() }));
    let key = data["object"]["key"].as_str().unwrap();
    assert!(key.starts_with("web/") && house.lake.path().join(key).exists(), "{key}");
    let expected = json!({ "key": key, "size": 16, "records": 2, "format": "records", "compression": "none" });
    assert_eq!(data["object"], expected);
    assert_eq!(data["spans"], json!([{ "shard": "shardId-000000000000", "first": 0, "last": 2 }]));
    assert_eq!((&data["spanCount"], data.get("errorOutputType")), (&json!(1), None));
    let data = &error.json["data"];
    assert_eq!((&data["errorOutputType"], &data["object"]["records"]), (&json!("processing-failed"), &json!(1)));
    for got in &got {
        assert_eq!((got.method.as_str(), got.path.as_str()), ("POST", "/firehose?x=1"));
        assert_eq!(got.header("authorization"), "Bearer hush");
        assert_eq!(got.json["id"], got.header("webhook-id"));
        let signed = format!("{}.{}.", got.header("webhook-id"), got.header("webhook-timestamp"));
        let key = base64_simd::STANDARD.decode_to_vec(&SECRET["whsec_".len()..]).unwrap();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
        let tag = got.header("webhook-signature").strip_prefix("v1,").unwrap();
        let tag = base64_simd::STANDARD.decode_to_vec(tag).unwrap();
        aws_lc_rs::hmac::verify(&key, &[signed.as_bytes(), &got.bytes].concat(), &tag).unwrap();
    }
    is_clean(&service.stop(GRACE).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_told_again_as_it_was_and_in_order() {
    let receiver = Receiver::start(|_, before| match before {
        0 => Reply::Status(500),
        1 => Reply::Hangup,
        _ => taken(),
    })
    .await;
    let house = House::new();
    let service = house.start(&stream(&receiver.url(), "", "")).await;
    for n in 0..5 {
        put(&service, "web", &numbered(n..n + 1)).await;
        until(&service, "web", |web| web.delivered == n as u64 + 1).await;
    }
    let status = told(&service, |told| told.sent == 5).await;
    assert_eq!((status.failures, status.dropped, status.waiting), (2, 0, 0));
    let got = receiver.requests();
    assert_eq!(got.len(), 7);
    for again in &got[1..3] {
        assert_eq!((&again.bytes, again.header("webhook-id")), (&got[0].bytes, got[0].header("webhook-id")));
    }
    let first = |got: &Got| got.json["data"]["spans"][0]["first"].as_u64().unwrap();
    assert_eq!(got[2..].iter().map(first).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(told_sizes(&got), sizes(&house));
    is_clean(&service.stop(GRACE).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_down_over_a_restart_is_told_afterwards() {
    let is_up = Arc::new(AtomicBool::new(false));
    let up = is_up.clone();
    let reply = move |_: &Got, _| if up.load(Ordering::SeqCst) { taken() } else { Reply::Hangup };
    let (receiver, house) = (Receiver::start(reply).await, House::new());
    let config = stream(&receiver.url(), "", "");
    for life in 0..2 {
        let service = house.start(&config).await;
        put(&service, "web", &numbered(life..life + 1)).await;
        let waits = told(&service, |told| told.waiting == life as u64 + 1 && told.last_error.is_some()).await;
        assert_eq!(waits.dropped, 0);
        is_clean(&service.stop(GRACE).await.unwrap());
    }
    is_up.store(true, Ordering::SeqCst);
    let service = house.start(&config).await;
    told(&service, |told| told.sent == 2 && told.waiting == 0).await;
    assert_eq!(told_sizes(&receiver.requests()), sizes(&house));
    is_clean(&service.stop(GRACE).await.unwrap());
    // What was taken is not told again.
    let before = receiver.requests().len();
    let service = house.start(&config).await;
    put(&service, "web", &numbered(2..3)).await;
    told(&service, |told| told.sent == 1).await;
    assert_eq!(receiver.requests().len(), before + 1);
    is_clean(&service.stop(GRACE).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_given_up_and_wrong_answers_do_no_harm() {
    let receiver = Receiver::start(|_, before| match before {
        0 => Reply::Status(404),
        1 => Reply::Status(410),
        2 => Reply::Status(302),
        3 => Reply::Endless,
        _ => Reply::Body("\u{0}".repeat(200_000)),
    })
    .await;
    let house = House::new();
    let service = house.start(&stream(&receiver.url(), "", "")).await;
    for n in 0..4 {
        put(&service, "web", &numbered(n..n + 1)).await;
        until(&service, "web", |web| web.delivered == n as u64 + 1).await;
    }
    let status = told(&service, |told| told.sent == 2).await;
    assert_eq!((status.failures, status.dropped, status.waiting), (3, 2, 0));
    let got = receiver.requests();
    assert_eq!(got.len(), 5, "a redirect is not followed, and what is taken is not told again");
    assert!(got.iter().all(|got| got.path == "/firehose?x=1"));
    is_clean(&service.stop(GRACE).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_holds_nothing_back() {
    let (receiver, house) = (Receiver::start(|_, _| Reply::Never).await, House::new());
    let service = house.start(&stream(&receiver.url(), "timeout = \"1s\"", "")).await;
    for n in 0..20 {
        put(&service, "web", &numbered(n..n + 1)).await;
        until(&service, "web", |web| web.delivered == n as u64 + 1 && web.backlog_records == 0).await;
    }
    let status = told(&service, |told| told.failures > 0).await;
    assert_eq!((status.waiting, status.sent, status.dropped), (20, 0, 0));
    assert_eq!(status.last_error.as_deref(), Some("there was no answer within 1 s"));
    let web = self::status(&service, "web").await;
    assert_eq!((web.state.as_str(), web.last_error), ("delivering", None));
    is_clean(&service.stop(GRACE).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn when_too_many_wait_the_newest_are_dropped_and_delivery_goes_on() {
    let (receiver, house) = (Receiver::start(|_, _| Reply::Status(503)).await, House::new());
    let config = stream(&receiver.url(), "", "");
    let service = house.start(&config).await;
    put(&service, "web", &numbered(0..1)).await;
    told(&service, |told| told.waiting == 1).await;
    let id = service.catalog.get("web").unwrap().id;
    is_clean(&service.stop(GRACE).await.unwrap());
    for n in 0..9_998 {
        house.disk.put(&format!("webhook/{id}/{:020}-a", 1_000_000 + n), b"x");
    }
    let service = house.start(&config).await;
    put(&service, "web", &numbered(1..2)).await;
    until(&service, "web", |web| web.delivered == 2).await;
    let status = told(&service, |told| told.waiting == 10_000).await;
    assert_eq!(status.dropped, 0);
    for n in 2..5 {
        put(&service, "web", &numbered(n..n + 1)).await;
        until(&service, "web", |web| web.delivered == n as u64 + 1).await;
    }
    let status = told(&service, |told| told.dropped == 3).await;
    assert_eq!((status.waiting, status.sent), (10_000, 0));
    is_clean(&service.stop(GRACE).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_that_cannot_be_listed_holds_no_delivery_up() {
    let (receiver, house) = (Receiver::start(|_, _| taken()).await, House::new());
    let config = stream(&receiver.url(), "", "");
    is_clean(&house.start(&config).await.stop(GRACE).await.unwrap());
    house.disk.put("webhook", b"no directory");
    let service = house.start(&config).await;
    put(&service, "web", &numbered(0..1)).await;
    until(&service, "web", |web| web.delivered == 1).await;
    let status = told(&service, |told| told.dropped == 1).await;
    assert_eq!((status.sent, status.waiting), (0, 0));
    assert!(status.last_error.unwrap().contains("cannot be listed"));
    house.disk.remove(Path::new("webhook")).unwrap();
    put(&service, "web", &numbered(1..2)).await;
    told(&service, |told| told.sent == 1 && told.waiting == 0 && told.last_error.is_none()).await;
    is_clean(&service.stop(GRACE).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_taken_away_leaves_nothing() {
    let (receiver, house) = (Receiver::start(|_, _| Reply::Status(503)).await, House::new());
    let waiting = |house: &House| house.disk.files().iter().filter(|file| file.starts_with("webhook/")).count();
    let service = house.start(&stream(&receiver.url(), "", "")).await;
    put(&service, "web", &numbered(0..1)).await;
    told(&service, |told| told.waiting == 1).await;
    is_clean(&service.stop(GRACE).await.unwrap());
    assert_eq!(waiting(&house), 1);
    let service = house.start(&local_stream("web", "size = \"1 KiB\", interval = \"0s\"", "")).await;
    put(&service, "web", &numbered(1..2)).await;
    let web = until(&service, "web", |web| web.delivered == 2).await;
    assert_eq!(web.webhook, None);
    assert_eq!(waiting(&house), 0);
    is_clean(&service.stop(GRACE).await.unwrap());
    // So does a stream that is.
    let service = house.start(&stream(&receiver.url(), "", "")).await;
    put(&service, "web", &numbered(2..3)).await;
    told(&service, |told| told.waiting == 1).await;
    is_clean(&service.stop(GRACE).await.unwrap());
    assert_eq!(waiting(&house), 1);
    let service = house.start("").await;
    while service.catalog.get("web").is_some() {
        Clock::real().sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(waiting(&house), 0);
    is_clean(&service.stop(GRACE).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_columns_and_error_output_are_told_as_what_they_are() {
    let (receiver, house) = (Receiver::start(|_, _| taken()).await, House::new());
    let text = format!(
        "[delivery_stream.web]\nbuffer = {{ size = \"1 KiB\", interval = \"0s\" }}\n\
         process = [{{ type = \"extract\", query = \"{{t: .t}}\" }}]\n\
         [delivery_stream.web.backup]\nbuffer = {{ size = \"1 KiB\", interval = \"0s\" }}\n\
         destination = {{ type = \"local\", path = \"LAKE\", prefix = \"raw/\" }}\n\
         [delivery_stream.web.webhook]\nurl = \"{}\"\n\
         [delivery_stream.web.destination]\ntype = \"local\"\npath = \"LAKE\"\nerror_prefix = \"failed/\"\n\
         prefix = \"t=!{{partitionKeyFromQuery:t}}/\"\n\
         format = {{ parquet = {{}}, schema = {{ columns = {{ t = \"string\", n = \"bigint\" }} }} }}\n",
        receiver.url()
    );
    let service = house.start(&text).await;
    let records = ["{\"t\":\"a\",\"n\":1}", "{\"t\":\"b\",\"n\":2}", "{\"t\":\"a\",\"n\":3}", "{\"n\":\"x\"}"];
    put(&service, "web", &records.map(str::to_owned)).await;
    told(&service, |told| told.sent >= 3 && told.waiting == 0).await;
    until(&service, "web (backup)", |backup| backup.delivered == 4).await;
    let got = receiver.requests();
    let mut expected = sizes(&house);
    expected.retain(|key, _| !key.starts_with("raw/"));
    assert_eq!(told_sizes(&got), expected, "of the backup nobody is told");
    let of = |prefix: &str| -> &Value {
        let is_wanted = |got: &&Got| got.json["data"]["object"]["key"].as_str().unwrap().starts_with(prefix);
        &got.iter().find(is_wanted).unwrap().json["data"]
    };
    for (value, records) in [("a", 2), ("b", 1)] {
        let data = of(&format!("t={value}/"));
        assert_eq!(data["partitionKeys"], json!({ "partitionKeyFromQuery:t": value }));
        let object = &data["object"];
        assert_eq!((&object["records"], &object["format"]), (&json!(records), &json!("parquet")));
        assert_eq!(object.get("compression"), None);
    }
    let data = of("failed/");
    assert_eq!((&data["object"]["records"], data.get("partitionKeys")), (&json!(1), None));
    assert_eq!(data["errorOutputType"], "dynamic-partitioning-failed");
    is_clean(&service.stop(GRACE).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_endpoint_what_it_did_not_take_is_told() {
    let refuses = Receiver::start(|_, _| Reply::Status(413)).await;
    let (receiver, house) = (Receiver::start(|_, _| taken()).await, House::new());
    let text = format!(
        "[delivery_stream.web]\nbuffer = {{ size = \"1 KiB\", interval = \"0s\" }}\n\
         process = [{{ type = \"require-json\" }}]\n\
         [delivery_stream.web.webhook]\nurl = \"{}\"\n\
         [delivery_stream.web.destination]\ntype = \"http\"\nurl = \"{}\"\n\
         error_prefix = \"!{{firehose:error-output-type}}/\"\nfailures = {{ type = \"local\", path = \"LAKE\" }}\n",
        receiver.url(),
        refuses.url()
    );
    let service = house.start(&text).await;
    put(&service, "web", &["{\"a\":1}".to_owned(), "{\"a\":2}".to_owned(), "no json".to_owned()]).await;
    told(&service, |told| told.sent == 2).await;
    let got = receiver.requests();
    assert_eq!(told_sizes(&got), sizes(&house));
    let mut kinds: Vec<_> = got
        .iter()
        .map(|got| (&got.json["type"], &got.json["data"]["errorOutputType"], &got.json["data"]["object"]["records"]))
        .map(|(kind, output, records)| (kind.as_str().unwrap(), output.as_str().unwrap(), records.as_u64().unwrap()))
        .collect();
    kinds.sort_unstable();
    let kind = "error-output.delivered";
    assert_eq!(kinds, [(kind, "http-endpoint-failed", 2), (kind, "processing-failed", 1)]);
    is_clean(&service.stop(GRACE).await.unwrap());
}
