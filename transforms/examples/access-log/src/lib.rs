//! Turns access log lines of Apache and nginx, in the common or combined format, into JSON.
mod line;

use standpipe_transform::{Batch, Facts, Lifetime, Outcome, Transform, export};

struct AccessLog;

impl Transform for AccessLog {
    fn init(_: Facts) -> Result<Self, String> {
        Ok(AccessLog)
    }

    fn transform(&mut self, batch: Batch<'_>, out: &mut Outcome) {
        for record in batch {
            let text = String::from_utf8_lossy(record.data());
            match line::parse(text.trim_end()) {
                Ok(line) => {
                    let json = serde_json::to_string(&line).expect("a line is made of texts and numbers");
                    out.emit(&record, json + "\n").key("status", &line.status.to_string());
                }
                Err(missing) => out.fail(&record, format!("no access log line: {missing} is missing or wrong")),
            }
        }
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime::Kept
    }
}

export!(AccessLog);
