//! The backup of what comes in: all of it, as it came, whatever becomes of the rest.

use super::*;

/// A stream that refuses what is no JSON, with a backup into `server`.
fn stream(server: &Server, with_backup: bool) -> String {
    let mut text =
        local_stream("web", "size = \"1 KiB\", interval = \"0s\"", "process = [{ type = \"require-json\" }]");
    if with_backup {
        // The tables of a stream of its own, moved.
        let backup = s3_stream("web", "lake", server, "");
        text += &backup.replace("[delivery_stream.web", "[delivery_stream.web.backup");
    }
    text
}

/// Every fourth is no JSON.
fn mixed(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| if n % 4 == 3 { format!("no json {n}") } else { format!("{{\"n\":{n}}}") }).collect()
}

fn backed_up(server: &Server) -> Vec<String> {
    let objects = server.store().objects("lake");
    let is_record = |key: &str| !key.contains(".standpipe-probe");
    let mut found: Vec<_> =
        objects.iter().filter(|(key, _)| is_record(key)).flat_map(|(_, object)| lines(&object.bytes)).collect();
    found.sort();
    found
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_came_is_backed_up_once_also_what_failed() {
    let (server, house) = (Server::usual().await, House::new());
    let config = stream(&server, true);
    for life in 0..3 {
        let service = house.start(&config).await;
        for batch in 0..4 {
            let first = life * 80 + batch * 20;
            put(&service, "web", &mixed(first..first + 20)).await;
        }
        if life == 1 {
            // In the middle of it.
            service.stop(Duration::ZERO).await.unwrap();
            continue;
        }
        let records = (life as u64 + 1) * 80;
        let main = until(&service, "web", |web| web.delivered + web.failed == records).await;
        assert_eq!((main.failed, main.backlog_records), (records / 4, 0));
        let backup = until(&service, "web (backup)", |backup| backup.delivered == records).await;
        assert_eq!((backup.accepted, backup.failed, backup.dropped), (records, 0, 0));
        is_clean(&service.stop(GRACE).await.unwrap());
    }
    assert_eq!(backed_up(&server), sorted(mixed(0..240)));
    let delivered = house.objects("web").into_values().flatten();
    assert_eq!(delivered.filter(|line| !line.contains("rawData")).count(), 180);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_cannot_be_put_holds_up_nobody_and_loses_nothing() {
    let (server, house) = (Server::usual().await, House::new());
    server.faults().always(Op::Put, Fault::Answer(503, "SlowDown"));
    let config = stream(&server, true);
    let service = house.start(&config).await;
    put(&service, "web", &mixed(0..100)).await;
    until(&service, "web", |web| web.backlog_records == 0).await;
    let waiting = until(&service, "web (backup)", |backup| backup.last_error.is_some()).await;
    assert_eq!((waiting.delivered, waiting.backlog_records), (0, 100));
    let report = service.stop(Duration::from_millis(300)).await.unwrap();
    assert_eq!(report.left, [("web (backup)".to_owned(), 100)]);

    server.faults().clear();
    let service = house.start(&config).await;
    until(&service, "web (backup)", |backup| backup.delivered == 100).await;
    let id = service.catalog.get("web").unwrap().id;
    is_clean(&service.stop(GRACE).await.unwrap());
    assert_eq!(backed_up(&server), sorted(mixed(0..100)));
    let service = house.start(&config).await;
    assert_eq!(service.streams.get(id).extent().await.unwrap().start, 100, "nothing is held any more");
    service.stop(GRACE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_taken_away_holds_nothing_and_a_new_one_begins_with_what_is_there() {
    let (server, house) = (Server::usual().await, House::new());
    server.faults().always(Op::Put, Fault::Answer(503, "SlowDown"));
    let service = house.start(&stream(&server, true)).await;
    put(&service, "web", &mixed(0..40)).await;
    until(&service, "web", |web| web.backlog_records == 0).await;
    service.stop(Duration::from_millis(100)).await.unwrap();

    let service = house.start(&stream(&server, false)).await;
    put(&service, "web", &mixed(40..60)).await;
    until(&service, "web", |web| web.backlog_records == 0 && web.delivered + web.failed == 60).await;
    let id = service.catalog.get("web").unwrap().id;
    let status = service.status().await;
    assert!(each(&status.streams).all(|stream| stream.name == "web"));
    assert_eq!(status.service.discarded_records, 40, "what the backup never had is counted");
    assert_eq!(service.streams.get(id).extent().await.unwrap().start, 60, "it held the first forty");
    is_clean(&service.stop(GRACE).await.unwrap());

    server.faults().clear();
    let service = house.start(&stream(&server, true)).await;
    put(&service, "web", &mixed(60..80)).await;
    let backup = until(&service, "web (backup)", |backup| backup.delivered >= 20 && backup.backlog_records == 0).await;
    assert_eq!((backup.accepted, backup.damaged), (backup.delivered, 0), "what was delivered before is no loss");
    is_clean(&service.stop(GRACE).await.unwrap());
    // With what the journal had not freed yet.
    let first = 80 - usize::try_from(backup.delivered).unwrap();
    assert!((1..=60).contains(&first), "{first}");
    assert_eq!(backed_up(&server), sorted(mixed(first..80)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_leaves_the_file_drains_into_its_backup_too_and_then_is_gone() {
    let (server, house) = (Server::usual().await, House::new());
    server.faults().always(Op::Put, Fault::Answer(503, "SlowDown"));
    let service = house.start(&stream(&server, true)).await;
    put(&service, "web", &mixed(0..40)).await;
    until(&service, "web", |web| web.backlog_records == 0).await;
    service.stop(Duration::from_millis(100)).await.unwrap();

    let Options { access_key, secret_key, .. } = server.options().clone();
    let elsewhere = format!(
        "[buckets]\ntype = \"s3\"\nregion = \"us-east-1\"\nendpoint = \"{}\"\npath_style = true\n\
         credentials = {{ access_key_id = \"{access_key}\", secret_access_key = \"{secret_key}\" }}\n",
        server.endpoint()
    );
    let service = house.start(&elsewhere).await;
    let clock = Clock::real();
    clock.sleep(Duration::from_millis(300)).await;
    assert!(service.catalog.get("web").is_some(), "its backup is not done");
    server.faults().clear();
    let gone = async {
        while service.catalog.get("web").is_some() {
            clock.sleep(Duration::from_millis(20)).await;
        }
    };
    clock.within(Duration::from_mins(1), gone).await.expect("it drains");
    assert_eq!(backed_up(&server), sorted(mixed(0..40)));
    service.stop(GRACE).await.unwrap();
}
