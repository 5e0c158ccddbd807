//! Sends calls over kept connections, with as little between them and the socket as there can be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use standpipe::clock::{Clock, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Failure;
use super::calls::{Call, Calls};

/// What came of the calls.
#[derive(Default)]
pub(crate) struct Sent {
    /// Calls answered with 200 and no record refused.
    pub(crate) calls: u64,
    /// Calls answered otherwise.
    pub(crate) refused: u64,
    /// Records of the former.
    pub(crate) records: u64,
    /// Bytes of those.
    pub(crate) record_bytes: u64,
    latencies: Vec<Duration>,
}

impl Sent {
    /// Median, 99th percentile and maximum, in milliseconds.
    pub(crate) fn latencies_ms(&mut self) -> (f64, f64, f64) {
        percentiles_ms(&mut self.latencies)
    }

    fn add(&mut self, other: Sent) {
        self.calls += other.calls;
        self.refused += other.refused;
        self.records += other.records;
        self.record_bytes += other.record_bytes;
        self.latencies.extend(other.latencies);
    }
}

/// Median, 99th percentile and maximum, in milliseconds.
pub(crate) fn percentiles_ms(times: &mut [Duration]) -> (f64, f64, f64) {
    times.sort_unstable();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
    let ms = |time: Option<&Duration>| time.map_or(0.0, Duration::as_secs_f64) * 1_000.0;
    (ms(at(50)), ms(at(99)), ms(times.last()))
}

/// The order in which calls go out, shared by all connections.
struct Schedule {
    calls: Vec<Call>,
    count: u64,
    next: AtomicU64,
    started: Instant,
    /// Between one call and the next, over all connections.
    pause: Option<Duration>,
    /// Distinguishes this run's invocation ids from those of others.
    run: u32,
}

/// Sends `count` calls over `connections`, `rate` a second or as fast as it goes.
pub(crate) async fn send_all(
    clock: &Clock,
    address: &str,
    calls: Calls,
    count: u64,
    connections: usize,
    rate: Option<f64>,
) -> Result<Sent, Failure> {
    let schedule = Arc::new(Schedule {
        calls: calls.0,
        count,
        next: AtomicU64::new(0),
        started: clock.instant(),
        pause: rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
        run: clock.random() as u32,
    });
    let mut tasks = Vec::new();
    for _ in 0..connections.max(1) {
        let socket = TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}"))?;
        socket.set_nodelay(true)?;
        tasks.push(tokio::spawn(converse(clock.clone(), socket, schedule.clone())));
    }
    let mut sent = Sent::default();
    for task in tasks {
        sent.add(task.await??);
    }
    Ok(sent)
}

async fn converse(clock: Clock, mut socket: TcpStream, schedule: Arc<Schedule>) -> Result<Sent, Failure> {
    let mut sent = Sent::default();
    let mut answer = Vec::with_capacity(64 << 10);
    loop {
        let number = schedule.next.fetch_add(1, Ordering::Relaxed);
        if number >= schedule.count {
            return Ok(sent);
        }
        let mut due = clock.instant();
        if let Some(pause) = schedule.pause {
            due = schedule.started + pause.mul_f64(number as f64);
            clock.sleep_until(due).await;
        }
        let call = &schedule.calls[(number % schedule.calls.len() as u64) as usize];
        let id = format!("amz-sdk-invocation-id: {:08x}-0000-4000-8000-{number:012x}\r\n\r\n", schedule.run);
        socket.write_all(&[&call.head, id.as_bytes()].concat()).await?;
        socket.write_all(&call.body).await?;
        let taken = read_answer(&mut socket, &mut answer).await?;
        sent.latencies.push(due.elapsed());
        if taken {
            sent.calls += 1;
            sent.records += call.records;
            sent.record_bytes += call.record_bytes;
        } else if sent.refused == 0 && !answer.starts_with(b"HTTP/1.1 200") && !answer.starts_with(b"HTTP/1.1 503") {
            return Err(String::from_utf8_lossy(&answer).into());
        } else {
            sent.refused += 1;
        }
    }
}

/// Reads one answer into `answer`; whether it says that all records were taken.
async fn read_answer(socket: &mut TcpStream, answer: &mut Vec<u8>) -> Result<bool, Failure> {
    answer.clear();
    let body = loop {
        if socket.read_buf(answer).await? == 0 {
            return Err("the service closed the connection".into());
        }
        if let Some(end) = memchr::memmem::find(answer, b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = std::str::from_utf8(&answer[..body])?.to_ascii_lowercase();
    let length = head.split_once("content-length: ").ok_or("an answer without content-length")?.1;
    let length: usize = length.split("\r\n").next().unwrap_or_default().parse()?;
    while answer.len() < body + length {
        if socket.read_buf(answer).await? == 0 {
            return Err("the service closed the connection within an answer".into());
        }
    }
    let none_failed = [&br#""FailedPutCount":0"#[..], br#""FailedRecordCount":0"#, b"FailedRecordCount\0"];
    let all = none_failed.iter().any(|text| memchr::memmem::find(&answer[body..], text).is_some());
    Ok(answer.starts_with(b"HTTP/1.1 200") && all)
}
