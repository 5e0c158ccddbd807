//! From a file to a [`Config`]: the only part of the configuration that touches the disk and the environment.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use toml::de::{DeTable, Deserializer};

use super::check::Checker;
use super::fault::Findings;
use super::units::show_size;
use super::{Config, Faults, raw, schema, shape};
use crate::limits::CONFIG_BYTES_MAX;

/// Where a configuration finds what it names: environment variables, and files beside it.
pub(super) struct Surroundings<'a> {
    pub(super) base_dir: &'a Path,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
}

impl Config {
    /// Reads and checks the file at `path`; secrets come from the process's environment and from files.
    pub fn load(path: &Path) -> Result<Config, Faults> {
        let name = path.display().to_string();
        let fault = |what: &str| Faults::whole_file(&name, what);
        let bytes = read_bounded(path, CONFIG_BYTES_MAX).map_err(|error| fault(&format!("cannot be read: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            fault(&format!("is not UTF-8: there is another byte at {}", error.utf8_error().valid_up_to()))
        })?;
        let base_dir = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let base_dir = std::path::absolute(base_dir).unwrap_or_else(|_| base_dir.to_owned());
        let (mut config, has_literal_secrets) = parse(&text, &name, &base_dir, &|name| std::env::var(name).ok())?;
        if has_literal_secrets && let Some(mode) = mode_open_to_others(path) {
            config.warnings.push(format!("{name} holds secrets and can be read by others (mode {mode:04o})"));
        }
        Ok(config)
    }

    /// Checks `text`, the file `file_name` in `base_dir`, to which its relative paths are relative. Variables are asked
    /// of `env`; files that it names are read.
    pub fn parse(
        text: &str,
        file_name: &str,
        base_dir: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, Faults> {
        parse(text, file_name, base_dir, env).map(|(config, _)| config)
    }
}

/// The configuration, and whether secrets stand in the text itself.
fn parse(
    text: &str,
    file_name: &str,
    base_dir: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(Config, bool), Faults> {
    let mut findings = Findings::new();
    let (mut document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        match text.get(span.clone()) {
            Some(key) if error.message() == "duplicate key" => findings.add(span, format!("duplicate key {key:?}")),
            _ => findings.add(span, error.message()),
        }
    }
    if !findings.is_empty() {
        // What was recovered may not be what was meant.
        return Err(findings.into_faults(file_name, text));
    }
    shape::check(&mut document, &schema::full(), &mut findings);
    let file = match raw::File::deserialize(Deserializer::from(document)) {
        Ok(file) => file,
        Err(error) => {
            findings.add(error.span().unwrap_or(0..0), error.message().trim_end());
            return Err(findings.into_faults(file_name, text));
        }
    };
    let mut checker = Checker::new(findings, Surroundings { base_dir, env });
    let config = checker.config(file);
    if checker.findings.is_empty() {
        Ok((Config { warnings: checker.warnings, ..config }, checker.has_literal_secrets))
    } else {
        Err(checker.findings.into_faults(file_name, text))
    }
}

impl Surroundings<'_> {
    /// A path of the file: absolute, or relative to the file's directory.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        self.base_dir.join(written)
    }
}

/// A file that the configuration names; the error is for a person.
pub(super) fn read_named(path: &Path) -> Result<Vec<u8>, String> {
    read_up_to(path, CONFIG_BYTES_MAX)
}

/// A file that may have `bytes_max` bytes; the error is for a person.
pub(super) fn read_up_to(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    read_bounded(path, bytes_max).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it has more than {}", show_size(bytes_max))));
    }
    Ok(bytes)
}

/// The mode of a file that its group or others may read.
#[cfg(unix)]
pub(super) fn mode_open_to_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & 0o044 != 0).then_some(mode)
}

/// Elsewhere modes are unknown.
#[cfg(not(unix))]
pub(super) fn mode_open_to_others(_path: &Path) -> Option<u32> {
    None
}
