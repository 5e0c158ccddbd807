//! What only the real file system has: links, rights, pipes, and what a dead process left behind.

use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::*;

fn each(root: &Path, check: impl Fn(&RealDisk)) {
    check(&RealDisk::open(root).unwrap());
    check(&RealDisk::open(root).unwrap().without_openat2());
    check(&RealDisk::open(root).unwrap().without_tmpfile());
}

#[test]
fn links_are_not_followed_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
    std::fs::create_dir_all(root.join("real")).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "s").unwrap();
    symlink(&outside, root.join("out")).unwrap();
    symlink(outside.join("secret"), root.join("file")).unwrap();
    symlink("real", root.join("inner")).unwrap();
    each(&root, |disk| {
        for path in ["out/secret", "file", "inner/x"] {
            let path = Path::new(path);
            assert!(disk.open(path, Open::Read).is_err(), "{path:?}");
            assert!(disk.open(path, Open::Write).is_err(), "{path:?}");
            assert!(disk.open(path, Open::CreateNew).is_err(), "{path:?}");
            assert!(disk.lock(path).is_err(), "{path:?}");
            assert!(disk.create_dirs(path).is_err(), "{path:?}");
            assert!(disk.unnamed(Path::new("")).unwrap().link(path).is_err(), "{path:?}");
        }
        for dir in ["out", "inner"] {
            let dir = Path::new(dir);
            assert!(disk.unnamed(dir).is_err() && disk.list(dir).is_err() && disk.sync_dir(dir).is_err(), "{dir:?}");
            assert!(disk.create_dirs(&dir.join("new")).is_err(), "{dir:?}");
            assert!(disk.remove(&dir.join("secret")).is_err(), "{dir:?}");
            assert!(disk.rename(&dir.join("secret"), Path::new("stolen")).is_err(), "{dir:?}");
        }
    });
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(root.join("real")).unwrap().count(), 0);
}

#[test]
fn a_private_root_is_closed_to_others_and_a_shared_one_follows_the_umask() {
    let dir = tempfile::tempdir().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let private = dir.path().join("private");
    let disk = RealDisk::open(&private).unwrap();
    disk.create_dirs(Path::new("d")).unwrap();
    disk.open(Path::new("d/f"), Open::CreateNew).unwrap();
    disk.unnamed(Path::new("d")).unwrap().link(Path::new("d/g")).unwrap();
    assert_eq!(["", "d", "d/f", "d/g"].map(|path| mode(&private.join(path))), [0o700, 0o700, 0o600, 0o600]);

    let (shared, usual) = (dir.path().join("shared"), dir.path().join("usual"));
    std::fs::write(&usual, "").unwrap();
    let disk = RealDisk::open_shared(&shared).unwrap();
    disk.unnamed(Path::new("")).unwrap().link(Path::new("f")).unwrap();
    assert_eq!(mode(&shared.join("f")), mode(&usual));
}

#[test]
fn a_pipe_neither_holds_us_nor_passes_for_a_file() {
    let dir = tempfile::tempdir().unwrap();
    rustix::fs::mknodat(CWD, dir.path().join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    each(dir.path(), |disk| {
        assert!(disk.open(Path::new("pipe"), Open::Read).is_err());
        assert!(disk.open(Path::new("pipe"), Open::Write).is_err());
    });
}

#[test]
fn hidden_files_of_the_dead_are_swept_and_those_of_the_living_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let hidden = || std::fs::read_dir(dir.path()).unwrap().count();
    let living = RealDisk::open(dir.path()).unwrap().without_tmpfile();
    let file = living.unnamed(Path::new("")).unwrap();
    file.write_at(0, &[b"mine"]).unwrap();
    std::fs::write(dir.path().join(".tmp-0123456789abcdef"), "left behind").unwrap();
    assert_eq!(hidden(), 2);
    let second = RealDisk::open(dir.path()).unwrap().without_tmpfile();
    drop(second.unnamed(Path::new("")).unwrap());
    assert_eq!(hidden(), 1);
    file.link(Path::new("f")).unwrap();
    drop(file);
    assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"mine");
    assert_eq!(hidden(), 1);
}

/// The way that kernels before 6.10 leave to a process without privileges.
#[test]
fn an_unnamed_file_can_be_linked_by_its_descriptor() {
    let dir = tempfile::tempdir().unwrap();
    let parent = openat(CWD, dir.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let file = openat(CWD, dir.path(), OFlags::TMPFILE | OFlags::RDWR, Mode::RUSR).unwrap();
    unnamed::link_by_proc(&file, &parent, "f").unwrap();
    assert_eq!(unnamed::link_by_proc(&file, &parent, "f"), Err(Errno::EXIST));
    assert!(dir.path().join("f").exists());
}

#[test]
fn a_file_as_root_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "").unwrap();
    let error = RealDisk::open(&dir.path().join("f")).err().unwrap();
    assert!(matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotADirectory), "{error}");
}
