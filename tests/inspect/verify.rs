//! The store held against the ledger: what is as it should be, and everything that may be wrong with it.

use std::fs;

use serde_json::Value;

use super::support::s3::{Options, Server};
use super::{House, Running, cli, numbered, stream};

/// Streams in two formats, one of them with failures, delivered.
async fn delivered() -> (House, Running) {
    let house = House::new(&[stream("web", "gzip", ""), stream("plain", "none", "")].concat());
    let running = house.start().await;
    for round in 0..4 {
        let lines = numbered(round * 20..round * 20 + 20).join("\n") + "\nbroken\n";
        for name in ["web", "plain"] {
            running.put(&house, name, &lines).await;
            let rounds = round as u64 + 1;
            running.settled(&house, name, rounds * 20, rounds).await;
        }
    }
    (house, running)
}

async fn document(house: &House, args: &[&str]) -> (i32, Value) {
    let ended = cli(house, &[&["verify", "--json"], args].concat()).await;
    let document = serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{ended:?}"));
    (ended.code, document)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_is_proven_while_the_service_runs_and_after() {
    let (house, running) = delivered().await;
    let (code, document) = document(&house, &["--all", "--deep", "--admin", &running.admin]).await;
    assert_eq!((code, &document["ok"]), (0, &Value::Bool(true)), "{document:#}");
    for report in document["streams"].as_array().unwrap() {
        let total = &report["total"];
        assert_eq!((&total["delivered"], &total["failed"], &report["backlog"]), (&80.into(), &4.into(), &0.into()));
        assert_eq!(report["objects"], report["total"]["objects"], "{report:#}");
        assert_eq!(report["objects_read"], report["objects"]);
        assert!(report["objects"].as_u64() >= Some(8) && report["notes"].as_array().unwrap().is_empty(), "{report:#}");
    }
    running.stop().await;
    // Restarts leave files of the ledger behind; the history goes on through them.
    let running = house.start().await;
    running.put(&house, "web", "{\"n\":1}\n").await;
    running.settled(&house, "web", 81, 4).await;
    running.stop().await;
    let table = cli(&house, &["verify", "web", "--deep", "--admin", "http://127.0.0.1:1"]).await.ok();
    assert!(table.contains("ok") && table.contains("the backlog is not known"), "{table}");
    cli(&house, &["verify", "nothing"]).await.fails("there is no delivery stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_objects_is_named() {
    let (house, running) = delivered().await;
    let (web, plain) = (house.keys_under("web/"), house.keys_under("plain/"));
    let errors = house.keys_under("errors/plain/");
    let lake = house.lake();
    // Missing, longer, replaced by as many other bytes.
    fs::remove_file(lake.join(&web[0])).unwrap();
    let longer = [&fs::read(lake.join(&web[1])).unwrap()[..], b"x"].concat();
    fs::write(lake.join(&web[1]), longer).unwrap();
    let mut damaged = fs::read(lake.join(&web[2])).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    fs::write(lake.join(&web[2]), damaged).unwrap();
    // A copy with its own name elsewhere under the prefix, and one of another plan.
    fs::create_dir_all(lake.join("web/copies \u{1b}/é")).unwrap();
    let name = web[3].rsplit('/').next().unwrap();
    fs::copy(lake.join(&web[3]), lake.join(format!("web/copies \u{1b}/é/{name}"))).unwrap();
    let other = "web-1-2099-01-01-00-00-00-00000000-0000-0000-0000-000000000000.gz";
    fs::write(lake.join(format!("web/{other}")), "foreign").unwrap();
    // Not of our shape: nobody's business.
    fs::write(lake.join("web/_SUCCESS"), "").unwrap();
    // Lines of an object that is not compressed: one cut off, and one of error output.
    let text = fs::read_to_string(lake.join(&plain[0])).unwrap();
    fs::write(lake.join(&plain[0]), text.replacen('\n', " ", 1)).unwrap();
    fs::write(lake.join(&errors[0]), "").unwrap();
    let (code, found) = document(&house, &["--all", "--admin", &running.admin]).await;
    let of = |document: &Value, name: &str| -> Vec<String> {
        let streams = document["streams"].as_array().unwrap();
        let report = streams.iter().find(|report| report["stream"] == name).unwrap();
        report["faults"].as_array().unwrap().iter().map(|fault| fault.as_str().unwrap().to_owned()).collect()
    };
    let has = |faults: &[String], begin: &str, key: &str| {
        assert!(
            faults.iter().any(|fault| fault.starts_with(begin) && fault.contains(key)),
            "{begin} {key}: {faults:#?}"
        );
    };
    let faults = of(&found, "web");
    assert_eq!((code, faults.len()), (1, 4), "{faults:#?}");
    has(&faults, "missing: ", &web[0]);
    has(&faults, "altered: ", &web[1]);
    has(&faults, "twice: ", "copies");
    has(&faults, "foreign: ", "web-1-2099");
    assert_eq!(of(&found, "plain"), [""; 0], "sizes alone do not show it");
    let (code, found) = document(&house, &["--all", "--deep", "--admin", &running.admin]).await;
    let (web_faults, plain_faults) = (of(&found, "web"), of(&found, "plain"));
    assert_eq!((code, web_faults.len(), plain_faults.len()), (1, 5, 2), "{web_faults:#?} {plain_faults:#?}");
    has(&web_faults, "damaged: ", &web[2]);
    has(&plain_faults, "altered: ", &plain[0]);
    has(&plain_faults, "altered: ", &errors[0]);
    let said = cli(&house, &["verify", "web", "--admin", &running.admin]).await.fails("FAULT: missing");
    assert!(!said.contains('\u{1b}'), "nothing from elsewhere steers the terminal");
    let (code, found) = document(&house, &["plain", "--since", "1ms", "--deep", "--admin", &running.admin]).await;
    assert_eq!(code, 0, "{found:#}");
    assert!(found.to_string().contains("made before --since"), "{found:#}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_damaged_is_no_proof() {
    let (house, running) = delivered().await;
    running.stop().await;
    let ledger = house.dir.path().join("data/ledger");
    let mut files: Vec<_> = fs::read_dir(&ledger).unwrap().flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let text = fs::read_to_string(&files[0]).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let commit = lines.iter().position(|line| line.contains("\"kind\":\"commit\"")).unwrap();
    let damaged = text.replacen(lines[commit], &lines[commit].replacen("\"delivered\":", "\"Delivered\":", 1), 1);
    fs::write(&files[0], damaged).unwrap();
    let said = cli(&house, &["verify", "--all", "--admin", "http://127.0.0.1:1"]).await.fails("is damaged");
    assert!(said.contains(&format!("line {}", commit + 1)), "{said}");
    // A line that is whole, and says what cannot be.
    let mut tally = lines[commit].to_owned();
    tally.replace_range(9.., &lines[commit][9..].replacen("\"delivered\":20", "\"delivered\":19", 1));
    let sum = format!("{:08x}", crc32c::crc32c(&tally.as_bytes()[9..]));
    tally.replace_range(..8, &sum);
    fs::write(&files[0], text.replacen(lines[commit], &tally, 1)).unwrap();
    if tally != lines[commit] {
        cli(&house, &["verify", "--all", "--admin", "http://127.0.0.1:1"]).await.fails("records were planned, and");
    }
    fs::remove_dir_all(house.dir.path().join("data/catalog")).unwrap();
    cli(&house, &["verify", "--all"]).await.fails("cannot be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_verified_as_a_directory_is() {
    let server = Server::start(Options { buckets: vec!["lake".into()], ..Options::default() }).await;
    let Options { access_key, secret_key, .. } = server.options().clone();
    let table = format!(
        "[delivery_stream.web]\nbuffer = {{ size = \"1 KiB\", interval = \"0s\" }}\n\
         [[delivery_stream.web.process]]\ntype = \"require-json\"\n\
         [delivery_stream.web.destination]\ntype = \"s3\"\nbucket = \"lake\"\nprefix = \"\"\nendpoint = \"{}\"\n\
         region = \"us-east-1\"\npath_style = true\ncompression = \"zstd\"\ndelimiter = \"always\"\n\
         credentials = {{ access_key_id = \"{access_key}\", secret_access_key = \"{secret_key}\" }}\n",
        server.endpoint()
    );
    let house = House::new(&table);
    let running = house.start().await;
    running.put(&house, "web", &(numbered(0..50).join("\n") + "\n{\"a\":NaN}\n")).await;
    running.settled(&house, "web", 50, 1).await;
    let out = cli(&house, &["verify", "web", "--deep", "--admin", &running.admin]).await.ok();
    assert!(out.contains("ok"), "{out}");
    let out = cli(&house, &["errors", "ls", "web"]).await.ok();
    assert!(out.contains("1 records in 1 objects"), "{out}");
    let args = ["errors", "redrive", "web", "--edit", "sed s/NaN/1/", "--endpoint", &running.endpoint];
    for said in ["1 records sent", "0 records sent"] {
        let out = cli(&house, &args).await.ok();
        assert!(out.contains(said), "{out}");
    }
    running.settled(&house, "web", 51, 1).await;
    let out = cli(&house, &["replay", "web", "--from", "1h", "--prefix", "again/"]).await.ok();
    assert!(out.contains("0 there before, 0 not copied"), "{out}");
    let objects = server.store().objects("lake");
    let copies: Vec<_> = objects.iter().filter(|(key, _)| key.starts_with("again/")).collect();
    assert!(!copies.is_empty());
    for (key, copy) in copies {
        let original = &objects[key.trim_start_matches("again/")];
        assert_eq!((&copy.bytes, &copy.content_encoding), (&original.bytes, &original.content_encoding));
    }
    running.stop().await;
}

/// Each tenth fails; the others are of seven tenants.
fn of_tenants(range: std::ops::Range<usize>) -> String {
    let record = |n: usize| match n % 10 {
        9 => format!("{{\"tenant\":\"../x\",\"n\":{n}}}\n"),
        _ => format!("{{\"tenant\":\"t{}\",\"time\":\"2026-11-21T01:30:00Z\",\"n\":{n}}}\n", n % 7),
    };
    range.map(record).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_proven_over_restarts() {
    let module = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("transforms/examples/partition/partition.wasm");
    let table = format!(
        "[delivery_stream.web]\nbuffer = {{ size = \"1 KiB\", interval = \"0s\" }}\n\
         [[delivery_stream.web.process]]\ntype = \"wasm\"\nmodule = \"{}\"\n\
         [delivery_stream.web.destination]\ntype = \"local\"\npath = \"LAKE\"\n\
         prefix = \"web/tenant=!{{partitionKeyFromLambda:tenant}}/\"\n\
         error_prefix = \"errors/!{{firehose:error-output-type}}/\"\ndelimiter = \"always\"\ncompression = \"gzip\"\n",
        module.display()
    );
    let house = House::new(&table);
    for round in 0..3_u64 {
        let running = house.start().await;
        let first = round as usize * 100;
        running.put(&house, "web", &of_tenants(first..first + 100)).await;
        running.settled(&house, "web", (round + 1) * 90, (round + 1) * 10).await;
        let (code, found) = document(&house, &["web", "--deep", "--admin", &running.admin]).await;
        assert_eq!(code, 0, "{found:#}");
        running.stop().await;
    }
    fs::remove_file(house.lake().join(&house.keys_under("web/")[0])).unwrap();
    cli(&house, &["verify", "web", "--admin", "http://127.0.0.1:1"]).await.fails("FAULT: missing");
}

/// A backup below the stream's own prefix.
const BACKUP: &str = "[delivery_stream.web.backup]\nbuffer = { size = \"1 KiB\", interval = \"0s\" }\n\
    destination = { type = \"local\", path = \"LAKE\", prefix = \"web/raw/\", error_prefix = \"errors/raw/\", delimiter = \"always\" }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_proven_beside_its_stream_and_neither_is_taken_for_the_other() {
    let house = House::new(&stream("web", "gzip", BACKUP));
    let running = house.start().await;
    running.put(&house, "web", &(numbered(0..40).join("\n") + "\nbroken\n")).await;
    running.settled(&house, "web", 40, 1).await;
    running.until(&house, "web", |web| web["backup"]["delivered"] == 41).await;
    let (code, found) = document(&house, &["--all", "--deep", "--admin", &running.admin]).await;
    assert_eq!(code, 0, "{found:#}");
    let reports = found["streams"].as_array().unwrap();
    let names: Vec<_> = reports.iter().map(|report| report["stream"].as_str().unwrap()).collect();
    assert_eq!(names, ["web", "web (backup)"]);
    assert_eq!(reports[1]["total"]["delivered"], 41, "{found:#}");
    for report in reports {
        assert_eq!((&report["objects"], &report["backlog"]), (&report["total"]["objects"], &0.into()), "{report:#}");
        assert_eq!(report["objects_read"], report["objects"]);
    }
    let table = cli(&house, &["verify", "web", "--admin", &running.admin]).await.ok();
    assert!(table.contains("\nweb (backup)  ok"), "{table}");
    let status = cli(&house, &["status", "--admin", &running.admin]).await.ok();
    assert!(status.contains("1 stream\n") && status.contains("\nweb (backup)  delivering"), "{status}");

    let raw = house.keys_under("web/raw/");
    let kept = fs::read(house.lake().join(&raw[0])).unwrap();
    fs::remove_file(house.lake().join(&raw[0])).unwrap();
    let (code, found) = document(&house, &["web", "--admin", &running.admin]).await;
    let faults = |at: usize| found["streams"][at]["faults"].as_array().unwrap().clone();
    assert_eq!((code, faults(0).len(), faults(1).len()), (1, 0, 1), "{found:#}");
    assert!(faults(1)[0].as_str().unwrap().starts_with("missing: "), "{found:#}");
    fs::write(house.lake().join(&raw[0]), kept).unwrap();
    running.stop().await;

    // Without its backup, whose objects are still below the stream's prefix.
    let text = fs::read_to_string(house.config()).unwrap();
    fs::write(house.config(), text.split("[delivery_stream.web.backup]").next().unwrap()).unwrap();
    let running = house.start().await;
    let (code, found) = document(&house, &["web", "--admin", &running.admin]).await;
    assert_eq!((code, found["streams"].as_array().unwrap().len()), (0, 1), "{found:#}");
    running.stop().await;
}
