//! One part of a staged file: what became of one chunk, written as CBOR; a large one in a zstd frame, so that what was decompressed takes no more
//! room than it did before.
//!
//! ```text
//! [tally as JSON, rows, failures, failed]
//! rows     = [data, ends, origins, [[name, data, ends], …]]     ends and origins: numbers of 4 bytes, little-endian
//! failures = [[code, message, attempts, by or null], …]         each once
//! failed   = [[number of its failure, arrived_ms, record, position, child], …]      without the last two where they are not known
//! ```

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;

use bytes::Bytes;
use minicbor::encode::Error as Unwritten;
use minicbor::{Decoder, Encoder};

use super::super::failed::{Place, Refused};
use crate::ledger::Tally;
use crate::transform::{Failed, Failure, KeyColumn, Outcome, Rows};

/// What became of one chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::pipeline) struct Part {
    /// What is delivered.
    pub rows: Rows,
    /// What goes to the error output.
    pub failed: Vec<Refused>,
    /// What was counted.
    pub tally: Tally,
}

/// How a zstd frame begins, and CBOR's array of four does not.
const FRAME: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// Bytes of CBOR from which on a part is compressed. What is less is as much as one chunk is.
const LARGE: usize = 2 << 20;

/// Writes a part.
pub(in crate::pipeline) fn encode(part: &Part) -> Vec<u8> {
    let mut out = Vec::with_capacity(part.rows.data.len() + 8 * part.rows.len() + 256);
    write(part, &mut Encoder::new(&mut out)).expect("memory takes what is written to it");
    if out.len() < LARGE {
        return out;
    }
    // What cannot be compressed stays as it is.
    zstd::encode_all(&out[..], 1).unwrap_or(out)
}

fn write(part: &Part, out: &mut Encoder<&mut Vec<u8>>) -> Result<(), Unwritten<Infallible>> {
    let Part { rows, failed, tally } = part;
    let tally = serde_json::to_vec(tally).expect("a tally is plain data");
    out.array(4)?.bytes(&tally)?;
    write_rows(rows, out)?;
    let known = write_failures(failed.iter().map(|refused| &refused.failure), out)?;
    out.array(failed.len() as u64)?;
    for Refused { record, arrived_ms, place, failure } in failed {
        out.array(if place.is_some() { 5 } else { 3 })?.u32(known[failure])?.u64(*arrived_ms)?.bytes(record)?;
        if let Some(Place { position, child }) = place {
            out.u64(*position)?.u32(*child)?;
        }
    }
    Ok(())
}

fn write_rows(rows: &Rows, out: &mut Encoder<&mut Vec<u8>>) -> Result<(), Unwritten<Infallible>> {
    out.array(4)?.bytes(&rows.data)?.bytes(&numbers(&rows.ends))?.bytes(&numbers(&rows.origins))?;
    out.array(rows.keys.len() as u64)?;
    for KeyColumn { name, data, ends } in &rows.keys {
        out.array(3)?.str(name)?.str(data)?.bytes(&numbers(ends))?;
    }
    Ok(())
}

/// Writes each failure once, for of a call that failed all records have the same; their numbers.
fn write_failures<'a>(
    all: impl Iterator<Item = &'a Failure>,
    out: &mut Encoder<&mut Vec<u8>>,
) -> Result<HashMap<&'a Failure, u32>, Unwritten<Infallible>> {
    let mut known: HashMap<&Failure, u32> = HashMap::new();
    let mut failures: Vec<&Failure> = Vec::new();
    for failure in all {
        known.entry(failure).or_insert_with(|| {
            failures.push(failure);
            failures.len() as u32 - 1
        });
    }
    out.array(failures.len() as u64)?;
    for Failure { code, message, attempts, by } in failures {
        out.array(4)?.str(code)?.str(message)?.u32(*attempts)?;
        match by {
            Some(by) => out.str(by)?,
            None => out.null()?,
        };
    }
    Ok(known)
}

/// Writes what became of a batch whose records are known by their numbers.
pub(super) fn encode_outcome(outcome: &Outcome) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(outcome.rows.data.len() + 8 * outcome.rows.len() + 256);
    let mut write = |Outcome { rows, failed }: &Outcome| {
        let out = &mut Encoder::new(&mut bytes);
        out.array(3)?;
        write_rows(rows, out)?;
        let known = write_failures(failed.iter().map(|failed| &failed.failure), out)?;
        out.array(failed.len() as u64)?;
        for Failed { origin, failure } in failed {
            out.array(2)?.u32(*origin)?.u32(known[failure])?;
        }
        Ok::<(), Unwritten<Infallible>>(())
    };
    write(outcome).expect("memory takes what is written to it");
    bytes
}

/// Reads it; nothing if it is none, or speaks of more than so many records.
pub(super) fn decode_outcome(bytes: &[u8], origins: usize) -> Option<Outcome> {
    let input = &mut Decoder::new(bytes);
    array(input, 3)?;
    let rows = rows(input)?;
    let failures = list(input, failure)?;
    let failed = list(input, |input| {
        array(input, 2)?;
        let (origin, failure) = (input.u32().ok()?, failures.get(input.u32().ok()? as usize)?.clone());
        Some(Failed { origin, failure })
    })?;
    let last = rows.origins.last().into_iter().chain(failed.last().map(|failed: &Failed| &failed.origin));
    let is_sound = last.max().is_none_or(|last| (*last as usize) < origins)
        && rows.origins.is_sorted()
        && failed.is_sorted_by(|one, next| one.origin < next.origin);
    (input.position() == bytes.len() && is_sound).then_some(Outcome { rows, failed })
}

/// Reads a part; nothing if it is none.
pub(in crate::pipeline) fn decode(bytes: &[u8]) -> Option<Part> {
    if bytes.starts_with(&FRAME) {
        return plain(&zstd::decode_all(bytes).ok()?);
    }
    plain(bytes)
}

fn plain(bytes: &[u8]) -> Option<Part> {
    let input = &mut Decoder::new(bytes);
    array(input, 4)?;
    let tally = serde_json::from_slice(input.bytes().ok()?).ok()?;
    let rows = rows(input)?;
    let failures = list(input, failure)?;
    let failed = list(input, |input| refused(input, &failures))?;
    (input.position() == bytes.len()).then_some(Part { rows, failed, tally })
}

fn rows(input: &mut Decoder<'_>) -> Option<Rows> {
    array(input, 4)?;
    let data = input.bytes().ok()?.to_vec();
    let (ends, origins) = (from_numbers(input.bytes().ok()?)?, from_numbers(input.bytes().ok()?)?);
    let keys = list(input, |input| {
        array(input, 3)?;
        let (name, data) = (input.str().ok()?.to_owned(), input.str().ok()?.to_owned());
        let ends = from_numbers(input.bytes().ok()?)?;
        let fits = ends.iter().all(|end| data.is_char_boundary(*end as usize));
        (fits && are_ends(&ends, data.len())).then_some(KeyColumn { name, data, ends })
    })?;
    let is_whole = origins.len() == ends.len() && keys.iter().all(|key| key.ends.len() == ends.len());
    (is_whole && are_ends(&ends, data.len())).then_some(Rows { data, ends, origins, keys })
}

fn failure(input: &mut Decoder<'_>) -> Option<Failure> {
    array(input, 4)?;
    let (code, message) = (Cow::Owned(input.str().ok()?.to_owned()), input.str().ok()?.to_owned());
    let attempts = input.u32().ok()?;
    let by = if input.datatype().ok()? == minicbor::data::Type::Null {
        input.null().ok()?;
        None
    } else {
        Some(input.str().ok()?.to_owned())
    };
    Some(Failure { code, message, attempts, by })
}

fn refused(input: &mut Decoder<'_>, failures: &[Failure]) -> Option<Refused> {
    let len = input.array().ok()??;
    let failure = failures.get(input.u32().ok()? as usize)?.clone();
    let (arrived_ms, record) = (input.u64().ok()?, Bytes::copy_from_slice(input.bytes().ok()?));
    let place = match len {
        3 => None,
        5 => Some(Place { position: input.u64().ok()?, child: input.u32().ok()? }),
        _ => return None,
    };
    Some(Refused { record, arrived_ms, place, failure })
}

fn array(input: &mut Decoder<'_>, len: u64) -> Option<()> {
    (input.array().ok()? == Some(len)).then_some(())
}

fn list<T>(input: &mut Decoder<'_>, mut one: impl FnMut(&mut Decoder<'_>) -> Option<T>) -> Option<Vec<T>> {
    let len = input.array().ok()??;
    (0..len).map(|_| one(input)).collect()
}

/// Whether `ends` never fall and the last of them is that of all `bytes`.
fn are_ends(ends: &[u32], bytes: usize) -> bool {
    ends.is_sorted() && ends.last().map_or(0, |end| *end as usize) == bytes
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn from_numbers(bytes: &[u8]) -> Option<Vec<u32>> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| numbers.iter().map(|number| u32::from_le_bytes(*number)).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A part of some rows, the last of which failed.
    pub(in crate::pipeline::staged) fn part(texts: &[String]) -> Part {
        let mut rows = Rows::default();
        let mut key = KeyColumn { name: "k".into(), ..KeyColumn::default() };
        for (at, text) in texts.iter().enumerate() {
            rows.data.extend_from_slice(text.as_bytes());
            rows.ends.push(rows.data.len() as u32);
            rows.origins.push(at as u32);
            key.data.push_str(text);
            key.ends.push(key.data.len() as u32);
        }
        rows.keys.push(key);
        let failure = |by: Option<&str>| Failure {
            code: "Lambda.FunctionError".into(),
            message: "down".into(),
            attempts: 4,
            by: by.map(str::to_owned),
        };
        // Those of a file of an earlier version have no place.
        let refused = |by: Option<&str>, text: &String| Refused {
            record: text.clone().into(),
            arrived_ms: 7,
            place: by.map(|_| Place { position: 1 << 40, child: 3 }),
            failure: failure(by),
        };
        let failed = texts.iter().take(3).enumerate();
        let failed = failed.map(|(at, text)| refused((at < 2).then_some("arn:f"), text)).collect();
        Part { rows, failed, tally: Tally { delivered: texts.len() as u64, failed: 1, ..Tally::default() } }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(texts in prop::collection::vec(".{0,9}", 0..9)) {
            let part = part(&texts);
            prop_assert_eq!(decode(&encode(&part)), Some(part));
        }

        #[test]
        fn an_outcome_that_was_written_is_read_and_speaks_of_no_other_records(
            texts in prop::collection::vec(".{0,9}", 0..9)
        ) {
            let Part { rows, failed, .. } = part(&texts);
            let failed = failed.into_iter().enumerate();
            let failed: Vec<_> = failed.map(|(at, refused)| Failed { origin: at as u32, failure: refused.failure }).collect();
            let outcome = Outcome { rows, failed };
            let bytes = encode_outcome(&outcome);
            prop_assert_eq!(decode_outcome(&bytes, texts.len()), Some(outcome));
            prop_assert_eq!(decode_outcome(&bytes, texts.len().saturating_sub(1)).is_some(), texts.is_empty());
        }

        #[test]
        fn what_is_damaged_is_no_part_or_another_and_never_panics(
            texts in prop::collection::vec("[a-zä]{0,9}", 0..5), at in any::<prop::sample::Index>(), to in any::<u8>()
        ) {
            let mut bytes = encode(&part(&texts));
            let cut = at.index(bytes.len());
            prop_assert_eq!(decode(&bytes[..cut]), None);
            bytes[cut] = to;
            if let Some(part) = decode(&bytes) {
                for row in 0..part.rows.len() {
                    let _ = (part.rows.get(row), part.rows.keys.iter().map(|key| key.get(row).len()).sum::<usize>());
                }
            }
        }
    }
}
