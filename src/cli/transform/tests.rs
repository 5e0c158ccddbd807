//! What is shown of a run, what a sample is, and that a starting point is whole and never written over another.

use std::borrow::Cow;
use std::path::Path;

use super::fate::{Became, Cost, Report, Shown, fates, total};
use super::new::{Language, write};
use super::{sample, show};
use crate::transform::{Failed, Failure, KeyColumn, Outcome, Rows};

fn sample_of(text: &[u8], whole: bool) -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sample");
    std::fs::write(&path, text).unwrap();
    let (rows, origins) = sample::read(&path, whole, 5).unwrap();
    assert_eq!(origins.arrived_ms, vec![5; rows.len()]);
    (0..rows.len()).map(|row| rows.get(row).to_vec()).collect()
}

#[test]
fn a_record_is_a_line_or_the_file() {
    assert_eq!(sample_of(b"a\n\nb\n", false), [b"a".to_vec(), Vec::new(), b"b".to_vec()]);
    assert_eq!(sample_of(b"a\nb", false), [b"a".to_vec(), b"b".to_vec()]);
    assert_eq!(sample_of(b"a\nb\n", true), [b"a\nb\n".to_vec()]);
    assert!(sample::read(Path::new("/does/not/exist"), false, 0).is_err());
}

/// Three records: two rows with keys, dropped, failed.
fn run() -> (Rows, Outcome) {
    let rows = Rows { data: b"abc\x1b".to_vec(), ends: vec![1, 2, 4], origins: vec![0, 1, 2], keys: Vec::new() };
    let keys = vec![KeyColumn { name: "tenant".into(), data: "x".into(), ends: vec![1, 1] }];
    let made = Rows { data: b"A\xffB".to_vec(), ends: vec![2, 3], origins: vec![0, 0], keys };
    let failure = Failure { code: Cow::Borrowed("Wasm.Trap"), message: "unreachable".into(), attempts: 1, by: None };
    (rows, Outcome { rows: made, failed: vec![Failed { origin: 2, failure }] })
}

#[test]
fn every_record_has_a_fate() {
    let (rows, outcome) = run();
    let mut records = fates(&rows, &outcome);
    let results: Vec<_> = records.iter().map(|fate| (fate.record, fate.result)).collect();
    assert_eq!(results, [(1, Became::Delivered), (2, Became::Dropped), (3, Became::Failed)]);
    assert_eq!(records[0].rows[0].data, Shown::Base64("Qf8=".into()));
    assert_eq!(records[0].rows[0].keys["tenant"], "x");
    assert!(records[0].rows[1].keys.is_empty(), "an empty key is none");
    records[0].cost = Some(Cost { fuel: 1_234, microseconds: 56 });
    let report = Report { plugin: "p".into(), total: total(&rows, &outcome, &records), records };
    let shown = show::table(&report);
    let expected = "record  result            fuel       time  what becomes of it
     1  delivered        1,234      56 µs  base64 Qf8=  [tenant=x]
                                           B
     2  dropped                            b
     3  failed                             Wasm.Trap: unreachable
                                           c\u{fffd}

p: 3 records of 4 B became 2 rows of 3 B, 1 dropped, 1 failed; 0 µs
";
    assert_eq!(shown, expected);
    let json = serde_json::to_value(&report).unwrap();
    let expected = serde_json::json!({
        "record": 1, "input": { "text": "a" }, "result": "delivered", "fuel": 1_234, "microseconds": 56,
        "rows": [
            { "data": { "base64": "Qf8=" }, "partitionKeys": { "tenant": "x" } },
            { "data": { "text": "B" } },
        ],
    });
    assert_eq!(json["records"][0], expected);
    assert_eq!(json["records"][2]["errorCode"], "Wasm.Trap");
    assert_eq!((json["total"]["rows"].as_u64(), json["total"]["failed"].as_u64()), (Some(2), Some(1)));
}

#[test]
fn a_starting_point_is_whole_and_never_written_over_another() {
    for (language, main) in
        [(Language::Rust, "src/lib.rs"), (Language::Js, "plugin.js"), (Language::Python, "plugin.py")]
    {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("mine");
        write("drop-debug", language, &place).unwrap();
        let text = std::fs::read_to_string(place.join(main)).unwrap();
        assert!(text.contains("drop-debug") && !text.contains("NAME"), "{text}");
        assert!(std::fs::read_to_string(place.join("README.md")).unwrap().starts_with("# drop-debug"));
        assert!(place.join("wit/transform.wit").is_file() && place.join(".gitignore").is_file());
        let refused = write("drop-debug", language, &place).unwrap_err();
        assert!(refused.message().ends_with("is there and not empty: nothing is written over"), "{refused}");
        for name in ["9x", "a b", "", "a/b"] {
            assert!(write(name, language, &dir.path().join("other")).is_err(), "{name}");
        }
        assert!(!dir.path().join("other").exists());
    }
}

/// The template needs every module of the SDK that the SDK names.
#[test]
fn the_rust_starting_point_has_all_of_the_sdk() {
    let dir = tempfile::tempdir().unwrap();
    write("p", Language::Rust, dir.path()).unwrap();
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("transforms/sdk/rust/src");
    for entry in std::fs::read_dir(sdk).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(dir.path().join("sdk/rust/src").join(&name).is_file(), "{}", name.display());
    }
}
