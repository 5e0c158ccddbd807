//! `standpipe check`: says whether a configuration file is right, or everything that is wrong with it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use crate::config::endpoint::shown_url;
use crate::config::units::{show_duration, show_size};
use crate::config::{
    Builtin, Config, DataStream, DeliveryStream, DiskBudget, ModulePlace, Plugin, PluginKind, Processor, Source,
    SubRecords, schema,
};
use crate::destination::place as place_of;

/// Checks the file at `path` and prints a summary, or its faults to standard error; exit code 1 with faults. With
/// `print_schema` it prints the JSON schema of the file instead and reads nothing.
pub fn run(path: &Path, print_schema: bool) -> ExitCode {
    if print_schema {
        print(&format!("{:#}\n", schema()));
        return ExitCode::SUCCESS;
    }
    match Config::load(path) {
        Ok(config) => {
            for warning in &config.warnings {
                print_error(&format!("warning: {warning}\n"));
            }
            print(&format!("OK: {}\n{}", path.display(), summary(&config)));
            ExitCode::SUCCESS
        }
        Err(faults) => {
            let count = faults.iter().count();
            print_error(&format!("{faults}\n{count} {}\n", if count == 1 { "fault" } else { "faults" }));
            ExitCode::FAILURE
        }
    }
}

/// What a person wants to see again: where data lie, who listens, which streams go where.
fn summary(config: &Config) -> String {
    let mut out = String::new();
    let budget = match config.journal.max {
        DiskBudget::Bytes(bytes) => show_size(bytes),
        DiskBudget::Percent(percent) => format!("{percent}% of the file system"),
    };
    let access = match config.access_keys.len() {
        0 => "no access keys: any signature is taken".to_owned(),
        1 => "1 access key".to_owned(),
        keys => format!("{keys} access keys"),
    };
    let tls = if config.server.tls.is_some() { " (TLS)" } else { "" };
    let server = &config.server;
    // Writing to a String cannot fail.
    let _ = writeln!(out, "  data      {}, journal up to {budget}", config.data_dir.display());
    let _ = writeln!(out, "  listen    {}{tls}, admin {}; {access}", server.listen, server.admin_listen);
    for stream in &config.data_streams {
        let _ = writeln!(out, "  holds     {}", data_line(stream));
    }
    for plugin in config.plugins.iter().filter(|plugin| !plugin.name.contains('/')) {
        let _ = writeln!(out, "  plugin    {}: {}", plugin.name, place(plugin));
    }
    let _ = writeln!(out, "  streams   {}", config.delivery_streams.len());
    for stream in &config.delivery_streams {
        let _ = writeln!(out, "    {}", lines(stream));
        for (number, step) in (1..).zip(&stream.process) {
            let _ = writeln!(out, "      {number}. {}", step_line(step, config));
        }
    }
    out
}

fn data_line(stream: &DataStream) -> String {
    let mode = if stream.on_demand { ", on demand" } else { "" };
    let shards = if stream.shards == 1 { "shard" } else { "shards" };
    format!("{}: {} {shards}{mode}, {}", stream.name, stream.shards, show_duration(stream.retention))
}

/// The stream, and its backup and its webhook in lines of their own.
fn lines(stream: &DeliveryStream) -> String {
    let mut lines = line(stream);
    if let Some(backup) = stream.of_backup() {
        let _ = write!(lines, "\n      backup: {}", line(&backup));
    }
    if let Some(webhook) = &stream.webhook {
        let _ = write!(lines, "\n      webhook: {}", shown_url(&webhook.url));
    }
    lines
}

fn line(stream: &DeliveryStream) -> String {
    let source = match &stream.source {
        Source::Direct => String::new(),
        Source::DataStream { name, .. } => format!("{name} -> "),
        Source::Kinesis(from) => format!("kinesis {} -> ", from.stream),
    };
    let destination = &stream.destination;
    let root = place_of(&destination.store);
    let buffer = format!("{} or {}", show_size(stream.buffer.size_bytes), show_duration(stream.buffer.interval));
    if let Some(http) = &destination.http {
        return format!("{source}{} -> {} ({buffer}), failures to {root}", stream.name, shown_url(&http.url));
    }
    let compression = serde_json::to_value(destination.compression).unwrap_or_default();
    let form = match &destination.conversion {
        Some(conversion) => conversion.format.extension().trim_start_matches('.'),
        None => compression.as_str().unwrap_or_default(),
    };
    format!("{source}{} -> {root}/{} ({form}, {buffer})", stream.name, destination.prefix.text())
}

/// Where the code of a plugin is.
fn place(plugin: &Plugin) -> String {
    match &plugin.kind {
        PluginKind::Wasm { module, sha256, .. } => {
            let pinned = if sha256.is_some() { ", pinned" } else { "" };
            match module {
                ModulePlace::File(path) => format!("module {}{pinned}", path.display()),
                ModulePlace::S3 { bucket, key, .. } => format!("module s3://{bucket}/{key}{pinned}"),
            }
        }
        PluginKind::Function { url, .. } => format!("function {url}"),
    }
}

fn step_line(step: &Processor, config: &Config) -> String {
    let (name, own, retries, batch_bytes) = match step {
        Processor::Plugin { name, config, retries, batch_bytes } => (name, config, retries, batch_bytes),
        Processor::RequireJson => return "require-json".to_owned(),
        Processor::Builtin(builtin) => return builtin_line(builtin),
    };
    let plugin = config.plugins.iter().find(|plugin| plugin.name == *name);
    let mut said = match plugin {
        Some(plugin) if name.contains('/') => place(plugin),
        Some(plugin) if plugin.is_function() => format!("function {name}"),
        _ => format!("plugin {name}"),
    };
    let mut values = plugin.map(|plugin| plugin.config.clone()).unwrap_or_default();
    values.extend(own.clone());
    for (name, value) in values {
        let short: String = value.chars().take(40).collect();
        let _ = write!(said, " {name}={short:?}");
    }
    if let Some(retries) = retries {
        let _ = write!(said, ", {retries} retries");
    }
    if let Some(bytes) = batch_bytes {
        let _ = write!(said, ", {} a call", show_size(u64::from(*bytes)));
    }
    said
}

fn builtin_line(builtin: &Builtin) -> String {
    match builtin {
        Builtin::Decompress => "decompress".to_owned(),
        Builtin::CloudwatchLogs => "cloudwatch-logs".to_owned(),
        Builtin::Deaggregate(SubRecords::Json) => "deaggregate JSON objects".to_owned(),
        Builtin::Deaggregate(SubRecords::Delimited(_)) => "deaggregate by delimiter".to_owned(),
        Builtin::Keys { query, event_time } => {
            let query = query.iter().map(|query| format!("extract {query}"));
            let time = event_time.iter().map(|time| format!("event time at {} ({})", time.from, time.format));
            query.chain(time).collect::<Vec<_>>().join(", ")
        }
    }
}

/// A closed pipe (`| head`) is no fault of ours.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn print_error(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_who_listens_and_what_goes_where() {
        let text = "data_dir = \"/data\"\n[journal]\nmax_bytes = \"10 GiB\"\n\
            [delivery_stream.web.buffer]\nsize = \"1 MiB\"\n\
            [delivery_stream.web.destination]\ntype = \"s3\"\nbucket = \"logs\"\nprefix = \"web/\"\ncompression = \"gzip\"\n\
            [delivery_stream.web.webhook]\nurl = \"https://told.example/of?token=hush\"\n\
            [data_stream.clicks]\nmode = \"on-demand\"\n\
            [delivery_stream.new]\nsource = { data_stream = \"clicks\" }\n\
            destination = { type = \"local\", path = \"/srv/new\" }\n\
            [delivery_stream.far]\nsource = { kinesis = { stream = \"orders\" } }\n\
            destination = { type = \"local\", path = \"/srv/far\" }\n\
            [delivery_stream.audit.destination]\ntype = \"local\"\npath = \"/srv/lake\"\n\
            [[delivery_stream.audit.process]]\ntype = \"require-json\"\n\
            [[delivery_stream.audit.process]]\ntype = \"plugin\"\nplugin = \"mask\"\nconfig = { mode = \"b\" }\n\
            [[delivery_stream.audit.process]]\ntype = \"plugin\"\nplugin = \"enrich\"\nretries = 5\n\
            [[delivery_stream.audit.process]]\ntype = \"wasm\"\nmodule = { bucket = \"code\", key = \"c.wasm\" }\n\
            [plugin.enrich]\nurl = \"http://lambda:9000/f\"\n\
            [plugin.mask]\nmodule = { bucket = \"code\", key = \"m.wasm\" }\nconfig = { mode = \"a\", only = \"ip\" }\n";
        let config = Config::parse(text, "c.toml", Path::new("/"), &|_| None).unwrap();
        assert_eq!(
            summary(&config),
            "  data      /data, journal up to 10 GiB\n  \
               listen    127.0.0.1:4573, admin 127.0.0.1:4574; no access keys: any signature is taken\n  \
               holds     clicks: 4 shards, on demand, 24h\n  \
               plugin    enrich: function http://lambda:9000/f\n  \
               plugin    mask: module s3://code/m.wasm\n  \
               streams   4\n    \
                 web -> s3://logs/web/ (gzip, 1 MiB or 300s)\n      \
                   webhook: https://told.example/of?***\n    \
                 clicks -> new -> /srv/new/ (none, 5 MiB or 300s)\n    \
                 kinesis orders -> far -> /srv/far/ (none, 5 MiB or 300s)\n    \
                 audit -> /srv/lake/ (none, 5 MiB or 300s)\n      \
                   1. require-json\n      \
                   2. plugin mask mode=\"b\" only=\"ip\"\n      \
                   3. function enrich, 5 retries\n      \
                   4. module s3://code/c.wasm\n"
        );
    }

    #[test]
    fn the_schema_needs_no_file_and_faults_give_an_exit_code() {
        assert_eq!(format!("{:?}", run(Path::new("/does/not/exist"), true)), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(format!("{:?}", run(Path::new("/does/not/exist"), false)), format!("{:?}", ExitCode::FAILURE));
    }
}
