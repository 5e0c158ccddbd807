//! What the commands share that look at what was delivered (`errors`, `verify`, `replay`): which stream is meant, where its
//! objects are, what their keys look like, what is in them, and how records are sent again exactly once.
//!
//! They read the configuration file and the data directory, and the stores with the credentials of the file: whoever may
//! not read those may not see records. The admin listener shows none, so nothing goes through it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use clap::Args;

use super::setup;
use super::terminal::{complain, harmless};
use crate::api::firehose::control::from_api;
use crate::catalog::{Catalog, Entry, Snapshot};
use crate::clock::Clock;
use crate::config::{Config, DeliveryStream, StartAt, Store, units};
use crate::destination::{Destination, Listed, Stores};
use crate::disk::{Disk, RealDisk};
use crate::error::{Error, Kind, Result};

pub(super) mod expand;
pub(super) mod keys;
pub(super) mod resend;
pub(super) mod rows;
pub(super) mod sent;

/// Where the service's configuration is.
#[derive(Args)]
pub(super) struct ConfigArgs {
    /// The service's configuration file; streams made through the API are found in its data directory
    #[arg(long, value_name = "FILE", env = "STANDPIPE_CONFIG", default_value = "standpipe.toml")]
    pub(super) config: PathBuf,
}

/// Where the service takes records.
#[derive(Args)]
pub(super) struct EndpointArgs {
    /// The service that takes the records [default: the one that the configuration file describes, on this machine]
    #[arg(long, value_name = "URL", env = "STANDPIPE_ENDPOINT")]
    endpoint: Option<String>,
    /// The region that requests are signed for [default: the configuration file's]
    #[arg(long, env = "AWS_REGION")]
    region: Option<String>,
}

impl EndpointArgs {
    /// URL and region, as far as they are not said those of `config`.
    pub(super) fn of(&self, config: &Config) -> (String, String) {
        let endpoint = self.endpoint.clone().unwrap_or_else(|| {
            let mut listen = config.server.listen;
            if listen.ip().is_unspecified() {
                listen.set_ip(if listen.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
            }
            format!("{}://{listen}", if config.server.tls.is_some() { "https" } else { "http" })
        });
        (endpoint, self.region.clone().unwrap_or_else(|| config.region.clone()))
    }
}

/// A configuration and what its data directory says of its streams.
pub(super) struct House {
    pub(super) config: Config,
    pub(super) clock: Clock,
    stores: Stores,
    /// The data directory and its streams, or why they cannot be read.
    known: Result<(Arc<dyn Disk>, Snapshot)>,
}

impl House {
    /// Reads the configuration file and looks into the data directory, where a service may be at work. Faults of the file
    /// are shown.
    pub(super) async fn open(args: &ConfigArgs) -> Result<House, ExitCode> {
        let config = setup::load(&args.config)?;
        let clock = Clock::real();
        let known = look(&config, &clock).await;
        Ok(House { config, clock, stores: Stores::new(), known })
    }

    /// All streams by name, with the disk that the ledger is on.
    ///
    /// # Errors
    /// Why the data directory cannot be read.
    pub(super) fn known(&self) -> Result<(&Arc<dyn Disk>, &Snapshot)> {
        match &self.known {
            Ok((disk, entries)) => Ok((disk, entries)),
            Err(error) => Err(Error::new(error.kind(), error.to_string())),
        }
    }

    /// The stream of this name with its identity, from the data directory.
    pub(super) fn entry(&self, name: &str) -> Result<Arc<Entry>> {
        let (_, entries) = self.known()?;
        entries.get(name).cloned().ok_or_else(|| no_stream(name, entries.keys().map(String::as_str)))
    }

    /// The stream of this name as it is configured now. One of the file is found without a data directory.
    pub(super) fn stream(&self, name: &str) -> Result<Arc<DeliveryStream>> {
        if let Some(found) = self.config.delivery_streams.iter().find(|stream| stream.name == name) {
            return Ok(Arc::new(found.clone()));
        }
        self.entry(name).map(|entry| entry.stream.clone())
    }

    /// The store, to look at.
    pub(super) async fn look(&self, store: &Store) -> Result<Arc<dyn Destination>> {
        self.stores.look(store).await
    }
}

async fn look(config: &Config, clock: &Clock) -> Result<(Arc<dyn Disk>, Snapshot)> {
    let cannot = |error: std::io::Error| {
        Error::unavailable(format!("data_dir {} cannot be read", config.data_dir.display())).because(error)
    };
    // Opening would make it.
    std::fs::metadata(config.data_dir.join("catalog")).map_err(cannot)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&config.data_dir).map_err(cannot)?);
    let entries = Catalog::look(disk.clone(), clock, config, from_api(config.buckets.clone())).await?;
    Ok((disk, entries))
}

fn no_stream<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<_> = known.collect();
    let known = if known.is_empty() { "there is none".to_owned() } else { format!("there are {}", known.join(", ")) };
    Error::new(Kind::NotFound, format!("there is no delivery stream {:?}: {known}", harmless(name)))
}

/// All objects under `prefix`, page by page.
///
/// # Errors
/// Those of the store, and of `take`.
pub(super) async fn list_all(
    store: &dyn Destination,
    prefix: &str,
    mut take: impl FnMut(Listed) -> Result<()>,
) -> Result<()> {
    let mut after: Option<String> = None;
    loop {
        let page = store.list(prefix, after.as_deref()).await?;
        page.objects.into_iter().try_for_each(&mut take)?;
        if page.after.is_none() {
            return Ok(());
        }
        after = page.after;
    }
}

/// A moment on the command line: a time such as 2026-01-02T03:04:05Z, or how long ago, such as 2h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Milliseconds since 1970.
    At(u64),
    /// Milliseconds before now.
    Ago(u64),
}

impl Moment {
    /// Reads it.
    pub(super) fn parse(text: &str) -> Result<Moment> {
        if let Ok(ago) = units::duration(text) {
            return Ok(Moment::Ago(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)));
        }
        match units::start_at(text) {
            Ok(StartAt::Time(ms)) => Ok(Moment::At(ms)),
            _ => Err(Error::invalid(format!(
                "{:?} is no time: write one such as 2026-01-02T03:04:05Z, or how long ago, such as 2h",
                harmless(text)
            ))),
        }
    }

    /// In milliseconds since 1970.
    pub(super) fn ms(self, clock: &Clock) -> u64 {
        match self {
            Moment::At(ms) => ms,
            Moment::Ago(ms) => clock.now_ms().saturating_sub(ms),
        }
    }
}

/// A time for a person.
pub(super) fn time(ms: u64) -> String {
    let at = i64::try_from(ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The exit code of a command that did what it could: an error is told.
pub(super) fn exit(done: Result<bool>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(harmless(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_or_ages() {
        for (text, expected) in [
            ("2h", Some(Moment::Ago(7_200_000))),
            ("1970-01-01T00:00:01Z", Some(Moment::At(1_000))),
            ("1970-01-01T01:00:01+01:00", Some(Moment::At(1_000))),
            ("latest", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(Moment::parse(text).ok(), expected, "{text}");
        }
        assert_eq!(Moment::Ago(u64::MAX).ms(&Clock::real()), 0);
    }
}
