//! Functions that answer differently at every call: what one made is delivered, once, whatever fails after it; while it is
//! called nobody else waits.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::Value;
use standpipe::app::App;
use standpipe::clock::Clock;
use standpipe::destination::Stores;

use super::counts::console;
use super::lambda::{Does, Lambda, Mood, Moody, so};
use super::{GRACE, House, Setting, example, put, status, stop, until};

type Given = Arc<Mutex<HashMap<String, Bytes>>>;

const SMALL: &str = "size = \"1 KiB\", interval = \"0s\"";

fn setting(lambda: &Lambda, buffer: &str) -> Setting {
    let mut setting = Setting::default().stream("web", buffer, &["f"]);
    setting.plugins.push(lambda.plugin("f", 1));
    setting
}

/// Each tenth record is poison, each tenth is dropped.
fn record(number: usize) -> String {
    let kind = match number % 10 {
        3 => "poison",
        7 => "drop",
        _ => "row",
    };
    format!("{kind} {number} {}", "x".repeat(30))
}

fn records(numbers: Range<usize>) -> Vec<String> {
    numbers.map(record).collect()
}

impl House {
    /// The names of the staged files.
    fn staged(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.data.path().join("staged")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Everything that is to be delivered of the first `count` records is there once, what fails is in the error output
    /// once, and nothing is staged any more.
    fn is_made(&self, count: usize) {
        let mut texts: Vec<_> =
            self.documents("web").iter().map(|row| row["text"].as_str().unwrap().to_owned()).collect();
        let raw = |failed: &Value| base64_simd::STANDARD.decode_to_vec(failed["rawData"].as_str().unwrap()).unwrap();
        let failed = self.documents("errors");
        assert!(failed.iter().all(|failed| failed["errorCode"] == "Lambda.ProcessingFailedStatus"));
        assert!(failed.iter().all(|failed| failed["lambdaARN"] == "arn:aws:lambda:us-east-1:000000000000:function:f"));
        texts.extend(failed.iter().map(|failed| String::from_utf8(raw(failed)).unwrap()));
        let mut expected: Vec<_> = records(0..count).into_iter().filter(|text| !text.starts_with("drop")).collect();
        texts.sort();
        expected.sort();
        assert_eq!(texts.len(), expected.len());
        assert!(texts == expected, "each once, and nothing else");
        assert!(self.staged().is_empty(), "{:?}", self.staged());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_off_at_every_stage_nothing_is_lost_or_twice_and_what_was_staged_is_delivered() {
    let (house, lambda, given) = (House::new(), Lambda::start().await, Given::default());
    let mut count = 0;
    for round in 0..12 {
        // The store fails in another way and at another object each time; it is broken off while it does, or before.
        let does = [Does::Refuses, Does::LosesAnswer, Does::Hangs][round % 3];
        let store =
            Moody::over(
                house.lake.path(),
                &given,
                move |number, _| {
                    if number >= round % 3 * 6 + round % 5 { does } else { Does::Well }
                },
            );
        let service =
            house.start_into(&setting(&lambda, "size = \"4 KiB\", interval = \"0s\""), Stores::fixed(store)).await;
        for _ in 0..4 {
            put(&service, "web", &records(count..count + 100)).await;
            count += 100;
        }
        let before = lambda.calls();
        match round % 4 {
            0 => {}
            1 => drop(until(&service, "web", |web| lambda.calls() > before || web.under_way == 4).await),
            2 => drop(until(&service, "web", |web| web.under_way > 0).await),
            _ => drop(
                until(&service, "web", |web| web.under_way > 0 && web.last_error.is_some() || web.under_way > 2).await,
            ),
        }
        service.stop(Duration::ZERO).await.unwrap();
    }
    // Of five creations in a row two succeed one after the other: an object's and its error output's.
    let moods = [Does::Well, Does::Refuses, Does::LosesAnswer, Does::Well, Does::Well];
    let store = Moody::over(house.lake.path(), &given, move |number, _| moods[number % 5]);
    let service =
        house.start_into(&setting(&lambda, "size = \"32 KiB\", interval = \"0s\""), Stores::fixed(store)).await;
    let web = until(&service, "web", |web| web.backlog_records == 0).await;
    let share = count as u64 / 10;
    assert_eq!((web.delivered, web.failed, web.dropped), (8 * share, share, share));
    stop(service).await;
    house.is_made(count);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_stands_between_plugins_and_is_called_side_by_side_in_order() {
    let (house, lambda) = (House::new(), Lambda::start().await);
    let mut setting = Setting::default().stream("web", "size = \"16 MiB\", interval = \"1s\"", &["csv", "f"]).plugin(
        "csv",
        example("csv"),
        &[("columns", "n,pad")],
    );
    setting.plugins.push(lambda.plugin("f", 0));
    lambda.mood(Mood::Hanging);
    let service = house.start(&setting).await;
    let lines: Vec<_> = (0..600).map(|number| format!("{number},{}\n", "x".repeat(10_000))).collect();
    for some in lines.chunks(100) {
        put(&service, "web", some).await;
    }
    so("several calls are under way", || lambda.side_by_side() >= 4).await;
    let waiting = status(&service, "web").await;
    assert_eq!((waiting.under_way, waiting.backlog_records), (0, 600), "nothing is planned before it is answered");
    lambda.mood(Mood::Well);
    until(&service, "web", |web| web.backlog_records == 0).await;
    stop(service).await;
    assert_eq!(lambda.side_by_side(), 4, "and no more than that");
    let number = |row: &Value| {
        let text: Value = serde_json::from_str(row["text"].as_str().unwrap()).unwrap();
        text["n"].as_str().unwrap().parse::<usize>().unwrap()
    };
    let numbers: Vec<_> = house.documents("web").iter().map(number).collect();
    assert_eq!(numbers, (0..600).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_function_holds_nobody_up_and_what_it_is_asked_is_not_planned() {
    let (house, lambda) = (House::new(), Lambda::start().await);
    lambda.mood(Mood::Hanging);
    let both = setting(&lambda, SMALL).stream("other", SMALL, &[]);
    let service = house.start(&both).await;
    for stream in ["web", "other"] {
        put(&service, stream, &records(0..500)).await;
    }
    so("it is called", || lambda.calls() > 0).await;
    until(&service, "other", |other| other.delivered == 500).await;
    // Out of patience.
    let report = service.stop(Duration::from_secs(1)).await.unwrap();
    assert_eq!(report.left, [("web".to_owned(), 500)]);
    // The disk work that was under way when the service ended ends after it.
    so("what was begun is gone", || house.staged().is_empty()).await;

    lambda.mood(Mood::Well);
    let service = house.start(&both).await;
    // Within the grace what is there is delivered.
    stop(service).await;
    house.is_made(500);
    let event = &lambda.events()[0];
    assert_eq!(event["deliveryStreamArn"], "arn:aws:firehose:us-east-1:000000000000:deliverystream/web");
    assert_eq!(event["region"], "us-east-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_down_is_seen_and_its_records_go_to_the_error_output() {
    let (house, lambda) = (House::new(), Lambda::start().await);
    lambda.mood(Mood::Down);
    let config = house.config(&setting(&lambda, "size = \"1 MiB\", interval = \"0s\""));
    let app = App::start(config, Clock::real()).await.unwrap();
    let client = super::counts::firehose(&app);
    let record = aws_sdk_firehose::types::Record::builder().data(b"row 1".to_vec().into()).build().unwrap();
    client.put_record().delivery_stream_name("web").record(record).send().await.unwrap();
    let seen = async |want: &dyn Fn(&Value) -> bool| {
        for _ in 0..1_000 {
            let status: Value = serde_json::from_str(&console(&app, "/v1/status").await).unwrap();
            if want(&status["streams"][0]) {
                return status["streams"][0].clone();
            }
            Clock::real().sleep(Duration::from_millis(25)).await;
        }
        panic!("it never came: {}", console(&app, "/v1/status").await);
    };
    let failing = seen(&|web| web["state"] == "failing").await;
    let said = failing["last_error"].as_str().unwrap();
    assert!(said.contains("function \"f\"") && said.contains("it is down"), "{said}");
    let done = seen(&|web| web["backlog_records"] == 0 && web["state"] == "delivering").await;
    assert_eq!((&done["failed"], &done["delivered"]), (&1.into(), &0.into()));
    let function = &done["functions"][0];
    assert_eq!(
        (&function["calls"], &function["retries"], &function["failed_calls"]),
        (&2.into(), &1.into(), &2.into())
    );
    let metrics = console(&app, "/metrics").await;
    for line in [
        "standpipe_function_calls_total{stream=\"web\",function=\"f\"} 2",
        "standpipe_function_retries_total{stream=\"web\",function=\"f\"} 1",
        "standpipe_function_failed_calls_total{stream=\"web\",function=\"f\",code=\"Lambda.FunctionError\"} 2",
        "standpipe_failures_total{stream=\"web\",code=\"Lambda.FunctionError\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(metrics.contains("standpipe_function_microseconds_total{stream=\"web\",function=\"f\"} "));
    app.stop(GRACE).await.unwrap();
    let failed = house.documents("errors");
    assert_eq!(
        (failed.len(), &failed[0]["errorCode"], &failed[0]["attemptsMade"]),
        (1, &"Lambda.FunctionError".into(), &2.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_staged_for_a_store_that_does_not_exist_goes_to_another() {
    let (house, lambda) = (House::new(), Lambda::start().await);
    let store = Moody::over(house.lake.path(), &Given::default(), |_, _| Does::HasNoBucket);
    let service = house.start_into(&setting(&lambda, SMALL), Stores::fixed(store)).await;
    put(&service, "web", &records(0..200)).await;
    until(&service, "web", |web| web.under_way == 4 && web.last_error.is_some()).await;
    service.stop(Duration::ZERO).await.unwrap();
    let (calls, staged) = (lambda.calls(), house.staged().len());
    assert_eq!(staged, 4);

    // Elsewhere, where nothing is called: what is planned is delivered as it was made.
    let elsewhere = house.lake.path().join("elsewhere");
    let mut other = Setting::default().stream("web", SMALL, &[]);
    other.tables = other.tables.replace("LAKE", elsewhere.to_str().unwrap());
    // The first creation finds no bucket still, as each plan's first does.
    let store =
        Moody::over(
            house.lake.path(),
            &Given::default(),
            |number, _| {
                if number == 0 { Does::HasNoBucket } else { Does::Well }
            },
        );
    let service = house.start_into(&other, Stores::fixed(store)).await;
    until(&service, "web", |web| web.backlog_records == 0).await;
    stop(service).await;
    assert_eq!(lambda.calls(), calls);
    assert!(house.staged().is_empty(), "{:?}", house.staged());
    let made = house.lines("web").iter().filter(|line| line.contains("\"call\"")).count();
    let bare = house.lines("web").iter().filter(|line| !line.contains("\"call\"")).count();
    assert!(made > 0 && bare > 0, "{made} {bare}");
    let errors = house.lines("errors").len();
    let dropped = (0..200 - bare).filter(|number| record(*number).starts_with("drop")).count();
    assert_eq!(made + bare + errors + dropped, 200, "{made} made, {bare} as they were, {errors} failed");
}

/// Puts records, has their plan made into a store that `does` so, and stops; then the staged file is treated as `harm` says.
async fn staged(house: &House, lambda: &Lambda, does: impl Fn(usize, &str) -> Does + Send + Sync + 'static) -> Given {
    let given = Given::default();
    let store = Moody::over(house.lake.path(), &given, does);
    let service = house.start_into(&setting(lambda, "size = \"1 MiB\", interval = \"0s\""), Stores::fixed(store)).await;
    put(&service, "web", &records(0..100)).await;
    until(&service, "web", |web| web.under_way == 1 && web.last_error.is_some()).await;
    service.stop(Duration::ZERO).await.unwrap();
    assert_eq!(house.staged().len(), 1);
    given
}

impl House {
    fn staged_file(&self) -> std::path::PathBuf {
        self.data.path().join("staged").join(&self.staged()[0])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_file_that_is_lost_before_anything_was_put_is_made_anew_under_the_same_key() {
    for is_missing in [true, false] {
        let (house, lambda) = (House::new(), Lambda::start().await);
        let given = staged(&house, &lambda, |_, _| Does::Refuses).await;
        let calls = lambda.calls();
        if is_missing {
            std::fs::remove_file(house.staged_file()).unwrap();
        } else {
            let mut bytes = std::fs::read(house.staged_file()).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(house.staged_file(), bytes).unwrap();
        }
        let keys: Vec<_> = given.lock().unwrap().keys().cloned().collect();
        let store = Moody::over(house.lake.path(), &Given::default(), |_, _| Does::Well);
        let service = house.start_into(&setting(&lambda, SMALL), Stores::fixed(store)).await;
        until(&service, "web", |web| web.backlog_records == 0).await;
        stop(service).await;
        assert_eq!(lambda.calls(), calls + 1);
        house.is_made(100);
        assert!(keys.iter().all(|key| house.lake.path().join(key).exists()), "{keys:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_file_that_is_lost_after_everything_was_put_is_not_needed() {
    let (house, lambda) = (House::new(), Lambda::start().await);
    staged(&house, &lambda, |_, key| if key.starts_with("errors/") { Does::LosesAnswer } else { Does::Well }).await;
    std::fs::remove_file(house.staged_file()).unwrap();
    let calls = lambda.calls();
    let service = house.start(&setting(&lambda, SMALL)).await;
    let web = until(&service, "web", |web| web.backlog_records == 0).await;
    assert_eq!((web.delivered, web.failed, web.dropped, web.objects), (80, 10, 10, 2));
    stop(service).await;
    assert_eq!(lambda.calls(), calls, "it is not called again");
    house.is_made(100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_file_that_is_lost_halfway_is_waited_for() {
    let (house, lambda) = (House::new(), Lambda::start().await);
    staged(&house, &lambda, |_, key| if key.starts_with("errors/") { Does::Refuses } else { Does::Well }).await;
    let (file, calls) = (house.staged_file(), lambda.calls());
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let service = house.start(&setting(&lambda, SMALL)).await;
    let said = |why: &String| why.contains("is missing") && why.contains("functions may not be called anew");
    let web = until(&service, "web", |web| web.last_error.as_ref().is_some_and(said)).await;
    assert_eq!((web.state.as_str(), web.under_way, web.backlog_records), ("failing", 1, 100));
    std::fs::write(&file, bytes).unwrap();
    until(&service, "web", |web| web.backlog_records == 0).await;
    stop(service).await;
    assert_eq!(lambda.calls(), calls);
    house.is_made(100);
}
