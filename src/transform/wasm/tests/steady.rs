//! The same input gives the same bytes: on fresh and kept instances, on several threads, whatever came before. Batches,
//! order, keys.

use std::sync::Arc;

use bytes::Bytes;

use super::guests::{EACH_BATCH, IDENTITY, KEPT, Text, on};
use super::{LIMITS, Rig, failed, records, run, step};
use crate::limits::PLUGIN_INSTANCES_MAX;
use crate::record::Keys;
use crate::transform::wasm::{Limits, Step};
use crate::transform::{KeyColumn, Origins, Rows};

/// Writes the clock, a random number and what it remembers over the first 24 bytes of each batch.
const CURIOUS: &str = "(i64.store (local.get $data) (call $now))
    (i64.store offset=8 (local.get $data) (call $random))
    (i64.store offset=16 (local.get $data) (call $random))";

fn identity() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/plugins/identity.wasm")).unwrap()
}

fn mask() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/transforms/examples/mask/mask.wasm")).unwrap()
}

#[tokio::test]
async fn clock_and_randomness_follow_from_the_batch() {
    let input = records(&["...32 bytes for what it finds...."; 4]);
    let limits = Limits { batch_records: 2, ..LIMITS };
    let transform = format!("{CURIOUS} {IDENTITY}");
    let mut seen = Vec::new();
    for init in [EACH_BATCH, KEPT] {
        let rig = Rig::new();
        let plugin = rig.limited(&Text { init, transform: &transform, more: "" }, limits).await;
        seen.push(run(&plugin, &input));
        seen.push(run(&plugin, &input));
    }
    assert!(seen.iter().all(|outcome| *outcome == seen[0]));
    let rows = &seen[0].rows;
    let word = |row: usize, at: usize| u64::from_le_bytes(*rows.get(row)[at..].first_chunk().unwrap());
    assert_eq!((word(0, 0), word(2, 0)), (1_700_000_000_000 * 1_000_000, 1_700_000_000_002 * 1_000_000));
    let random: std::collections::BTreeSet<_> = [word(0, 8), word(0, 16), word(2, 8), word(2, 16)].into();
    assert_eq!(random.len(), 4, "each batch has numbers of its own");
    let elsewhere = Origins { shards: vec![3; 4], ..input.1.clone() };
    let rig = Rig::new();
    let plugin = rig.limited(&Text { transform: &transform, ..Text::default() }, limits).await;
    assert_ne!(plugin.run(&input.0, &elsewhere).unwrap(), seen[0], "another shard has others");
}

#[tokio::test]
async fn batches_end_by_records_and_bytes_alone() {
    let rig = Rig::new();
    let module = rig.install_bytes(identity()).await;
    let limits = Limits { batch_records: 3, batch_bytes: 10, ..LIMITS };
    let plugin = rig.plugins.plugin("web", &Step { limits, ..module }).await.unwrap();
    let rows = ["1", "2", "3", "4", "123456", "twelve bytes", "x", "123456789", "1", "2"];
    // 1 2 3 | 4 123456 | twelve bytes | x 123456789 | 1 2
    let input = records(&rows);
    let (outcome, usage) = plugin.run_measured(&input.0, &input.1).unwrap();
    assert_eq!((outcome.rows, usage.batches, usage.rows.ok), (input.0, 5, 10));
}

#[tokio::test]
async fn nothing_makes_nothing() {
    let rig = Rig::new();
    let plugin = rig.plugin(&Text::default()).await;
    let input = records::<&str>(&[]);
    assert_eq!(run(&plugin, &input), crate::transform::Outcome::default());
    let input = records(&["", "", ""]);
    assert_eq!(run(&plugin, &input).rows, input.0);
}

#[tokio::test]
async fn a_rust_plugin_masks_drops_fails_and_keys() {
    let rig = Rig::new();
    let step = rig.install_bytes(mask()).await;
    let plugin = rig.plugins.plugin("web", &step).await.unwrap();
    let lines = [
        r#"{"level":"info","service":"pay","ip":"10.1.2.3"}"#,
        r#"{"level":"debug","service":"pay"}"#,
        "no json",
        r#"{"level":"warn","user":"bob@example.com"}"#,
    ];
    let mut input = records(&lines);
    input.1.shards = vec![7; 4];
    input.1.keys = Some(Keys { ends: vec![1, 2, 3, 4], data: "abcd".into() });
    let outcome = run(&plugin, &input);
    assert_eq!(outcome.rows.get(0), br#"{"level":"info","service":"pay","ip":"10.1.2.0"}"#);
    assert_eq!(outcome.rows.get(1), br#"{"level":"warn","user":"***@example.com"}"#);
    assert_eq!((outcome.rows.origins.clone(), outcome.rows.keys[0].name.as_str()), (vec![0, 3], "service"));
    assert_eq!((outcome.rows.keys[0].get(0), outcome.rows.keys[0].get(1)), ("pay", ""));
    assert_eq!(failed(&outcome), [(2, "Wasm.ProcessingFailedStatus")]);
    assert!(outcome.failed[0].failure.message.starts_with("not a log line"));
    assert_eq!(run(&plugin, &input), outcome);
}

#[tokio::test]
async fn keys_of_earlier_steps_are_carried_and_set_anew() {
    let rig = Rig::new();
    let step = rig.install_bytes(mask()).await;
    let plugin =
        rig.plugins.plugin("web", &Step { limits: Limits { batch_records: 2, ..LIMITS }, ..step }).await.unwrap();
    let mut input = records(&[
        r#"{"level":"info"}"#,
        r#"{"level":"info","service":"new"}"#,
        r#"{"level":"debug"}"#,
        r#"{"level":"info","service":"newer"}"#,
    ]);
    let column =
        |name: &str, data: &str, ends: [u32; 4]| KeyColumn { name: name.into(), data: data.into(), ends: ends.into() };
    input.0.keys = vec![column("hour", "00112233", [2, 4, 6, 8]), column("service", "abcd", [1, 2, 3, 4])];
    let outcome = run(&plugin, &input);
    assert_eq!(outcome.rows.keys.len(), 2);
    let values = |key: &KeyColumn| (0..3).map(|row| key.get(row).to_owned()).collect::<Vec<_>>();
    assert_eq!(values(&outcome.rows.keys[0]), ["00", "11", "33"]);
    assert_eq!(values(&outcome.rows.keys[1]), ["a", "new", "newer"]);
}

#[tokio::test]
async fn an_origin_with_one_failed_row_fails_whole() {
    let rig = Rig::new();
    let limits = Limits { batch_records: 2, ..LIMITS };
    let plugin = rig.limited(&Text { transform: &on('x', "unreachable"), ..Text::default() }, limits).await;
    // Origin 1 has rows in two batches, and the last of them fails.
    let mut input = records(&["a", "b", "x", "c"]);
    input.0.origins = vec![0, 1, 1, 2];
    let outcome = run(&plugin, &input);
    assert_eq!(failed(&outcome), [(1, "Wasm.Trap")]);
    assert_eq!((outcome.rows.data.as_slice(), outcome.rows.origins), (&b"ac"[..], vec![0, 2]));
}

#[tokio::test]
async fn many_threads_share_plugins_and_the_pool_is_bounded() {
    let rig = Rig::new();
    let module = rig.install_bytes(mask()).await;
    let mut plugins = Vec::new();
    for number in 0..PLUGIN_INSTANCES_MAX + 8 {
        plugins.push(rig.plugins.plugin(&format!("stream-{number}"), &module).await.unwrap());
    }
    let (live, kept) = rig.plugins.pool().live();
    assert_eq!(
        (live, kept),
        (PLUGIN_INSTANCES_MAX, PLUGIN_INSTANCES_MAX as usize),
        "those that waited longest made room"
    );
    let input = Arc::new(records(&[r#"{"level":"info","service":"pay","ip":"10.1.2.3"}"#; 50]));
    let expected = run(&plugins[0], &input);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for plugin in &plugins {
                    assert_eq!(run(plugin, &input), expected);
                }
            });
        }
    });
    drop(plugins);
    assert_eq!(rig.plugins.pool().live(), (0, 0), "an instance ends with its plugin");
}

#[tokio::test]
async fn the_same_step_is_the_same_plugin_as_long_as_it_is_used() {
    let rig = Rig::new();
    let sha256 = rig.plugins.install("test", Bytes::from(identity()), None).await.unwrap();
    let step = step(sha256, LIMITS);
    let one = rig.plugins.plugin("web", &step).await.unwrap();
    assert!(Arc::ptr_eq(&one, &rig.plugins.plugin("web", &step).await.unwrap()));
    assert!(!Arc::ptr_eq(&one, &rig.plugins.plugin("other", &step).await.unwrap()));
}

#[tokio::test]
async fn rows_of_rows_are_found_by_their_own_number() {
    let rig = Rig::new();
    let plugin = rig.plugin(&Text::default()).await;
    let rows = Rows { data: b"abc".into(), ends: vec![1, 2, 3], origins: vec![0, 0, 4], keys: vec![] };
    let origins = records(&["?"; 5]).1;
    assert_eq!(plugin.run(&rows, &origins).unwrap().rows, rows);
}
