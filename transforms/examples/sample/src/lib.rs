//! Keeps what matters and a sample of the rest.
//!
//! Configuration: `field` (by default `level`) decides: records whose field is listed in `keep` all stay, those listed in
//! `drop` all go, and of the others stays the share `rate`, from 0 to 1. Which ones depends on a hash of the record, or of
//! the field that `by` names: with `by = "trace_id"` a trace stays or goes whole. The same record always fares the same.
use serde_json::Value;
use standpipe_transform::{Batch, Facts, Lifetime, Outcome, Transform, export};

struct Sample {
    field: String,
    keep: Vec<String>,
    drop: Vec<String>,
    by: Option<String>,
    /// Of all 2^32 hashes, those below this stay.
    threshold: u64,
}

impl Transform for Sample {
    fn init(facts: Facts) -> Result<Self, String> {
        let list = |name| facts.get(name).unwrap_or_default().split(',').map(|value| value.trim().to_owned()).collect();
        let rate = facts.require("rate")?;
        let share = rate.parse().ok().filter(|share: &f64| (0.0..=1.0).contains(share));
        let share = share.ok_or_else(|| format!("config value \"rate\" is {rate:?}, not a number from 0 to 1"))?;
        Ok(Sample {
            field: facts.get("field").unwrap_or("level").to_owned(),
            keep: list("keep"),
            drop: list("drop"),
            by: facts.get("by").map(str::to_owned),
            threshold: (share * (1_u64 << 32) as f64) as u64,
        })
    }

    fn transform(&mut self, batch: Batch<'_>, out: &mut Outcome) {
        for record in batch {
            match serde_json::from_slice::<Value>(record.data()) {
                Ok(value) if self.stays(&value, record.data()) => {
                    out.emit(&record, record.data());
                }
                Ok(_) => out.drop(&record),
                Err(error) => out.fail(&record, format!("no JSON: {error}")),
            }
        }
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime::Kept
    }
}

export!(Sample);

impl Sample {
    fn stays(&self, value: &Value, data: &[u8]) -> bool {
        let listed =
            |list: &[String]| value[&self.field].as_str().is_some_and(|level| list.iter().any(|other| other == level));
        if listed(&self.keep) {
            true
        } else if listed(&self.drop) {
            false
        } else {
            let sampled = self.by.as_ref().and_then(|by| value[by].as_str()).map_or(data, str::as_bytes);
            hash(sampled) < self.threshold
        }
    }
}

/// FNV-1a, mixed once more so that the upper half, which is what is returned, depends on every bit.
fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (fnv ^ fnv >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

#[cfg(test)]
mod tests {
    use standpipe_transform::testing::{self, Fate};

    use super::Sample;

    #[test]
    fn keeps_the_share_that_is_asked_for() {
        let records: Vec<String> = (0..10_000).map(|number| format!("{{\"number\":{number}}}")).collect();
        for (rate, low, high) in [("0", 0, 0), ("0.25", 2_400, 2_600), ("1", 10_000, 10_000)] {
            let mut sample: Sample = testing::init(&[("rate", rate)]).unwrap();
            let kept =
                testing::run(&mut sample, &records).concat().iter().filter(|fate| **fate != Fate::Dropped).count();
            assert!((low..=high).contains(&kept), "{kept} at {rate}");
        }
    }

    #[test]
    fn a_trace_stays_or_goes_whole() {
        let mut sample: Sample = testing::init(&[("rate", "0.5"), ("by", "trace")]).unwrap();
        let records: Vec<String> = (0..100).map(|n| format!("{{\"trace\":\"{}\",\"n\":{n}}}", n % 10)).collect();
        let kept: Vec<bool> =
            testing::run(&mut sample, &records).concat().iter().map(|f| *f != Fate::Dropped).collect();
        assert!(kept.chunks(10).all(|ten| ten == &kept[..10]), "{kept:?}");
        assert!(kept.contains(&true) && kept.contains(&false), "{kept:?}");
    }

    #[test]
    fn refuses_a_rate_that_is_none() {
        for rate in ["-0.1", "1.5", "NaN", "half"] {
            assert!(testing::init::<Sample>(&[("rate", rate)]).is_err(), "{rate}");
        }
    }
}
