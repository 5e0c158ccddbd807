//! What every [`Disk`] must do, run on the real one (also as on an old kernel) and on the simulated one.

use std::io::ErrorKind;
use std::path::Path;

use super::sim::SimDisk;
use super::{Disk, Open, RealDisk};

const CHECKS: &[fn(&dyn Disk)] = &[
    files_are_made_once,
    writes_and_reads,
    lengths,
    unnamed_files,
    directories,
    renames,
    removal,
    locks,
    hostile_paths,
    wrong_places,
    space,
];

fn run(make: impl Fn() -> Box<dyn Disk>) {
    for check in CHECKS {
        check(&*make());
    }
}

#[test]
fn the_simulated_disk_conforms() {
    run(|| Box::new(SimDisk::new(1)));
}

fn run_real(set_up: impl Fn(RealDisk) -> RealDisk) {
    let dir = tempfile::tempdir().unwrap();
    let next = std::cell::Cell::new(0);
    run(|| {
        next.set(next.get() + 1);
        let disk = RealDisk::open(&dir.path().join(format!("{}/root", next.get()))).unwrap();
        Box::new(set_up(disk))
    });
}

#[test]
fn the_real_disk_conforms() {
    run_real(|disk| disk);
}

#[test]
fn the_real_disk_conforms_without_openat2() {
    run_real(RealDisk::without_openat2);
}

#[test]
fn the_real_disk_conforms_without_tmpfile() {
    run_real(RealDisk::without_tmpfile);
}

#[test]
fn the_real_disk_conforms_without_openat2_and_tmpfile() {
    run_real(|disk| disk.without_openat2().without_tmpfile());
}

fn write(disk: &dyn Disk, path: &str, bytes: &[u8]) {
    disk.open(Path::new(path), Open::CreateNew).unwrap().write_at(0, &[bytes]).unwrap();
}

fn read(disk: &dyn Disk, path: &str) -> Vec<u8> {
    let file = disk.open(Path::new(path), Open::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    result.err().expect("it must be refused").kind()
}

fn listed(disk: &dyn Disk, dir: &str) -> Vec<(String, bool, u64)> {
    disk.list(Path::new(dir)).unwrap().into_iter().map(|entry| (entry.name, entry.is_dir, entry.len)).collect()
}

fn files_are_made_once(disk: &dyn Disk) {
    let path = Path::new("a");
    assert_eq!(kind(disk.open(path, Open::Read)), ErrorKind::NotFound);
    assert_eq!(kind(disk.open(path, Open::Write)), ErrorKind::NotFound);
    assert!(disk.open(path, Open::CreateNew).unwrap().is_empty().unwrap());
    assert_eq!(kind(disk.open(path, Open::CreateNew)), ErrorKind::AlreadyExists);
    disk.open(path, Open::Write).unwrap().write_at(0, &[b"xyz"]).unwrap();
    assert_eq!(read(disk, "a"), b"xyz");
    assert!(disk.open(path, Open::Read).unwrap().write_at(0, &[b"!"]).is_err(), "opened for reading");
    assert_eq!(read(disk, "a"), b"xyz");
}

fn writes_and_reads(disk: &dyn Disk) {
    let file = disk.open(Path::new("a"), Open::CreateNew).unwrap();
    file.write_at(0, &[b"one ", b"", b"two ", b"three"]).unwrap();
    file.write_at(4, &[b"TWO"]).unwrap();
    file.write_at(16, &[b"far"]).unwrap();
    file.write_at(3, &[]).unwrap();
    file.sync().unwrap();
    let mut bytes = [0; 19];
    file.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"one TWO three\0\0\0far");
    file.read_at(16, &mut bytes[..3]).unwrap();
    assert_eq!(&bytes[..3], b"far");
    assert_eq!(kind(file.read_at(17, &mut bytes[..3])), ErrorKind::UnexpectedEof);
    assert_eq!(kind(file.read_at(1000, &mut bytes[..1])), ErrorKind::UnexpectedEof);
    file.read_at(1000, &mut []).unwrap();

    let many: Vec<Vec<u8>> = (0..3000u32).map(|n| n.to_le_bytes().repeat(3)).collect();
    let parts: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    file.write_at(5, &parts).unwrap();
    let mut bytes = vec![0; 36_000];
    file.read_at(5, &mut bytes).unwrap();
    assert_eq!(bytes, many.concat());
}

fn lengths(disk: &dyn Disk) {
    let file = disk.open(Path::new("a"), Open::CreateNew).unwrap();
    file.write_at(0, &[b"abcdef"]).unwrap();
    file.set_len(3).unwrap();
    assert_eq!(file.len().unwrap(), 3);
    file.set_len(5).unwrap();
    assert_eq!(read(disk, "a"), b"abc\0\0");
    file.set_len(0).unwrap();
    assert!(file.is_empty().unwrap());
}

fn unnamed_files(disk: &dyn Disk) {
    assert_eq!(kind(disk.unnamed(Path::new("d"))), ErrorKind::NotFound);
    disk.create_dirs(Path::new("d/e")).unwrap();
    let file = disk.unnamed(Path::new("d")).unwrap();
    file.write_at(0, &[b"whole"]).unwrap();
    file.sync().unwrap();
    file.link(Path::new("d/e/f")).unwrap();
    disk.sync_dir(Path::new("d/e")).unwrap();
    assert_eq!(read(disk, "d/e/f"), b"whole");
    assert_eq!(file.len().unwrap(), 5);
    drop(file);
    let second = disk.unnamed(Path::new("d")).unwrap();
    second.write_at(0, &[b"other"]).unwrap();
    assert_eq!(kind(second.link(Path::new("d/e/f"))), ErrorKind::AlreadyExists);
    assert_eq!(kind(second.link(Path::new("d/e"))), ErrorKind::AlreadyExists);
    assert_eq!(kind(second.link(Path::new("d/x/f"))), ErrorKind::NotFound);
    second.link(Path::new("d/g")).unwrap();
    drop(second);
    drop(disk.unnamed(Path::new("d")).unwrap());
    drop(disk.unnamed(Path::new("")).unwrap());
    assert_eq!(read(disk, "d/e/f"), b"whole");
    assert_eq!(listed(disk, "d"), [("e".into(), true, 0), ("g".into(), false, 5)]);
    assert_eq!(listed(disk, ""), [("d".into(), true, 0)]);
}

fn directories(disk: &dyn Disk) {
    disk.create_dirs(Path::new("")).unwrap();
    disk.create_dirs(Path::new("a/b/c")).unwrap();
    disk.create_dirs(Path::new("a/b/c")).unwrap();
    disk.create_dirs(Path::new("a/b2")).unwrap();
    write(disk, "a/B", b"12");
    assert_eq!(listed(disk, "a"), [("B".into(), false, 2), ("b".into(), true, 0), ("b2".into(), true, 0)]);
    assert_eq!(kind(disk.remove_dir(Path::new("a/b"))), ErrorKind::DirectoryNotEmpty);
    disk.remove_dir(Path::new("a/b/c")).unwrap();
    disk.remove_dir(Path::new("a/b")).unwrap();
    assert_eq!(kind(disk.list(Path::new("a/b"))), ErrorKind::NotFound);
    for dir in ["", "a", "a/b2"] {
        disk.sync_dir(Path::new(dir)).unwrap();
    }
    assert_eq!(kind(disk.sync_dir(Path::new("nowhere"))), ErrorKind::NotFound);
}

fn renames(disk: &dyn Disk) {
    disk.create_dirs(Path::new("d")).unwrap();
    write(disk, "a", b"a");
    write(disk, "b", b"b");
    disk.rename(Path::new("a"), Path::new("b")).unwrap();
    assert_eq!(listed(disk, ""), [("b".into(), false, 1), ("d".into(), true, 0)]);
    disk.rename(Path::new("b"), Path::new("d/c")).unwrap();
    assert_eq!(read(disk, "d/c"), b"a");
    assert_eq!(kind(disk.rename(Path::new("b"), Path::new("x"))), ErrorKind::NotFound);
    assert_eq!(kind(disk.rename(Path::new("d/c"), Path::new("x/y"))), ErrorKind::NotFound);
}

fn removal(disk: &dyn Disk) {
    write(disk, "a", b"kept");
    let file = disk.open(Path::new("a"), Open::Read).unwrap();
    disk.remove(Path::new("a")).unwrap();
    assert_eq!(kind(disk.remove(Path::new("a"))), ErrorKind::NotFound);
    write(disk, "a", b"new!");
    let mut bytes = [0; 4];
    file.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"kept");
}

fn locks(disk: &dyn Disk) {
    let lock = disk.lock(Path::new("lock")).unwrap();
    assert_eq!(kind(disk.lock(Path::new("lock"))), ErrorKind::WouldBlock);
    let other = disk.lock(Path::new("other")).unwrap();
    drop(lock);
    let _again = disk.lock(Path::new("lock")).unwrap();
    drop(other);
}

fn hostile_paths(disk: &dyn Disk) {
    write(disk, "a", b"");
    let long = "x".repeat(256);
    for bad in ["..", "../a", "d/../../a", "/etc/passwd", "./a", "a\0b", &long] {
        let path = Path::new(bad);
        let results = [
            kind(disk.open(path, Open::Read)),
            kind(disk.open(path, Open::CreateNew)),
            kind(disk.unnamed(path)),
            kind(disk.unnamed(Path::new("")).unwrap().link(path)),
            kind(disk.list(path)),
            kind(disk.create_dirs(path)),
            kind(disk.rename(path, Path::new("b"))),
            kind(disk.rename(Path::new("a"), path)),
            kind(disk.remove(path)),
            kind(disk.remove_dir(path)),
            kind(disk.sync_dir(path)),
            kind(disk.lock(path)),
        ];
        assert_eq!(results, [ErrorKind::InvalidInput; 12], "{bad:?}");
    }
    for root in [disk.remove(Path::new("")), disk.remove_dir(Path::new("")), disk.rename(Path::new("a"), Path::new(""))]
    {
        assert_eq!(kind(root), ErrorKind::InvalidInput);
    }
    assert_eq!(listed(disk, ""), [("a".into(), false, 0)]);
}

fn wrong_places(disk: &dyn Disk) {
    disk.create_dirs(Path::new("d")).unwrap();
    write(disk, "f", b"");
    assert_eq!(kind(disk.open(Path::new("d"), Open::Read)), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.open(Path::new("d"), Open::Write)), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.open(Path::new("d"), Open::CreateNew)), ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.open(Path::new("f/x"), Open::Read)), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.open(Path::new("no/x"), Open::CreateNew)), ErrorKind::NotFound);
    assert_eq!(kind(disk.create_dirs(Path::new("f"))), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.create_dirs(Path::new("f/x/y"))), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.list(Path::new("f"))), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.unnamed(Path::new("f"))), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.remove(Path::new("d"))), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.remove_dir(Path::new("f"))), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.rename(Path::new("f"), Path::new("d"))), ErrorKind::IsADirectory);
}

fn space(disk: &dyn Disk) {
    let space = disk.space().unwrap();
    assert!(space.available > 0 && space.available <= space.total);
}
