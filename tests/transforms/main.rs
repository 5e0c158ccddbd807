//! Delivery streams with plugins, as their users see them: real modules, a real data directory, objects in a local lake.
#![allow(clippy::unwrap_used, reason = "it is a test")]

mod builtin;
mod counts;
mod errors;
mod faults;
mod formats;
mod functions;
mod lambda;
mod partitions;
mod restarts;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use standpipe::app::Service;
use standpipe::clock::Clock;
use standpipe::config::{Config, ModulePlace, Plugin, PluginKind, PluginLimits, Processor};
use standpipe::destination::Stores;
use standpipe::disk::RealDisk;
use standpipe::journal::Append;
use standpipe::record::Records;
use standpipe::telemetry::status::StreamStatus;

const GRACE: Duration = Duration::from_mins(1);

/// A data directory and a lake that survive restarts of the service.
struct House {
    data: tempfile::TempDir,
    lake: tempfile::TempDir,
}

/// What a service is started with.
#[derive(Clone, Default)]
struct Setting {
    tables: String,
    plugins: Vec<Plugin>,
    /// The processors of each delivery stream.
    process: BTreeMap<String, Vec<Processor>>,
}

impl Setting {
    /// A delivery stream into `LAKE/<name>/` whose records go through these plugins.
    fn stream(mut self, name: &str, buffer: &str, plugins: &[&str]) -> Self {
        let table = format!(
            "[delivery_stream.{name}]\nbuffer = {{ {buffer} }}\n[delivery_stream.{name}.destination]\ntype = \"local\"\n\
             path = \"LAKE\"\nprefix = \"{name}/\"\nerror_prefix = \"errors/{name}/\"\ndelimiter = \"if-missing\"\n"
        );
        self.tables.push_str(&table);
        self.process.insert(name.to_owned(), plugins.iter().map(|plugin| named(plugin)).collect());
        self
    }

    fn plugin(mut self, name: &str, module: PathBuf, config: &[(&str, &str)]) -> Self {
        self.plugins.push(plugin(name, module, config));
        self
    }
}

fn named(plugin: &str) -> Processor {
    Processor::Plugin { name: plugin.to_owned(), config: BTreeMap::new(), retries: None, batch_bytes: None }
}

fn plugin(name: &str, module: PathBuf, config: &[(&str, &str)]) -> Plugin {
    let limits = PluginLimits {
        memory: Some(32 << 20),
        fuel: Some(1_000_000_000),
        fuel_per_byte: 10_000,
        output_ratio: 16,
        batch_records: 500,
        batch_bytes: 256 << 10,
    };
    Plugin {
        name: name.to_owned(),
        kind: PluginKind::Wasm { module: ModulePlace::File(module), sha256: None, limits },
        config: config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

/// The module of an example.
fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("transforms/examples/{name}/{name}.wasm"))
}

/// A module that answers every record as it came.
fn identity() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/plugins/identity.wasm")
}

impl House {
    fn new() -> Self {
        House { data: tempfile::tempdir().unwrap(), lake: tempfile::tempdir().unwrap() }
    }

    fn config(&self, setting: &Setting) -> Config {
        let text = format!(
            "data_dir = \"{}\"\n[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n{}",
            self.data.path().display(),
            setting.tables
        )
        .replace("LAKE", self.lake.path().to_str().unwrap());
        let mut config = Config::parse(&text, "test.toml", Path::new("/"), &|_| None).unwrap_or_else(|e| panic!("{e}"));
        config.plugins.clone_from(&setting.plugins);
        for stream in &mut config.delivery_streams {
            if let Some(process) = setting.process.get(&stream.name) {
                stream.process.clone_from(process);
            }
        }
        config
    }

    async fn start(&self, setting: &Setting) -> Service {
        self.start_into(setting, Stores::new()).await
    }

    async fn start_into(&self, setting: &Setting, stores: Stores) -> Service {
        let disk = Arc::new(RealDisk::open(self.data.path()).unwrap());
        Service::start(&self.config(setting), Clock::real(), disk, stores).await.unwrap()
    }

    /// Every line of every object below `folder` of the lake.
    fn lines(&self, folder: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let mut folders = vec![self.lake.path().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    let text = String::from_utf8(std::fs::read(entry.path()).unwrap()).unwrap();
                    lines.extend(text.lines().map(str::to_owned));
                }
            }
        }
        lines
    }

    /// The same, each a JSON document.
    fn documents(&self, folder: &str) -> Vec<Value> {
        self.lines(folder).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The modules that are kept.
    fn modules(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.data.path().join("plugins")).into_iter().flatten().flatten();
        let modules =
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "wasm"));
        modules.map(|path| path.display().to_string()).collect()
    }
}

async fn put<T: AsRef<[u8]>>(service: &Service, stream: &str, records: &[T]) {
    let stream = service.streams.get(service.catalog.get(stream).unwrap().id);
    stream.append(Append::of(Records::from_slices(Clock::real().now_ms(), records))).await.unwrap();
}

async fn status(service: &Service, stream: &str) -> StreamStatus {
    let status = service.status().await;
    let found = status.streams.into_iter().find(|found| found.name == stream).unwrap();
    assert_eq!(found.unaccounted(), 0, "{found:?}");
    found
}

/// Waits until the stream's status is as asked; fails loudly after a while.
async fn until(service: &Service, stream: &str, what: impl Fn(&StreamStatus) -> bool) -> StreamStatus {
    let clock = Clock::real();
    for _ in 0..2_400 {
        let now = status(service, stream).await;
        if what(&now) {
            return now;
        }
        clock.sleep(Duration::from_millis(25)).await;
    }
    panic!("it never came: {:?}", status(service, stream).await);
}

/// Delivers what is there and stops.
async fn stop(service: Service) {
    let report = service.stop(GRACE).await.unwrap();
    assert!(report.left.is_empty(), "{report}");
}

/// CSV records: each fifth becomes one row, two, none (dropped), none (failed), and one of two. `csv` takes them apart and
/// `mask` leaves debug lines out.
struct Mixed;

impl Mixed {
    const COLUMNS: &[(&str, &str)] = &[("columns", "id,level,ip"), ("numbers", "id")];

    fn record(number: usize) -> String {
        let line = |part: usize, level: &str| format!("{},{level},203.0.113.9\n", number * 10 + part);
        match number % 5 {
            0 => line(0, "info"),
            1 => line(0, "info") + &line(1, "warn"),
            2 => line(0, "debug"),
            3 => line(0, "info") + "so,it,fails,whole\n",
            _ => line(0, "debug") + &line(1, "error"),
        }
    }

    fn records(numbers: std::ops::Range<usize>) -> Vec<String> {
        numbers.map(Self::record).collect()
    }

    /// The numbers of the rows that must be delivered of the records up to `count`, in order.
    fn rows(count: usize) -> Vec<u64> {
        let of = |number: usize| match number % 5 {
            0 => vec![0],
            1 => vec![0, 1],
            2 | 3 => vec![],
            _ => vec![1],
        };
        (0..count).flat_map(|number| of(number).into_iter().map(move |part| (number * 10 + part) as u64)).collect()
    }

    fn setting(buffer: &str) -> Setting {
        Setting::default().stream("web", buffer, &["csv", "mask"]).plugin("csv", example("csv"), Self::COLUMNS).plugin(
            "mask",
            example("mask"),
            &[],
        )
    }

    /// Each row of the first `count` records is there once, masked, and each that fails is in the error output once.
    fn is_whole(house: &House, count: usize) {
        let rows = house.documents("web");
        let mut ids: Vec<_> = rows.iter().map(|row| row["id"].as_u64().unwrap()).collect();
        ids.sort_unstable();
        assert_eq!(ids, Self::rows(count));
        assert!(rows.iter().all(|row| row["ip"] == "203.0.113.0"), "every step was done");
        let raw =
            |document: &Value| base64_simd::STANDARD.decode_to_vec(document["rawData"].as_str().unwrap()).unwrap();
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:csv";
        assert!(house.documents("errors").iter().all(|failed| failed["lambdaARN"] == arn), "by the step that failed");
        let mut failed: Vec<_> = house.documents("errors").iter().map(raw).collect();
        let mut expected: Vec<_> = (3..count).step_by(5).map(|number| Self::record(number).into_bytes()).collect();
        failed.sort();
        expected.sort();
        assert_eq!(failed, expected);
    }
}
