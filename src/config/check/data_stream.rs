//! Data streams, and what holds for all of them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::super::at::{Amount, At};
use super::super::{Config, DataStream, KinesisConfig, names, raw, units};
use super::Checker;
use crate::limits::{
    DATA_RECORD_BYTES_DEFAULT, DATA_RECORD_BYTES_MAX, DATA_RETENTION_FILE_MIN, DATA_RETENTION_MAX, DATA_STREAMS_MAX,
    ON_DEMAND_SHARDS, SHARDS_MAX, STATE_DELAY_MAX,
};

impl Checker<'_> {
    pub(super) fn kinesis(&mut self, kinesis: raw::Kinesis) -> KinesisConfig {
        let mut checked = KinesisConfig::default();
        if let Some(limit) = kinesis.shard_limit.and_then(|limit| self.shards("shard_limit", limit, SHARDS_MAX)) {
            checked.shards_max = limit;
        }
        if let Some(delay) = self.lapse("state_delay", kinesis.state_delay, Duration::ZERO, STATE_DELAY_MAX) {
            checked.state_delay = delay;
        }
        checked
    }

    /// All of them, in the order of the file; `config` is what the tables before them say.
    pub(super) fn data_streams(
        &mut self,
        streams: BTreeMap<At<String>, raw::DataStream>,
        config: &Config,
    ) -> Vec<DataStream> {
        let mut streams: Vec<_> = streams.into_iter().collect();
        streams.sort_by_key(|(name, _)| name.span.start);
        if let Some((name, _)) = streams.get(DATA_STREAMS_MAX) {
            self.findings.add(name.span.clone(), format!("there are more than {DATA_STREAMS_MAX} data streams"));
        }
        let limit = u64::from(config.kinesis.shards_max);
        let mut shards = 0;
        let mut checked = Vec::with_capacity(streams.len());
        for (name, stream) in streams {
            let stream = self.data_stream(&name, stream, config);
            let before = shards;
            shards += u64::from(stream.shards);
            // Said once, where the sum goes past it.
            if shards > limit && before <= limit {
                let message = format!(
                    "with the shards of this data stream there are {shards}, more than the shard_limit of {limit}: \
                     raise it in the table [kinesis]"
                );
                self.findings.add(name.span.clone(), message);
            }
            checked.push(stream);
        }
        checked
    }

    fn data_stream(&mut self, name: &At<String>, stream: raw::DataStream, config: &Config) -> DataStream {
        if let Err(error) = names::data_stream_name(&name.value) {
            self.findings.add(name.span.clone(), format!("data stream {}", error.message()));
        }
        let mut checked = DataStream::new(name.value.clone());
        checked.on_demand = stream.mode.is_some_and(|mode| mode.value == raw::StreamMode::OnDemand);
        if checked.on_demand {
            checked.shards = ON_DEMAND_SHARDS;
        }
        if let Some(shards) = stream.shards.and_then(|shards| self.shards("shards", shards, SHARDS_MAX)) {
            checked.shards = shards;
        }
        let (least, most) = (DATA_RETENTION_FILE_MIN, DATA_RETENTION_MAX);
        if let Some(retention) = self.lapse("retention", stream.retention, least, most) {
            checked.retention = retention;
        }
        checked.aws_limits = stream.limits.is_some_and(|limits| limits.value == raw::StreamLimits::Aws);
        if let Some(bytes) = self.record_size(stream.max_record_size) {
            checked.record_bytes_max = bytes;
        }
        checked.bytes_max = self.disk_bytes("max_bytes", stream.max_bytes);
        checked.encrypted = self.encrypted(stream.encrypted, config);
        checked
    }

    /// A number of shards.
    fn shards(&mut self, key: &str, written: At<u64>, most: u32) -> Option<u32> {
        let At { value, span } = written;
        match u32::try_from(value) {
            Ok(number) if (1..=most).contains(&number) => Some(number),
            _ => {
                self.findings.add(span, format!("{key} must be 1 to {most}, not {value}"));
                None
            }
        }
    }

    fn record_size(&mut self, written: Option<At<Amount>>) -> Option<usize> {
        let At { value, span } = written?;
        let bytes = self.accept("max_record_size", &span, units::size(&value.0))?;
        let fitting = usize::try_from(bytes).ok();
        let fitting = fitting.filter(|bytes| (DATA_RECORD_BYTES_DEFAULT..=DATA_RECORD_BYTES_MAX).contains(bytes));
        if fitting.is_none() {
            self.record_size_fault(span, bytes);
        }
        fitting
    }

    fn record_size_fault(&mut self, span: Range<usize>, bytes: u64) {
        let shown = units::show_size;
        let (least, most) = (shown(DATA_RECORD_BYTES_DEFAULT as u64), shown(DATA_RECORD_BYTES_MAX as u64));
        let message = format!("max_record_size must be {least} to {most}, not {}", shown(bytes));
        self.findings.add(span, message);
    }

    /// Whether a stream's frames are encrypted, for which there must be a key.
    pub(super) fn encrypted(&mut self, written: Option<At<bool>>, config: &Config) -> bool {
        let Some(At { value: true, span }) = written else {
            return false;
        };
        if config.encryption_key.is_none() {
            self.findings.add(span, "encrypted = true needs the key \"encryption_key\" at the top of the file");
        }
        true
    }
}
