//! Batches are tried with little first: who takes all there is costs little, who needs much gets it, and nothing else
//! becomes of the records.

use super::guests::{EACH_BATCH, IDENTITY, KEPT, Text, on};
use super::{LIMITS, Rig, failed, records, run};
use crate::transform::wasm::allowance::Grant;
use crate::transform::wasm::{Limits, Usage};
use crate::transform::{Origins, Outcome, Rows};

const WIDE: Limits = Limits { memory: Some(64 << 20), fuel: Some(20_000_000), fuel_per_byte: 500, ..LIMITS };

/// 500 records of 300 bytes; those at `marked` begin with x.
fn many(marked: impl Fn(usize) -> bool) -> (Rows, Origins) {
    let record = |at| format!("{}{}", if marked(at) { 'x' } else { '-' }, "abc".repeat(99));
    records(&(0..500).map(record).collect::<Vec<_>>())
}

/// What becomes of the input, for plugins kept and not, with the limits as they are and with all granted at once.
async fn outcomes(transform: &str, limits: Limits, input: &(Rows, Origins)) -> Vec<[(Outcome, Usage); 2]> {
    let mut outcomes = Vec::new();
    for init in [EACH_BATCH, KEPT] {
        let rig = Rig::new();
        let text = Text { init, transform, more: "" };
        let run = async |sparing| {
            let plugin = rig.limited(&text, Limits { sparing, ..limits }).await;
            plugin.run_measured(&input.0, &input.1).unwrap()
        };
        outcomes.push([run(true).await, run(false).await]);
    }
    outcomes
}

#[tokio::test]
async fn a_record_that_takes_all_there_is_costs_little() {
    let input = many(|at| at == 321);
    let innocent = input.0.filter(|origin| origin != 321);
    for [(outcome, sparing), (wide_outcome, wide)] in outcomes(&on('x', "(loop $l (br $l))"), WIDE, &input).await {
        assert_eq!((&outcome.rows, failed(&outcome)), (&innocent, vec![(321, "Wasm.OutOfFuel")]));
        assert_eq!((wide_outcome.rows, failed(&outcome)), (innocent.clone(), vec![(321, "Wasm.OutOfFuel")]));
        assert!(sparing.fuel * 3 < wide.fuel, "{sparing:?} {wide:?}");
    }
    let all = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    for [(outcome, sparing), (_, wide)] in outcomes(&on('x', all), WIDE, &input).await {
        assert_eq!((outcome.rows, failed_code(&outcome.failed)), (innocent.clone(), "Wasm.OutOfMemory"));
        assert!(sparing.failed_batches * 2 <= wide.failed_batches + 3, "{sparing:?} {wide:?}");
    }
}

fn failed_code(failed: &[crate::transform::Failed]) -> &str {
    let [failed] = failed else { panic!("{failed:?}") };
    &failed.failure.code
}

/// Burns some 15 million units.
const MUCH: &str = "(local.set $burn (i32.const 3000000))
    (loop $l (local.set $burn (i32.sub (local.get $burn) (i32.const 1))) (br_if $l (local.get $burn)))";

#[tokio::test]
async fn who_needs_much_is_given_it() {
    let burning = |much: &str| format!("(local $burn i32) {}", on('x', much));
    let input = many(|at| at == 77);
    for [(outcome, sparing), (at_once, _)] in outcomes(&burning(MUCH), WIDE, &input).await {
        assert_eq!((&outcome.rows, outcome.failed.len()), (&input.0, 0));
        assert_eq!(outcome, at_once);
        assert!(sparing.batches < 30, "{sparing:?}");
    }
    // Each of them: the batch ends in a few parts, and not in 500.
    let input = many(|_| true);
    let each = MUCH.replace("3000000", "30000");
    for [(outcome, sparing), (at_once, wide)] in outcomes(&burning(&each), WIDE, &input).await {
        assert_eq!((&outcome.rows, outcome.failed.len()), (&input.0, 0));
        assert_eq!(outcome, at_once);
        assert!(sparing.batches < 30 && sparing.fuel < wide.fuel * 3, "{sparing:?} {wide:?}");
    }
}

#[tokio::test]
async fn an_answer_made_for_want_of_memory_is_not_taken() {
    // Where it gets no 12 MiB it writes y where the record begins.
    let deed = "(if (i32.eq (memory.grow (i32.const 200)) (i32.const -1))
        (then (i32.store8 (i32.add (local.get $data) (local.get $at)) (i32.const 121))))";
    let input = many(|at| at == 5);
    for [(outcome, _), (at_once, _)] in outcomes(&on('x', deed), WIDE, &input).await {
        assert_eq!((outcome.rows.get(5)[0], at_once.rows.get(5)[0]), (b'x', b'x'));
        assert_eq!((&outcome.rows, outcome.failed.len()), (&input.0, 0));
    }
    // Where its limit is what refuses, that is its answer.
    let limits = Limits { memory: Some(8 << 20), ..WIDE };
    for [(outcome, usage), (at_once, _)] in outcomes(&on('x', deed), limits, &input).await {
        assert_eq!((outcome.rows.get(5)[0], usage.failed_batches), (b'y', 0));
        assert_eq!(outcome, at_once);
    }
}

#[tokio::test]
async fn the_usual_limits_follow_from_the_start_and_the_batch() {
    let usual = Limits { memory: None, fuel: None, output_ratio: 32, ..WIDE };
    let whole = |bytes, started| {
        let allowed = usual.allow(Grant::Whole, bytes, started);
        (allowed.fuel / 1_000_000, allowed.memory >> 20)
    };
    assert_eq!((usual.start().fuel, usual.start().memory), (100_000_000, 64 << 20));
    assert_eq!((whole(0, 1 << 20), whole(1 << 16, 1 << 20), whole(1 << 20, 1 << 20)), ((50, 24), (82, 32), (574, 64)));
    assert_eq!((whole(0, 4 << 20), whole(0, 14 << 20)), ((100, 36), (100, 64)), "a language's runtime");
    for bytes in [0, 300, 150_000, 1 << 20, 16 << 20] {
        for started in [0, 1 << 16, 1 << 20, 5 << 20, 40 << 20] {
            let [first, batch, whole] =
                [Grant::First, Grant::Batch, Grant::Whole].map(|grant| usual.allow(grant, bytes, started));
            assert!(first.fuel <= batch.fuel && batch.fuel <= whole.fuel, "{bytes} {started}");
            assert!(first.memory <= batch.memory && batch.memory <= whole.memory, "{bytes} {started}");
        }
    }
    // What is set holds, and a record that takes all of what is not costs the others nothing.
    let set = Limits { memory: Some(3 << 20), fuel: Some(7), ..usual };
    assert_eq!((set.start().memory, set.allow(Grant::Whole, 0, 1).fuel), (3 << 20, 7));
    let input = many(|at| at == 321);
    let all = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    for [(outcome, sparing), _] in outcomes(&on('x', all), usual, &input).await {
        assert_eq!(
            (outcome.rows, failed_code(&outcome.failed)),
            (input.0.filter(|origin| origin != 321), "Wasm.OutOfMemory")
        );
        assert!(sparing.memory_bytes < 24 << 20, "{sparing:?}");
    }
    // What each instance does first costs nobody his delivery: some 48 million units, 16 MiB.
    let once = format!(
        "(local $burn i32) (if (i32.eq (memory.grow (i32.const 256)) (i32.const -1)) (then unreachable)) {} {IDENTITY}",
        MUCH.replace("3000000", "8000000")
    );
    for [(outcome, _), (at_once, _)] in outcomes(&once, usual, &many(|_| false)).await {
        assert_eq!((outcome.rows.len(), outcome.failed.len()), (500, 0));
        assert_eq!(outcome, at_once);
    }
}

#[test]
fn plans_of_before_grant_all_at_once() {
    let written = r#"{"memory":1,"fuel":2,"fuel_per_byte":3,"output_ratio":4,"batch_records":5,"batch_bytes":6}"#;
    let limits: Limits = serde_json::from_str(written).unwrap();
    assert!(!limits.sparing);
    let again = serde_json::to_string(&Limits { sparing: true, ..limits }).unwrap();
    assert_eq!(serde_json::from_str::<Limits>(&again).unwrap(), Limits { sparing: true, ..limits });
}

#[tokio::test]
async fn what_becomes_of_a_batch_does_not_depend_on_those_before() {
    // The first batch of an instance burns 15 million and takes so many pages; each record becomes the number of its batch's records.
    let more = "(global $ready (mut i32) (i32.const 0))";
    let limits = Limits { batch_records: 100, ..WIDE };
    let input = many(|_| false);
    for (pages, is_whole) in [(100, true), (200, false)] {
        let transform = format!(
            "(local $burn i32)
             (if (i32.eqz (global.get $ready)) (then
               (global.set $ready (i32.const 1))
               (if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then unreachable))
               {MUCH}))
             (memory.fill (local.get $data) (i32.and (local.get $n) (i32.const 127)) (local.get $bytes))
             (call $same (local.get $data) (local.get $bytes) (local.get $ends) (local.get $n))"
        );
        let text = Text { init: KEPT, transform: &transform, more };
        let together = run(&*Rig::new().limited(&text, limits).await, &input);
        assert_eq!((together.rows.len(), together.failed.len()), (500, 0));
        assert_eq!(together.rows.data.iter().all(|byte| *byte == 100), is_whole, "{pages} pages");
        for batch in 0..5 {
            let rows = input.0.filter(|origin| origin / 100 == batch);
            let alone = Rig::new().limited(&text, limits).await.run(&rows, &input.1).unwrap();
            let expected = together.rows.filter(|origin| origin / 100 == batch);
            assert_eq!(alone.rows, expected, "{pages} pages, batch {batch}");
        }
    }
}
