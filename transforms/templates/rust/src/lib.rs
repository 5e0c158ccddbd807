//! NAME: leaves out records of one level, and partitions the others by service.
use serde_json::Value;
use standpipe_transform::{Batch, Facts, Lifetime, Outcome, Transform, export};

struct Plugin {
    drop: String,
}

impl Transform for Plugin {
    /// Reads the configuration; an error refuses it.
    fn init(facts: Facts) -> Result<Self, String> {
        Ok(Plugin { drop: facts.get("drop").unwrap_or("debug").to_owned() })
    }

    /// Answers every record: emitted (once or several times), dropped or failed.
    fn transform(&mut self, batch: Batch<'_>, out: &mut Outcome) {
        for record in batch {
            match serde_json::from_slice::<Value>(record.data()) {
                Ok(value) if value["level"] == self.drop.as_str() => out.drop(&record),
                Ok(value) => {
                    out.emit(&record, record.data()).key("service", value["service"].as_str().unwrap_or_default());
                }
                Err(error) => out.fail(&record, format!("no JSON: {error}")),
            }
        }
    }

    /// Nothing is remembered from batch to batch, so one instance may serve them all.
    fn lifetime(&self) -> Lifetime {
        Lifetime::Kept
    }
}

export!(Plugin);

#[cfg(test)]
mod tests {
    use standpipe_transform::testing::{self, Fate};

    use super::Plugin;

    #[test]
    fn drops_one_level() {
        let mut plugin: Plugin = testing::init(&[("drop", "info")]).unwrap();
        let fates = testing::run(&mut plugin, &[r#"{"level":"info"}"#, r#"{"level":"warn","service":"api"}"#]);
        let warning = Fate::Ok(r#"{"level":"warn","service":"api"}"#.into(), vec![("service".into(), "api".into())]);
        assert_eq!(fates, [vec![Fate::Dropped], vec![warning]]);
    }
}
