//! The house rules, as a test: who may import whom, how long a file and a function may be, what is not said and not
//! called. What clippy and rustfmt check is left to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "tidy/scan.rs"]
mod scan;

use scan::{Source, functions, imports, offsets, test_modules, word_at};

const WORDS: &[&str] = &["record", "limits", "clock", "error", "telemetry", "disk", "json"];

/// Who may import whom, beside the words, which everybody may; ARCHITECTURE.md says why.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("record", &[]),
    ("limits", &[]),
    ("clock", &[]),
    ("error", &[]),
    ("telemetry", &[]),
    ("disk", &[]),
    ("json", &[]),
    ("config", &[]),
    ("journal", &[]),
    ("ledger", &[]),
    ("catalog", &["config"]),
    ("transform", &["config"]),
    ("format", &["config"]),
    ("destination", &["config"]),
    ("stream", &["journal"]),
    ("source", &["config", "journal", "stream"]),
    ("pipeline", &["config", "stream", "transform", "format", "destination", "ledger"]),
    ("api", &["config", "journal", "stream", "catalog"]),
    ("console", &["config", "catalog"]),
    ("app", EVERYTHING),
    ("cli", EVERYTHING),
];
const EVERYTHING: &[&str] = &["*"];

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_LONG: usize = 70;
const FUNCTION_LINES_MAX: usize = 120;
/// At most this share of all functions may be longer than `FUNCTION_LINES_LONG`.
const LONG_PERCENT_MAX: usize = 3;

const TOP_LEVEL: &[&str] =
    &["Cargo.toml", "Cargo.lock", "src", "transforms", "deploy", "tests", "README.md", "LICENSE"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "core", "misc"];

/// What is not called outside tests, and what to do instead. An entry with modules holds in those alone.
const BANNED_CALLS: &[(&str, &[&str], &str)] = &[
    (".unwrap()", &[], "return the error, or expect(\"why it cannot fail\")"),
    ("unbounded_channel", &[], "every queue has a bound, named in limits.rs"),
    ("sync::mpsc::channel(", &["journal", "ledger", "disk", "pipeline", "stream"], "tokio's mpsc with a bound"),
    ("thread_rng", &[], "randomness comes from Clock"),
    ("rand::random", &[], "randomness comes from Clock"),
    ("env::set_var", &[], "the environment is read, never written"),
    ("env::var", &["journal", "ledger", "stream", "pipeline", "format", "destination", "catalog"], "config reads it"),
    ("process::exit", &["journal", "ledger", "stream", "pipeline", "format", "destination", "api"], "return an error"),
    ("std::fs", &["journal", "ledger", "catalog", "stream", "pipeline", "format"], "go through Disk"),
    ("tokio::fs", &["journal", "ledger", "catalog", "stream", "pipeline", "format"], "go through Disk"),
];

/// The one file that may hold unsafe code.
const ONLY_UNSAFE: &str = "src/transform/wasm/artifact.rs";

/// What nobody writes, tests included.
const BANNED_EVERYWHERE: &[(&str, &str)] = &[
    ("dbg!(", "left over from debugging"),
    ("todo!(", "not finished"),
    ("unimplemented!(", "not finished"),
    ("#[ignore", "a test that does not run tests nothing"),
    ("#[allow(", "use #[expect(…, reason = \"…\")], which says when it is no longer needed"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    path.starts_with("tests")
        || name == "tests.rs"
        || name == "conformance.rs"
        || path.iter().any(|part| part == "tests")
}

/// Every Rust file of the package, by path.
fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in ["src", "tests", "transforms"] {
        files(Path::new(folder), &mut paths);
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    assert!(paths.len() > 20, "the package has more files than {}", paths.len());
    let mut sources: Vec<_> = paths.into_iter().map(Source::read).collect();
    let for_tests: Vec<_> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        let path = source.path.with_extension("");
        if for_tests.iter().any(|module| path.starts_with(module)) {
            source.product.clear();
        }
    }
    sources
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return };
    let mut names: Vec<_> = entries.map(|entry| entry.expect("a folder can be read").file_name()).collect();
    names.sort();
    for path in names.into_iter().map(|name| folder.join(name)) {
        let hidden = path
            .file_name()
            .is_some_and(|name| matches!(name.to_str(), Some("target" | "node_modules" | "__pycache__")));
        if root().join(&path).is_dir() && !hidden {
            files(&path, into);
        } else if !hidden {
            into.push(path);
        }
    }
}

/// Fails with one line for each fault.
fn report(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}\n  {}\n", faults.join("\n  "));
}

// ---- the rules ----

#[test]
fn nobody_imports_what_the_table_does_not_allow() {
    let table: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| source.path.starts_with("src")) {
        let module = source.module();
        let Some(module) = module.first() else { continue };
        let Some(allowed) = table.get(module.as_str()) else {
            faults.push(format!("{}: module {module} is not in the table", source.path.display()));
            continue;
        };
        for (name, at) in imports(source) {
            let ours = table.contains_key(name.as_str());
            let fine =
                name == *module || WORDS.contains(&&*name) || allowed.contains(&&*name) || *allowed == EVERYTHING;
            if ours && !fine {
                faults.push(format!("{}: {module} imports {name}", source.place(at)));
            }
        }
    }
    report("imports that the table does not allow:", &faults);
}

#[test]
fn every_file_says_what_it_is_for_and_is_short() {
    let mut faults = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        let path = source.path.display();
        if lines > FILE_LINES_MAX {
            faults.push(format!("{path}: {lines} lines, at most {FILE_LINES_MAX}"));
        }
        if !source.text.starts_with("//!") && !source.text.starts_with("#![doc = include_str!(") {
            faults.push(format!("{path}: does not begin with //!"));
        }
    }
    report("files:", &faults);
}

#[test]
fn functions_are_short() {
    let (mut all, mut long, mut faults) = (0, Vec::new(), Vec::new());
    for source in sources() {
        for (name, at, lines) in functions(&source) {
            all += 1;
            let said = format!("{} {name}: {lines} lines", source.place(at));
            if lines > FUNCTION_LINES_MAX {
                faults.push(said);
            } else if lines > FUNCTION_LINES_LONG {
                long.push(said);
            }
        }
    }
    report(&format!("functions of more than {FUNCTION_LINES_MAX} lines:"), &faults);
    if long.len() * 100 > all * LONG_PERCENT_MAX {
        report(
            &format!("more than {LONG_PERCENT_MAX} % of {all} functions have over {FUNCTION_LINES_LONG} lines:"),
            &long,
        );
    }
}

#[test]
fn nothing_is_called_that_is_banned() {
    let mut faults = Vec::new();
    for source in sources() {
        let module = source.module();
        if !source.path.ends_with(ONLY_UNSAFE) {
            faults.extend(
                offsets(&source.code, "unsafe {").into_iter().map(|at| format!("{}: unsafe", source.place(at))),
            );
        }
        for (call, only_in, instead) in BANNED_CALLS {
            let concerned = only_in.is_empty() || module.first().is_some_and(|module| only_in.contains(&&**module));
            for at in offsets(&source.product, call).into_iter().filter(|_| concerned) {
                faults.push(format!("{}: {call}: {instead}", source.place(at)));
            }
        }
        for (what, why) in BANNED_EVERYWHERE {
            for at in offsets(&source.code, what) {
                faults.push(format!("{}: {what}: {why}", source.place(at)));
            }
        }
    }
    report("banned:", &faults);
}

#[test]
fn names_say_something() {
    let mut faults = Vec::new();
    for source in sources() {
        for part in source.path.with_extension("").iter().filter_map(|part| part.to_str()) {
            if EMPTY_NAMES.contains(&part) {
                faults.push(format!("{}: {part}", source.path.display()));
            }
        }
        for at in offsets(&source.code, "mod ") {
            let name = word_at(&source.code, at + "mod ".len());
            if EMPTY_NAMES.contains(&name) {
                faults.push(format!("{}: mod {name}", source.place(at)));
            }
        }
    }
    report("names that say nothing about what is inside:", &faults);
}

#[test]
fn every_bound_is_used() {
    let sources = sources();
    let mut faults = Vec::new();
    let is_table = |source: &Source| source.path.starts_with("src/limits") || source.path == Path::new("src/limits.rs");
    for limits in sources.iter().filter(|source| is_table(source)) {
        for at in offsets(&limits.code, "pub const ") {
            let name = word_at(&limits.code, at + "pub const ".len());
            let used = sources.iter().any(|source| !is_table(source) && !offsets(&source.product, name).is_empty());
            if !used {
                faults.push(format!("{}: {name}", limits.place(at)));
            }
        }
    }
    report("bounds that nothing keeps:", &faults);
}

#[test]
fn the_top_level_holds_what_the_layout_says() {
    let ignored = fs::read_to_string(root().join(".gitignore")).unwrap_or_default();
    let mut faults = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let known = name.starts_with('.') || TOP_LEVEL.contains(&&*name);
        if !known && !ignored.lines().any(|line| line.trim_matches('/') == name) {
            faults.push(name);
        }
    }
    report("not in the layout:", &faults);
    for name in ["Cargo.lock", "README.md", "LICENSE", "src/ARCHITECTURE.md"] {
        assert!(root().join(name).is_file(), "{name} is missing");
    }
}

#[test]
fn no_path_of_somebodys_machine_is_written_down() {
    let mut paths = ["README.md", "Cargo.toml"].map(PathBuf::from).to_vec();
    for folder in ["src", "tests", "deploy", "transforms", ".ci"] {
        files(Path::new(folder), &mut paths);
    }
    let mut faults = Vec::new();
    for path in paths.iter().filter(|path| **path != Path::new(file!())) {
        let Ok(text) = fs::read_to_string(root().join(path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            if ["/home/", "/root/", "/Users/", "/work/"].iter().any(|place| line.contains(place)) {
                faults.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    report("paths of a machine:", &faults);
}

// ---- what documents promise ----

/// The options of each command, `errors show` and such too, from the program's own help.
fn commands() -> BTreeMap<String, BTreeSet<String>> {
    let mut commands = BTreeMap::new();
    let mut open = vec![String::new()];
    while let Some(command) = open.pop() {
        let arguments = command.split_whitespace().chain(["--help"]);
        let output = Command::new(env!("CARGO_BIN_EXE_standpipe")).args(arguments).output().expect("it runs");
        assert!(output.status.success(), "standpipe {command} --help fails");
        let help = String::from_utf8(output.stdout).expect("help is UTF-8");
        let listed = help.split_once("Commands:").map_or("", |(_, listed)| listed);
        let names = listed.lines().skip(1).take_while(|line| !line.trim().is_empty());
        let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
        open.extend(names.map(|name| format!("{command} {name}").trim().to_owned()));
        commands.insert(command, options(&help).collect());
    }
    assert!(commands.len() > 10, "the help lists commands");
    commands
}

/// Everything in `text` that looks like a long option.
fn options(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '[' | ']' | ',' | '`' | '(' | ')' | '|' | '='))
        .filter(|word| word.len() > 2 && word.starts_with("--"))
        .map(str::to_owned)
}

/// What a line that runs the program gets wrong. `line` begins after the program's name.
fn command_faults(commands: &BTreeMap<String, BTreeSet<String>>, line: &str) -> Vec<String> {
    let line = line.split(['|', ';', '#', '>']).next().unwrap_or_default();
    let words =
        line.split(|c: char| c.is_whitespace() || matches!(c, '"' | ',' | ']' | '`')).filter(|word| !word.is_empty());
    let Some(command) = words.clone().find(|word| word.chars().all(|c| c.is_ascii_lowercase())) else {
        return Vec::new();
    };
    if words.clone().next() != Some(command) {
        return Vec::new();
    }
    let both = words.clone().take(2).collect::<Vec<_>>().join(" ");
    match commands.get(&both).or_else(|| commands.get(command)) {
        None => vec![format!("no command {command}")],
        Some(known) => options(line)
            .filter(|option| !known.contains(option))
            .map(|option| format!("{command} has no {option}"))
            .collect(),
    }
}

#[test]
fn the_readme_names_files_commands_and_options_that_exist() {
    let text = fs::read_to_string(root().join("README.md")).expect("README.md");
    let commands = commands();
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let links = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let spoken = line.split(|c: char| c.is_whitespace() || "`\"'(),;:".contains(c));
        let folders = ["src/", "tests/", "deploy/", "transforms/", ".ci/"];
        let paths = spoken.filter(|word| folders.iter().any(|folder| word.starts_with(folder)));
        for path in links.filter(|link| !link.is_empty() && !link.contains("://")).chain(paths) {
            if !path.contains(['*', '<']) && !root().join(path.trim_end_matches('.')).exists() {
                faults.push(format!("README.md:{}: no {path}", number + 1));
            }
        }
        let runs = ["`standpipe ", "$ standpipe ", "run --release -- ", "run -- "];
        let starts = runs.iter().flat_map(|run| line.match_indices(run).map(|(at, run)| at + run.len()));
        let own_line = line.trim_start().strip_prefix("standpipe ").map(|rest| line.len() - rest.len());
        for at in starts.chain(own_line) {
            let quoted = line[..at].matches('`').count() % 2 == 1;
            let end = if quoted { line[at..].find('`').map_or(line.len(), |length| at + length) } else { line.len() };
            faults.extend(
                command_faults(&commands, &line[at..end])
                    .iter()
                    .map(|fault| format!("README.md:{}: {fault}", number + 1)),
            );
        }
    }
    report("the README names what is not there:", &faults);
}

#[test]
fn what_is_deployed_runs_commands_that_exist() {
    let commands = commands();
    let mut faults = Vec::new();
    for (path, marks) in [
        ("deploy/standpipe.service", &["ExecStart=", "ExecStartPre=", "ExecReload="][..]),
        ("deploy/Dockerfile", &["CMD ", "HEALTHCHECK ", "ENTRYPOINT "]),
        ("deploy/compose.yaml", &["command:", "test:"]),
    ] {
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let lines: Vec<_> =
            text.lines().filter(|line| marks.iter().any(|mark| line.trim().starts_with(mark))).collect();
        assert!(!lines.is_empty(), "{path} runs nothing");
        for line in lines {
            // After the program's own name, or after the mark where an entry point names it.
            let words = line.split_once("bin/standpipe").or_else(|| line.split_once('[')).map_or("", |(_, rest)| rest);
            faults.extend(command_faults(&commands, words).iter().map(|fault| format!("{path}: {line}: {fault}")));
        }
    }
    report("deploy/ names what is not there:", &faults);
}

#[test]
fn the_configuration_in_the_compose_file_is_right() {
    let text = fs::read_to_string(root().join("deploy/compose.yaml")).unwrap();
    let (_, content) = text.split_once("content: |\n").expect("the compose file holds a configuration");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("standpipe.toml");
    fs::write(&path, content.lines().map(|line| line.trim_start().to_owned() + "\n").collect::<String>()).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_standpipe"));
    let output = check.arg("check").arg("--config").arg(&path).env("STANDPIPE_SECRET", "s3cret").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
