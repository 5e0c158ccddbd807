//! The simulated disk must be as hostile as it says, and no more.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use super::*;

fn path(path: &str) -> &Path {
    Path::new(path)
}

fn create(disk: &SimDisk, name: &str) -> Box<dyn File> {
    disk.open(path(name), Open::CreateNew).unwrap()
}

#[test]
fn what_was_synced_survives_every_crash() {
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        disk.create_dirs(path("d/e")).unwrap();
        let file = create(&disk, "d/e/f");
        file.write_at(0, &[&[7; 700]]).unwrap();
        file.sync().unwrap();
        for dir in ["", "d", "d/e"] {
            disk.sync_dir(path(dir)).unwrap();
        }
        file.write_at(700, &[&[9; 2000]]).unwrap();
        disk.crash();
        let left = disk.read("d/e/f").unwrap();
        assert!((700..=2700).contains(&left.len()) && left[..700] == [7; 700], "seed {seed}");
        assert_eq!(disk.durable("d/e/f").unwrap(), left);
        assert!(file.len().is_err(), "a handle from before the crash is void");
    }
}

/// All outcomes that the documentation promises are really met.
#[test]
fn what_was_not_synced_is_kept_lost_and_torn() {
    let mut seen = BTreeSet::new();
    for seed in 0..500 {
        let disk = SimDisk::new(seed);
        let file = create(&disk, "f");
        file.write_at(0, &[&[1; 1024]]).unwrap();
        file.sync().unwrap();
        disk.sync_dir(path("")).unwrap();
        file.write_at(0, &[&[2; 1024]]).unwrap();
        create(&disk, "g").write_at(0, &[&[3; 600]]).unwrap();
        disk.remove(path("f")).unwrap();
        disk.crash();
        seen.insert(if disk.read("f").is_some() { "remove undone" } else { "remove kept" });
        seen.insert(match disk.read("g") {
            None => "name lost",
            Some(bytes) if bytes == [3; 600] => "name kept with bytes",
            Some(bytes) if bytes.is_empty() => "name kept empty",
            Some(bytes) if bytes == [0; 600] => "length without bytes",
            Some(bytes) if bytes.len() < 600 => "part of the length",
            Some(_) => "name kept with other bytes",
        });
        for sector in disk.read("f").iter().flat_map(|bytes| bytes.chunks(512)) {
            let first = sector[0];
            seen.insert(match (first, sector.iter().all(|byte| *byte == first)) {
                (1, true) => "old sector",
                (2, true) => "new sector",
                (0, true) => "zero sector",
                (2, false) if sector[511] == 1 => "torn sector",
                _ => "garbage sector",
            });
        }
    }
    assert_eq!(seen.len(), 13, "{seen:?}");
}

#[test]
fn unsynced_renames_within_a_directory_are_undone_as_a_whole() {
    let mut undone = 0;
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        disk.put("a", b"new");
        disk.put("b", b"old");
        disk.rename(path("a"), path("b")).unwrap();
        disk.crash();
        match (disk.read("a"), disk.read("b").as_deref()) {
            (Some(_), Some(b"old")) => undone += 1,
            (None, Some(b"new")) => {}
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!((20..80).contains(&undone));
}

#[test]
fn a_failed_sync_loses_bytes_for_good_though_the_next_one_succeeds() {
    let mut lost = 0;
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let file = create(&disk, "f");
        disk.sync_dir(path("")).unwrap();
        file.write_at(0, &[&[5; 4096]]).unwrap();
        disk.fail(Op::Sync, 1, 5);
        assert_eq!(file.sync().unwrap_err().raw_os_error(), Some(5));
        file.sync().unwrap();
        assert_eq!(disk.read("f").unwrap(), [5; 4096], "until the crash it looks well");
        disk.crash();
        lost += usize::from(disk.read("f").unwrap() != [5; 4096]);
    }
    assert!(lost > 25, "{lost}");
}

#[test]
fn faults_strike_when_they_were_ordered() {
    let disk = SimDisk::new(3);
    disk.fail(Op::SyncDir, 2, ErrorKind::Other);
    disk.sync_dir(path("")).unwrap();
    assert!(disk.sync_dir(path("")).is_err());
    disk.sync_dir(path("")).unwrap();
    disk.fail_from(Op::Create, 1, ErrorKind::PermissionDenied);
    for _ in 0..3 {
        let refused = disk.open(path("f"), Open::CreateNew).err().unwrap().kind();
        // A creation that failed may still have been made.
        assert!(matches!(refused, ErrorKind::PermissionDenied | ErrorKind::AlreadyExists));
    }
    disk.heal();
    create(&disk, "h");
}

#[test]
fn after_the_crash_point_everything_fails_until_the_restart() {
    let disk = SimDisk::new(4);
    let file = create(&disk, "f");
    let lock = disk.lock(path("lock")).unwrap();
    assert_eq!(disk.operations(), 1);
    disk.crash_after(1);
    file.write_at(0, &[b"abc"]).unwrap();
    let error = file.sync().unwrap_err();
    assert_eq!(error.to_string(), "crashed");
    assert!(file.len().is_err() && disk.list(path("")).is_err() && disk.sync_dir(path("")).is_err());
    disk.restart();
    assert_eq!(disk.read("f").unwrap(), b"abc", "a process that dies loses nothing written");
    assert!(file.len().is_err());
    let again = disk.lock(path("lock")).unwrap();
    drop(lock);
    assert!(disk.lock(path("lock")).is_err(), "the old holder's drop does not let go of the new one's");
    drop(again);
}

#[test]
fn a_full_disk_refuses_and_takes_again_after_a_removal() {
    let disk = SimDisk::new(5);
    disk.set_capacity(2_000);
    let file = create(&disk, "f");
    file.write_at(0, &[&[1; 1000]]).unwrap();
    let second = create(&disk, "g");
    assert_eq!(second.write_at(0, &[&[1; 1000]]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.space().unwrap().available, 0);
    assert_eq!(disk.open(path("h"), Open::CreateNew).err().unwrap().kind(), ErrorKind::StorageFull);
    file.write_at(500, &[&[2; 500]]).unwrap();
    disk.remove(path("f")).unwrap();
    assert!(second.write_at(900, &[&[1; 100]]).is_err(), "an open file still takes its room");
    drop(file);
    second.write_at(900, &[&[1; 100]]).unwrap();
}

#[test]
fn the_same_seed_gives_the_same_ruin() {
    let ruin = |seed| {
        let disk = SimDisk::new(seed);
        for name in ["a", "b", "c"] {
            create(&disk, name).write_at(0, &[&[8; 3000]]).unwrap();
        }
        disk.crash();
        disk.files().into_iter().map(|name| disk.read(&name)).collect::<Vec<_>>()
    };
    assert!((0..20).all(|seed| ruin(seed) == ruin(seed)));
    assert!((1..20).any(|seed| ruin(seed) != ruin(0)));
}

#[test]
fn damage_is_done_behind_everybodys_back() {
    let disk = SimDisk::new(6);
    disk.put("d/f", b"abc");
    disk.flip("d/f", 8);
    disk.overwrite("d/f", 2, b"xyz");
    disk.crash();
    assert_eq!(disk.read("d/f").unwrap(), b"acxyz");
    disk.cut("d/f", 1);
    assert_eq!(disk.durable("d/f").unwrap(), b"a");
    assert_eq!(disk.files(), ["d/f"]);
}
