//! Which paths a disk takes: relative ones made of plain names, so that none can leave the root by its spelling.

use std::io;
use std::path::{Component, Path};

use crate::limits::PATH_NAME_BYTES_MAX;

/// The names that `path` is made of; none for the root itself.
///
/// `InvalidInput` for an absolute path, for `..`, and for names that are not UTF-8, hold a NUL or are too long.
pub(super) fn names(path: &Path) -> io::Result<Vec<&str>> {
    path.components()
        .map(|component| match component {
            Component::Normal(name) => plain(name.to_str().ok_or_else(|| refused(path, "is not UTF-8"))?, path),
            Component::CurDir => Err(refused(path, "has the name \".\"")),
            Component::ParentDir => Err(refused(path, "has the name \"..\"")),
            Component::RootDir | Component::Prefix(_) => Err(refused(path, "is absolute")),
        })
        .collect()
}

/// The names of the directory that `path` is in, and its last name.
pub(super) fn split(path: &Path) -> io::Result<(Vec<&str>, &str)> {
    let mut names = names(path)?;
    let last = names.pop().ok_or_else(|| refused(path, "names the root itself"))?;
    Ok((names, last))
}

fn plain<'a>(name: &'a str, path: &Path) -> io::Result<&'a str> {
    if name.contains('\0') {
        return Err(refused(path, "holds a NUL byte"));
    }
    if name.len() > PATH_NAME_BYTES_MAX {
        return Err(refused(path, &format!("has a name of {} bytes, the limit is {PATH_NAME_BYTES_MAX}", name.len())));
    }
    Ok(name)
}

fn refused(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("path {:?} {why}", path.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_names_pass() {
        assert_eq!(names(Path::new("")).unwrap(), Vec::<&str>::new());
        assert_eq!(names(Path::new("a/b c/ü")).unwrap(), ["a", "b c", "ü"]);
        assert_eq!(split(Path::new("a/b")).unwrap(), (vec!["a"], "b"));
        let long = "x".repeat(256);
        for bad in ["/a", "..", "a/../b", "./a", "a/\0", &long] {
            assert_eq!(names(Path::new(bad)).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad:?}");
        }
        assert_eq!(split(Path::new("")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
