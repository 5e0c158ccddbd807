//! Looking at a directory of objects: listing it in the order of keys, and reading one.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::destination::{BodySender, Listed, Page};
use crate::disk::{Disk, Entry, File, HIDDEN_PREFIX, Open};
use crate::limits::{LIST_DEPTH_MAX, LIST_PAGE_OBJECTS, READ_PIECE_BYTES};

/// A page of the objects whose keys begin with `prefix` and stand behind `after`.
///
/// Goes down depth first, in the order of the keys' bytes, past what stands wholly before `after`.
pub(super) fn list(disk: &dyn Disk, prefix: &str, after: Option<&str>) -> io::Result<Page> {
    let walk = Walk { disk, prefix, after: after.unwrap_or("") };
    let mut page = Page::default();
    // What is to be looked at next, directories with a slash at their ends.
    let mut next = VecDeque::from(walk.entries("")?);
    while let Some((key, bytes)) = next.pop_front() {
        let Some(bytes) = bytes else {
            for entry in walk.entries(&key)?.into_iter().rev() {
                next.push_front(entry);
            }
            continue;
        };
        page.objects.push(Listed { key, bytes });
        if page.objects.len() == LIST_PAGE_OBJECTS {
            page.after = page.objects.last().map(|last| last.key.clone());
            break;
        }
    }
    Ok(page)
}

/// A file to read and its length; `None` if there is none of that name.
pub(super) fn open(disk: &dyn Disk, path: &Path) -> io::Result<Option<(Box<dyn File>, u64)>> {
    match disk.open(path, Open::Read) {
        Ok(file) => {
            let bytes = file.len()?;
            Ok(Some((file, bytes)))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends what a file holds, piece by piece, until nobody wants more of it.
pub(super) async fn send(out: &BodySender, file: Box<dyn File>, bytes: u64) -> io::Result<()> {
    let file: Arc<dyn File> = file.into();
    let mut at = 0;
    while at < bytes {
        let (file, len) = (file.clone(), (bytes - at).min(READ_PIECE_BYTES as u64) as usize);
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; len];
            file.read_at(at, &mut piece).map(|()| Bytes::from(piece))
        });
        let piece = read.await.map_err(io::Error::other)??;
        at += piece.len() as u64;
        if !out.send(piece).await {
            break;
        }
    }
    Ok(())
}

struct Walk<'a> {
    disk: &'a dyn Disk,
    prefix: &'a str,
    after: &'a str,
}

impl Walk<'_> {
    /// What of a directory (empty, or with a slash at its end) may be in the page, in order; files with their bytes.
    fn entries(&self, dir: &str) -> io::Result<Vec<(String, Option<u64>)>> {
        if dir.matches('/').count() > LIST_DEPTH_MAX {
            return Err(io::Error::other(format!("directories are nested deeper than {LIST_DEPTH_MAX}")));
        }
        let entries = match self.disk.list(Path::new(dir.trim_end_matches('/'))) {
            // Removed since its name was read, or never there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let key = |Entry { name, is_dir, len }| {
            let key = format!("{dir}{name}{}", if is_dir { "/" } else { "" });
            (key, (!is_dir).then_some(len), name)
        };
        let entries = entries.into_iter().map(key);
        let wanted = entries.filter(|(key, bytes, name)| !name.starts_with(HIDDEN_PREFIX) && self.wants(key, *bytes));
        let mut wanted: Vec<_> = wanted.map(|(key, bytes, _)| (key, bytes)).collect();
        wanted.sort_unstable();
        Ok(wanted)
    }

    fn wants(&self, key: &str, bytes: Option<u64>) -> bool {
        if bytes.is_some() {
            return key.starts_with(self.prefix) && key > self.after;
        }
        let may_begin = key.starts_with(self.prefix) || self.prefix.starts_with(key);
        may_begin && (key > self.after || self.after.starts_with(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn pages_follow_each_other_in_the_order_of_keys() {
        let dir = tempfile::tempdir().unwrap();
        let keys = ["a", "a.b/x", "a/1", "a/2/3", "a0", "b/c", "b/é", "z"];
        for key in keys {
            let path = dir.path().join(format!("root/{key}"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            // "a" is a file and a directory: of the two, the directory is there.
            if key != "a" {
                std::fs::write(path, key).unwrap();
            }
        }
        std::fs::write(dir.path().join("root/.tmp-0123456789abcdef"), "unseen").unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        let all = |prefix: &str, after: Option<&str>| -> Vec<String> {
            let page = list(&disk, prefix, after).unwrap();
            assert_eq!(page.after, None);
            page.objects.into_iter().map(|object| object.key).collect()
        };
        let mut expected: Vec<_> = keys[1..].iter().map(|key| format!("root/{key}")).collect();
        expected.sort();
        assert_eq!(all("", None), expected);
        for (at, key) in expected.iter().enumerate() {
            assert_eq!(all("", Some(key)), expected[at + 1..], "{key}");
        }
        assert_eq!(all("root/a", None), ["root/a.b/x", "root/a/1", "root/a/2/3", "root/a0"]);
        assert_eq!(all("root/a/", Some("root/a/1")), ["root/a/2/3"]);
        assert_eq!(all("root/nothing/", None), [""; 0]);
        assert_eq!(all("../", None), [""; 0]);
    }
}
