//! `standpipe transform new`: a starting point that builds, with the contract and the helpers beside it, so that nothing has
//! to be fetched but the language's own tools.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::super::terminal::{complain, say};
use crate::config::names;
use crate::error::{Error, Kind, Result};

/// The command line of `transform new`.
#[derive(Args)]
#[command(after_help = "Examples:
  standpipe transform new drop-debug --lang rust
  standpipe transform new drop-debug --lang python --dir plugins/drop-debug

Exit codes:
  0  it is written; README.md in it says how to go on
  1  it is not: the directory is there already, or cannot be written
  2  the command line is wrong")]
pub(super) struct NewArgs {
    /// The plugin's name: letters, digits, `-` and `_`, a letter first
    name: String,
    /// The language to write it in
    #[arg(long, value_enum)]
    lang: Language,
    /// The directory to make; the name without
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Languages that there is a helper for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// Small and fast; needs cargo and a WebAssembly target
    Rust,
    /// Needs node and npm
    Js,
    /// Needs Python and pip
    Python,
}

/// A file by its path and what stands in it.
type File = (&'static str, &'static str);

/// What stands where this name is replaced.
const PLACEHOLDER: &str = "NAME";

macro_rules! file {
    ($path:literal, $from:literal) => {
        ($path, include_str!(concat!("../../../transforms/", $from)))
    };
}

const CONTRACT: File = file!("wit/transform.wit", "wit/transform.wit");

const RUST: &[File] = &[
    file!("Cargo.toml", "templates/rust/Cargo.toml"),
    file!("README.md", "templates/rust/README.md"),
    file!(".gitignore", "templates/rust/gitignore"),
    file!("input.ndjson", "templates/rust/input.ndjson"),
    file!("src/lib.rs", "templates/rust/src/lib.rs"),
    file!("sdk/rust/Cargo.toml", "sdk/rust/Cargo.toml"),
    file!("sdk/rust/src/lib.rs", "sdk/rust/src/lib.rs"),
    file!("sdk/rust/src/batch.rs", "sdk/rust/src/batch.rs"),
    file!("sdk/rust/src/guest.rs", "sdk/rust/src/guest.rs"),
    file!("sdk/rust/src/host.rs", "sdk/rust/src/host.rs"),
    file!("sdk/rust/src/outcome.rs", "sdk/rust/src/outcome.rs"),
    file!("sdk/rust/src/testing.rs", "sdk/rust/src/testing.rs"),
    file!("sdk/rust/src/tests.rs", "sdk/rust/src/tests.rs"),
];

const JS: &[File] = &[
    file!("package.json", "templates/js/package.json"),
    file!("README.md", "templates/js/README.md"),
    file!(".gitignore", "templates/js/gitignore"),
    file!("input.ndjson", "templates/js/input.ndjson"),
    file!("plugin.js", "templates/js/plugin.js"),
    file!("sdk/js/standpipe.js", "sdk/js/standpipe.js"),
    file!("sdk/js/componentize.js", "sdk/js/componentize.js"),
];

const PYTHON: &[File] = &[
    file!("build", "templates/python/build"),
    file!("README.md", "templates/python/README.md"),
    file!(".gitignore", "templates/python/gitignore"),
    file!("input.ndjson", "templates/python/input.ndjson"),
    file!("plugin.py", "templates/python/plugin.py"),
    file!("sdk/python/requirements.txt", "sdk/python/requirements.txt"),
    file!("sdk/python/standpipe_transform.py", "sdk/python/standpipe_transform.py"),
];

impl Language {
    fn files(self) -> &'static [File] {
        match self {
            Language::Rust => RUST,
            Language::Js => JS,
            Language::Python => PYTHON,
        }
    }
}

pub(super) fn run(args: &NewArgs) -> ExitCode {
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    match write(&args.name, args.lang, &dir) {
        Ok(()) => {
            say(format_args!("{} is written; {} says how to go on", dir.display(), dir.join("README.md").display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}

/// Writes the files into `dir`, which must not be there or be empty.
pub(super) fn write(name: &str, language: Language, dir: &Path) -> Result<()> {
    names::plugin_name(name)?;
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(Error::invalid(format!("plugin name {name:?} must begin with a letter")));
    }
    match fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {
            let message = format!("{} is there and not empty: nothing is written over", dir.display());
            return Err(Error::new(Kind::Conflict, message));
        }
        Ok(false) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(Error::invalid(format!("{} cannot be used", dir.display())).because(error)),
    }
    for (path, text) in language.files().iter().chain([&CONTRACT]) {
        // The helpers and the contract are the same for everybody.
        let own = !path.starts_with("sdk/") && !path.starts_with("wit/");
        let text = if own { text.replace(PLACEHOLDER, name) } else { (*text).to_owned() };
        let path = dir.join(path);
        put(&path, &text)
            .map_err(|error| Error::unavailable(format!("{} cannot be written", path.display())).because(error))?;
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text)?;
    if text.starts_with("#!") {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
