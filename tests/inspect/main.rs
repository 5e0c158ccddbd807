//! `standpipe errors`, `verify` and `replay` as their users meet them: the real program, beside a real service.
#![allow(clippy::unwrap_used, reason = "it is a test")]

#[path = "../support/mod.rs"]
mod support;

mod errors;
mod replay;
mod verify;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use standpipe::app::App;
use standpipe::clock::Clock;
use standpipe::config::Config;

/// A data directory, a lake and a configuration file, which survive restarts of the service.
struct House {
    dir: tempfile::TempDir,
}

/// The service, running.
struct Running {
    app: App,
    endpoint: String,
    admin: String,
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// It said no, and why.
    fn fails(self, why: &str) -> String {
        assert_eq!(self.code, 1, "{self:?}");
        let said = self.out + &self.err;
        assert!(said.contains(why), "{why:?} is not in:\n{said}");
        said
    }
}

impl House {
    /// With these tables of delivery streams; `LAKE` in them is a directory.
    fn new(tables: &str) -> House {
        let house = House { dir: tempfile::tempdir().unwrap() };
        let tables = tables.replace("LAKE", house.lake().to_str().unwrap());
        let data = house.dir.path().join("data");
        let text = format!(
            "data_dir = \"{}\"\n[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n{tables}",
            data.display()
        );
        std::fs::create_dir(house.lake()).unwrap();
        std::fs::write(house.config(), text).unwrap();
        house
    }

    fn lake(&self) -> PathBuf {
        self.dir.path().join("lake")
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("standpipe.toml")
    }

    async fn start(&self) -> Running {
        let config = Config::load(&self.config()).unwrap_or_else(|faults| panic!("{faults}"));
        let app = App::start(config, Clock::real()).await.unwrap();
        let (endpoint, admin) = (format!("http://{}", app.firehose_addr()), format!("http://{}", app.admin_addr()));
        Running { app, endpoint, admin }
    }

    /// A file with these bytes.
    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    /// Keys of all objects in the lake, in order; what begins with a dot left out.
    fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        let mut folders = vec![self.lake()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if entry.file_name().to_string_lossy().starts_with('.') {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else {
                    keys.push(path.strip_prefix(self.lake()).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        keys.sort();
        keys
    }

    fn keys_under(&self, prefix: &str) -> Vec<String> {
        self.keys().into_iter().filter(|key| key.starts_with(prefix)).collect()
    }

    /// All lines of the objects under `prefix`, sorted.
    fn lines(&self, prefix: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for key in self.keys_under(prefix) {
            let bytes = std::fs::read(self.lake().join(key)).unwrap();
            lines.extend(text_of(&bytes).lines().map(str::to_owned));
        }
        lines.sort();
        lines
    }
}

/// What is in an object, decompressed if it is gzip.
fn text_of(bytes: &[u8]) -> String {
    use std::io::Read;
    let mut text = String::new();
    match bytes {
        [0x1f, 0x8b, ..] => _ = flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut text).unwrap(),
        _ => text = String::from_utf8(bytes.to_vec()).unwrap(),
    }
    text
}

impl Running {
    async fn stop(self) {
        let report = self.app.stop(Duration::from_secs(20)).await.unwrap();
        assert!(report.left.is_empty(), "{report}");
    }

    /// Lines as records.
    async fn put(&self, house: &House, stream: &str, lines: &str) {
        let file = house.file("put.txt", lines);
        let args = ["put", stream, &file, "--strip", "--endpoint", &self.endpoint];
        cli(house, &args).await.ok();
    }

    /// Waits until the stream's status is as asked.
    async fn until(&self, house: &House, stream: &str, what: impl Fn(&Value) -> bool) {
        let mut last = Value::Null;
        for _ in 0..300 {
            let status: Value =
                serde_json::from_str(&cli(house, &["status", "--json", "--admin", &self.admin]).await.ok()).unwrap();
            let streams = status["streams"].as_array().unwrap();
            last = streams.iter().find(|found| found["name"] == stream).unwrap().clone();
            if what(&last) {
                return;
            }
            Clock::real().sleep(Duration::from_millis(50)).await;
        }
        panic!("it never came: {last}");
    }

    /// Waits until so many records are past.
    async fn settled(&self, house: &House, stream: &str, delivered: u64, failed: u64) {
        let is = |status: &Value| {
            status["delivered"] == delivered && status["failed"] == failed && status["backlog_records"] == 0
        };
        self.until(house, stream, is).await;
    }
}

/// Runs the program with the house's configuration file.
async fn cli(house: &House, args: &[&str]) -> Ended {
    let mut command = program(&house.config(), args);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

fn program(config: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standpipe"));
    command.args(args).env("STANDPIPE_CONFIG", config).env("AWS_REGION", "us-east-1").stdin(Stdio::null());
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "STANDPIPE_ADMIN", "STANDPIPE_ENDPOINT"] {
        command.env_remove(name);
    }
    command
}

/// A delivery stream of JSON records into `LAKE/<name>/`, a line for each.
fn stream(name: &str, compression: &str, more: &str) -> String {
    format!(
        "[delivery_stream.{name}]\nbuffer = {{ size = \"1 KiB\", interval = \"0s\" }}\n\
         [[delivery_stream.{name}.process]]\ntype = \"require-json\"\n\
         [delivery_stream.{name}.destination]\ntype = \"local\"\npath = \"LAKE\"\nprefix = \"{name}/\"\n\
         error_prefix = \"errors/{name}/!{{firehose:error-output-type}}/\"\ndelimiter = \"always\"\n\
         compression = \"{compression}\"\n{more}\n"
    )
}

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(60))).collect()
}
