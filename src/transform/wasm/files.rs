//! The modules on disk: `SHA256.wasm` as it was installed, and `SHA256.ENGINE.cwasm`, its machine code, which can always be
//! made again. A file appears whole, and durable, or not at all.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::limits::PLUGIN_MODULE_BYTES_MAX;

/// Machine code is at most so many times as large as the module: measured 2 to 4.
const CODE_GROWTH_MAX: usize = 16;

/// The directory of modules.
pub(super) struct Files {
    dir: PathBuf,
    fingerprint: String,
    clock: Clock,
}

impl Files {
    /// Opens `dir`, which is made; what an earlier process left half written goes.
    pub(super) fn open(dir: PathBuf, fingerprint: String, clock: Clock) -> Result<Self> {
        let files = Files { dir, fingerprint, clock };
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&files.dir);
        made.map_err(|error| files.failed("be made", error))?;
        for path in files.list()? {
            if path.extension().is_some_and(|extension| extension == "new") {
                _ = fs::remove_file(path);
            }
        }
        Ok(files)
    }

    /// The module; none where it was never installed.
    pub(super) fn module(&self, sha256: &str) -> Result<Option<Vec<u8>>> {
        self.read(&self.module_path(sha256), PLUGIN_MODULE_BYTES_MAX)
    }

    /// The file of its machine code for this engine; none where there is none.
    pub(super) fn code(&self, sha256: &str) -> Result<Option<Vec<u8>>> {
        self.read(&self.code_path(sha256), PLUGIN_MODULE_BYTES_MAX * CODE_GROWTH_MAX)
    }

    /// Keeps a module.
    pub(super) fn keep_module(&self, sha256: &str, bytes: &[u8]) -> Result<()> {
        self.write(&self.module_path(sha256), bytes)
    }

    /// Keeps its machine code.
    pub(super) fn keep_code(&self, sha256: &str, bytes: &[u8]) -> Result<()> {
        self.write(&self.code_path(sha256), bytes)
    }

    /// Removes what belongs to no module in `needed`, and machine code of other engines.
    pub(super) fn retain(&self, needed: &BTreeSet<String>) -> Result<()> {
        for path in self.list()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some((sha256, rest)) = name.split_once('.') else { continue };
            let ours = rest == "wasm" || *rest == format!("{}.cwasm", self.fingerprint);
            let known = rest == "wasm" || path.extension().is_some_and(|extension| extension == "cwasm");
            if known && !(ours && needed.contains(sha256)) {
                fs::remove_file(&path).map_err(|error| self.failed("lose a file", error))?;
            }
        }
        Ok(())
    }

    fn module_path(&self, sha256: &str) -> PathBuf {
        self.dir.join(format!("{sha256}.wasm"))
    }

    fn code_path(&self, sha256: &str) -> PathBuf {
        self.dir.join(format!("{sha256}.{}.cwasm", self.fingerprint))
    }

    fn list(&self) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(&self.dir).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        Ok(entries.map_err(|error| self.failed("be listed", error))?.iter().map(fs::DirEntry::path).collect())
    }

    fn read(&self, path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("be read", error)),
        };
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0).min(bytes_max));
        file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(|error| self.failed("be read", error))?;
        Ok(Some(bytes))
    }

    /// Two may write the same at the same time: each into a file of its own.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let new = self.dir.join(format!("{:016x}.new", self.clock.random()));
        let written = write_durably(&new, path, &self.dir, bytes);
        if written.is_err() {
            _ = fs::remove_file(new);
        }
        written.map_err(|error| self.failed("take a file", error))
    }

    fn failed(&self, what: &str, error: std::io::Error) -> Error {
        Error::unavailable(format!("the directory of plugins {} cannot {what}", self.dir.display())).because(error)
    }
}

fn write_durably(new: &Path, path: &Path, dir: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)?;
    File::open(dir)?.sync_all()
}
