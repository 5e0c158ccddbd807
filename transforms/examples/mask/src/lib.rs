//! Leaves out debug lines, masks IP addresses and e-mail addresses, and partitions by service.
mod mask;

use std::borrow::Cow;

use serde::Deserialize;
use standpipe_transform::{Batch, Facts, Lifetime, Outcome, Transform, export};

struct Mask;

/// The fields that decide; all others are passed over without being looked at.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    level: Cow<'a, str>,
    #[serde(borrow, default)]
    service: Cow<'a, str>,
}

impl Transform for Mask {
    fn init(_: Facts) -> Result<Self, String> {
        Ok(Mask)
    }

    fn transform(&mut self, batch: Batch<'_>, out: &mut Outcome) {
        for record in batch {
            match serde_json::from_slice::<Line>(record.data()) {
                Ok(line) if line.level == "debug" => out.drop(&record),
                Ok(line) => {
                    out.emit_with(&record, |text| mask::append(record.data(), text)).key("service", line.service);
                }
                Err(_) => out.fail(&record, "not a log line"),
            }
        }
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime::Kept
    }
}

export!(Mask);
