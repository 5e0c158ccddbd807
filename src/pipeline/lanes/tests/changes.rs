//! Steps that change while something is above the watermark: what was routed under the old ones is not routed once more under the new
//! ones, whenever the process ends.

use super::*;

/// A life that ends anywhere, one in which the steps change that ends anywhere too, and a last.
fn change_after(step: u64) {
    let machine = Machine::new(step);
    let mut acknowledged = Vec::new();
    let broken = if step.is_multiple_of(3) { &machine.lake } else { &machine.data };
    broken.crash_after(4 + step % 37);
    let _ = process(machine.live(life("plain", KEYED, step, 0..4), &mut acknowledged));
    for disk in [&machine.data, &machine.lake] {
        disk.restart();
    }
    let broken = if step.is_multiple_of(2) { &machine.lake } else { &machine.data };
    broken.crash_after(2 + step * 5 % 41);
    let changing = Life { change: Some((step as usize % 4, "shouting")), ..life("plain", KEYED, step / 3, 4..8) };
    let _ = process(machine.live(changing, &mut acknowledged));
    for disk in [&machine.data, &machine.lake] {
        disk.restart();
        disk.crash_after(1 << 40);
    }
    let hash = ["plain", "shouting"][step as usize / 2 % 2];
    let (standing, end) = process(machine.live(life(hash, KEYED, 2, 8..9), &mut acknowledged))
        .unwrap_or_else(|error| panic!("{step}: the last life failed: {error}"));
    let context = format!("steps change, {step}");
    check(&machine, &acknowledged, &context);
    settled(&standing, end, &context);
}

#[test]
fn steps_change_and_the_process_ends_anywhere() {
    (0..200).for_each(change_after);
}
