//! A journal that has lost puts above the watermark: what is there is delivered once, in its lane, and what is not is counted.

use super::*;

/// Flips a bit in the frames of this put, which is lost so. `false` where it is not in the journal, or what follows may be torn: then it
/// would be taken for a part of the tail, and its positions given to others.
fn lose(machine: &Machine, put: usize) -> bool {
    let find = |put: usize| {
        let text = format!("|{put}-0-xxx");
        let of_journal = |name: &String| name.starts_with("journal/") && name.contains(".seg");
        let mut segments = machine.data.files().into_iter().filter(of_journal);
        segments.find_map(|name| {
            let at = memchr::memmem::find(&machine.data.read(&name)?, text.as_bytes())?;
            Some((name, at))
        })
    };
    match (find(put), find(put + 2)) {
        (Some((name, at)), Some(_)) => {
            machine.data.flip(&name, 8 * at);
            true
        }
        _ => false,
    }
}

/// What is found is in its lanes, once; all that was acknowledged is there but what was lost, of which some may be.
fn check_without(machine: &Machine, acknowledged: &[String], lost: &BTreeSet<usize>, context: &str) {
    let sent: BTreeMap<String, String> =
        (0..100).flat_map(records).map(|record| (record.split_once('|').unwrap().1.to_owned(), record)).collect();
    let is_lost = |id: &str| lost.contains(&id.split('-').next().unwrap().parse().unwrap());
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut moods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (lane, line) in machine.delivered() {
        let line = line.split_once('|').map_or(&*line, |(_, id)| id);
        let mut words = line.split(' ');
        let id = words.next().unwrap().to_owned();
        moods.entry(id.clone()).or_default().extend(words.nth(2).map(str::to_owned));
        let key = lane.split('-').next().unwrap();
        found.entry(id).or_default().push(key.to_lowercase().replace("%2e", "%2E").replace("%2f", "%2F"));
    }
    for (id, lanes) in &mut found {
        let mut expected = lanes_of(&sent[id]);
        lanes.sort();
        expected.sort();
        if is_lost(id) {
            let mut rest = expected.iter();
            assert!(lanes.iter().all(|lane| rest.any(|other| other == lane)), "{context}: {id} is in {lanes:?}");
            continue;
        }
        assert_eq!(*lanes, expected, "{context}: {id}");
        assert!(moods[id].len() <= 1, "{context}: {id} was made twice");
    }
    for record in acknowledged.iter().filter(|record| !lanes_of(record).is_empty()) {
        let id = record.split_once('|').unwrap().1;
        assert!(is_lost(id) || found.contains_key(id), "{context}: {record} was acknowledged");
    }
}

/// One life that ends anywhere, another that finds damage and ends anywhere, and a last.
fn lose_after(hash: &'static str, step: u64) -> u64 {
    let machine = Machine::new(step);
    let mut acknowledged = Vec::new();
    let (first, second) = (10 + step % 61, 3 + step * 7 % 53);
    machine.data.crash_after(first);
    if step % 3 == 1 {
        machine.lake.crash_after(step % 7);
    }
    let _ = process(machine.live(life(hash, KEYED, step, 0..8), &mut acknowledged));
    machine.data.restart();
    machine.lake.restart();
    let mut lost = BTreeSet::new();
    for put in [1 + step as usize % 5, 1 + step as usize % 4] {
        if lose(&machine, put) {
            lost.insert(put);
        }
    }
    if step.is_multiple_of(2) {
        machine.data.crash_after(second);
        let _ = process(machine.live(life(hash, KEYED, step / 3, 8..10), &mut acknowledged));
        machine.data.restart();
    }
    let context = format!("{hash}, {step}, lost {lost:?}");
    let ended = process(machine.live(life(hash, KEYED, 2, 10..11), &mut acknowledged));
    let (standing, end) = ended.unwrap_or_else(|error| panic!("{context}: {error}"));
    check_without(&machine, &acknowledged, &lost, &context);
    let total = standing.total;
    assert_eq!((standing.past(), standing.early(), total.positions()), (end, 0, end), "{context}: {standing:?}");
    assert!(!standing.has_lanes() && standing.unfinished.is_empty(), "{context}: {standing:?}");
    assert!(total.damaged <= 8 * lost.len() as u64, "{context}: {total:?}");
    total.damaged
}

fn lose_everywhere(hash: &'static str) {
    let damaged: u64 = (0..150).map(|step| lose_after(hash, step)).sum();
    assert!(damaged > 200, "only {damaged} records were lost: the test no longer covers the route");
}

#[test]
fn puts_that_the_journal_has_lost_above_the_watermark_are_passed_over() {
    lose_everywhere("plain");
}

#[test]
fn puts_that_the_journal_has_lost_are_passed_over_though_functions_answered_for_them() {
    lose_everywhere(MOODY);
}
