//! What plugins say and count.

use super::guests::{KEPT, Text, on};
use super::{Rig, records, run};
use crate::limits::{PLUGIN_COUNTERS_MAX, PLUGIN_LOG_LINES_MAX, PLUGIN_MESSAGE_BYTES_MAX};

const DATA: &str = r#"(data (i32.const 300) "seen it all")"#;

#[tokio::test]
async fn the_last_complaint_tells_what_the_trap_was() {
    let rig = Rig::new();
    let transform = on('x', "(call $log (i32.const 3) (i32.const 300) (i32.const 7)) unreachable");
    let plugin = rig.plugin(&Text { transform: &transform, more: DATA, ..Text::default() }).await;
    let outcome = run(&plugin, &records(&["a", "x"]));
    let message = &outcome.failed[0].failure.message;
    assert!(message.contains("unreachable") && message.ends_with(": seen it"), "{message}");
}

#[tokio::test]
async fn lines_are_bounded_in_length_and_number() {
    let rig = Rig::new();
    let lines = PLUGIN_LOG_LINES_MAX + 5;
    let long = "(call $log (i32.const 3) (i32.const 70000) (i32.const 60000))".repeat(lines as usize);
    let plugin = rig.plugin(&Text { transform: &on('x', &format!("{long} unreachable")), ..Text::default() }).await;
    let outcome = run(&plugin, &records(&["x"]));
    assert!(outcome.failed[0].failure.message.len() < PLUGIN_MESSAGE_BYTES_MAX + 100);
    // A second may begin anew in between, and no more than two of them.
    assert!(rig.metrics.transform("web", "test").log_lines_left_out.get() >= 1);
}

#[tokio::test]
async fn counters_count_once_for_each_batch_that_went_well() {
    let rig = Rig::new();
    let count = "(call $counter (i32.const 300) (i32.const 4) (i64.const 2))
                 (call $counter (i32.const 300) (i32.const 11) (i64.const 1))";
    let trap =
        "(if (i32.eq (i32.load8_u (i32.add (local.get $data) (local.get $at))) (i32.const 120)) (then unreachable))";
    let both = on('c', count).replace("(local.set $at", &format!("{trap} (local.set $at"));
    let plugin = rig.plugin(&Text { init: KEPT, transform: &both, more: DATA }).await;
    let outcome = run(&plugin, &records(&["c", "c", "x", "c"]));
    assert_eq!(outcome.failed.len(), 1);
    let own = rig.metrics.transform("web", "test").own();
    assert_eq!(own, [("seen".to_owned(), 6)].into(), "a name with spaces is no name");
    assert!(own.len() <= PLUGIN_COUNTERS_MAX);
}
