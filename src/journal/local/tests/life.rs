//! Segments over time: calls across restarts, encryption, freeing, removing, idle files, start-up from sidecars.

use std::time::Duration;

use super::*;
use crate::disk::sim::Op;
use crate::journal::conformance::{put, shard, texts};
use crate::limits::{CALL_MEMORY, SEGMENT_FILE_IDLE, SEGMENT_FILES_OPEN_MAX};
use crate::record::CallId;

fn id() -> ShardId {
    shard(1, 0)
}

fn called(name: u8, text: &str, clock: &Clock) -> Append {
    let mut append = put(text);
    append.records.arrived_ms = clock.now_ms();
    Append { call: Some(CallId([name; 16])), ..append }
}

async fn reopened(disk: &SimDisk, clock: &Clock, journal: LocalJournal, options: Options) -> LocalJournal {
    journal.close().await;
    drop(journal);
    disk.crash();
    open(disk, clock, options).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn calls_are_known_after_a_restart_and_after_their_segment_was_freed() {
    let (disk, clock) = (SimDisk::new(1), Clock::simulated(1, START_MS));
    let mut journal = open(&disk, &clock, small()).await.unwrap();
    for name in 0..20 {
        journal.append(id(), called(name, &"x".repeat(300), &clock)).await.unwrap();
    }
    // From a segment that must be read, then from sidecars.
    for _ in 0..2 {
        journal = reopened(&disk, &clock, journal, small()).await;
        for name in 0..20 {
            let again = journal.append(id(), called(name, "x", &clock)).await.unwrap();
            assert!(again.repeated && again.span.start == u64::from(name), "{name}: {again:?}");
        }
    }
    journal.trim(id(), 20).await.unwrap();
    assert!(of_kind(&disk, "seg").is_empty());
    journal = reopened(&disk, &clock, journal, small()).await;
    assert_eq!(journal.extent(id()).await.unwrap().end, 20);
    for name in 0..20 {
        assert!(journal.append(id(), called(name, "x", &clock)).await.unwrap().repeated);
    }
    clock.sleep(CALL_MEMORY + Duration::from_secs(1)).await;
    let again = journal.append(id(), called(3, "x", &clock)).await.unwrap();
    assert_eq!((again.repeated, again.span.start), (false, 20));
    // Old sidecars go once something newer tells the end.
    journal.append(id(), put(&"y".repeat(3_000))).await.unwrap();
    journal.append(id(), put("z")).await.unwrap();
    journal.trim(id(), 22).await.unwrap();
    let sidecars = of_kind(&disk, "idx").len();
    assert_eq!(sidecars, 1, "{:?}", disk.files());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_refused_may_be_tried_again() {
    let (disk, clock) = (SimDisk::new(1), Clock::simulated(1, START_MS));
    let journal = open(&disk, &clock, small()).await.unwrap();
    disk.fail(Op::Write, 1, 28);
    let (one, two) =
        tokio::join!(journal.append(id(), called(1, "a", &clock)), journal.append(id(), called(1, "a", &clock)));
    assert_eq!((one.unwrap_err().kind(), two.unwrap_err().kind()), (Kind::Unavailable, Kind::Unavailable));
    assert!(!journal.append(id(), called(1, "a", &clock)).await.unwrap().repeated);
    let (one, two) =
        tokio::join!(journal.append(id(), called(2, "b", &clock)), journal.append(id(), called(2, "b", &clock)));
    assert_eq!((one.unwrap().repeated, two.unwrap().repeated), (false, true));
    assert_eq!(texts(&journal, id(), 0, 100).await, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn encrypted_puts_read_back_and_are_not_seen_on_disk() {
    let (disk, clock) = (SimDisk::new(1), Clock::simulated(1, START_MS));
    let options = Options { encryption_key: Some(Zeroizing::new([7; 32])), ..small() };
    let mut journal = open(&disk, &clock, options.clone()).await.unwrap();
    let plain = put("in-the-clear");
    let secret = Append { encrypt: true, ..put("top-secret also-secret") };
    for append in [&plain, &secret, &secret, &plain] {
        journal.append(id(), append.clone()).await.unwrap();
    }
    let all = ["in-the-clear", "top-secret", "also-secret", "top-secret", "also-secret", "in-the-clear"];
    for _ in 0..3 {
        assert_eq!(texts(&journal, id(), 0, 100).await, all);
        for file in disk.files() {
            let bytes = disk.read(&file).unwrap();
            assert!(memchr::memmem::find(&bytes, b"secret").is_none(), "{file}");
        }
        journal = reopened(&disk, &clock, journal, options.clone()).await;
    }
    drop(journal);
    for (key, says) in
        [(None, "no encryption_key"), (Some(Zeroizing::new([8; 32])), "the configured encryption_key is")]
    {
        let wrong = Options { encryption_key: key, ..small() };
        let error = open(&disk, &clock, wrong).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.message().contains(says), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn encryption_without_a_key_is_refused() {
    let journal = open(&SimDisk::new(1), &Clock::simulated(1, START_MS), small()).await.unwrap();
    let error = journal.append(id(), Append { encrypt: true, ..put("a") }).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn what_is_trimmed_is_freed_by_segments_and_by_nobody_elses_leave() {
    let (disk, clock) = (SimDisk::new(1), Clock::simulated(1, START_MS));
    let journal = open(&disk, &clock, small()).await.unwrap();
    let stuck = shard(2, 0);
    for _ in 0..20 {
        journal.append(id(), put(&"x".repeat(500))).await.unwrap();
        journal.append(stuck, put(&"y".repeat(500))).await.unwrap();
    }
    let before = journal.disk_bytes();
    let extent = journal.extent(stuck).await.unwrap();
    let mine = journal.extent(id()).await.unwrap().disk_bytes;
    assert_eq!(before, mine + extent.disk_bytes);
    journal.trim(id(), 12).await.unwrap();
    let left = journal.extent(id()).await.unwrap();
    assert!(left.disk_bytes < mine / 2 + 3_000, "{left:?} of {mine}");
    journal.trim(id(), 20).await.unwrap();
    assert!(journal.extent(id()).await.unwrap().disk_bytes < 2_000);
    assert_eq!(journal.extent(stuck).await.unwrap(), extent);
    assert_eq!(texts(&journal, stuck, 0, 5_000).await.len(), 20);
    let on_disk: u64 = disk.files().iter().map(|file| disk.read(file).unwrap().len() as u64).sum();
    assert_eq!(journal.disk_bytes(), on_disk);
}

#[tokio::test(start_paused = true)]
async fn a_removed_stream_leaves_nothing_whenever_the_power_fails() {
    for step in 0..40 {
        let (disk, clock) = (SimDisk::new(step), Clock::simulated(1, START_MS));
        let journal = open(&disk, &clock, small()).await.unwrap();
        for index in 0..2 {
            for _ in 0..4 {
                journal.append(shard(1, index), put(&"x".repeat(900))).await.unwrap();
            }
        }
        journal.append(shard(2, 0), put("kept")).await.unwrap();
        disk.crash_after(step);
        let removed = journal.remove(StreamId(1)).await;
        let journal = reopened(&disk, &clock, journal, small()).await;
        assert_eq!(texts(&journal, shard(2, 0), 0, 100).await, ["kept"]);
        let files = disk.files();
        let left = files.iter().filter(|file| file.contains("0000000000000001")).count();
        if removed.is_ok() {
            assert_eq!(left, 0, "{files:?}");
        } else if left > 0 {
            let index = |index| journal.extent(shard(1, index));
            assert_eq!((index(0).await.unwrap().end, index(1).await.unwrap().end), (4, 4), "whole or gone");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sealed_segments_are_not_read_at_start() {
    let (disk, clock) = (SimDisk::new(1), Clock::simulated(1, START_MS));
    let mut journal = open(&disk, &clock, small()).await.unwrap();
    for number in 0..50 {
        journal.append(id(), put(&format!("{number}{}", "x".repeat(600)))).await.unwrap();
    }
    journal = reopened(&disk, &clock, journal, small()).await;
    journal.close().await;
    drop(journal);
    // The bodies are gone, and the start does not notice: it has read headers and sidecars.
    for file in of_kind(&disk, "seg") {
        let len = disk.read(&file).unwrap().len();
        disk.overwrite(&file, 1_024, &vec![0; len - 1_024]);
    }
    disk.restart();
    let journal = open(&disk, &clock, small()).await.unwrap();
    let extent = journal.extent(id()).await.unwrap();
    assert_eq!((extent.start, extent.end, extent.damaged), (0, 50, 0));
    assert!(texts(&journal, id(), 0, 100).await.is_empty());
    assert_eq!(journal.extent(id()).await.unwrap().damaged, 50);
}

#[tokio::test(start_paused = true)]
async fn idle_shards_hold_no_file_and_many_hold_few() {
    let (disk, clock) = (SimDisk::new(1), Clock::simulated(1, START_MS));
    let disk_of_all: Arc<dyn Disk> = Arc::new(disk.clone());
    let inner = Arc::new(Inner::new(disk_of_all.clone(), clock.clone(), Options::default()));
    let keeper = Keeper::Inline(inner.clone());
    let (journal, writer, _) = LocalJournal::assemble(inner, Syncer::inline(disk_of_all), keeper).unwrap();
    let files = writer.files();
    tokio::spawn(writer.run());
    for stream in 1..=SEGMENT_FILES_OPEN_MAX as u64 + 50 {
        journal.append(shard(stream, 0), put("a")).await.unwrap();
        tokio::task::yield_now().await;
        assert!(files.open() <= SEGMENT_FILES_OPEN_MAX);
    }
    let begun = clock.instant();
    while clock.instant() - begun < SEGMENT_FILE_IDLE * 3 {
        journal.append(shard(1, 0), put("x")).await.unwrap();
        clock.sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(files.open(), 1, "also while another shard is busy");
    journal.trim(shard(1, 0), 1 + 18).await.unwrap();
    clock.sleep(SEGMENT_FILE_IDLE * 3).await;
    assert_eq!(files.open(), 0);
    assert_eq!(journal.append(shard(1, 0), put("b")).await.unwrap().span.start, 19);
    assert_eq!(texts(&journal, shard(1, 0), 0, 100).await, ["b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_journal_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for life in 0..3 {
        let disk = Arc::new(RealDisk::open(dir.path()).unwrap());
        let lock = claim(&*disk).unwrap();
        assert_eq!(claim(&*disk).err().unwrap().kind(), Kind::Conflict);
        let options = Options { encryption_key: Some(Zeroizing::new([7; 32])), free_bytes_min: 0, ..small() };
        let journal = LocalJournal::open(disk, Clock::real(), options).unwrap();
        assert_eq!(texts(&journal, id(), 0, 500).await, expected);
        for number in 0..30 {
            let text = format!("{life}-{number}-{}", "x".repeat(200));
            journal.append(id(), Append { encrypt: number % 10 < 5, ..put(&text) }).await.unwrap();
            expected.push(text);
        }
        assert_eq!(texts(&journal, id(), 0, 500).await, expected);
        journal.close().await;
        drop(lock);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_follow_while_segments_come_and_go() {
    const PUTS: u64 = 150;
    let dir = tempfile::tempdir().unwrap();
    let options = Options { free_bytes_min: 0, fresh_bytes: 2_000, ..small() };
    let disk = Arc::new(RealDisk::open(dir.path()).unwrap());
    let journal = Arc::new(LocalJournal::open(disk, Clock::real(), options).unwrap());
    let mut tasks = Vec::new();
    for index in 0..4 {
        let shard = shard(1, index);
        let writing = journal.clone();
        tasks.push(tokio::spawn(async move {
            for number in 0..PUTS {
                let text = format!("{number} {}", "x".repeat(300));
                writing.append(shard, put(&text)).await.unwrap();
            }
        }));
        let reading = journal.clone();
        tasks.push(tokio::spawn(async move {
            let mut at = 0;
            while at < 2 * PUTS {
                reading.grown(shard, at).await.unwrap();
                let batch = reading.read(shard, at, 1_000).await.unwrap();
                assert_eq!(batch.span.start, at);
                for put in &batch.puts {
                    assert_eq!(put.get(0), (at / 2).to_string().as_bytes());
                    at += put.len() as u64;
                }
                reading.trim(shard, at).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for index in 0..4 {
        let extent = journal.extent(shard(1, index)).await.unwrap();
        assert_eq!((extent.start, extent.end, extent.damaged), (2 * PUTS, 2 * PUTS, 0));
    }
    journal.close().await;
}
