//! `standpipe transform test`: sample records through a plugin, exactly as the service would run it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tracing::subscriber::NoSubscriber;

use super::super::logs::{self, LogFormat};
use super::super::setup;
use super::super::terminal::{complain, say};
use super::fate::{Cost, Report, fates, total};
use super::{sample, show};
use crate::clock::Clock;
use crate::config::names::{self, function_arn};
use crate::config::{Config, ModulePlace, Plugin, PluginKind, PluginLimits};
use crate::error::{Error, Kind, Result};
use crate::limits::{PLUGIN_MODULE_BYTES_MAX, TRANSFORM_MEASURED_MAX};
use crate::telemetry::metrics::Metrics;
use crate::transform::function::{Caller, Function, Settings};
use crate::transform::wasm::{self, Plugins};
use crate::transform::{Origins, Rows};

/// The command line of `transform test`.
#[derive(Args)]
#[command(
    after_help = "The plugin runs as in the service: same sandbox, same limits, same search for records that break it. Fuel and time of
each record are those of the record alone, on an instance of its own where the plugin asks for that; below the table
stand those of all records together. The plugin's log lines go to standard error.

Compiled modules are kept in the user's cache directory (XDG_CACHE_HOME, else ~/.cache).

Examples:
  standpipe transform test plugin.wasm --input sample.ndjson --config drop=debug
  standpipe transform test mask --config-file standpipe.toml --input sample.ndjson
  head -100 access.log | standpipe transform test plugin.wasm --input - --format json

Exit codes:
  0  the plugin ran, whatever became of the records
  1  it could not be run; standard error says why
  2  the command line is wrong"
)]
pub(super) struct TestArgs {
    /// A module's path; with --config-file a plugin's or function's name
    plugin: String,
    /// The file with sample records, a line each, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// A configuration value; may be given several times, beside and over those of the configuration file
    #[arg(long, value_name = "KEY=VALUE", value_parser = value)]
    config: Vec<(String, String)>,
    /// The configuration file that has the plugin
    #[arg(long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// How to show what became of the records
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// The delivery stream that the plugin is told
    #[arg(long, value_name = "NAME", default_value = "test")]
    stream: String,
    /// The whole file is one record
    #[arg(long)]
    whole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs: one document
    Json,
}

fn value(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not KEY=VALUE"))?;
    names::plugin_value(name, value).map_err(|error| error.message().to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn run(args: &TestArgs) -> ExitCode {
    if let Err(fault) = logs::start(LogFormat::Text) {
        complain(fault);
        return ExitCode::FAILURE;
    }
    setup::block_on(true, async {
        match report(args).await {
            Ok(report) => {
                match args.format {
                    Format::Table => say(show::table(&report).trim_end()),
                    Format::Json => say(serde_json::to_string_pretty(&report).unwrap_or_default()),
                }
                ExitCode::SUCCESS
            }
            Err(error) => {
                complain(error);
                ExitCode::FAILURE
            }
        }
    })
}

async fn report(args: &TestArgs) -> Result<Report> {
    names::stream_name(&args.stream)?;
    let clock = Clock::real();
    let (plugin, config) = plugin(args)?;
    let (rows, origins) = sample::read(&args.input, args.whole, clock.now_ms())?;
    match &plugin.kind {
        PluginKind::Function { url, timeout, retries, batch_bytes } => {
            let settings = Settings {
                arn: function_arn(&config.region, &config.account_id, &plugin.name),
                name: plugin.name.clone(),
                url: url.clone(),
                timeout: *timeout,
                retries: *retries,
                batch_bytes: *batch_bytes,
            };
            call(settings, &config, &args.stream, &rows, &origins, clock).await
        }
        PluginKind::Wasm { module, sha256, limits } => {
            let step = wasm::Step {
                arn: Some(function_arn(&config.region, &config.account_id, &plugin.name)),
                sha256: sha256.clone().unwrap_or_default(),
                config: plugin.config.clone(),
                limits: limits_of(limits),
                plugin: plugin.name.clone(),
            };
            let plugin = install(&plugin.name, module, step, &args.stream, &clock).await?;
            let work = move || measure(&plugin, &rows, &origins, &clock);
            let done = tokio::task::spawn_blocking(work).await;
            done.map_err(|error| Error::new(Kind::Internal, "the plugin's thread panicked").because(error))?
        }
    }
}

/// What is to be run, and the configuration that it stands in.
fn plugin(args: &TestArgs) -> Result<(Plugin, Config)> {
    let given: BTreeMap<_, _> = args.config.iter().cloned().collect();
    let Some(file) = &args.config_file else {
        let path = PathBuf::from(&args.plugin);
        let name = path.file_stem().map_or_else(|| args.plugin.clone(), |stem| stem.to_string_lossy().into_owned());
        let module = ModulePlace::File(path);
        let kind = PluginKind::Wasm { module, sha256: None, limits: PluginLimits::default() };
        names::plugin_values(given.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
        return Ok((Plugin { name, kind, config: given }, Config::new("")));
    };
    let config = Config::load(file)?;
    let found = config.plugins.iter().find(|plugin| plugin.name == args.plugin).cloned();
    let Some(mut plugin) = found else {
        let known: Vec<_> = config.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(Error::new(
            Kind::NotFound,
            format!("{} has no plugin {:?}; it has {known}", file.display(), args.plugin),
        ));
    };
    if plugin.is_function() && !given.is_empty() {
        return Err(Error::invalid(format!("{} is a function: it is given no --config", plugin.name)));
    }
    plugin.config.extend(given);
    names::plugin_values(plugin.config.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
    Ok((plugin, config))
}

fn limits_of(limits: &PluginLimits) -> wasm::Limits {
    let PluginLimits { memory, fuel, fuel_per_byte, output_ratio, batch_records, batch_bytes } = *limits;
    wasm::Limits { memory, fuel, fuel_per_byte, output_ratio, batch_records, batch_bytes, sparing: true }
}

/// The plugin, compiled and begun.
async fn install(
    name: &str,
    module: &ModulePlace,
    step: wasm::Step,
    stream: &str,
    clock: &Clock,
) -> Result<Arc<wasm::Plugin>> {
    let ModulePlace::File(path) = module else {
        return Err(Error::invalid(format!("the module of {name} is in a bucket: fetch it and give its path instead")));
    };
    let bytes = read_module(path)?;
    let plugins = Plugins::open(cache_dir(), clock.clone(), Arc::<Metrics>::default())?;
    let pin = Some(step.sha256.as_str()).filter(|pin| !pin.is_empty());
    let sha256 = plugins.install(name, bytes.into(), pin).await?;
    plugins.plugin(stream, &wasm::Step { sha256, ..step }).await
}

fn read_module(path: &Path) -> Result<Vec<u8>> {
    let fault = |error| Error::invalid(format!("module {} cannot be read", path.display())).because(error);
    let bytes = fs::metadata(path).map_err(fault)?.len();
    if bytes > PLUGIN_MODULE_BYTES_MAX as u64 {
        let message = format!("module {} has {bytes} bytes, more than {PLUGIN_MODULE_BYTES_MAX}", path.display());
        return Err(Error::invalid(message));
    }
    fs::read(path).map_err(fault)
}

/// Where compiled modules are kept: to compile a large one takes seconds.
fn cache_dir() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    base.unwrap_or_else(std::env::temp_dir).join("standpipe").join("plugins")
}

/// All records together, then each alone for what it costs.
fn measure(plugin: &wasm::Plugin, rows: &Rows, origins: &Origins, clock: &Clock) -> Result<Report> {
    let began = clock.instant();
    let (outcome, usage) = plugin.run_measured(rows, origins)?;
    let took = began.elapsed();
    let mut records = fates(rows, &outcome);
    let total = super::fate::Total {
        fuel: Some(usage.fuel),
        microseconds: microseconds(took),
        memory_bytes: Some(usage.memory_bytes),
        batches: Some(usage.batches),
        ..total(rows, &outcome, &records)
    };
    for (number, fate) in records.iter_mut().enumerate().take(TRANSFORM_MEASURED_MAX) {
        let (rows, origins) = sample::alone(rows, origins, number);
        let began = clock.instant();
        // What it writes into the log is there already.
        let quietly = || plugin.run_measured(&rows, &origins);
        let (_, usage) = tracing::subscriber::with_default(NoSubscriber::default(), quietly)?;
        fate.cost = Some(Cost { fuel: usage.fuel, microseconds: microseconds(began.elapsed()) });
    }
    Ok(Report { plugin: plugin.step().plugin.clone(), records, total })
}

async fn call(
    settings: Settings,
    config: &Config,
    stream: &str,
    rows: &Rows,
    origins: &Origins,
    clock: Clock,
) -> Result<Report> {
    let (region, account) = (&config.region, &config.account_id);
    let caller = Caller {
        delivery_stream_arn: format!("arn:aws:firehose:{region}:{account}:deliverystream/{stream}"),
        region: region.clone(),
        source_arn: None,
    };
    let name = settings.name.clone();
    let function = Function::new(settings, caller, clock.clone(), Arc::default())?;
    let began = clock.instant();
    let outcome = function.run(rows, origins).await?;
    let took = microseconds(began.elapsed());
    let records = fates(rows, &outcome);
    let total = super::fate::Total { microseconds: took, ..total(rows, &outcome, &records) };
    Ok(Report { plugin: name, records, total })
}

fn microseconds(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
