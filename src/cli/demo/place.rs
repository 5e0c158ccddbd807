//! The folder of a demonstration: where it is, what is written into it, and whether it stays.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::error::{Error, Result};

/// The folder. A temporary one goes when this is dropped.
pub(super) struct Place {
    root: PathBuf,
    stays: bool,
    config_text: String,
}

impl Place {
    /// A new or empty folder at `dir`, or a temporary one, with a configuration file in it.
    pub(super) fn make(dir: Option<&Path>, keep: bool, clock: &Clock) -> Result<Place> {
        let (root, stays) = match dir {
            Some(dir) => (given(dir)?, true),
            None => (temporary(clock)?, keep),
        };
        let config_text = config(&root)?;
        let place = Place { root, stays, config_text };
        let path = place.config_path();
        fs::write(&path, &place.config_text).map_err(|error| cannot("write", &path, error))?;
        Ok(place)
    }

    /// Its absolute path.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it is there after the demonstration.
    pub(super) fn stays(&self) -> bool {
        self.stays
    }

    /// Of the configuration file.
    pub(super) fn config_path(&self) -> PathBuf {
        self.root.join("standpipe.toml")
    }

    /// What stands in it.
    pub(super) fn config_text(&self) -> &str {
        &self.config_text
    }

    /// The root of the local destination.
    pub(super) fn lake(&self) -> PathBuf {
        self.root.join("lake")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.stays {
            // Nothing can be done about a folder that does not go, and nothing depends on it.
            _ = fs::remove_dir_all(&self.root);
        }
    }
}

fn given(dir: &Path) -> Result<PathBuf> {
    let root = std::path::absolute(dir).map_err(|error| cannot("find", dir, error))?;
    fs::create_dir_all(&root).map_err(|error| cannot("make", &root, error))?;
    let mut entries = fs::read_dir(&root).map_err(|error| cannot("read", &root, error))?;
    if entries.next().is_some() {
        let root = root.display();
        return Err(Error::invalid(format!("--dir {root} is not empty: name another folder, or remove it first")));
    }
    Ok(root)
}

fn temporary(clock: &Clock) -> Result<PathBuf> {
    let root = std::env::temp_dir().join(format!("standpipe-demo-{:08x}", clock.random() as u32));
    DirBuilder::new().mode(0o700).create(&root).map_err(|error| cannot("make", &root, error))?;
    Ok(root)
}

fn cannot(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::unavailable(format!("cannot {what} {}", path.display())).because(error)
}

fn config(root: &Path) -> Result<String> {
    let quote = |path: PathBuf| match path.to_str() {
        Some(text) => Ok(toml::Value::String(text.to_owned()).to_string()),
        None => Err(Error::invalid(format!("{} is not UTF-8", path.display()))),
    };
    let (data, lake) = (quote(root.join("data"))?, quote(root.join("lake"))?);
    Ok(format!(
        r#"data_dir = {data}        # the journal and the ledger

[server]
listen = "127.0.0.1:4573"          # Firehose API; this demonstration takes free ports instead
admin_listen = "127.0.0.1:4574"    # status, metrics, health

[delivery_stream.web-logs.buffer]
size = "256 KiB"                   # small, to see many objects soon; 5 MiB and 300s are usual
interval = "5s"

[delivery_stream.web-logs.destination]
type = "local"
path = {lake}
prefix = "web/!{{timestamp:yyyy/MM/dd/HH}}/"
error_prefix = "errors/!{{firehose:error-output-type}}/!{{timestamp:yyyy/MM/dd}}/"
compression = "gzip"
"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_folder_must_be_empty_and_stays_a_temporary_one_goes() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::real();
        let path = dir.path().join("a \"quoted\" name");
        drop(Place::make(Some(&path), false, &clock).unwrap());
        assert!(path.join("standpipe.toml").is_file());
        let again = Place::make(Some(&path), false, &clock).err().unwrap();
        assert!(again.to_string().contains("is not empty"), "{again}");

        let temporary = Place::make(None, false, &clock).unwrap();
        let root = temporary.root().to_owned();
        assert!(root.is_dir());
        drop(temporary);
        assert!(!root.exists());
    }

    #[test]
    fn the_configuration_is_toml_with_the_paths_as_they_are() {
        let text = config(Path::new("/a \"b\" \\c")).unwrap();
        let value: toml::Table = text.parse().unwrap();
        assert_eq!(value["data_dir"].as_str(), Some("/a \"b\" \\c/data"));
        let prefix = &value["delivery_stream"]["web-logs"]["destination"]["prefix"];
        assert_eq!(prefix.as_str(), Some("web/!{timestamp:yyyy/MM/dd/HH}/"));
    }
}
