//! WASI 0.2 as plugins get it, for the runtimes of languages that ask for it: a clock that stands still, randomness that
//! follows from the batch, no files, arguments, environment or network; what is written to standard output and error
//! goes to the log.
//!
//! Whatever a guest may wait for is ready at once. Were there anything else, a guest could wait without burning fuel.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use wasmtime::Result;
use wasmtime::component::Resource;
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::p2::{DynPollable, InputStream, OutputStream, Pollable, StreamError, StreamResult, subscribe};

use super::guest::Guest;
use super::voice::{Output, Said};
use crate::limits::{PLUGIN_MESSAGE_BYTES_MAX, PLUGIN_RANDOM_BYTES_MAX};

/// What a guest gets whose standard output and error go to `said`.
pub(super) fn context(said: &Arc<Mutex<Said>>) -> WasiCtx {
    WasiCtx::builder()
        .stdin(NoInput)
        .stdout(Lines(said.clone(), Output::Out))
        .stderr(Lines(said.clone(), Output::Err))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

/// Random numbers that follow from a seed: Sebastiano Vigna's SplitMix64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Random(u64);

impl Random {
    /// Numbers of their own for each `place`: stream, shard and position of a batch's first record.
    pub(super) fn of(stream: &str, shard: u32, position: u64) -> Self {
        let place = [stream.as_bytes(), &shard.to_be_bytes(), &position.to_be_bytes()].concat();
        let digest = digest(&SHA256, &place);
        Random(u64::from_be_bytes(*digest.as_ref().first_chunk().expect("a SHA-256 has 32 bytes")))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, count: u64) -> Result<Vec<u8>> {
        wasmtime::ensure!(
            count <= PLUGIN_RANDOM_BYTES_MAX,
            "{count} random bytes are more than {PLUGIN_RANDOM_BYTES_MAX}"
        );
        let words = (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes());
        let mut bytes: Vec<u8> = words.collect();
        bytes.truncate(usize::try_from(count).unwrap_or(0));
        Ok(bytes)
    }
}

impl random::Host for Guest {
    fn get_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.random.bytes(len)
    }

    fn get_random_u64(&mut self) -> Result<u64> {
        Ok(self.random.next())
    }
}

impl insecure::Host for Guest {
    fn get_insecure_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.random.bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> Result<u64> {
        Ok(self.random.next())
    }
}

impl insecure_seed::Host for Guest {
    fn insecure_seed(&mut self) -> Result<(u64, u64)> {
        Ok((self.random.next(), self.random.next()))
    }
}

impl wall_clock::Host for Guest {
    fn now(&mut self) -> Result<wall_clock::Datetime> {
        let nanoseconds = u32::try_from(self.now_ms % 1_000).unwrap_or(0) * 1_000_000;
        Ok(wall_clock::Datetime { seconds: self.now_ms / 1_000, nanoseconds })
    }

    fn resolution(&mut self) -> Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: 1_000_000 })
    }
}

impl monotonic_clock::Host for Guest {
    fn now(&mut self) -> Result<u64> {
        Ok(self.now_ms.saturating_mul(1_000_000))
    }

    fn resolution(&mut self) -> Result<u64> {
        Ok(1_000_000)
    }

    /// Who sleeps wakes up at once: time stands still.
    fn subscribe_instant(&mut self, _: u64) -> Result<Resource<DynPollable>> {
        let ready = self.table.push(Ready)?;
        subscribe(&mut self.table, ready)
    }

    fn subscribe_duration(&mut self, _: u64) -> Result<Resource<DynPollable>> {
        self.subscribe_instant(0)
    }
}

/// What need not be waited for.
struct Ready;

#[async_trait]
impl Pollable for Ready {
    async fn ready(&mut self) {}
}

/// Standard input: at its end from the start.
struct NoInput;

impl IsTerminal for NoInput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for NoInput {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(NoInput)
    }
}

#[async_trait]
impl Pollable for NoInput {
    async fn ready(&mut self) {}
}

#[async_trait]
impl InputStream for NoInput {
    fn read(&mut self, _: usize) -> StreamResult<Bytes> {
        Err(StreamError::Closed)
    }
}

/// Standard output or error: lines of the log.
#[derive(Clone)]
struct Lines(Arc<Mutex<Said>>, Output);

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(self.1, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PLUGIN_MESSAGE_BYTES_MAX)
    }
}
