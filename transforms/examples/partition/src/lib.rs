//! Gives records two partition keys, the tenant and the hour in which the event took place, for a prefix such as
//! `tenant=!{partitionKeyFromLambda:tenant}/hour=!{partitionKeyFromLambda:hour}/`.
//!
//! Configuration: `tenant` and `time` name the fields, if those have other names. Time is RFC 3339 text, or a number of
//! milliseconds since 1970; a record without one counts at its arrival.
use serde_json::Value;
use standpipe_transform::{Batch, Facts, Lifetime, Outcome, Record, Transform, export};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

struct Partition {
    tenant: String,
    time: String,
}

impl Transform for Partition {
    fn init(facts: Facts) -> Result<Self, String> {
        let field = |name| facts.get(name).unwrap_or(name).to_owned();
        Ok(Partition { tenant: field("tenant"), time: field("time") })
    }

    fn transform(&mut self, batch: Batch<'_>, out: &mut Outcome) {
        for record in batch {
            match self.keys(&record) {
                Ok((tenant, hour)) => {
                    out.emit(&record, record.data()).key("tenant", tenant).key("hour", hour);
                }
                Err(message) => out.fail(&record, message),
            }
        }
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime::Kept
    }
}

export!(Partition);

impl Partition {
    fn keys(&self, record: &Record<'_>) -> Result<(String, String), String> {
        let value: Value = serde_json::from_slice(record.data()).map_err(|error| format!("no JSON: {error}"))?;
        let tenant = value[&self.tenant].as_str().ok_or_else(|| format!("no field {:?}", self.tenant))?;
        // The tenant becomes part of object names: nobody may reach into another's folder.
        if tenant.is_empty() || !tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        {
            return Err(format!("tenant {tenant:?} is not made of letters, digits, - and _"));
        }
        let time = match &value[&self.time] {
            Value::String(text) => OffsetDateTime::parse(text, &Rfc3339).ok(),
            Value::Number(number) => number.as_u64().and_then(from_ms),
            Value::Null => from_ms(record.arrived_ms()),
            _ => None,
        };
        let time = time.ok_or_else(|| format!("{} is no time", value[&self.time]))?.to_offset(UtcOffset::UTC);
        let hour = format!("{}-{:02}-{:02}-{:02}", time.year(), u8::from(time.month()), time.day(), time.hour());
        Ok((tenant.to_owned(), hour))
    }
}

fn from_ms(ms: u64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use standpipe_transform::testing::{self, Fate};

    use super::Partition;

    #[test]
    fn a_record_without_a_time_counts_at_its_arrival() {
        let mut partition: Partition = testing::init(&[("tenant", "who")]).unwrap();
        let fates = testing::run(&mut partition, &[r#"{"who":"acme"}"#, r#"{"who":"acme","time":null}"#]);
        let keys = vec![("tenant".to_owned(), "acme".to_owned()), ("hour".to_owned(), "1970-01-01-00".to_owned())];
        for fate in fates.concat() {
            assert!(matches!(&fate, Fate::Ok(_, got) if *got == keys), "{fate:?}");
        }
    }
}
