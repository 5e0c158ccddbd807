//! The bare limits: what the disk's sync takes, and what hash, base64 and checksum cost, over the bytes of calls.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use standpipe::cli::generate::weblog::WebLog;
use standpipe::clock::Clock;

use super::connection::percentiles_ms;
use super::process::thread_cpu_seconds;
use super::{Failure, calls, round};

/// Different calls that are gone through in turn: more than the caches hold.
const DISTINCT: usize = 100;

/// Measures both, over calls of `records` records: `syncs` appends, `bytes` of records.
pub(crate) fn measure(dir: &Path, bytes: u64, records: usize, syncs: usize) -> Result<Value, Failure> {
    let clock = Clock::real();
    let mut log = WebLog::new(1, clock.now_ms());
    let calls: Vec<_> =
        (0..DISTINCT).map(|_| calls::body(&mut log, super::calls::Api::Firehose, "web-logs", records)).collect();
    let record_bytes = calls.iter().map(|(_, bytes)| bytes).sum::<u64>() / DISTINCT as u64;
    let rounds = bytes.div_ceil(record_bytes * DISTINCT as u64).max(1);
    let mb = (rounds * record_bytes * DISTINCT as u64) as f64 / 1e6;

    let encoded: Vec<_> = calls.iter().map(|(body, _)| data_of(body)).collect();
    let decoded: Vec<Vec<_>> = encoded.iter().map(|call| call.iter().map(|data| decode(data)).collect()).collect();
    let hash = cpu_seconds(rounds, || calls.iter().for_each(|(body, _)| _ = black_box(digest(&SHA256, body))))?;
    let mut into = vec![0; 1 << 20];
    let base64 = cpu_seconds(rounds, || encoded.iter().flatten().for_each(|data| decode_into(data, &mut into)))?;
    let crc = cpu_seconds(rounds, || decoded.iter().flatten().for_each(|data| _ = black_box(crc32c::crc32c(data))))?;
    let (p50, p99, max) = sync_times(&clock, dir, record_bytes as usize, syncs)?;
    let rate = |seconds: f64| round(mb / seconds);
    Ok(json!({
        "fdatasync": {"append_bytes": record_bytes, "times": syncs, "p50_ms": round(p50), "p99_ms": round(p99), "max_ms": round(max)},
        "mb": round(mb),
        "sha256_of_bodies_mb_per_cpu_second": rate(hash),
        "base64_mb_per_cpu_second": rate(base64),
        "crc32c_mb_per_cpu_second": rate(crc),
        "together_cpu_seconds_per_gb": round((hash + base64 + crc) / mb * 1_000.0),
    }))
}

fn cpu_seconds(rounds: u64, mut work: impl FnMut()) -> Result<f64, Failure> {
    work();
    let before = thread_cpu_seconds()?;
    for _ in 0..rounds {
        work();
    }
    Ok((thread_cpu_seconds()? - before).max(1e-9))
}

/// The base64 of each record of a body.
fn data_of(body: &[u8]) -> Vec<&[u8]> {
    let quoted = body.split(|byte| *byte == b'"').collect::<Vec<_>>();
    quoted.windows(3).filter(|part| part[0] == b"Data" && part[1] == b":").map(|part| part[2]).collect()
}

fn decode(data: &[u8]) -> Vec<u8> {
    base64_simd::STANDARD.decode_to_vec(data).expect("it was encoded above")
}

fn decode_into(data: &[u8], into: &mut [u8]) {
    let decoded = base64_simd::STANDARD.decode(data, base64_simd::Out::from_slice(into)).expect("it was encoded above");
    black_box(decoded);
}

/// Median, 99th percentile and maximum of an append of `bytes` with its fdatasync, in milliseconds.
fn sync_times(clock: &Clock, dir: &Path, bytes: usize, times: usize) -> Result<(f64, f64, f64), Failure> {
    let path = dir.join(format!("standpipe-sync-{:08x}", clock.random() as u32));
    let mut file = File::create_new(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let block = vec![b'x'; bytes];
    let mut took: Vec<Duration> = Vec::with_capacity(times);
    let mut append = || -> std::io::Result<()> {
        for _ in 0..times {
            let started = clock.instant();
            file.write_all(&block)?;
            file.sync_data()?;
            took.push(started.elapsed());
        }
        Ok(())
    };
    let outcome = append();
    fs::remove_file(&path)?;
    outcome?;
    Ok(percentiles_ms(&mut took))
}
