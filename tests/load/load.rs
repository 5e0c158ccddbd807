//! The load generator: signs PutRecordBatch calls of web logs beforehand, sends them over kept connections, and says
//! what the service took for them. `cargo run --release --example load -- --help`
//!
//! `limits` measures what bounds any service on this machine: the disk's own sync, and hash, base64 and checksum over
//! the same bytes.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde_json::json;
use standpipe::cli::status;
use standpipe::clock::Clock;

mod calls;
mod connection;
mod limits;
mod process;
mod subscribe;

use calls::{Api, Calls, Signing};
use process::Usage;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(about = "Puts load on a Standpipe, and measures what it costs")]
struct Load {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send PutRecordBatch or PutRecords calls, signed beforehand, and print a JSON object with what came of them
    Send(SendArgs),
    /// Subscribe to a data stream of its own making, and measure how long after its acknowledgement a record comes
    Subscribe(subscribe::Args),
    /// Measure the bare limits: sync of the disk; hash, base64 and checksum of the same bytes
    Limits(LimitsArgs),
}

#[derive(Args)]
struct SendArgs {
    /// Address of the service
    #[arg(long, default_value = "127.0.0.1:4573")]
    address: String,
    /// Which API is called
    #[arg(long, value_enum, default_value = "firehose")]
    api: Api,
    /// The delivery stream or data stream
    #[arg(long, default_value = "web-logs")]
    stream: String,
    /// How many MB (10^6 bytes) of records to send
    #[arg(long, default_value_t = 200)]
    mb: u64,
    /// Records of one call
    #[arg(long, default_value_t = 500)]
    records: usize,
    /// Connections, each with one call under way
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Calls a second over all connections; as fast as it goes without. Latency then counts from the time at which a
    /// call was due
    #[arg(long)]
    rate: Option<f64>,
    /// Different bodies that are made and signed beforehand; they are sent in turn
    #[arg(long, default_value_t = 250)]
    distinct: usize,
    /// Access key id
    #[arg(long, env = "AWS_ACCESS_KEY_ID", default_value = "standpipe")]
    key: String,
    /// Secret access key
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", default_value = "standpipe", hide_env_values = true)]
    secret: String,
    /// Region of the signatures
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Process id of the service, whose CPU time and memory are then measured
    #[arg(long)]
    pid: Option<u32>,
    /// Its admin listener (http://127.0.0.1:4574): wait until everything is delivered, and measure up to there as well
    #[arg(long)]
    admin: Option<String>,
}

#[derive(Args)]
struct LimitsArgs {
    /// Directory on the disk to measure; a file is made in it and removed
    #[arg(long)]
    dir: PathBuf,
    /// How many MB (10^6 bytes) of records to hash, decode and sum up
    #[arg(long, default_value_t = 200)]
    mb: u64,
    /// Records of one call
    #[arg(long, default_value_t = 500)]
    records: usize,
    /// How many appends, each of one call's record bytes, are synced
    #[arg(long, default_value_t = 500)]
    syncs: usize,
}

fn main() -> ExitCode {
    let outcome = match Load::parse().command {
        Command::Send(args) => send(&args),
        Command::Subscribe(args) => subscribe::measure(&args),
        Command::Limits(args) => limits::measure(&args.dir, args.mb * 1_000_000, args.records, args.syncs),
    };
    match outcome {
        Ok(report) => {
            _ = writeln!(std::io::stdout(), "{report:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            _ = writeln!(std::io::stderr(), "load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn send(args: &SendArgs) -> Result<serde_json::Value, Failure> {
    let clock = Clock::real();
    let signing = Signing {
        api: args.api,
        address: &args.address,
        stream: &args.stream,
        key: &args.key,
        secret: &args.secret,
        region: &args.region,
    };
    let calls = Calls::make(&clock, &signing, args.records, args.distinct)?;
    let count = (args.mb * 1_000_000).div_ceil(calls.mean_record_bytes().max(1));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let before = args.pid.map(Usage::of).transpose()?;
        let started = clock.instant();
        let mut sent = connection::send_all(&clock, &args.address, calls, count, args.connections, args.rate).await?;
        let sending = started.elapsed().as_secs_f64();
        let mb = sent.record_bytes as f64 / 1e6;
        let (p50, p99, max) = sent.latencies_ms();
        let mut report = json!({
            "calls": sent.calls, "records": sent.records, "refused_calls": sent.refused, "mb": round(mb),
            "seconds": round(sending), "mb_per_second": round(mb / sending),
            "p50_ms": round(p50), "p99_ms": round(p99), "max_ms": round(max),
        });
        if let (Some(pid), Some(before)) = (args.pid, &before) {
            report["put"] = Usage::of(pid)?.since(before).report(mb);
        }
        if let Some(admin) = &args.admin {
            drained(&clock, admin, &args.stream).await?;
            let seconds = started.elapsed().as_secs_f64();
            report["delivered"] = json!({"seconds": round(seconds), "mb_per_second": round(mb / seconds)});
            if let (Some(pid), Some(before)) = (args.pid, &before) {
                report["delivered"]["cost"] = Usage::of(pid)?.since(before).report(mb);
            }
        }
        Ok(report)
    })
}

/// Waits until nothing of the stream waits any more.
async fn drained(clock: &Clock, admin: &str, stream: &str) -> Result<(), Failure> {
    loop {
        let status = status::fetch(clock, admin).await?;
        let found = status.streams.iter().find(|found| found.name == stream);
        if found.ok_or_else(|| format!("the service has no stream {stream}"))?.backlog_records == 0 {
            return Ok(());
        }
        clock.sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Three digits after the point.
fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
