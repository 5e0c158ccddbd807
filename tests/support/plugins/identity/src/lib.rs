//! Answers every record as it came: for tests of the host, and for measuring the border. Kept, unless the configuration
//! says `lifetime = "batch"`.
use standpipe_transform::{Batch, Facts, Lifetime, Outcome, Transform, export};

struct Identity(Lifetime);

impl Transform for Identity {
    fn init(facts: Facts) -> Result<Self, String> {
        match facts.get("lifetime") {
            None | Some("kept") => Ok(Identity(Lifetime::Kept)),
            Some("batch") => Ok(Identity(Lifetime::Batch)),
            Some(other) => Err(format!("config value lifetime is {other:?}, neither \"kept\" nor \"batch\"")),
        }
    }

    fn transform(&mut self, batch: Batch<'_>, out: &mut Outcome) {
        for record in batch {
            out.emit(&record, record.data());
        }
    }

    fn lifetime(&self) -> Lifetime {
        self.0
    }
}

export!(Identity);
