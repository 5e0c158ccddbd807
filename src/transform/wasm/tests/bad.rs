//! Plugins that misbehave: the guilty records fail, each with the code of what was done, and the rest goes on.

use super::guests::{EACH_BATCH, IDENTITY, KEPT, Text, on};
use super::{LIMITS, Rig, failed, records, run};
use crate::limits::{PLUGIN_SEARCH_FUEL_FACTOR, PLUGIN_SEARCH_PARTS};
use crate::transform::wasm::Limits;

/// What a record that begins with x does to the batch, and the code of it.
const DEEDS: &[(&str, &str)] = &[
    ("unreachable", "Wasm.Trap"),
    ("(drop (i32.load (i32.const -4)))", "Wasm.Trap"),
    ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "Wasm.Trap"),
    ("(call $deeper)", "Wasm.Trap"),
    ("(loop $l (br $l))", "Wasm.OutOfFuel"),
    ("(loop $l (memory.fill (i32.const 4096) (i32.const 0) (i32.const 65536)) (br $l))", "Wasm.OutOfFuel"),
    ("(loop $l (br_if $l (i32.ne (memory.grow (i32.const 64)) (i32.const -1)))) unreachable", "Wasm.OutOfMemory"),
    ("(drop (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (i32.const -65536)))", "Wasm.OutOfMemory"),
    // Answers: after $same the outcome lies at 64, and `n` records have `4n` bytes of ends.
    ("(call $answer) (return (i32.const -4))", "Wasm.InvalidOutput"),
    ("(call $answer) (i32.store (i32.const 64) (i32.const -16)) (return (i32.const 64))", "Wasm.InvalidOutput"),
    ("(call $answer) (i32.store (i32.const 72) (i32.const 3)) (return (i32.const 64))", "Wasm.InvalidOutput"),
    ("(call $answer) (i32.store (i32.const 84) (i32.const 0)) (return (i32.const 64))", "Wasm.InvalidOutput"),
    ("(call $answer) (i32.store (i32.const 68) (i32.const 0)) (return (i32.const 64))", "Wasm.InvalidOutput"),
    (
        "(call $answer) (i32.store (i32.load (i32.const 72)) (i32.const -1)) (return (i32.const 64))",
        "Wasm.InvalidOutput",
    ),
    (
        "(call $answer) (i32.store (i32.load (i32.const 80)) (i32.const 99)) (return (i32.const 64))",
        "Wasm.InvalidOutput",
    ),
    (
        "(call $answer) (i32.store8 (i32.load (i32.const 88)) (i32.const 9)) (return (i32.const 64))",
        "Wasm.InvalidOutput",
    ),
    // No rows at all.
    (
        "(call $answer) (memory.fill (i32.const 64) (i32.const 0) (i32.const 40)) (return (i32.const 64))",
        "Wasm.MissingRecord",
    ),
    // All of its memory as data; the same as a thousand times the input.
    (
        "(call $answer) (i32.store (i32.const 64) (i32.const 0)) (i32.store (i32.const 68) (i32.const 120000)) (return (i32.const 64))",
        "Wasm.OutputTooLarge",
    ),
    (
        "(call $answer) (i32.store (i32.const 64) (i32.const 0)) (i32.store (i32.const 68) (i32.const 70000)) (return (i32.const 64))",
        "Wasm.OutputTooLarge",
    ),
    // Ten million keys that all lie in the same place, and a key whose name is no UTF-8.
    (
        "(call $answer) (i32.store (i32.const 96) (i32.const 4096)) (i32.store (i32.const 100) (i32.const 4000)) (return (i32.const 64))",
        "Wasm.OutputTooLarge",
    ),
    (
        "(call $answer) (i32.store8 (i32.const 128) (i32.const 255)) (i32.store (i32.const 132) (i32.const 128)) (i32.store (i32.const 136) (i32.const 1)) (i32.store (i32.const 96) (i32.const 132)) (i32.store (i32.const 100) (i32.const 1)) (return (i32.const 64))",
        "Wasm.InvalidOutput",
    ),
];

/// `$answer` for one record; `$deeper` recurses for ever.
const MORE: &str = r"
  (func $deeper (call $deeper) (call $deeper))
  (global $d (mut i32) (i32.const 0)) (global $b (mut i32) (i32.const 0))
  (global $e (mut i32) (i32.const 0)) (global $n (mut i32) (i32.const 0))
  (func $answer (drop (call $same (global.get $d) (global.get $b) (global.get $e) (global.get $n))))";

fn misdeed(deed: &str) -> String {
    let body = on('x', deed);
    let locals = body.find("(block").expect("locals come first");
    format!(
        "{} (global.set $d (local.get $data)) (global.set $b (local.get $bytes)) (global.set $e (local.get $ends))
         (global.set $n (local.get $n)) {}",
        &body[..locals],
        &body[locals..]
    )
}

#[tokio::test]
async fn guilty_records_stand_alone_whatever_they_do() {
    let mut input: Vec<_> = (0..40).map(|number| format!("record {number}")).collect();
    input[7] = "x".into();
    input[39] = "xx".into();
    let input = records(&input);
    let innocent = input.0.filter(|origin| !matches!(origin, 7 | 39));
    for (deed, code) in DEEDS {
        for init in [EACH_BATCH, KEPT] {
            let rig = Rig::new();
            let plugin = rig.plugin(&Text { init, transform: &misdeed(deed), more: MORE }).await;
            let outcome = run(&plugin, &input);
            let said = &outcome.failed.iter().map(|failed| &failed.failure.message).collect::<Vec<_>>();
            assert_eq!(failed(&outcome), [(7, *code), (39, *code)], "{deed} says {said:?}");
            assert_eq!(outcome.rows, innocent, "{deed}");
            assert!(
                outcome.failed.iter().all(|failed| failed.failure.attempts > 1 && !failed.failure.message.is_empty())
            );
            assert_eq!(run(&plugin, &input), outcome, "the same again: {deed}");
            let (live, kept) = rig.plugins.pool().live();
            assert_eq!(live as usize, kept, "no instance is left behind: {deed}");
        }
    }
}

#[tokio::test]
async fn a_plugin_that_always_fails_fails_every_record() {
    let rig = Rig::new();
    let plugin = rig.plugin(&Text { transform: "unreachable", ..Text::default() }).await;
    let input = records(&["a"; 33]);
    let outcome = run(&plugin, &input);
    assert_eq!((outcome.failed.len(), outcome.rows.len()), (33, 0));
}

#[tokio::test]
async fn a_search_costs_a_bounded_amount_of_fuel() {
    let rig = Rig::new();
    let limits = Limits { fuel: Some(100_000), fuel_per_byte: 0, ..LIMITS };
    let transform = on('x', "(loop $l (br $l))");
    let plugin = rig.limited(&Text { transform: &transform, ..Text::default() }, limits).await;
    let input = records(&["x"; 500]);
    let (outcome, usage) = plugin.run_measured(&input.0, &input.1).unwrap();
    assert_eq!(failed(&outcome), (0..500).map(|origin| (origin, "Wasm.OutOfFuel")).collect::<Vec<_>>());
    // What is still open when it is burnt is tried once more.
    let open = 3 * (PLUGIN_SEARCH_PARTS as u64 - 1);
    let bound = (PLUGIN_SEARCH_FUEL_FACTOR + open) * limits.fuel.unwrap();
    assert!(usage.fuel <= bound && usage.batches < 50, "{usage:?}");
    assert_eq!(
        plugin.run_measured(&input.0, &input.1).unwrap(),
        (outcome, usage),
        "where it ends depends on nothing else"
    );
}

#[tokio::test]
async fn what_a_kept_instance_remembers_fails_nobody() {
    // Its third batch traps: a fresh one is asked, and knows of nothing.
    let more = "(global $batches (mut i32) (i32.const 0))";
    let transform = format!(
        "(global.set $batches (i32.add (global.get $batches) (i32.const 1)))
         (if (i32.ge_u (global.get $batches) (i32.const 3)) (then unreachable)) {IDENTITY}"
    );
    let rig = Rig::new();
    let limits = Limits { batch_records: 1, ..LIMITS };
    let plugin = rig.limited(&Text { init: KEPT, transform: &transform, more }, limits).await;
    let input = records(&["a", "b", "c", "d", "e", "f"]);
    let (outcome, usage) = plugin.run_measured(&input.0, &input.1).unwrap();
    assert_eq!((outcome.rows, outcome.failed.len()), (input.0, 0));
    assert_eq!((usage.batches, usage.failed_batches, usage.instances), (8, 2, 2));
}
