//! The ledger's files: what they look like, how they are cut, kept, damaged and read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::disk::sim::{Op, SimDisk};
use crate::disk::{Disk, RealDisk};
use crate::ledger::conformance::{all, delivered, plan, plan_of, shard, share_of};

fn open(disk: &SimDisk, options: Options) -> Result<LocalLedger> {
    LocalLedger::open(Arc::new(disk.clone()), Clock::simulated(1, 1_000), options)
}

fn task() -> Options {
    Options { run: Run::Task, ..Options::default() }
}

async fn deliver(ledger: &LocalLedger, stream: u64, from: u64, plans: u64) {
    for start in from..from + plans {
        let id = ledger.plan(plan(stream, 0, start, start + 1)).await.unwrap();
        ledger.commit(id, delivered(1)).await.unwrap();
    }
}

fn kind<T>(result: Result<T>) -> Kind {
    result.err().expect("it must be refused").kind()
}

#[tokio::test]
async fn it_conforms_on_the_simulated_disk() {
    for file_bytes in [1, 2_000, 1 << 20] {
        all(|| Arc::new(open(&SimDisk::new(1), Options { file_bytes, ..task() }).unwrap())).await;
    }
}

#[tokio::test]
async fn it_conforms_on_the_real_disk_with_its_own_thread() {
    let (dir, next) = (tempfile::tempdir().unwrap(), AtomicU64::new(0));
    all(|| {
        let root = dir.path().join(next.fetch_add(1, Ordering::Relaxed).to_string());
        let disk = Arc::new(RealDisk::open(&root).unwrap());
        Arc::new(LocalLedger::open(disk, Clock::real(), Options::default()).unwrap())
    })
    .await;
}

#[tokio::test]
async fn a_restart_finds_everything_and_an_operator_can_read_it() {
    let disk = SimDisk::new(1);
    let ledger = open(&disk, task()).unwrap();
    deliver(&ledger, 0xabc, 0, 2).await;
    ledger.begin(StreamId(0xabc), shard(1), 7).await.unwrap();
    let open_plan = ledger.plan(plan_of(0xabc, &[(0, 2, 5), (1, 7, 8)])).await.unwrap();
    let before = ledger.standing(StreamId(0xabc)).await.unwrap();
    ledger.close().await;
    let text = String::from_utf8(disk.read("ledger/00000000000000000001.jsonl").unwrap()).unwrap();
    let kinds: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(&line[9..]).unwrap()["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["header", "begin", "plan", "commit", "plan", "commit", "start", "plan", "end"]);
    assert!(text.contains(r#""kind":"commit","id":1,"stream":"0000000000000abc","ms":1000,"#), "{text}");
    let spans = r#""spans":[["0000000000001000/0",2,5],["0000000000001000/1",7,8]]"#;
    assert!(text.contains(spans), "{text}");

    let ledger = open(&disk, task()).unwrap();
    assert_eq!(ledger.standing(StreamId(0xabc)).await.unwrap(), before);
    assert!(ledger.plan(plan(7, 0, 0, 1)).await.unwrap() > open_plan);
    assert_eq!(*ledger.ends_at_start(), BTreeMap::from([(shard(0), 5), (shard(1), 8)]));
    ledger.commit(open_plan, delivered(4)).await.unwrap();
}

#[tokio::test]
async fn a_restart_finds_lanes_cuts_and_the_floor_above_the_watermark() {
    let disk = SimDisk::new(1);
    let ledger = open(&disk, task()).unwrap();
    let done = ledger.plan(share_of(7, "a", &[(0, 0, 10), (1, 4, 6)], 7, &[8])).await.unwrap();
    ledger.plan(share_of(7, "", &[(0, 3, 12)], 2, &[])).await.unwrap();
    ledger.commit(done, delivered(7)).await.unwrap();
    ledger.advance(StreamId(7), vec![(shard(0), 3)], Tally::default()).await.unwrap();
    let before = ledger.standing(StreamId(7)).await.unwrap();
    for _ in 0..2 {
        ledger.close().await;
        let ledger = open(&disk, task()).unwrap();
        assert_eq!(ledger.standing(StreamId(7)).await.unwrap(), before);
        assert_eq!(*ledger.ends_at_start(), BTreeMap::from([(shard(0), 12), (shard(1), 6)]));
        assert_eq!(before.ends_of_plans(), BTreeMap::from([(shard(0), 3)]), "reading goes on at the watermark");
        ledger.close().await;
    }
}

#[tokio::test]
async fn a_ledger_of_the_version_before_is_read() {
    let line = |json: &str| format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes()));
    let old = [
        r#"{"synced":0,"kind":"header","format":2,"file":1}"#,
        r#"{"synced":0,"kind":"begin","next":1}"#,
        r#"{"synced":0,"kind":"start","stream":"0000000000000001","shard":"0000000000001000/0","position":4,"ms":1}"#,
    ];
    let disk = SimDisk::new(1);
    disk.put("ledger/00000000000000000001.jsonl", old.map(line).concat().as_bytes());
    let ledger = open(&disk, task()).unwrap();
    assert_eq!(ledger.standing(StreamId(1)).await.unwrap().end_of_plans(shard(0)), 4);
    let text = disk.read("ledger/00000000000000000002.jsonl").unwrap();
    assert!(
        String::from_utf8(text).unwrap().contains("\"format\":3"),
        "the new file cannot be read by the old version"
    );
}

#[tokio::test]
async fn the_furthest_reader_of_a_shard_says_where_it_ended() {
    let disk = SimDisk::new(1);
    let ledger = open(&disk, task()).unwrap();
    ledger.plan(plan(1, 0, 0, 3)).await.unwrap();
    deliver(&ledger, 2, 0, 5).await;
    ledger.close().await;
    assert_eq!(open(&disk, task()).unwrap().ends_at_start()[&shard(0)], 5);
}

#[tokio::test]
async fn only_one_process_has_it() {
    let disk = SimDisk::new(1);
    let ledger = open(&disk, task()).unwrap();
    assert_eq!(kind(open(&disk, task())), Kind::Conflict);
    ledger.close().await;
    open(&disk, task()).unwrap();
}

#[tokio::test]
async fn old_files_are_kept_within_bounds_and_history_is_read_from_them() {
    let disk = SimDisk::new(1);
    let options = Options { file_bytes: 2_000, files_kept: 5, ..task() };
    let ledger = open(&disk, options).unwrap();
    deliver(&ledger, 1, 0, 60).await;
    let files = || disk.files().into_iter().filter(|name| name.contains(".jsonl")).collect::<Vec<_>>();
    assert_eq!(files().len(), 5);
    let history: Vec<_> = read_history(&disk).unwrap().map(Result::unwrap).collect();
    let Entry::Shard { committed, .. } = history[1].entry else { panic!("{:?}", history[1]) };
    let ids: Vec<u64> = history
        .iter()
        .filter_map(|recorded| if let Entry::Commit { id, .. } = recorded.entry { Some(id) } else { None })
        .collect();
    assert_eq!(ids, (committed + 1..=60).collect::<Vec<_>>(), "each plan has one position");
    ledger.close().await;

    drop(open(&disk, Options { bytes_kept: 0, ..options }).unwrap());
    assert_eq!(files().len(), 2, "one older file always stays");
    assert!(read_history(&SimDisk::new(2)).unwrap().next().is_none(), "no ledger, no history");
}

#[tokio::test]
async fn a_large_state_is_not_written_again_for_every_line() {
    let disk = SimDisk::new(1);
    let ledger = open(&disk, Options { file_bytes: 1, ..task() }).unwrap();
    for stream in 1..=200 {
        ledger.plan(plan(stream, 0, 0, 1)).await.unwrap();
    }
    let lens: Vec<usize> = disk.files().iter().map(|file| disk.read(file).unwrap().len()).collect();
    let (written, state) = (lens.iter().sum::<usize>(), lens.iter().max().unwrap());
    assert!(written < 6 * state, "{written} bytes for a state of {state}");
}

/// Damage in the history is told in its place, and the rest is read.
#[tokio::test]
async fn damaged_history_is_told_and_passed_over() {
    let disk = SimDisk::new(1);
    let ledger = open(&disk, Options { file_bytes: 2_000, ..task() }).unwrap();
    deliver(&ledger, 1, 0, 30).await;
    let all = read_history(&disk).unwrap().count();
    let file = disk.files().into_iter().nth(1).unwrap();
    let last_line = disk.read(&file).unwrap().len() - 20;
    disk.flip(&file, last_line * 8);
    let (whole, damaged): (Vec<_>, Vec<_>) = read_history(&disk).unwrap().partition(Result::is_ok);
    assert_eq!((whole.len(), damaged.len()), (all - 1, 1));
    let message = damaged[0].as_ref().unwrap_err().to_string();
    assert!(message.contains(&file) && message.contains("damaged"), "{message}");
}

/// Every single bit of a ledger that was closed in order: a flip is refused, or it changes nothing.
#[tokio::test]
async fn a_flipped_bit_is_refused_or_harmless() {
    let disk = SimDisk::new(1);
    let ledger = open(&disk, task()).unwrap();
    ledger.plan(plan(1, 0, 0, 3)).await.unwrap();
    ledger.close().await;
    let ledger = open(&disk, task()).unwrap();
    ledger.commit(1, delivered(3)).await.unwrap();
    ledger.plan(plan(1, 0, 3, 4)).await.unwrap();
    let before = ledger.standing(StreamId(1)).await.unwrap();
    ledger.close().await;
    let newest = "ledger/00000000000000000002.jsonl";
    let (bytes, mut refused) = (disk.read(newest).unwrap(), 0);
    let end_line = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for bit in 0..bytes.len() * 8 {
        let copy = SimDisk::new(2);
        disk.files().iter().for_each(|file| copy.put(file, &disk.read(file).unwrap()));
        copy.flip(newest, bit);
        match open(&copy, task()) {
            Ok(ledger) => {
                assert!(bit / 8 >= end_line, "bit {bit} went unseen");
                assert_eq!(ledger.standing(StreamId(1)).await.unwrap(), before, "bit {bit}");
            }
            Err(error) => {
                assert_eq!(error.kind(), Kind::Corrupt, "bit {bit}: {error}");
                assert!(error.to_string().contains(newest), "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, end_line * 8);
}

#[tokio::test]
async fn a_tail_cut_at_any_byte_keeps_the_whole_lines() {
    let disk = SimDisk::new(1);
    let ledger = open(&disk, task()).unwrap();
    deliver(&ledger, 1, 0, 2).await;
    let file = "ledger/00000000000000000001.jsonl";
    let bytes = disk.read(file).unwrap();
    let begin = bytes.windows(7).position(|window| window == b"\"begin\"").unwrap();
    for cut in 0..bytes.len() {
        let copy = SimDisk::new(2);
        copy.put(file, &bytes[..cut]);
        copy.overwrite(file, cut, &[0; 30]);
        let standing = open(&copy, task()).unwrap().standing(StreamId(1)).await.unwrap();
        let lines = memchr::memchr_iter(b'\n', &bytes[begin..cut.max(begin)]).count().saturating_sub(1);
        let found = 2 * standing.past() as usize + standing.unfinished.len();
        assert_eq!(found, lines, "cut at {cut}");
    }
}

#[tokio::test]
async fn files_that_are_not_ours_to_read_are_refused_with_a_reason() {
    let line = |json: &str| format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes()));
    let header = |format, file| line(&format!(r#"{{"synced":0,"kind":"header","format":{format},"file":{file}}}"#));
    let begin = line(r#"{"synced":0,"kind":"begin","next":1}"#);
    let novelty = line(r#"{"synced":0,"kind":"novelty"}"#);
    let stray = line(r#"{"synced":0,"kind":"commit","id":4,"stream":"0000000000000001","ms":1,"tally":{}}"#);
    let old = line(
        r#"{"synced":0,"kind":"shard","stream":"0000000000000001","shard":0,"committed":5,"total":{"delivered":5}}"#,
    );
    let cases = [
        (header(4, 1) + &begin, Kind::Invalid, "has format 4, this version reads 2 to 3"),
        (header(1, 1) + &old + &begin, Kind::Invalid, "has format 1, this version reads 2"),
        (header(3, 9) + &begin, Kind::Corrupt, "says that it is number 9"),
        (begin.clone(), Kind::Corrupt, "line 1"),
        (header(2, 1) + &begin + &novelty, Kind::Invalid, "newer version"),
        (header(2, 1) + &begin + &stray, Kind::Corrupt, "line 3 cannot follow"),
        (header(2, 1) + &begin + &begin, Kind::Corrupt, "snapshot stands after it"),
    ];
    for (text, expected, message) in cases {
        let disk = SimDisk::new(1);
        disk.put("ledger/00000000000000000001.jsonl", text.as_bytes());
        let error = open(&disk, task()).err().expect(message);
        assert_eq!(error.kind(), expected, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[tokio::test]
async fn a_failed_sync_refuses_everything_after_it() {
    let disk = SimDisk::new(1);
    let ledger = open(&disk, task()).unwrap();
    ledger.healthy().unwrap();
    disk.fail(Op::Sync, 1, 5);
    for _ in 0..3 {
        assert_eq!(kind(ledger.plan(plan(1, 0, 0, 1)).await), Kind::Internal);
    }
    assert_eq!(kind(ledger.standing(StreamId(1)).await), Kind::Internal);
    assert_eq!(kind(ledger.healthy()), Kind::Internal);
    ledger.close().await;
    assert!(
        !String::from_utf8_lossy(&disk.read("ledger/00000000000000000001.jsonl").unwrap()).contains("\"kind\":\"end\"")
    );
}

#[tokio::test]
async fn a_group_that_cannot_be_written_leaves_nothing_behind() {
    let disk = SimDisk::new(1);
    let ledger = open(&disk, task()).unwrap();
    let first = ledger.plan(plan(1, 0, 0, 1)).await.unwrap();
    let before = ledger.standing(StreamId(1)).await.unwrap();
    disk.fail(Op::Write, 1, std::io::ErrorKind::StorageFull);
    let group =
        tokio::join!(ledger.commit(first, delivered(1)), ledger.plan(plan(1, 0, 1, 2)), ledger.plan(plan(2, 0, 0, 1)),);
    assert_eq!(
        (kind(group.0), kind(group.1), kind(group.2)),
        (Kind::Unavailable, Kind::Unavailable, Kind::Unavailable)
    );
    assert_eq!(ledger.standing(StreamId(1)).await.unwrap(), before);
    assert_eq!(ledger.standing(StreamId(2)).await.unwrap(), Standing::default());
    ledger.commit(first, delivered(1)).await.unwrap();
    assert!(ledger.plan(plan(1, 0, 1, 2)).await.unwrap() > first + 2, "numbers are not given again");
    let standing = ledger.standing(StreamId(1)).await.unwrap();
    ledger.close().await;
    assert_eq!(open(&disk, task()).unwrap().standing(StreamId(1)).await.unwrap(), standing);
}

#[tokio::test]
async fn what_cannot_be_read_back_refuses_everything_after_it() {
    let disk = SimDisk::new(1);
    let ledger = open(&disk, task()).unwrap();
    disk.fail(Op::Write, 1, std::io::ErrorKind::StorageFull);
    disk.fail(Op::Read, 1, 5);
    for _ in 0..2 {
        assert_eq!(kind(ledger.plan(plan(1, 0, 0, 1)).await), Kind::Internal);
    }
    assert_eq!(kind(ledger.healthy()), Kind::Internal);
}

#[tokio::test]
async fn calls_that_wait_together_share_a_sync() {
    let disk = SimDisk::new(1);
    let ledger = open(&disk, task()).unwrap();
    let before = disk.operations();
    let plans = (1..=30).map(|stream| ledger.plan(plan(stream, 0, 0, 1)));
    let ids = futures_util::future::join_all(plans).await;
    assert!(ids.iter().all(Result::is_ok));
    assert_eq!(disk.operations() - before, 2, "one write, one sync");
}

#[tokio::test]
async fn a_plan_that_is_too_long_is_refused_alone() {
    let ledger = open(&SimDisk::new(1), task()).unwrap();
    let huge = Plan { target: "x".repeat(1_100_000).into(), ..plan(1, 0, 0, 1) };
    assert_eq!(kind(ledger.plan(huge).await), Kind::Invalid);
    ledger.plan(plan(1, 0, 0, 1)).await.unwrap();
}

#[test]
fn a_full_or_read_only_disk_is_said_at_the_start() {
    let disk = SimDisk::new(1);
    disk.fail_from(Op::Create, 1, std::io::ErrorKind::ReadOnlyFilesystem);
    let error = open(&disk, Options::default()).err().unwrap();
    assert_eq!(error.kind(), Kind::Unavailable);
    let _: &dyn Disk = &disk;
}
