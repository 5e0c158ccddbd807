//! Does everything to records that a plugin may do, for the tests that kill the service: which of it, the number of the
//! record says, so that the tests know what must come out. `tests/suite/split.py` holds the same table.
//!
//! Configuration: `trap`, of how many numbers one makes it panic; none without.
use standpipe_transform::{Batch, Facts, Lifetime, Outcome, Record, Transform, export};

struct Split {
    /// Of so many numbers one makes it panic.
    trap: Option<u64>,
}

impl Transform for Split {
    fn init(facts: Facts) -> Result<Self, String> {
        let trap = facts.get("trap").map(|every| every.parse().map_err(|_| format!("config value trap is {every:?}")));
        Ok(Split { trap: trap.transpose()? })
    }

    fn transform(&mut self, batch: Batch<'_>, out: &mut Outcome) {
        for record in batch {
            let Some(number) = number(record.data()) else {
                out.fail(&record, "no number");
                continue;
            };
            poison(record.data());
            assert!(self.trap.is_none_or(|every| number % every != 421), "record {number} is to trap");
            match number % 10 {
                3 => out.drop(&record),
                7 => out.fail(&record, format!("record {number} is to fail")),
                5 => (0..3).for_each(|part| emit(out, &record, number, part)),
                9 => (0..2).for_each(|part| emit(out, &record, number, part)),
                _ => emit(out, &record, number, 0),
            }
        }
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime::Kept
    }
}

export!(Split);

/// A row of the record, which is a JSON object, with a field `part` at its beginning. The rows of one record go to
/// different lanes.
fn emit(out: &mut Outcome, record: &Record<'_>, number: u64, part: u64) {
    let row = out.emit_with(record, |data| {
        data.extend_from_slice(format!("{{\"part\":{part},").as_bytes());
        data.extend_from_slice(&record.data()[1..]);
    });
    let lane = char::from(b'a' + ((number / 10 + part) % 5) as u8);
    let kind = if number % 10 == 5 || number % 10 == 9 { "split" } else { "whole" };
    row.key("lane", lane.to_string()).key("kind", kind);
}

/// What a field `"poison"` asks for, which no record survives.
fn poison(data: &[u8]) {
    match value(data, b"\"poison\":\"") {
        Some([b't', ..]) => panic!("as it was told to"),
        Some([b'l', ..]) => loop {
            std::hint::black_box(data);
        },
        Some([b'm', ..]) => {
            let mut held = Vec::new();
            loop {
                held.push(vec![1_u8; 1 << 20]);
            }
        }
        _ => {}
    }
}

/// The field `n`.
fn number(data: &[u8]) -> Option<u64> {
    let text = value(data, b"\"n\":")?;
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    std::str::from_utf8(&text[..end]).ok()?.parse().ok()
}

/// What follows a field's name.
fn value<'a>(data: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = data.windows(name.len()).position(|window| window == name)?;
    Some(&data[at + name.len()..])
}
