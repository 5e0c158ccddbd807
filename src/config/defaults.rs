//! Every default, once: for the file, for the API and for what the program configures by itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    Buckets, Buffering, Compression, Config, DataStream, Delimiter, DeliveryStream, Destination, DiskBudget,
    JournalConfig, KinesisConfig, KinesisSource, Level, PartitionSettings, PluginLimits, Prefix, PrefixKind,
    S3Connection, S3Store, ServerConfig, Source, StartAt, Store, check_prefixes,
};
use crate::error::{Error, Result};
use crate::limits::{
    BUFFER_BYTES_MAX, BUFFER_BYTES_MIN, BUFFER_INTERVAL_MAX, DATA_RECORD_BYTES_DEFAULT, DATA_RETENTION_MIN,
    LANES_OPEN_DEFAULT, PLUGIN_BATCH_BYTES_DEFAULT, PLUGIN_BATCH_RECORDS_DEFAULT, PLUGIN_BYTE_FUEL_DEFAULT,
    PLUGIN_OUTPUT_RATIO_DEFAULT, POLL_DEFAULT, SHARDS_DEFAULT,
};

/// The account in ARNs.
const ACCOUNT_ID: &str = "000000000000";
/// The region in ARNs and signatures.
const REGION: &str = "us-east-1";

impl Config {
    /// The configuration of a file that says `data_dir` and nothing else.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Config {
            data_dir: data_dir.into(),
            account_id: ACCOUNT_ID.to_owned(),
            region: REGION.to_owned(),
            encryption_key: None,
            journal: JournalConfig::default(),
            server: ServerConfig::default(),
            access_keys: Vec::new(),
            buckets: Buckets::S3(S3Connection::default()),
            kinesis: KinesisConfig::default(),
            data_streams: Vec::new(),
            delivery_streams: Vec::new(),
            plugins: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// AWS's shards in its large regions, and states that pass at once.
impl Default for KinesisConfig {
    fn default() -> Self {
        KinesisConfig { shards_max: SHARDS_DEFAULT, state_delay: Duration::ZERO }
    }
}

/// What any of the usual languages needs, and no more than a runaway plugin may cost; `limits` has the reasons.
impl Default for PluginLimits {
    fn default() -> Self {
        PluginLimits {
            memory: None,
            fuel: None,
            fuel_per_byte: PLUGIN_BYTE_FUEL_DEFAULT,
            output_ratio: PLUGIN_OUTPUT_RATIO_DEFAULT,
            batch_records: PLUGIN_BATCH_RECORDS_DEFAULT,
            batch_bytes: PLUGIN_BATCH_BYTES_DEFAULT as u32,
        }
    }
}

impl KinesisSource {
    /// A stream with every default: all there is of it, by polls, with the AWS chain's region and credentials.
    pub fn new(stream: impl Into<String>) -> Self {
        KinesisSource {
            stream: stream.into(),
            region: None,
            endpoint: None,
            credentials: None,
            profile: None,
            start: StartAt::Horizon,
            consumer: None,
            poll: POLL_DEFAULT,
        }
    }
}

impl DataStream {
    /// A stream of one shard with AWS's defaults, but without its throughput limits.
    pub fn new(name: impl Into<String>) -> Self {
        DataStream {
            name: name.into(),
            shards: 1,
            on_demand: false,
            retention: DATA_RETENTION_MIN,
            record_bytes_max: DATA_RECORD_BYTES_DEFAULT,
            aws_limits: false,
            bytes_max: None,
            encrypted: false,
        }
    }
}

/// 80 % of the file system.
impl Default for JournalConfig {
    fn default() -> Self {
        JournalConfig { max: DiskBudget::Percent(80) }
    }
}

/// Loopback, ports 4573 and 4574, half a minute of grace.
impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4573)),
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4574)),
            tls: None,
            ingest_tokens: Vec::new(),
            grace: Duration::from_secs(30),
        }
    }
}

impl DeliveryStream {
    /// A stream with defaults for all but its name and destination.
    pub fn new(name: impl Into<String>, destination: Destination) -> Self {
        DeliveryStream {
            name: name.into(),
            buffer: Buffering::default(),
            source: Source::Direct,
            process: Vec::new(),
            destination,
            backup: None,
            webhook: None,
            bytes_max: None,
            retention: None,
            drain: false,
            encrypted: false,
        }
    }
}

/// 5 MiB or 300 s, as Firehose has it.
impl Default for Buffering {
    fn default() -> Self {
        Buffering { size_bytes: 5 << 20, interval: Duration::from_mins(5) }
    }
}

impl Buffering {
    /// Checks the bounds: 1 KiB to 128 MiB, 0 to 900 s. (The API's own lower bound of 1 MiB is the API's to check.)
    pub fn new(size_bytes: u64, interval: Duration) -> Result<Self> {
        let shown = super::units::show_size;
        if !(BUFFER_BYTES_MIN..=BUFFER_BYTES_MAX).contains(&size_bytes) {
            return Err(Error::invalid(format!(
                "size must be {} to {}, not {}",
                shown(BUFFER_BYTES_MIN),
                shown(BUFFER_BYTES_MAX),
                shown(size_bytes)
            )));
        }
        if interval > BUFFER_INTERVAL_MAX {
            let shown = super::units::show_duration;
            return Err(Error::invalid(format!(
                "interval must be 0s to {}, not {}",
                shown(BUFFER_INTERVAL_MAX),
                shown(interval)
            )));
        }
        Ok(Buffering { size_bytes, interval })
    }
}

impl Default for PartitionSettings {
    fn default() -> Self {
        PartitionSettings { max_open: LANES_OPEN_DEFAULT }
    }
}

impl Destination {
    /// Objects in `store` with every default: UTC, no compression, nothing between records, hours as prefix.
    pub fn new(store: Store) -> Self {
        let (prefix, error_prefix) = check_prefixes(None, None).expect("the default prefixes are valid");
        Destination {
            store,
            http: None,
            prefix,
            error_prefix,
            time_zone: chrono_tz::Tz::UTC,
            compression: Compression::default(),
            level: Level::default(),
            file_extension: None,
            delimiter: Delimiter::default(),
            conversion: None,
            partition: PartitionSettings::default(),
        }
    }

    /// Objects in a local directory.
    pub fn local(path: impl AsRef<Path>) -> Self {
        Destination::new(Store::Local { path: path.as_ref().to_owned() })
    }
}

impl S3Store {
    /// A bucket with every default.
    pub fn new(bucket: impl Into<String>, connection: S3Connection) -> Self {
        S3Store {
            bucket: bucket.into(),
            connection,
            sse: None,
            storage_class: None,
            acl: None,
            tags: Vec::new(),
            checksum: super::Checksum::default(),
        }
    }
}

/// No prefix: the hours alone.
impl Default for Prefix {
    fn default() -> Self {
        Prefix::parse("", PrefixKind::Delivered).expect("the default prefix is valid")
    }
}
