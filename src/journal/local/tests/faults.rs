//! Disk calls that fail, and bounds that are reached.

use futures_util::future::join_all;

use super::*;
use crate::disk::sim::Op;
use crate::journal::conformance::{put, shard, texts};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

fn id() -> ShardId {
    shard(1, 0)
}

async fn opened(disk: &SimDisk, options: Options) -> LocalJournal {
    open(disk, &Clock::simulated(5, START_MS), options).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_failed_sync_poisons_the_journal_and_reads_go_on() {
    for op in [Op::Sync, Op::SyncDir] {
        let disk = SimDisk::new(1);
        let journal = opened(&disk, small()).await;
        let other = shard(2, 0);
        journal.append(other, put("x")).await.unwrap();
        if op == Op::Sync {
            journal.append(id(), put("a")).await.unwrap();
        }
        let before = journal.extent(id()).await.unwrap();
        disk.fail(op, 1, EIO);
        let error = journal.append(id(), put("b")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Internal, "{error}");
        for shard in [id(), other] {
            let error = journal.append(shard, put("c")).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Unavailable);
            assert!(error.message().starts_with("journal is poisoned: cannot sync journal/"), "{error}");
        }
        assert_eq!(journal.healthy().unwrap_err().kind(), Kind::Unavailable);
        assert_eq!(journal.extent(id()).await.unwrap(), before);
        assert_eq!(texts(&journal, other, 0, 100).await, ["x"]);
        journal.close().await;
        disk.restart();
        let journal = opened(&disk, small()).await;
        journal.append(id(), put("d")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_put_whose_sync_failed_goes_without_answer() {
    let disk = SimDisk::new(1);
    let journal = opened(&disk, small()).await;
    let shards = [shard(1, 0), shard(2, 0)];
    for shard in shards {
        journal.append(shard, put("a")).await.unwrap();
    }
    disk.fail(Op::Sync, 2, EIO);
    let answers = join_all(shards.map(|shard| journal.append(shard, put("b")))).await;
    assert!(answers[0].is_ok());
    assert_eq!(answers[1].as_ref().unwrap_err().kind(), Kind::Internal);
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_is_undone_durably_and_the_next_put_is_taken() {
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        let journal = opened(&disk, small()).await;
        if seed % 2 == 0 {
            journal.append(id(), put("a")).await.unwrap();
        }
        let start = journal.extent(id()).await.unwrap().end;
        disk.fail(Op::Write, 1, ENOSPC);
        let error = journal.append(id(), put(&"refused ".repeat(100))).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        if seed % 3 == 0 {
            assert_eq!(journal.append(id(), put("b")).await.unwrap().span.start, start);
        }
        let end = journal.extent(id()).await.unwrap().end;
        journal.close().await;
        disk.crash();
        let journal = opened(&disk, small()).await;
        assert_eq!(journal.extent(id()).await.unwrap().end, end, "seed {seed}");
        assert!(!texts(&journal, id(), 0, 100).await.contains(&"refused".to_owned()), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_cannot_be_undone_is_undone_before_the_next() {
    let disk = SimDisk::new(1);
    let journal = opened(&disk, small()).await;
    journal.append(id(), put("a")).await.unwrap();
    disk.fail(Op::Write, 1, ENOSPC);
    disk.fail_from(Op::SetLen, 1, ENOSPC);
    assert_eq!(journal.append(id(), put("b")).await.unwrap_err().kind(), Kind::Internal);
    assert_eq!(journal.append(id(), put("c")).await.unwrap_err().kind(), Kind::Unavailable);
    disk.heal();
    assert_eq!(journal.append(id(), put("d")).await.unwrap().span.start, 1);
    disk.fail(Op::Write, 1, ENOSPC);
    disk.fail(Op::Sync, 1, EIO);
    assert_eq!(journal.append(id(), put("e")).await.unwrap_err().kind(), Kind::Internal);
    let error = journal.append(id(), put("f")).await.unwrap_err();
    assert!(error.message().starts_with("journal is poisoned: a failed write"), "{error}");
    assert_eq!(texts(&journal, id(), 0, 100).await, ["a", "d"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_and_takes_puts_again_by_itself() {
    let disk = SimDisk::new(1);
    disk.set_capacity(20_000);
    let journal = opened(&disk, Options { free_bytes_min: 0, disk_max: DiskMax::Bytes(1 << 30), ..small() }).await;
    let text = "x".repeat(1_000);
    let mut stored = 0;
    while journal.append(id(), put(&text)).await.is_ok() {
        stored += 1;
    }
    assert!((5..20).contains(&stored), "{stored}");
    let error = journal.append(id(), put(&text)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    journal.trim(id(), 5).await.unwrap();
    journal.append(id(), put(&text)).await.unwrap();
    disk.set_capacity(1 << 30);
    assert_eq!(texts(&journal, id(), 0, 5_000).await.len(), stored + 1 - 5);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_made_or_opened_refuses_only_for_now() {
    for op in [Op::Create, Op::CreateDirs] {
        let disk = SimDisk::new(1);
        let journal = opened(&disk, small()).await;
        disk.fail(op, 1, 24);
        assert_eq!(journal.append(id(), put("a")).await.unwrap_err().kind(), Kind::Unavailable);
        assert_eq!(journal.append(id(), put("b")).await.unwrap().span.start, 0);
        disk.crash();
        assert_eq!(texts(&opened(&disk, small()).await, id(), 0, 100).await, ["b"]);
    }
}

/// Puts into a stream until it is refused; the message.
async fn until_refused(journal: &LocalJournal, shard: ShardId, append: &Append) -> String {
    for _ in 0..1_000 {
        if let Err(error) = journal.append(shard, append.clone()).await {
            assert_eq!(error.kind(), Kind::Unavailable, "{error}");
            return error.message().to_owned();
        }
    }
    panic!("never refused")
}

/// Puts into one stream after the other until the refusal is not about the stream's share of what is short.
async fn until_full(journal: &LocalJournal, append: &Append) -> String {
    for stream in 1..1_000 {
        let message = until_refused(journal, shard(stream, 0), append).await;
        if !message.contains("while disk is short") {
            return message;
        }
    }
    panic!("never full")
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_takes_no_writes_is_not_healthy_until_one_goes_well_or_a_while_has_passed() {
    let disk = SimDisk::new(1);
    let journal = opened(&disk, small()).await;
    journal.append(id(), put("a")).await.unwrap();
    disk.fail_from(Op::Write, 1, 5);
    assert_eq!(journal.append(id(), put("b")).await.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(journal.healthy().unwrap_err().kind(), Kind::Unavailable);
    disk.heal();
    journal.append(id(), put("c")).await.unwrap();
    journal.healthy().unwrap();
    disk.fail_from(Op::Write, 1, 5);
    journal.append(id(), put("d")).await.unwrap_err();
    disk.heal();
    journal.healthy().unwrap_err();
    Clock::real().sleep(crate::limits::WRITE_FAULT_MEMORY).await;
    journal.healthy().unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_budget_is_named() {
    let append = put(&"x".repeat(1_000));
    let options = Options { free_bytes_min: 0, disk_max: DiskMax::Bytes(6_000), ..small() };
    let journal = opened(&SimDisk::new(1), options).await;
    let message = until_full(&journal, &append).await;
    assert!(message.contains("of its 6000 bytes of disk (journal.max_bytes)"), "{message}");
    assert!(journal.disk_bytes() <= 6_000 + segment::DATA_START);
    let journal = opened(&SimDisk::new(1), small()).await;
    let message = until_refused(&journal, id(), &Append { bytes_max: Some(5_000), ..append.clone() }).await;
    assert!(message.contains("stream 0000000000000001") && message.contains("its 5000 bytes"), "{message}");
    journal.append(shard(2, 0), append.clone()).await.unwrap();
    let disk = SimDisk::new(1);
    disk.set_capacity(100_000);
    let journal = opened(&disk, Options { disk_max: DiskMax::Percent(99), ..small() }).await;
    let message = until_full(&journal, &append).await;
    assert!(message.contains("5000 must stay free"), "{message}");
    assert!(Disk::space(&disk).unwrap().available >= 5_000);
    journal.trim(id(), 1_000).await.unwrap();
    assert!(journal.healthy().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_leaves_room_for_the_others() {
    let append = put(&"x".repeat(1_000));
    let options = Options { free_bytes_min: 0, disk_max: DiskMax::Bytes(200_000), ..small() };
    let journal = opened(&SimDisk::new(1), options).await;
    let message = until_refused(&journal, id(), &append).await;
    assert!(message.contains("a stream's share is 100000"), "{message}");
    let held = journal.disk_bytes();
    assert!((150_000..165_000).contains(&held), "alone it may hold 80 percent: {held}");
    for number in 0..50 {
        journal.append(shard(2, 0), append.clone()).await.unwrap();
        journal.trim(shard(2, 0), number).await.unwrap();
    }
    until_refused(&journal, id(), &append).await;
}

#[tokio::test(start_paused = true)]
async fn a_small_budget_gives_room_back_while_records_are_still_wanted() {
    let journal = opened(&SimDisk::new(1), Options { segment_bytes: 64 << 20, ..Options::default() }).await;
    let big = Append { bytes_max: Some(1 << 20), ..put(&"x".repeat(50_000)) };
    let mut refused = 0;
    for _ in 0..200 {
        match journal.append(id(), big.clone()).await {
            Ok(_) => {}
            Err(_) => refused += 1,
        }
        let end = journal.extent(id()).await.unwrap().end;
        // Delivery is always five puts behind: the active segment is never wholly trimmed.
        journal.trim(id(), end.saturating_sub(5)).await.unwrap();
    }
    assert_eq!(refused, 0);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_sector_is_an_error_and_not_a_loss() {
    let disk = SimDisk::new(1);
    let journal = opened(&disk, small()).await;
    journal.append(id(), put("a")).await.unwrap();
    disk.fail(Op::Read, 1, EIO);
    assert_eq!(journal.read(id(), 0, 100).await.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(texts(&journal, id(), 0, 100).await, ["a"]);
    assert_eq!(journal.extent(id()).await.unwrap().damaged, 0);
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_fails_at_the_start_refuses_to_start() {
    let disk = SimDisk::new(1);
    let journal = opened(&disk, small()).await;
    journal.append(id(), put("a")).await.unwrap();
    journal.close().await;
    disk.restart();
    disk.fail_from(Op::Sync, 1, EIO);
    let error = open(&disk, &Clock::simulated(5, START_MS), small()).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn what_a_restart_takes_for_stored_survives_a_power_cut() {
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let journal = opened(&disk, small()).await;
        if seed % 2 == 0 {
            journal.append(id(), put("a b")).await.unwrap();
        }
        // The sync fails, so does the cut, and the machine stays up: the pages are there, marked as clean.
        disk.fail(Op::Sync, 1, EIO);
        disk.fail_from(Op::SetLen, 1, EIO);
        assert_eq!(journal.append(id(), put(&"lost ".repeat(150))).await.unwrap_err().kind(), Kind::Internal);
        disk.heal();
        journal.close().await;
        disk.restart();
        let journal = opened(&disk, small()).await;
        let seen = texts(&journal, id(), 0, 10_000).await;
        disk.crash();
        let journal = opened(&disk, small()).await;
        assert_eq!(texts(&journal, id(), 0, 10_000).await, seen, "seed {seed}");
    }
}
