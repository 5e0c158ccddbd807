//! What was delivered, delivered again: to another prefix, to another stream, never into its own, each row once.

use super::{House, Running, cli, numbered, stream};

/// Sixty records of `web` in three rounds, and an empty stream `copy`.
async fn delivered(compression: &str) -> (House, Running) {
    let house = House::new(&[stream("web", compression, ""), stream("copy", "none", "")].concat());
    let running = house.start().await;
    for round in 0..3 {
        running.put(&house, "web", &(numbered(round * 20..round * 20 + 20).join("\n") + "\n")).await;
        running.settled(&house, "web", (round as u64 + 1) * 20, 0).await;
    }
    (house, running)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_copied_to_another_prefix_once() {
    let (house, running) = delivered("gzip").await;
    let dry =
        cli(&house, &["replay", "web", "--from", "20", "--to", "40", "--prefix", "again/", "--dry-run"]).await.ok();
    assert!(dry.contains("0:20..") && !dry.contains("0:0.."), "{dry}");
    assert!(house.keys_under("again/").is_empty());
    let args = ["replay", "web", "--from", "20", "--to", "40", "--prefix", "again/"];
    let out = cli(&house, &args).await.ok();
    assert!(out.contains(" 0 there before, 0 not copied"), "{out}");
    let copies = house.keys_under("again/");
    let expected: Vec<_> = numbered(20..40);
    assert_eq!(house.lines("again/"), expected);
    let out = cli(&house, &args).await.ok();
    assert!(
        out.starts_with("0 objects (0 B) copied") && out.contains(&format!(" {} there before", copies.len())),
        "{out}"
    );
    let out = cli(&house, &["replay", "web", "--from", "1h", "--prefix", "all é/"]).await.ok();
    assert!(out.contains(" 0 not copied"), "{out}");
    assert_eq!(house.lines("all é/"), house.lines("web/"));
    // An original that is gone, and one that is altered, are told; the others are copied.
    let originals = house.keys_under("web/");
    std::fs::remove_file(house.lake().join(&originals[0])).unwrap();
    std::fs::write(house.lake().join(&originals[1]), "short").unwrap();
    let said = cli(&house, &["replay", "web", "--from", "0", "--prefix", "rest/"]).await.fails("there is no object");
    assert!(said.contains("has 5 bytes, the ledger says") && said.contains(", 2 not copied"), "{said}");
    assert_eq!(house.keys_under("rest/").len(), originals.len() - 2);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_copied_into_a_prefix_of_a_stream() {
    let (house, running) = delivered("none").await;
    let before = house.keys();
    for (prefix, why) in [
        ("", "must not be empty"),
        ("web/", "into which stream web delivers"),
        ("web/again/", "into which stream web delivers"),
        ("w", "into which stream web delivers"),
        ("copy/x/", "into which stream copy delivers"),
        ("errors/web/x/", "into which stream web delivers"),
        ("a\nb/", "holds '\\n'"),
    ] {
        cli(&house, &["replay", "web", "--from", "0", "--prefix", prefix]).await.fails(why);
    }
    for prefix in ["../x/", "/x/", "a//", &"y".repeat(1_000)] {
        let ended = cli(&house, &["replay", "web", "--from", "0", "--prefix", prefix]).await;
        assert_eq!(ended.code, 1, "{prefix}: {ended:?}");
    }
    for (args, why) in [
        (["--from", "0", "--to", "1h"], "both times, or both positions"),
        (["--from", "5", "--to", "5"], "nothing is between"),
    ] {
        cli(&house, &[&["replay", "web", "--prefix", "again/"][..], &args].concat()).await.fails(why);
    }
    cli(&house, &["replay", "web", "--from", "0", "--into", "web"]).await.fails("of this stream already");
    let out = cli(&house, &["replay", "web", "--from", "1000000", "--prefix", "again/"]).await.ok();
    assert!(out.contains("no object holds what is meant"), "{out}");
    assert_eq!(house.keys(), before);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_put_into_another_stream_once() {
    for compression in ["none", "gzip", "zstd", "snappy", "hadoop-snappy", "zip"] {
        let (house, running) = delivered(compression).await;
        let into = ["replay", "web", "--into", "copy", "--strip", "--endpoint", &running.endpoint];
        let out = cli(&house, &[&into[..], &["--from", "20", "--to", "40"]].concat()).await.ok();
        assert!(out.starts_with("20 rows sent into copy"), "{compression}: {out}");
        // The range that is larger brings only what was not sent.
        for (sent, before) in [(40, 20), (0, 60)] {
            let out = cli(&house, &[&into[..], &["--from", "1h"]].concat()).await.ok();
            assert!(
                out.contains(&format!("{sent} rows sent")) && out.contains(&format!("{before} sent before")),
                "{out}"
            );
        }
        running.settled(&house, "copy", 60, 0).await;
        let mut expected = numbered(0..60);
        expected.sort();
        assert_eq!(house.lines("copy/"), expected, "{compression}");
        if compression == "none" {
            let out = cli(&house, &[&into[..], &["--from", "1h", "--run", "second"]].concat()).await.ok();
            assert!(out.starts_with("60 rows sent"), "{out}");
            running.settled(&house, "copy", 120, 0).await;
            let out = cli(&house, &["verify", "--all", "--deep", "--admin", &running.admin]).await.ok();
            assert!(!out.contains("FAULT"), "{out}");
        }
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_told_apart_are_not_sent() {
    let table = stream("web", "none", "").replace("delimiter = \"always\"\n", "") + &stream("copy", "none", "");
    let house = House::new(&table);
    let running = house.start().await;
    running.put(&house, "web", "1\n2\n3\n").await;
    running.settled(&house, "web", 3, 0).await;
    let args = ["replay", "web", "--from", "0", "--into", "copy", "--endpoint", &running.endpoint];
    let said = cli(&house, &args).await.fails("it has 1 lines for 3 rows, for there is no delimiter");
    assert!(said.contains("3 not sent"), "{said}");
    let out = cli(&house, &[&args[..], &["--lines"]].concat()).await.ok();
    assert!(out.starts_with("1 rows sent"), "{out}");
    running.settled(&house, "copy", 1, 0).await;
    assert_eq!(house.lines("copy/"), ["123"]);
    running.stop().await;
}
