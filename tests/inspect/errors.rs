//! Error output: looked at, mended and sent again, each record once.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;
use standpipe::clock::Clock;

use super::{House, Running, cli, program, stream};

/// A stream with two good and three bad records, delivered.
async fn with_failures() -> (House, Running) {
    let house = House::new(&stream("web", "none", ""));
    let running = house.start().await;
    running.put(&house, "web", "{\"n\":1}\n{\"a\":NaN}\n{\"n\":2}\nbroken\n{\"b\":NaN}\n").await;
    running.settled(&house, "web", 2, 3).await;
    (house, running)
}

async fn listed(house: &House) -> Vec<Value> {
    let out = cli(house, &["errors", "ls", "web", "--json"]).await.ok();
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sum(listed: &[Value], member: &str) -> u64 {
    listed.iter().map(|object| object[member].as_u64().unwrap()).sum()
}

/// Key and line of the record.
async fn place_of(house: &House, record: &str) -> (String, String) {
    let out = cli(house, &["errors", "show", "web", "--json"]).await.ok();
    let raw = base64_simd::STANDARD.encode_to_string(record);
    let found = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|line| line["rawData"] == raw.as_str());
    let found = found.unwrap_or_else(|| panic!("{record} is not in {out}"));
    (found["key"].as_str().unwrap().to_owned(), found["line"].to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_record_is_found_mended_in_a_file_and_delivered_once() {
    let (house, running) = with_failures().await;
    let objects = listed(&house).await;
    assert_eq!((sum(&objects, "records"), sum(&objects, "redriven")), (3, 0));
    assert!(objects.iter().all(|object| object["type"] == "processing-failed"), "{objects:?}");
    let table = cli(&house, &["errors", "ls", "web"]).await.ok();
    assert!(table.contains("3 records in") && table.contains("RequireJson.ParseError"), "{table}");
    let (key, line) = place_of(&house, "broken").await;
    let shown = cli(&house, &["errors", "show", "web", &key, "--line", &line]).await.ok();
    for part in ["errorCode", "errorMessage", "arrivalTimestamp", "attemptsMade", "6 bytes of text", "broken"] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
    let raw = cli(&house, &["errors", "show", "web", &key, "--line", &line, "--raw"]).await.ok();
    assert_eq!(raw, "broken");
    let mended = house.file("record.json", "{\"mended\":1}\n");
    let args = ["errors", "redrive", "web", &key, "--line", &line, "--with", &mended, "--endpoint", &running.endpoint];
    let dry = cli(&house, &[&args[..], &["--dry-run"]].concat()).await.ok();
    assert!(dry.contains("1 records would be sent into web"), "{dry}");
    for (said, before) in [("1 records sent", false), ("0 records sent", true), ("0 records sent", true)] {
        let out = cli(&house, &args).await.ok();
        assert!(out.contains(said) && out.contains("1 sent before") == before, "{out}");
    }
    running.settled(&house, "web", 3, 3).await;
    // All the others, each by a command; what is sent already is not sent again.
    let edit =
        ["errors", "redrive", "web", "--edit", "grep -v broken | sed s/NaN/null/", "--endpoint", &running.endpoint];
    let out = cli(&house, &edit).await.ok();
    assert!(out.contains("2 records sent") && out.contains("1 sent before"), "{out}");
    let out = cli(&house, &edit).await.ok();
    assert!(out.contains("0 records sent") && out.contains("3 sent before"), "{out}");
    running.settled(&house, "web", 5, 3).await;
    assert_eq!(house.lines("web/"), ["{\"a\":null}", "{\"b\":null}", "{\"mended\":1}", "{\"n\":1}", "{\"n\":2}"]);
    let objects = listed(&house).await;
    assert_eq!((sum(&objects, "records"), sum(&objects, "redriven")), (3, 3));
    let verified = cli(&house, &["verify", "--all", "--deep", "--admin", &running.admin]).await.ok();
    assert!(verified.contains("ok"), "markers are nobody's objects: {verified}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_type_of_error_is_listed_proven_and_sent_again() {
    let format = "[delivery_stream.web.destination.format]\nparquet = {}\nschema = { columns = { n = \"bigint\" } }\n";
    let house =
        House::new(&stream("web", "none", format).replace("delimiter = \"always\"\ncompression = \"none\"\n", ""));
    let running = house.start().await;
    running.put(&house, "web", "{\"n\":1}\nbroken\n{\"n\":\"many\"}\n").await;
    running.settled(&house, "web", 1, 2).await;
    let types = ["format-conversion-failed", "processing-failed"];
    let mut found: Vec<_> =
        listed(&house).await.iter().map(|object| object["type"].as_str().unwrap().to_owned()).collect();
    found.sort();
    assert_eq!(found, types);
    let out = cli(&house, &["errors", "ls", "web", "--json", "--type", types[0]]).await.ok();
    assert!(out.lines().count() == 1 && out.contains("DataFormatConversion.MalformedData"), "{out}");
    let shown = cli(&house, &["errors", "show", "web", "--code", "DataFormatConversion.MalformedData"]).await.ok();
    assert!(
        shown.contains("lastErrorMessage") && shown.contains("sequenceNumber") && !shown.contains("broken"),
        "{shown}"
    );
    let verified = cli(&house, &["verify", "web", "--deep", "--admin", &running.admin]).await.ok();
    assert!(verified.contains("ok"), "{verified}");
    let edit =
        ["errors", "redrive", "web", "--type", types[0], "--edit", "sed s/.many./2/", "--endpoint", &running.endpoint];
    for said in ["1 records sent into web", "0 records sent"] {
        let out = cli(&house, &edit).await.ok();
        assert!(out.contains(said), "{out}");
    }
    running.settled(&house, "web", 2, 2).await;
    let keys = house.keys_under("errors/web/format-conversion-failed/");
    std::fs::remove_file(house.lake().join(&keys[0])).unwrap();
    cli(&house, &["verify", "web", "--admin", &running.admin]).await.fails("FAULT: missing");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_or_foreign_is_told_and_the_rest_is_sent() {
    let (house, running) = with_failures().await;
    let keys = house.keys_under("errors/web/processing-failed/");
    let path = house.lake().join(&keys[0]);
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines = whole.lines().count() as u64;
    // Its last line is cut in the middle.
    std::fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    // Neither has the name of an object of this stream.
    for foreign in ["errors/web/processing-failed/notes\u{1b}[2J.txt", "errors/web/processing-failed/other-1-x"] {
        std::fs::write(house.lake().join(foreign), "not ours").unwrap();
    }
    let said = cli(&house, &["errors", "ls", "web"]).await.fails("1 of its lines cannot be read");
    assert!(!said.contains("notes") && !said.contains('\u{1b}'), "{said}");
    let args = ["errors", "redrive", "web", "--edit", "echo 7", "--endpoint", &running.endpoint];
    let said = cli(&house, &args).await.fails("1 that cannot be sent");
    assert!(said.contains(&format!("{} line {lines} cannot be sent: the line is no JSON", keys[0])), "{said}");
    assert!(said.contains("2 records sent"), "{said}");
    cli(&house, &["errors", "show", "web", "web/other"]).await.fails("is no error output of this stream");
    cli(&house, &["errors", "show", "web", &format!("{}0", &keys[0][..keys[0].len() - 1])])
        .await
        .fails("there is no object");
    cli(&house, &["errors", "show", "web", "../../etc/passwd"]).await.fails("is no error output");
    cli(&house, &["errors", "ls", "nothing"]).await.fails("there is no delivery stream \"nothing\": there are web");
    running.settled(&house, "web", 4, 3).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_without_a_line_feed_takes_no_memory() {
    let (house, running) = with_failures().await;
    let key = &house.keys_under("errors/web/processing-failed/")[0];
    std::fs::File::options().write(true).open(house.lake().join(key)).unwrap().set_len(1 << 30).unwrap();
    // 600 MB hold the program, its threads and what it reads, but no gibibyte.
    let mut command = std::process::Command::new("sh");
    let script =
        format!("ulimit -d 600000; exec {} errors show web {key} --limit 1000 --json", env!("CARGO_BIN_EXE_standpipe"));
    command.args(["-c", &script]).env("STANDPIPE_CONFIG", house.config());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(out.contains("the line has more than 16777216 bytes"), "{out} {output:?}");
    running.stop().await;
}

/// A service that takes requests and gives no answer: each is passed on to `behind` if there is one.
fn mute(behind: Option<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let behind = behind.clone();
            std::thread::spawn(move || pass(client, behind.as_deref()));
        }
    });
    address
}

fn pass(mut client: TcpStream, behind: Option<&str>) {
    let mut service = behind.map(|behind| TcpStream::connect(behind).unwrap());
    let mut bytes = vec![0; 65_536];
    while let Ok(len) = client.read(&mut bytes) {
        if len == 0 {
            return;
        }
        if let Some(service) = &mut service {
            service.write_all(&bytes[..len]).unwrap();
        }
    }
}

/// Redrives through a service that gives no answer, and kills the command in the middle of it.
async fn interrupted(house: &House, running: &Running, is_stored: bool) {
    let behind = running.endpoint.trim_start_matches("http://").to_owned();
    let endpoint = mute(is_stored.then_some(behind));
    let mut child =
        program(&house.config(), &["errors", "redrive", "web", "--edit", "echo 7", "--endpoint", &endpoint])
            .spawn()
            .unwrap();
    let markers = house.lake().join("errors/web/.standpipe-sent");
    for _ in 0..600 {
        // The folder is there a moment before the claim.
        let claims = std::fs::read_dir(&markers).into_iter().flatten().flatten();
        if claims.map(|object| object.path().join("into-web/00000000.json")).any(|claim| claim.exists()) {
            break;
        }
        Clock::real().sleep(Duration::from_millis(25)).await;
    }
    if is_stored {
        running.until(house, "web", |status| status["accepted"].as_u64() > Some(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_was_killed_is_ended_by_the_next_and_nothing_is_there_twice() {
    for is_stored in [false, true] {
        let (house, running) = with_failures().await;
        interrupted(&house, &running, is_stored).await;
        let redrive = |edit: &'static str| {
            ["errors", "redrive", "web", "--edit", edit, "--endpoint", &running.endpoint].map(str::to_owned)
        };
        let args = redrive("echo 8");
        cli(&house, &args.each_ref().map(String::as_str)).await.fails("repeat it as it was");
        let args = redrive("echo 7");
        let out = cli(&house, &args.each_ref().map(String::as_str)).await.ok();
        assert!(out.contains("3 records sent into web"), "{out}");
        let out = cli(&house, &args.each_ref().map(String::as_str)).await.ok();
        assert!(out.contains("0 records sent") && out.contains("3 sent before"), "{out}");
        running.settled(&house, "web", 5, 3).await;
        assert_eq!(
            house.lines("web/"),
            ["7", "7", "7", "{\"n\":1}", "{\"n\":2}"],
            "stored the first time: {is_stored}"
        );
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_was_interrupted_long_ago_nobody_knows() {
    let (house, running) = with_failures().await;
    interrupted(&house, &running, false).await;
    let marker =
        std::fs::read_dir(house.lake().join("errors/web/.standpipe-sent")).unwrap().next().unwrap().unwrap().path();
    let marker = marker.join("into-web/00000000.json");
    let mut text: Value = serde_json::from_slice(&std::fs::read(&marker).unwrap()).unwrap();
    text["at_ms"] = (Clock::real().now_ms() - 7 * 60_000).into();
    std::fs::write(&marker, text.to_string()).unwrap();
    let args = ["errors", "redrive", "web", "--edit", "echo 7", "--endpoint", &running.endpoint];
    cli(&house, &args).await.fails("say --in-doubt send or --in-doubt skip");
    let out = cli(&house, &[&args[..], &["--in-doubt", "send"]].concat()).await.ok();
    assert!(out.contains("3 records sent"), "{out}");
    running.settled(&house, "web", 5, 3).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_cannot_be_put_into_is_told_before_anything_is_sent() {
    let (house, running) = with_failures().await;
    let args = ["errors", "redrive", "web", "--into", "nothing", "--endpoint", &running.endpoint];
    cli(&house, &args).await.fails("ResourceNotFoundException");
    cli(&house, &args).await.fails("ResourceNotFoundException");
    let text = std::fs::read_to_string(house.config()).unwrap();
    let text = text.replace(
        "[delivery_stream.web]\n",
        "[data_stream.clicks]\n[delivery_stream.web]\nsource = { data_stream = \"clicks\" }\n",
    );
    std::fs::write(house.config(), text).unwrap();
    cli(&house, &["errors", "redrive", "web"]).await.fails("name one that can with --into");
    running.stop().await;
}
