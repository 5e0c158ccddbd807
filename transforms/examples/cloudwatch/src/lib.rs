//! Unpacks what a CloudWatch Logs subscription sends: each record is a gzip file with many log events, each of which
//! becomes a row. A record that is unpacked already is taken as well.
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use standpipe_transform::{Batch, Facts, Lifetime, Outcome, Record, Transform, export};

/// A record that unpacks to more than this is refused.
const UNPACKED_BYTES_MAX: u64 = 32 << 20;

struct CloudWatch;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    message_type: String,
    owner: String,
    log_group: String,
    log_stream: String,
    log_events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    timestamp: u64,
    message: String,
}

#[derive(Serialize)]
struct Row<'a> {
    timestamp: u64,
    owner: &'a str,
    log_group: &'a str,
    log_stream: &'a str,
    id: &'a str,
    message: &'a str,
}

impl Transform for CloudWatch {
    fn init(_: Facts) -> Result<Self, String> {
        Ok(CloudWatch)
    }

    fn transform(&mut self, batch: Batch<'_>, out: &mut Outcome) {
        for record in batch {
            match unpack(record.data()) {
                // A control message only tests whether the destination can be reached.
                Ok(payload) if payload.message_type == "DATA_MESSAGE" && !payload.log_events.is_empty() => {
                    emit(&record, &payload, out);
                }
                Ok(_) => out.drop(&record),
                Err(error) => out.fail(&record, format!("no CloudWatch Logs payload: {error}")),
            }
        }
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime::Kept
    }
}

export!(CloudWatch);

fn unpack(data: &[u8]) -> io::Result<Payload> {
    if !data.starts_with(&[0x1f, 0x8b]) {
        return Ok(serde_json::from_slice(data)?);
    }
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(data).take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut unpacked)?;
    if unpacked.len() as u64 > UNPACKED_BYTES_MAX {
        return Err(io::Error::other(format!("more than {UNPACKED_BYTES_MAX} bytes unpacked")));
    }
    Ok(serde_json::from_slice(&unpacked)?)
}

fn emit(record: &Record<'_>, payload: &Payload, out: &mut Outcome) {
    let Payload { owner, log_group, log_stream, .. } = payload;
    for Event { id, timestamp, message } in &payload.log_events {
        let row = Row { timestamp: *timestamp, owner, log_group, log_stream, id, message };
        let json = serde_json::to_string(&row).expect("a row is made of texts and numbers");
        out.emit(record, json + "\n").key("log_group", log_group.trim_start_matches('/'));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use standpipe_transform::testing::{self, Fate};

    use super::{CloudWatch, UNPACKED_BYTES_MAX};

    #[test]
    fn a_bomb_is_refused() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        let zeros = vec![0; 1 << 20];
        for _ in 0..=UNPACKED_BYTES_MAX >> 20 {
            bomb.write_all(&zeros).unwrap();
        }
        let mut plugin: CloudWatch = testing::init(&[]).unwrap();
        let fates = testing::run(&mut plugin, &[bomb.finish().unwrap()]);
        assert!(matches!(&fates[0][..], [Fate::Failed(why)] if why.contains("more than")), "{fates:?}");
    }
}
