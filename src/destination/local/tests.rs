//! The local directory against its contract: conformance, hostile surroundings, full disks and power cuts.

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::destination::conformance::{all, body};
use crate::disk::RealDisk;
use crate::disk::sim::{Op, SimDisk};

fn on(disk: &SimDisk) -> LocalDirectory {
    LocalDirectory::new(Arc::new(disk.clone()))
}

async fn create(destination: &LocalDirectory, key: &str, bytes: &[u8]) -> Result<Created> {
    let chunks = bytes.chunks(700).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    destination.create(key, body(chunks), ObjectFacts::default()).await
}

#[tokio::test]
async fn it_conforms_on_the_simulated_disk() {
    let disk = SimDisk::new(1);
    all(Arc::new(on(&disk)), |key| disk.read(key)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_on_the_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::open_shared(dir.path()).unwrap());
    all(Arc::new(LocalDirectory::new(disk)), |key| std::fs::read(dir.path().join(key)).ok()).await;
    let hidden = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(hidden.filter(|name| name.to_string_lossy().starts_with(HIDDEN_PREFIX)).count(), 0);
}

#[tokio::test]
async fn what_stands_in_the_way_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("lake");
    std::fs::create_dir_all(root.join("dir")).unwrap();
    std::fs::create_dir(dir.path().join("outside")).unwrap();
    std::fs::write(root.join("file"), "theirs").unwrap();
    std::os::unix::fs::symlink("../outside", root.join("link")).unwrap();
    std::os::unix::fs::symlink("../outside/new", root.join("dangling")).unwrap();
    let destination = LocalDirectory::new(Arc::new(RealDisk::open(&root).unwrap()));
    let cases = [
        ("file", Kind::Conflict, "is there with 6 bytes, ours has 4"),
        ("file/x", Kind::Conflict, "stands where a directory is needed"),
        ("dir", Kind::Conflict, "a directory has that name"),
        ("link/x", Kind::Conflict, "link"),
        ("link/new/x", Kind::Conflict, "link"),
        ("link", Kind::Conflict, "link"),
        ("dangling", Kind::Conflict, "link"),
        ("dir/", Kind::Invalid, "slash"),
        ("../outside/x", Kind::Invalid, "\"..\""),
        ("/etc/x", Kind::Invalid, "slash"),
    ];
    for (key, kind, message) in cases {
        let error = create(&destination, key, b"ours").await.expect_err(key);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(message) && error.to_string().contains(key), "{error}");
    }
    assert_eq!(std::fs::read(root.join("file")).unwrap(), b"theirs");
    assert_eq!(std::fs::read_dir(dir.path().join("outside")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_an_operator_can_mend_is_held_and_tried_again() {
    let faults: [(Op, ErrorKind); 8] = [
        (Op::Write, ErrorKind::StorageFull),
        (Op::Sync, ErrorKind::Other),
        (Op::Create, ErrorKind::ReadOnlyFilesystem),
        (Op::Create, ErrorKind::PermissionDenied),
        (Op::CreateDirs, ErrorKind::PermissionDenied),
        (Op::Link, ErrorKind::StorageFull),
        (Op::SyncDir, ErrorKind::Other),
        (Op::SyncDir, ErrorKind::PermissionDenied),
    ];
    for (op, fault) in faults {
        let disk = SimDisk::new(7);
        let destination = on(&disk);
        disk.fail_from(op, 1, fault);
        for _ in 0..3 {
            match create(&destination, "a/b", &[1; 2_000]).await {
                Err(error) => assert_eq!(error.kind(), Kind::Unavailable, "{op:?}: {error}"),
                // The call that failed had made them all the same, and is not needed again.
                Ok(_) => assert_eq!(op, Op::CreateDirs),
            }
        }
        assert!(disk.read("a/b").is_none_or(|bytes| bytes == [1; 2_000]), "{op:?}");
        disk.heal();
        create(&destination, "a/b", &[1; 2_000]).await.unwrap();
        disk.crash();
        assert_eq!(disk.read("a/b").unwrap(), [1; 2_000], "{op:?}");
    }
}

#[tokio::test]
async fn a_full_disk_takes_the_object_when_room_was_made() {
    let disk = SimDisk::new(1);
    disk.put("old", &[0; 5_000]);
    disk.set_capacity(6_000);
    let destination = on(&disk);
    let error = create(&destination, "new", &[1; 4_000]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert_eq!(disk.files(), ["old"]);
    disk.remove(Path::new("old")).unwrap();
    assert_eq!(create(&destination, "new", &[1; 4_000]).await.unwrap(), Created::Created);
}

#[tokio::test]
async fn a_probe_leaves_nothing_and_says_what_is_wrong() {
    let disk = SimDisk::new(1);
    let destination = on(&disk);
    assert!(destination.probe().await.unwrap().contains("GiB free"));
    assert_eq!(disk.files(), Vec::<String>::new());
    disk.fail_from(Op::Create, 1, ErrorKind::ReadOnlyFilesystem);
    assert_eq!(destination.probe().await.unwrap_err().kind(), Kind::Unavailable);
}

#[tokio::test]
async fn an_object_in_a_known_directory_costs_two_syncs() {
    let disk = SimDisk::new(1);
    let destination = on(&disk);
    create(&destination, "a/b/c/1", b"1").await.unwrap();
    let before = disk.operations();
    create(&destination, "a/b/c/2", b"2").await.unwrap();
    assert_eq!(disk.operations() - before, 5, "made, written, synced, linked, directory synced");
}

#[tokio::test]
async fn a_directory_that_was_removed_is_made_durable_again() {
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        let destination = on(&disk);
        create(&destination, "a/b/1", b"1").await.unwrap();
        disk.remove(Path::new("a/b/1")).unwrap();
        disk.remove_dir(Path::new("a/b")).unwrap();
        disk.remove_dir(Path::new("a")).unwrap();
        for dir in ["a", ""] {
            let _ = disk.sync_dir(Path::new(dir));
        }
        create(&destination, "a/b/2", b"2").await.unwrap();
        disk.crash();
        assert_eq!(disk.read("a/b/2").unwrap(), b"2", "seed {seed}");
    }
}

const KEYS: [&str; 4] = ["x/y/1", "x/y/2", "x/z/w/3", "4"];

fn content(key: &str) -> Vec<u8> {
    key.bytes().cycle().take(1_900).collect()
}

/// Creates all objects, each twice; answers which were acknowledged.
async fn scenario(destination: &LocalDirectory) -> Vec<&'static str> {
    let mut acknowledged = Vec::new();
    for key in KEYS {
        for _ in 0..2 {
            if create(destination, key, &content(key)).await.is_ok() {
                acknowledged.push(key);
            }
        }
    }
    acknowledged
}

fn check(disk: &SimDisk, acknowledged: &[&str], context: &str) {
    for key in KEYS {
        match disk.read(key) {
            Some(bytes) => assert!(bytes == content(key), "{context}: {key} is not whole"),
            None => assert!(!acknowledged.contains(&key), "{context}: {key} was acknowledged and is gone"),
        }
    }
    assert!(disk.files().iter().all(|file| KEYS.contains(&file.as_str())), "{context}: {:?}", disk.files());
}

#[tokio::test]
async fn a_power_cut_at_every_operation_shows_no_part_and_loses_nothing_acknowledged() {
    for seed in 0..3 {
        let mut crash_at = 0;
        loop {
            let disk = SimDisk::new(seed * 1_000 + crash_at);
            disk.crash_after(crash_at);
            let acknowledged = scenario(&on(&disk)).await;
            if acknowledged.len() == 2 * KEYS.len() {
                break;
            }
            let context = format!("seed {seed}, crash at operation {crash_at}");
            disk.crash();
            check(&disk, &acknowledged, &context);
            assert_eq!(scenario(&on(&disk)).await.len(), 2 * KEYS.len(), "{context}");
            disk.crash();
            check(&disk, &KEYS, &context);
            crash_at += 1;
        }
        assert!(crash_at > 30);
    }
}

/// The process dies between the link and the sync of its directories; the next one finds the object there, says so,
/// and then the power fails.
#[tokio::test]
async fn an_object_that_was_there_already_is_as_durable_as_a_new_one() {
    for seed in 0..3 {
        let mut crash_at = 0;
        loop {
            let disk = SimDisk::new(seed * 1_000 + crash_at);
            disk.crash_after(crash_at);
            let done = scenario(&on(&disk)).await.len() == 2 * KEYS.len();
            disk.restart();
            assert_eq!(scenario(&on(&disk)).await.len(), 2 * KEYS.len());
            disk.crash();
            check(&disk, &KEYS, &format!("seed {seed}, death at operation {crash_at}"));
            if done {
                break;
            }
            crash_at += 1;
        }
    }
}
