//! Reads a local lake back: every object with its lines.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::read_file;
use crate::error::{Error, Result};

/// One object.
pub(super) struct Object {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its size on disk, in bytes.
    pub(super) stored_bytes: u64,
    /// What is in it, decompressed, cut after each line feed.
    pub(super) lines: Vec<Vec<u8>>,
}

/// All objects under `root`, by path.
pub(super) fn read(root: &Path) -> Result<Vec<Object>> {
    let mut paths = Vec::new();
    collect(root, &mut paths)?;
    paths.sort();
    paths.into_iter().map(object).collect()
}

fn collect(dir: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let cannot = |error| Error::unavailable(format!("{} cannot be read", dir.display())).because(error);
    for entry in fs::read_dir(dir).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        match entry.file_type().map_err(cannot)? {
            kind if kind.is_dir() => collect(&entry.path(), paths)?,
            kind if kind.is_file() => paths.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}

fn object(path: PathBuf) -> Result<Object> {
    let stored = read_file(&path)?;
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(&stored[..])
        .read_to_end(&mut bytes)
        .map_err(|error| Error::corrupt(format!("{} is not gzip", path.display())).because(error))?;
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    Ok(Object { path, stored_bytes: stored.len() as u64, lines })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn objects_of_all_folders_are_read_member_by_member() {
        let dir = tempfile::tempdir().unwrap();
        let gzip = |text: &str| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        fs::create_dir_all(dir.path().join("b/c")).unwrap();
        fs::write(dir.path().join("b/c/2.gz"), [gzip("x\ny\n"), gzip("z\n")].concat()).unwrap();
        fs::write(dir.path().join("b/1.gz"), gzip("w\n")).unwrap();
        let objects = read(dir.path()).unwrap();
        let lines: Vec<_> = objects.iter().map(|object| object.lines.concat()).collect();
        assert_eq!(lines, [b"w\n".to_vec(), b"x\ny\nz\n".to_vec()]);
        fs::write(dir.path().join("torn.gz"), &gzip("w\n")[..9]).unwrap();
        assert!(read(dir.path()).err().unwrap().to_string().contains("torn.gz is not gzip"));
    }
}
