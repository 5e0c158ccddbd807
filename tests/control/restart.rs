//! What a restart, a crash, a full disk and damage leave of the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Service, config, create, file_stream, named, updating};
use standpipe::catalog::{Origin, Status};
use standpipe::config::{AwsCredentials, Config, S3Connection, S3Store, Secret, Store};
use standpipe::disk::RealDisk;
use standpipe::disk::sim::{Op, SimDisk};
use standpipe::error::Kind;

/// All that a client can see of the API's streams.
async fn seen(service: &Service) -> BTreeMap<String, (Value, Value)> {
    let mut all = BTreeMap::new();
    for name in service.context.catalog.snapshot().keys() {
        let tags = service.ok("ListTagsForDeliveryStream", named(name)).await;
        all.insert(name.clone(), (service.describe(name).await, tags));
    }
    all
}

/// Some changes of every kind.
fn changes() -> Vec<(&'static str, Value)> {
    let mut tagged = create("b", json!({ "Prefix": "b/", "CompressionFormat": "GZIP" }));
    tagged["Tags"] = json!([{ "Key": "k", "Value": "v" }]);
    vec![
        ("CreateDeliveryStream", create("a", json!({}))),
        ("CreateDeliveryStream", tagged),
        ("UpdateDestination", updating("a", "1", json!({ "Prefix": "a/" }))),
        ("TagDeliveryStream", json!({ "DeliveryStreamName": "a", "Tags": [{ "Key": "x" }] })),
        ("StartDeliveryStreamEncryption", named("a")),
        ("UntagDeliveryStream", json!({ "DeliveryStreamName": "b", "TagKeys": ["k"] })),
        ("DeleteDeliveryStream", named("b")),
    ]
}

#[tokio::test(start_paused = true)]
async fn streams_of_the_api_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Arc::new(RealDisk::open(dir.path()).unwrap());
    let service = Service::start_on(open(), &config(Vec::new())).await.unwrap();
    for (operation, body) in changes() {
        service.ok(operation, body).await;
    }
    let before = (seen(&service).await, service.context.catalog.snapshot());
    drop(service);
    let service = Service::start_on(open(), &config(Vec::new())).await.unwrap();
    assert_eq!((seen(&service).await, service.context.catalog.snapshot()), before);
    assert_eq!(service.context.catalog.get("b").unwrap().status, Status::Deleting);
    // Old files do not pile up.
    assert!(std::fs::read_dir(dir.path().join("catalog")).unwrap().count() <= 2);
}

/// Whatever disk operation the power fails at, what was acknowledged is there afterwards, and what was not is there
/// whole or not at all.
#[tokio::test(start_paused = true)]
async fn a_crash_at_any_disk_operation_leaves_the_old_or_the_new_catalog() {
    for (seed, power_cut) in (0..6).zip([true, false].into_iter().cycle()) {
        let operations = {
            let disk = SimDisk::new(seed);
            let service = Service::start(&disk, &config(Vec::new())).await.unwrap();
            let start = disk.operations();
            for (operation, body) in changes() {
                service.ok(operation, body).await;
            }
            disk.operations() - start
        };
        for crash_at in 0..operations {
            crash_once(seed * 1_000 + crash_at, power_cut, crash_at).await;
        }
    }
}

async fn crash_once(seed: u64, power_cut: bool, crash_at: u64) {
    let disk = SimDisk::new(seed);
    let service = Service::start(&disk, &config(Vec::new())).await.expect("the disk is whole");
    let model = Service::new().await;
    disk.crash_after(crash_at);
    let mut failed = None;
    for (operation, body) in changes() {
        match service.call(operation, &body).await {
            Ok(_) => {
                model.ok(operation, body).await;
            }
            Err(error) => {
                assert_eq!(error.code, "ServiceUnavailableException", "{operation}");
                failed = Some((operation, body));
                break;
            }
        }
    }
    let old = seen(&model).await;
    assert_eq!(seen(&service).await, old, "a change that failed must not be seen");
    drop(service);
    if power_cut {
        disk.crash();
    } else {
        disk.restart();
    }
    let service = Service::start(&disk, &config(Vec::new())).await.expect("the disk works again");
    let now = seen(&service).await;
    if now != old {
        let (operation, body) = failed.expect("nothing failed, so nothing may be different");
        model.ok(operation, body).await;
        assert_eq!(now, seen(&model).await, "crash at {crash_at}, seed {seed}");
    }
    service.create("after", json!({})).await;
}

/// The same for a start that has the configuration file to take in.
#[tokio::test(start_paused = true)]
async fn a_crash_while_starting_changes_nothing_that_the_next_start_sees() {
    let file = config(vec![file_stream("web", "w/")]);
    for crash_at in 0..12 {
        let disk = SimDisk::new(crash_at);
        Service::start(&disk, &config(Vec::new())).await.unwrap().create("a", json!({})).await;
        disk.crash_after(crash_at);
        let first = Service::start(&disk, &file).await.ok().map(|service| service.context.catalog.get("web").unwrap());
        disk.crash();
        let service = Service::start(&disk, &file).await.unwrap();
        let web = service.context.catalog.get("web").unwrap();
        assert_eq!((web.version, web.status), (1, Status::Active));
        if let Some(first) = first {
            assert_eq!(first.id, web.id, "an identity that was given out stays");
        }
        assert!(service.context.catalog.get("a").is_some());
    }
}

/// A disk that fails for a while costs the changes of that while, and nothing else.
#[tokio::test(start_paused = true)]
async fn changes_work_again_when_the_disk_does() {
    for op in [Op::Create, Op::Write, Op::Sync, Op::Link, Op::SyncDir] {
        let disk = SimDisk::new(3);
        let service = Service::start(&disk, &config(Vec::new())).await.unwrap();
        service.create("a", json!({})).await;
        disk.fail(op, 1, std::io::ErrorKind::StorageFull);
        assert_eq!(
            service.refused("CreateDeliveryStream", create("b", json!({}))).await.0,
            "ServiceUnavailableException"
        );
        assert!(service.context.catalog.get("b").is_none());
        service.create("c", json!({})).await;
        disk.crash();
        let service = Service::start(&disk, &config(Vec::new())).await.unwrap();
        let names: Vec<String> = service.context.catalog.snapshot().keys().cloned().collect();
        assert_eq!(names, ["a", "c"], "{op:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn identities_are_never_given_out_twice() {
    let disk = SimDisk::new(5);
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..5 {
        // The clock of each start repeats its random numbers.
        let service = Service::start(&disk, &config(Vec::new())).await.unwrap();
        for name in ["a", "b"] {
            service.create(name, json!({})).await;
            let id = service.context.catalog.get(name).unwrap().id;
            assert!(ids.insert(id), "{id} twice");
            service.ok("DeleteDeliveryStream", named(name)).await;
            service.context.catalog.gone(name, id).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn damage_is_named_and_never_skipped() {
    let disk = SimDisk::new(9);
    Service::start(&disk, &config(Vec::new())).await.unwrap().create("a", json!({})).await;
    let newest = disk.files().into_iter().rfind(|file| file.starts_with("catalog/")).unwrap();
    let whole = disk.read(&newest).unwrap();
    for bit in (0..whole.len() * 8).step_by(37) {
        disk.flip(&newest, bit);
        let error = Service::start(&disk, &config(Vec::new())).await.err();
        let error = error.unwrap_or_else(|| panic!("bit {bit} was not noticed"));
        assert!(error.to_string().contains(&newest), "{error}");
        assert!(matches!(error.kind(), Kind::Corrupt | Kind::Invalid), "{error:?}");
        disk.flip(&newest, bit);
    }
    disk.cut(&newest, whole.len() / 2);
    assert!(Service::start(&disk, &config(Vec::new())).await.is_err());
    disk.put(&newest, &String::from_utf8(whole).unwrap().replace("\"format\":1", "\"format\":2").into_bytes());
    let error = Service::start(&disk, &config(Vec::new())).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("format 2"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_file_is_adopted_start_by_start() {
    let disk = SimDisk::new(1);
    let start = async |streams| Service::start(&disk, &config(streams)).await.unwrap();
    let entry = |service: &Service| service.context.catalog.get("web").unwrap();

    let first = entry(&start(vec![file_stream("web", "w/")]).await);
    assert_eq!((first.origin, first.version, first.updated_ms), (Origin::File, 1, None));
    let same = entry(&start(vec![file_stream("web", "w/")]).await);
    assert_eq!(same, first);
    let changed = entry(&start(vec![file_stream("web", "x/")]).await);
    assert_eq!((changed.id, changed.version, changed.updated_ms), (first.id, 2, Some(super::START_MS)));

    // It vanished: it drains with what it last was, over as many starts as that takes.
    for _ in 0..2 {
        let service = start(Vec::new()).await;
        let gone = entry(&service);
        assert_eq!((gone.id, gone.version, gone.status, gone.stream.drain), (first.id, 2, Status::Deleting, true));
        assert_eq!(gone.stream.destination, changed.stream.destination);
        assert_eq!(service.describe("web").await["DeliveryStreamStatus"], "DELETING");
    }
    // It came back before it was gone.
    let back = entry(&start(vec![file_stream("web", "x/")]).await);
    assert_eq!((back.id, back.version, back.status, back.stream.drain), (first.id, 2, Status::Active, false));

    // It vanished again, the operator gives up what is left, and its name becomes free.
    let service = start(Vec::new()).await;
    service.ok("DeleteDeliveryStream", named("web")).await;
    assert!(entry(&service).stream.drain);
    service.ok("DeleteDeliveryStream", json!({ "DeliveryStreamName": "web", "AllowForceDelete": true })).await;
    assert!(!entry(&service).stream.drain);
    service.context.catalog.gone("web", first.id).await.unwrap();
    let again = entry(&start(vec![file_stream("web", "x/")]).await);
    assert_ne!(again.id, first.id);
    assert_eq!(again.version, 1);
}

#[tokio::test(start_paused = true)]
async fn a_name_in_the_file_and_in_the_api_stops_the_start() {
    let disk = SimDisk::new(1);
    Service::start(&disk, &config(Vec::new())).await.unwrap().create("web", json!({})).await;
    let error = Service::start(&disk, &config(vec![file_stream("web", "")])).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Conflict);
    let said = error.to_string();
    assert!(said.contains("delivery stream web of the configuration file"), "{said}");
    assert!(said.contains("delivery stream web made through the API"), "{said}");
}

fn s3_stream(secret: &str) -> standpipe::config::DeliveryStream {
    let mut stream = file_stream("s3", "");
    stream.destination.store = Store::S3(Box::new(S3Store {
        sse: Some(standpipe::config::Sse::S3),
        storage_class: Some("STANDARD_IA".into()),
        acl: Some("private".into()),
        tags: vec![("k".into(), "v".into())],
        checksum: standpipe::config::Checksum::Sha256,
        ..S3Store::new(
            "b",
            S3Connection {
                region: Some("eu-west-1".into()),
                credentials: Some(AwsCredentials {
                    access_key_id: "AKIDEXAMPLE".into(),
                    secret_access_key: Secret::new(secret.into()),
                    session_token: None,
                }),
                ..S3Connection::default()
            },
        )
    }));
    stream
}

#[tokio::test(start_paused = true)]
async fn secrets_stay_out_of_the_store_and_come_back_from_the_file() {
    let disk = SimDisk::new(1);
    let stream = s3_stream("hunter2-hunter2");
    Service::start(&disk, &config(vec![stream.clone()])).await.unwrap();
    for file in disk.files() {
        assert!(!String::from_utf8_lossy(&disk.read(&file).unwrap()).contains("hunter2"), "{file}");
    }
    // A new secret is no new version.
    let service = Service::start(&disk, &config(vec![s3_stream("other")])).await.unwrap();
    assert_eq!(service.context.catalog.get("s3").unwrap().version, 1);
    // The stream vanished; another one still has its access key.
    let other = standpipe::config::DeliveryStream { name: "other".into(), ..stream.clone() };
    let service = Service::start(&disk, &config(vec![other])).await.unwrap();
    assert_eq!(service.context.catalog.get("s3").unwrap().stream.destination, stream.destination);
    let service = Service::start(&disk, &config(Vec::new())).await.unwrap();
    let entry = service.context.catalog.get("s3").unwrap();
    let Store::S3(s3) = &entry.stream.destination.store else { panic!("not S3") };
    assert_eq!((&s3.connection.credentials, s3.connection.region.as_deref()), (&None, Some("eu-west-1")));
}

#[tokio::test(start_paused = true)]
async fn an_encrypted_stream_needs_the_key_at_start() {
    let disk = SimDisk::new(1);
    let service = Service::start(&disk, &config(Vec::new())).await.unwrap();
    service.create("s", json!({})).await;
    service.ok("StartDeliveryStreamEncryption", named("s")).await;
    let keyless = Config { encryption_key: None, ..config(Vec::new()) };
    let error = Service::start(&disk, &keyless).await.err().unwrap();
    assert!(error.to_string().contains("encryption_key"), "{error}");
}

/// Many at once share a few files.
#[tokio::test(start_paused = true)]
async fn a_burst_of_changes_is_stored_together() {
    let disk = SimDisk::new(1);
    let service = Arc::new(Service::start(&disk, &config(Vec::new())).await.unwrap());
    let before = disk.operations();
    let creations = (0..64).map(|number| {
        let service = service.clone();
        tokio::spawn(async move { service.create(&format!("s{number}"), json!({})).await })
    });
    for creation in creations.collect::<Vec<_>>() {
        creation.await.unwrap();
    }
    assert!(disk.operations() - before < 64 * 3, "{}", disk.operations() - before);
    let again = Service::start(&disk, &config(Vec::new())).await.unwrap();
    assert_eq!(again.context.catalog.snapshot().len(), 64);
}

/// The last of them, and one too many; then a place becomes free.
#[tokio::test(start_paused = true)]
async fn five_thousand_streams_and_not_one_more() {
    let disk = SimDisk::new(1);
    let service = Arc::new(Service::start(&disk, &config(Vec::new())).await.unwrap());
    let creations = (0..5_000).map(|number| {
        let service = service.clone();
        tokio::spawn(async move { service.create(&format!("s{number}"), json!({})).await })
    });
    for creation in creations.collect::<Vec<_>>() {
        creation.await.unwrap();
    }
    let (code, message) = service.refused("CreateDeliveryStream", create("one-more", json!({}))).await;
    assert_eq!(code, "LimitExceededException");
    assert_eq!(message, "You have already consumed your firehose quota of 5000 hoses.");
    service.ok("DeleteDeliveryStream", named("s7")).await;
    let id = service.context.catalog.get("s7").unwrap().id;
    service.context.catalog.gone("s7", id).await.unwrap();
    service.create("one-more", json!({})).await;
    let again = Service::start(&disk, &config(Vec::new())).await.unwrap();
    assert_eq!(again.context.catalog.snapshot().len(), 5_000);
}
