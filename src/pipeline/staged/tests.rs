//! Staged files over disks that fail, forget and are damaged.

use std::sync::Arc;

use super::part::tests::part;
use super::*;
use crate::disk::sim::{Op, SimDisk};
use crate::transform::Outcome;

const STREAM: StreamId = StreamId(7);

fn staging(disk: &SimDisk, secret: Option<&[u8; 32]>) -> Staging {
    Staging::open(Arc::new(disk.clone()), Clock::simulated(1, 0), secret).unwrap()
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("row {number}")).collect()
}

fn stage(staging: &Staging, parts: &[Part]) -> Result<Finished> {
    let mut draft = staging.begin(STREAM, 10)?;
    for part in parts {
        draft.push(part)?;
    }
    draft.finish(1_000, 3)
}

fn read(staging: &Staging, staged: &Staged) -> Result<Vec<Part>> {
    let mut parts = staging.read(staged)?;
    std::iter::from_fn(|| parts.next().transpose()).collect()
}

fn files(disk: &SimDisk) -> Vec<String> {
    disk.files().into_iter().filter(|file| file.starts_with(DIR)).collect()
}

#[test]
fn what_was_staged_is_there_after_a_crash_and_all_positions_are_counted() {
    for secret in [None, Some(&[3; 32])] {
        let disk = SimDisk::new(1);
        let parts = [part(&texts(100)), part(&texts(5))];
        let staged = stage(&staging(&disk, secret), &parts).unwrap().keep();
        assert_eq!((staged.tally.delivered, staged.tally.failed, staged.tally.discarded), (105, 2, 3));
        assert_eq!(staged.tally.positions(), 1_000, "the rest is damaged");
        disk.crash();
        let staging = staging(&disk, secret);
        staging.retain(&BTreeMap::from([(staged.file.clone(), STREAM)]), &BTreeMap::new()).unwrap();
        let found = read(&staging, &staged).unwrap();
        assert_eq!(found[..2], parts);
        assert_eq!((found.len(), found[2].tally.discarded, found[2].tally.damaged), (3, 3, 890));
        let bytes = disk.read(&format!("{DIR}/{}", staged.file)).unwrap();
        assert_eq!(bytes.windows(5).any(|window| window == b"row 9"), secret.is_none());
    }
}

#[test]
fn what_was_decompressed_takes_no_more_room_than_it_did() {
    for secret in [None, Some(&[3; 32])] {
        let disk = SimDisk::new(10);
        let staging = staging(&disk, secret);
        let parts = [part(&texts(3)), part(&["x".repeat(20 << 20), "y".to_owned()])];
        let mut draft = staging.begin(STREAM, 10).unwrap();
        for part in &parts {
            draft.push(part).unwrap();
        }
        assert!(draft.bytes() < 100_000, "{} bytes", draft.bytes());
        let staged = draft.finish(1_000, 0).unwrap().keep();
        assert_eq!(read(&staging, &staged).unwrap()[..2], parts);
    }
}

#[test]
fn every_bit_that_is_damaged_is_found_and_a_missing_file_is() {
    for secret in [None, Some(&[3; 32])] {
        let disk = SimDisk::new(2);
        let staging = staging(&disk, secret);
        let staged = stage(&staging, &[part(&texts(2))]).unwrap().keep();
        let place = format!("{DIR}/{}", staged.file);
        let whole = disk.read(&place).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            disk.put(&place, &damaged);
            let error = read(&staging, &staged).unwrap_err();
            // What says which key it was is as good as another key.
            let of_key = secret.is_some() && (16..24).contains(&at);
            assert_eq!(error.kind(), if of_key { Kind::Invalid } else { Kind::Corrupt }, "{at}: {error}");
        }
        disk.put(&place, &whole[..whole.len() - 1]);
        assert_eq!(read(&staging, &staged).unwrap_err().kind(), Kind::Corrupt);
        staging.remove_now(&staged.file);
        let error = read(&staging, &staged).unwrap_err();
        assert!(error.kind() == Kind::Corrupt && error.message().contains("is missing"), "{error}");
    }
}

#[test]
fn another_key_is_said_and_is_no_damage() {
    let disk = SimDisk::new(3);
    let staged = stage(&staging(&disk, Some(&[3; 32])), &[part(&texts(2))]).unwrap().keep();
    for secret in [None, Some(&[4; 32])] {
        let error = read(&staging(&disk, secret), &staged).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
    }
}

#[test]
fn what_no_plan_names_goes_and_so_does_what_was_given_up() {
    let disk = SimDisk::new(4);
    let staging = staging(&disk, None);
    let needed = stage(&staging, &[]).unwrap().keep();
    let orphan = stage(&staging, &[]).unwrap().keep();
    drop(stage(&staging, &[]).unwrap());
    let mut begun = staging.begin(STREAM, 0).unwrap();
    begun.push(&part(&texts(1))).unwrap();
    assert_eq!(files(&disk).len(), 3, "two that are finished, one that is begun");
    drop(begun);
    assert_eq!(files(&disk).len(), 2);
    disk.put(&format!("{DIR}/half.new"), b"torn");
    staging.retain(&BTreeMap::from([(needed.file.clone(), STREAM)]), &BTreeMap::new()).unwrap();
    assert_eq!(files(&disk), [format!("{DIR}/{}", needed.file)]);
    assert_ne!(needed.file, orphan.file);
}

#[test]
fn a_disk_that_fails_anywhere_leaves_nothing_or_a_whole_file() {
    for op in [Op::Create, Op::Write, Op::Sync, Op::Rename, Op::SyncDir] {
        let disk = SimDisk::new(5);
        let staging = staging(&disk, None);
        disk.fail(op, 1, io::ErrorKind::StorageFull);
        assert_eq!(stage(&staging, &[part(&texts(9))]).map(drop).unwrap_err().kind(), Kind::Unavailable, "{op:?}");
        assert!(files(&disk).is_empty() && staging.held().is_empty(), "{op:?}: {:?}", files(&disk));
        let staged = stage(&staging, &[part(&texts(9))]).unwrap().keep();
        assert_eq!(read(&staging, &staged).unwrap().len(), 2);
    }
}

#[tokio::test]
async fn the_bound_is_said_and_holds_until_something_is_removed() {
    let disk = SimDisk::new(6);
    let staging = Staging::with_room(Arc::new(disk.clone()), Clock::simulated(1, 0), None, 3_000).unwrap();
    // Alone, whatever is expected.
    let mut first = staging.begin(STREAM, 1 << 40).unwrap();
    first.push(&part(&texts(50))).unwrap();
    let first = first.finish(50, 0).unwrap().keep();
    let error = staging.begin(StreamId(8), 3_000).map(drop).unwrap_err();
    assert!(error.kind() == Kind::Unavailable && error.message().contains("of at most 3000 bytes"), "{error}");
    let mut second = staging.begin(StreamId(8), 10).unwrap();
    assert_eq!(second.push(&part(&texts(200))).unwrap_err().kind(), Kind::Unavailable);
    staging.forget(STREAM).await;
    assert!(read(&staging, &first).is_err(), "it went with its stream");
    second.push(&part(&texts(50))).unwrap();
}

const BATCH: BatchId = BatchId { stream: STREAM, shard: ShardId { stream: StreamId(9), index: 3 }, start: 20 };

fn outcome() -> Outcome {
    Outcome { rows: part(&texts(3)).rows, failed: Vec::new() }
}

fn label() -> Label {
    Label { end: 25, steps: digest_of(b"steps"), unpacked: Some(Vec::new()) }
}

fn of_batch(staging: &Staging) -> Result<Outcome> {
    staging.batch(BATCH, (25, Some(&label().steps))).map(|(_, outcome)| outcome)
}

#[test]
fn a_batch_is_there_after_a_crash_until_its_watermark_has_passed() {
    for secret in [None, Some(&[3; 32])] {
        let disk = SimDisk::new(7);
        let first = staging(&disk, secret);
        assert_eq!(of_batch(&first).unwrap_err().kind(), Kind::Corrupt, "it is missing");
        first.keep_batch(BATCH, &label(), &Outcome::default()).unwrap();
        first.keep_batch(BATCH, &label(), &outcome()).unwrap();
        disk.crash();
        let marks = |mark| BTreeMap::from([(STREAM, BTreeMap::from([(BATCH.shard, mark)]))]);
        let staging = staging(&disk, secret);
        staging.retain(&BTreeMap::new(), &marks(20)).unwrap();
        assert_eq!(of_batch(&staging).unwrap(), outcome());
        let bytes = disk.read(&files(&disk)[0]).unwrap();
        assert_eq!(bytes.windows(5).any(|window| window == b"row 1"), secret.is_none());
        for (end, steps) in [(24, None), (25, Some("others"))] {
            assert_eq!(staging.batch(BATCH, (end, steps)).unwrap_err().kind(), Kind::Corrupt);
        }
        staging.past(STREAM, BATCH.shard, 20);
        assert!(staging.has_batches(STREAM) && files(&disk).len() == 1);
        staging.past(STREAM, BATCH.shard, 25);
        assert!(!staging.has_batches(STREAM) && files(&disk).is_empty());
        staging.keep_batch(BATCH, &label(), &outcome()).unwrap();
        staging.retain(&BTreeMap::new(), &marks(25)).unwrap();
        assert!(files(&disk).is_empty());
        staging.keep_batch(BATCH, &label(), &outcome()).unwrap();
        staging.retain(&BTreeMap::new(), &BTreeMap::new()).unwrap();
        assert!(files(&disk).is_empty(), "its stream is gone");
    }
}

#[test]
fn every_bit_of_a_batch_that_is_damaged_is_found() {
    for secret in [None, Some(&[3; 32])] {
        let disk = SimDisk::new(8);
        let staging = staging(&disk, secret);
        staging.keep_batch(BATCH, &label(), &outcome()).unwrap();
        let place = files(&disk)[0].clone();
        let whole = disk.read(&place).unwrap();
        // Of a file that is not encrypted the key and the salt say nothing.
        for at in (0..whole.len()).filter(|at| secret.is_some() || !(9..40).contains(at)) {
            if (9..16).contains(&at) {
                continue;
            }
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            disk.put(&place, &damaged);
            let kind = of_batch(&staging).unwrap_err().kind();
            assert!(matches!(kind, Kind::Corrupt | Kind::Invalid), "{at}: {kind:?}");
        }
        for len in 0..whole.len() {
            disk.put(&place, &whole[..len]);
            assert_eq!(of_batch(&staging).unwrap_err().kind(), Kind::Corrupt, "{len}");
        }
    }
}

#[test]
fn a_stream_without_batches_finds_room_for_one_and_others_wait() {
    let staging = Staging::with_room(Arc::new(SimDisk::new(9)), Clock::simulated(1, 0), None, 1_000).unwrap();
    assert!(staging.make_room(BATCH, 1 << 40));
    assert!(!staging.make_room(BatchId { start: 30, ..BATCH }, 1), "it is full");
    let other = BatchId { stream: StreamId(8), ..BATCH };
    assert!(staging.make_room(other, 1) && !staging.make_room(BatchId { start: 30, ..other }, 1));
    staging.forget_batches(STREAM);
    assert!(staging.make_room(BatchId { start: 30, ..other }, 999));
}

#[test]
fn it_is_known_where_batches_ended_that_are_kept_one_after_the_other() {
    let staging = staging(&SimDisk::new(10), None);
    let keep = |start, end| {
        let id = BatchId { start, ..BATCH };
        staging.keep_batch(id, &Label { end, ..label() }, &Outcome::default()).unwrap();
    };
    for (start, end) in [(20, 25), (25, 40), (30, 33), (41, 50)] {
        keep(start, end);
    }
    let from = |start, until| staging.batches_from(STREAM, BATCH.shard, (start, until)).into_iter().collect::<Vec<_>>();
    assert_eq!(from(20, 90), [(20, 25), (25, 40), (41, 50)], "what nobody came to is of another reading");
    assert_eq!((from(20, 25), from(20, 20), from(21, 30)), (vec![(20, 25)], vec![], vec![(25, 40)]));
    staging.forget_lost(STREAM, BATCH.shard, 25..41);
    assert_eq!(from(20, 90), [(20, 25), (41, 50)]);
}

#[test]
fn a_label_tells_how_many_user_records_stand_before_a_position() {
    let told = Label { unpacked: Some(vec![(1, 3), (2, 0)]), ..label() };
    assert_eq!([0, 1, 2, 3, 5].map(|positions| told.origins(positions)), [0, 1, 4, 4, 6].map(Some));
    assert_eq!(Label { unpacked: None, ..label() }.origins(1), None);
}
