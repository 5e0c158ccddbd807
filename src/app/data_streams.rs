//! What the configuration says of data streams, in the words of [`stream::data`](crate::stream::data).

use crate::config::{Config, DataStream};
use crate::stream::data::{FileStream, Limits, Mode, Settings};

/// What holds for all of them.
pub(super) fn settings(config: &Config) -> Settings {
    Settings {
        account_id: config.account_id.clone(),
        region: config.region.clone(),
        shards_max: config.kinesis.shards_max,
        state_delay: config.kinesis.state_delay,
        can_encrypt: config.encryption_key.is_some(),
    }
}

/// Those of the file.
pub(super) fn of_file(config: &Config) -> Vec<FileStream> {
    config.data_streams.iter().map(file_stream).collect()
}

fn file_stream(stream: &DataStream) -> FileStream {
    let DataStream { name, shards, on_demand, retention, record_bytes_max, aws_limits, bytes_max, encrypted } = stream;
    FileStream {
        name: name.clone(),
        mode: if *on_demand { Mode::OnDemand } else { Mode::Provisioned },
        shards: *shards,
        retention: *retention,
        record_bytes_max: *record_bytes_max,
        limits: if *aws_limits { Limits::Aws } else { Limits::None },
        bytes_max: *bytes_max,
        encrypted: *encrypted,
    }
}
