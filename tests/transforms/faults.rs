//! A plugin that cannot be run costs its streams time and nothing else: they say so, their records wait, others go on.

use std::collections::BTreeMap;
use std::time::Duration;

use standpipe::config::PluginKind;

use super::{House, Mixed, Setting, example, put, status, stop, until};

const SMALL: &str = "size = \"1 KiB\", interval = \"0s\"";

/// A stream whose plugin cannot be run says `why`, keeps its records and plans nothing; another goes on. Once `mended`, every
/// record is delivered.
async fn waits(house: &House, broken: Setting, why: &str, mended: Setting) {
    let service = house.start(&broken.stream("other", SMALL, &[])).await;
    for stream in ["web", "other"] {
        // More than a buffer holds.
        put(&service, stream, &Mixed::records(0..500)).await;
    }
    let failing = until(&service, "web", |web| web.state == "failing").await;
    let said = failing.last_error.unwrap();
    assert!(said.contains(why), "{said}");
    until(&service, "other", |other| other.delivered == 500).await;
    let web = status(&service, "web").await;
    assert_eq!((web.accepted, web.backlog_records, web.under_way, web.objects), (500, 500, 0, 0));
    let report = service.stop(Duration::from_secs(10)).await.unwrap();
    assert_eq!(report.left, [("web".to_owned(), 500)], "a stop does not wait for what cannot be done");

    let service = house.start(&mended).await;
    let web = until(&service, "web", |web| web.backlog_records == 0).await;
    assert_eq!((web.state.as_str(), web.last_error), ("delivering", None));
    stop(service).await;
    Mixed::is_whole(house, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_not_in_the_configuration() {
    let mut broken = Mixed::setting(SMALL);
    broken.plugins.remove(1);
    waits(&House::new(), broken, "plugin \"mask\" is not in the configuration", Mixed::setting(SMALL)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_is_none() {
    let house = House::new();
    let mut broken = Mixed::setting(SMALL);
    let module = house.lake.path().join("broken.wasm");
    std::fs::write(&module, b"\0asm no more").unwrap();
    broken.plugins[0] = super::plugin("csv", module, Mixed::COLUMNS);
    waits(&house, broken, "plugin \"csv\" cannot be installed", Mixed::setting(SMALL)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_the_plugin_refuses() {
    let mut broken = Mixed::setting(SMALL);
    broken.plugins[0].config = BTreeMap::new();
    waits(&House::new(), broken, "columns", Mixed::setting(SMALL)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_does_not_match() {
    let mut broken = Mixed::setting(SMALL);
    let PluginKind::Wasm { sha256, .. } = &mut broken.plugins[1].kind else { panic!() };
    *sha256 = Some("0".repeat(64));
    waits(&House::new(), broken, "plugin \"mask\" cannot be installed", Mixed::setting(SMALL)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_is_there_later_is_installed_without_a_restart() {
    let house = House::new();
    let module = house.lake.path().join("late.wasm");
    let mut setting = Mixed::setting(SMALL);
    setting.plugins[0] = super::plugin("csv", module.clone(), Mixed::COLUMNS);
    let service = house.start(&setting).await;
    put(&service, "web", &Mixed::records(0..50)).await;
    until(&service, "web", |web| web.last_error.as_ref().is_some_and(|why| why.contains("late.wasm"))).await;
    std::fs::copy(example("csv"), &module).unwrap();
    let web = until(&service, "web", |web| web.backlog_records == 0).await;
    assert_eq!((web.state.as_str(), web.delivered), ("delivering", 30));
    stop(service).await;
    Mixed::is_whole(&house, 50);
}
