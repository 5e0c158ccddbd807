//! Bytes on disk that are not what was written: torn tails, zeros, flipped bits, misplaced blocks, lost files.

use super::*;
use crate::journal::conformance::{put, shard, texts};

const SEGMENT: &str = "journal/0000000000000001/0/00000000000000000000.seg";
const SIDECAR: &str = "journal/0000000000000001/0/00000000000000000000.idx";
const NOTE: &str = "journal/0000000000000001/0/00000000000000000000.damaged";

fn id() -> ShardId {
    shard(1, 0)
}

/// Puts one after the other, so that each is durable before the next; then the process is gone.
async fn written(disk: &SimDisk, puts: &[&str], options: &Options) -> Vec<u8> {
    let journal = open(disk, &clock(), options.clone()).await.unwrap();
    for text in puts {
        let append = Append { encrypt: options.encryption_key.is_some(), ..put(text) };
        journal.append(id(), append).await.unwrap();
    }
    journal.close().await;
    disk.restart();
    disk.read(SEGMENT).unwrap()
}

fn clock() -> Clock {
    Clock::simulated(5, START_MS)
}

/// Where the frames of puts begin, and where the last one ends.
fn offsets(puts: &[&str], encrypted: bool) -> Vec<usize> {
    let mut offsets = vec![segment::DATA_START as usize];
    for text in puts {
        offsets.push(offsets.last().unwrap() + frame::stored_bytes(&put(text).records, None, encrypted) as usize);
    }
    offsets
}

async fn reopened(disk: &SimDisk, options: &Options) -> (LocalJournal, Extent) {
    let journal = open(disk, &clock(), options.clone()).await.unwrap();
    let extent = journal.extent(id()).await.unwrap();
    (journal, extent)
}

#[tokio::test(start_paused = true)]
async fn a_tail_torn_at_any_byte_is_cut() {
    let puts = ["a b", "cc dd", "eee"];
    let options = small();
    let whole = written(&SimDisk::new(1), &puts, &options).await;
    let frames = offsets(&puts, false);
    for len in 0..whole.len() {
        for zeros in [0, 700] {
            let disk = SimDisk::new(1);
            let mut bytes = whole[..len].to_vec();
            bytes.resize(len + zeros, 0);
            disk.put(SEGMENT, &bytes);
            let (journal, extent) = reopened(&disk, &options).await;
            let left = frames[1..].iter().filter(|end| **end <= len).count();
            let expected: Vec<&str> = puts[..left].iter().flat_map(|put| put.split(' ')).collect();
            assert_eq!(texts(&journal, id(), 0, 1_000).await, expected, "cut at {len}");
            assert_eq!((extent.end, extent.damaged), (expected.len() as u64, 0), "cut at {len}");
            let next = journal.append(id(), put("next")).await.unwrap();
            assert_eq!(next.span.start, extent.end);
            journal.close().await;
            disk.crash();
            let (journal, _) = reopened(&disk, &options).await;
            assert_eq!(texts(&journal, id(), 0, 1_000).await, [&expected[..], &["next"]].concat());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn damage_before_the_tail_costs_its_put_alone() {
    let puts = ["a b", "cc dd", "eee", "f"];
    for key in [None, Some(Zeroizing::new([1; 32]))] {
        let options = Options { encryption_key: key.clone(), ..small() };
        let whole = written(&SimDisk::new(1), &puts, &options).await;
        let frames = offsets(&puts, key.is_some());
        for byte in 0..frames[3] {
            let disk = SimDisk::new(1);
            disk.put(SEGMENT, &whole);
            disk.flip(SEGMENT, byte * 8 + byte % 8);
            let hit = frames[..3].iter().rposition(|start| *start <= byte);
            let expected: Vec<&str> = (0..4).filter(|at| Some(*at) != hit).flat_map(|at| puts[at].split(' ')).collect();
            // As an unsealed segment, and again as the sealed one that the first start made of it.
            for _ in 0..2 {
                let (journal, extent) = reopened(&disk, &options).await;
                assert_eq!(texts(&journal, id(), 0, 1_000).await, expected, "byte {byte}");
                assert_eq!((extent.end, extent.damaged), (6, 6 - expected.len() as u64), "byte {byte}");
                assert_eq!(disk.read(NOTE).is_some(), hit.is_some());
                journal.close().await;
                disk.restart();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn damage_in_a_sealed_segment_is_found_by_reading_and_reported_once() {
    let puts = ["a b", "cc dd", "eee", "f"];
    let options = small();
    let made = SimDisk::new(1);
    written(&made, &puts, &options).await;
    reopened(&made, &options).await.0.close().await;
    let (segment, sidecar) = (made.read(SEGMENT).unwrap(), made.read(SIDECAR).unwrap());
    let frames = offsets(&puts, false);
    for byte in 0..segment.len() {
        let disk = SimDisk::new(1);
        disk.put(SEGMENT, &segment);
        disk.put(SIDECAR, &sidecar);
        disk.flip(SEGMENT, byte * 8 + byte % 8);
        let hit = frames[..4].iter().rposition(|start| *start <= byte);
        let expected: Vec<&str> = (0..4).filter(|at| Some(*at) != hit).flat_map(|at| puts[at].split(' ')).collect();
        let damaged = 6 - expected.len() as u64;
        let (journal, extent) = reopened(&disk, &options).await;
        assert_eq!((extent.end, extent.damaged), (6, 0), "nobody has read it yet");
        for _ in 0..2 {
            assert_eq!(texts(&journal, id(), 0, 1_000).await, expected, "byte {byte}");
            assert_eq!(journal.extent(id()).await.unwrap().damaged, damaged);
        }
        assert_eq!(journal.append(id(), put("next")).await.unwrap().span.start, 6);
        journal.close().await;
        disk.restart();
        let (journal, extent) = reopened(&disk, &options).await;
        assert_eq!(extent.damaged, damaged, "it is remembered");
        assert_eq!(texts(&journal, id(), 0, 1_000).await, [&expected[..], &["next"]].concat());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_last_put_of_a_sealed_segment_ends_the_read_behind_it() {
    let puts = ["a", "b"];
    let disk = SimDisk::new(1);
    written(&disk, &puts, &small()).await;
    reopened(&disk, &small()).await.0.close().await;
    disk.restart();
    disk.flip(SEGMENT, offsets(&puts, false)[1] * 8);
    let (journal, _) = reopened(&disk, &small()).await;
    let batch = journal.read(id(), 1, 100).await.unwrap();
    assert_eq!((batch.span.start, batch.span.end, batch.puts.len()), (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_misplaced_block_is_damage() {
    let puts = ["a b", "cc dd", "ee ff", "g"];
    let whole = written(&SimDisk::new(1), &puts, &small()).await;
    let foreign = {
        let disk = SimDisk::new(2);
        let journal = open(&disk, &Clock::simulated(6, START_MS), small()).await.unwrap();
        for text in ["x y", "xx yy", "xx zz", "z"] {
            journal.append(id(), put(text)).await.unwrap();
        }
        disk.read(SEGMENT).unwrap()
    };
    let frames = offsets(&puts, false);
    let (second, third) = (frames[1]..frames[2], frames[2]..frames[3]);
    // A frame of another segment of this shard, an older and a newer frame of the same segment.
    let cases = [
        (&foreign, second.clone(), second.clone(), 1),
        (&whole, second.clone(), third.clone(), 2),
        (&whole, third, second, 1),
    ];
    for (source, from, to, hit) in cases {
        let disk = SimDisk::new(1);
        disk.put(SEGMENT, &whole);
        disk.overwrite(SEGMENT, to.start, &source[from]);
        let (journal, extent) = reopened(&disk, &small()).await;
        let expected: Vec<&str> = (0..4).filter(|at| *at != hit).flat_map(|at| puts[at].split(' ')).collect();
        assert_eq!(texts(&journal, id(), 0, 1_000).await, expected);
        assert_eq!((extent.end, extent.damaged), (7, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_torn_group_goes_as_one() {
    // Two puts of one group: both were written before either was durable, so neither was acknowledged.
    let disk = SimDisk::new(1);
    let journal = open(&disk, &clock(), small()).await.unwrap();
    journal.append(id(), put("a")).await.unwrap();
    let (one, two) = tokio::join!(journal.append(id(), put("bb bb")), journal.append(id(), put("cc")));
    assert_eq!((one.unwrap().span.start, two.unwrap().span.start), (1, 3));
    journal.close().await;
    disk.restart();
    disk.flip(SEGMENT, (offsets(&["a"], false)[1] + 50) * 8);
    let (journal, extent) = reopened(&disk, &small()).await;
    assert_eq!((extent.end, extent.damaged), (1, 0));
    assert_eq!(texts(&journal, id(), 0, 100).await, ["a"]);
    assert!(disk.read(NOTE).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_segment_without_header_still_gives_its_puts_unless_they_are_encrypted() {
    let puts = ["a b", "c", "d"];
    for (key, expected, damaged) in [(None, vec!["a", "b", "c", "d"], 0), (Some(Zeroizing::new([1; 32])), vec![], 4)] {
        let options = Options { encryption_key: key, ..small() };
        let disk = SimDisk::new(1);
        written(&disk, &puts, &options).await;
        disk.overwrite(SEGMENT, 0, &[0; 1024]);
        let (journal, extent) = reopened(&disk, &options).await;
        assert_eq!(texts(&journal, id(), 0, 100).await, expected);
        assert_eq!((extent.end, extent.damaged), (4, damaged));
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_or_damaged_sidecar_is_made_again() {
    let puts = ["a b", "c"];
    let disk = SimDisk::new(1);
    written(&disk, &puts, &small()).await;
    reopened(&disk, &small()).await.0.close().await;
    let sidecar = disk.read(SIDECAR).unwrap();
    for cut in [0, 10, sidecar.len() - 1] {
        disk.restart();
        disk.cut(SIDECAR, cut);
        let (journal, extent) = reopened(&disk, &small()).await;
        assert_eq!((extent.end, extent.damaged), (3, 0));
        assert_eq!(texts(&journal, id(), 0, 100).await, ["a", "b", "c"]);
        assert_eq!(disk.read(SIDECAR).unwrap(), sidecar);
        journal.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sealed_segment_that_was_cut_loses_its_end_only() {
    let puts = ["a b", "c", "d"];
    let disk = SimDisk::new(1);
    written(&disk, &puts, &small()).await;
    reopened(&disk, &small()).await.0.close().await;
    disk.restart();
    disk.cut(SEGMENT, offsets(&puts, false)[2] + 5);
    for _ in 0..2 {
        let (journal, extent) = reopened(&disk, &small()).await;
        assert_eq!((extent.end, extent.damaged), (4, 1), "the sidecar knew how many there were");
        assert_eq!(texts(&journal, id(), 0, 100).await, ["a", "b", "c"]);
        journal.close().await;
        disk.restart();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_segment_is_damage_and_the_rest_is_read() {
    let disk = SimDisk::new(1);
    for (at, text) in ["a b", "c d", "e f"].iter().enumerate() {
        let journal = open(&disk, &clock(), small()).await.unwrap();
        assert_eq!(journal.append(id(), put(text)).await.unwrap().span.start, 2 * at as u64);
        journal.close().await;
        disk.restart();
    }
    let lost = "journal/0000000000000001/0/00000000000000000002.seg";
    Disk::remove(&disk, std::path::Path::new(lost)).unwrap();
    Disk::remove(&disk, std::path::Path::new(&lost.replace("seg", "idx"))).unwrap();
    let (journal, extent) = reopened(&disk, &small()).await;
    assert_eq!((extent.start, extent.end, extent.damaged), (0, 6, 2));
    assert_eq!(texts(&journal, id(), 0, 100).await, ["a", "b", "e", "f"]);
}

#[tokio::test(start_paused = true)]
async fn positions_never_start_again_even_if_every_file_that_knew_the_end_is_damaged() {
    // Only a sidecar is left of a shard that was trimmed, and it is damaged.
    let disk = SimDisk::new(1);
    written(&disk, &["a b c"], &small()).await;
    let (journal, _) = reopened(&disk, &small()).await;
    journal.trim(id(), 3).await.unwrap();
    journal.close().await;
    disk.restart();
    assert!(disk.read(SEGMENT).is_none() && disk.read(SIDECAR).is_some());
    let (_, extent) = reopened(&disk, &small()).await;
    assert_eq!((extent.start, extent.end), (3, 3));
    disk.restart();
    disk.flip(SIDECAR, 1_000);
    let (journal, extent) = reopened(&disk, &small()).await;
    assert!(extent.end > 3 && extent.start == extent.end && extent.damaged == 0);
    assert_eq!(journal.append(id(), put("d")).await.unwrap().span.start, extent.end);
    journal.close().await;
    disk.restart();
    // Now the only segment that is left loses everything but its name.
    let newest = of_kind(&disk, "seg").pop().unwrap();
    for file in of_kind(&disk, "idx") {
        Disk::remove(&disk, std::path::Path::new(&file)).unwrap();
    }
    disk.overwrite(&newest, 0, &vec![0; disk.read(&newest).unwrap().len()]);
    for _ in 0..3 {
        assert_eq!(reopened(&disk, &small()).await.1.end, extent.end);
        disk.restart();
    }
}
