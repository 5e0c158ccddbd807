//! Sample records from a file: a line each, or the whole file as one.

use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

use crate::error::{Error, Result};
use crate::limits::TRANSFORM_INPUT_BYTES_MAX;
use crate::transform::{Origins, Rows};

/// The records of `path`, or of standard input for `-`; lines without their line feed unless `whole`. They arrived at `now_ms`
/// and stand at the positions from 0 on.
///
/// # Errors
/// `Invalid` for a file that cannot be read, is too large, or has no records.
pub(super) fn read(path: &Path, whole: bool, now_ms: u64) -> Result<(Rows, Origins)> {
    let bytes = load(path)?;
    let mut records: Vec<&[u8]> = if whole { vec![&bytes] } else { bytes.split(|byte| *byte == b'\n').collect() };
    // What follows the last line feed is no line.
    if !whole && records.last().is_some_and(|last| last.is_empty()) {
        records.pop();
    }
    if records.is_empty() {
        return Err(Error::invalid(format!("{} has no records", path.display())));
    }
    let mut rows = Rows::default();
    let mut origins = Origins::default();
    for (number, record) in (0_u32..).zip(records) {
        rows.data.extend_from_slice(record);
        rows.ends.push(rows.data.len() as u32);
        rows.origins.push(number);
        origins.arrived_ms.push(now_ms);
        origins.positions.push(u64::from(number));
    }
    Ok((rows, origins))
}

/// Record `number` alone.
pub(super) fn alone(rows: &Rows, origins: &Origins, number: usize) -> (Rows, Origins) {
    let data = rows.get(number).to_vec();
    let ends = vec![data.len() as u32];
    let origin = rows.origins[number] as usize;
    let origins = Origins {
        arrived_ms: vec![origins.arrived_ms[origin]],
        positions: vec![origins.positions[origin]],
        ..Origins::default()
    };
    (Rows { data, ends, origins: vec![0], keys: Vec::new() }, origins)
}

fn load(path: &Path) -> Result<Vec<u8>> {
    let fault = |error| Error::invalid(format!("{} cannot be read", path.display())).because(error);
    let input: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(stdin()),
        _ => Box::new(File::open(path).map_err(fault)?),
    };
    let mut bytes = Vec::new();
    input.take(TRANSFORM_INPUT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(fault)?;
    if bytes.len() as u64 > TRANSFORM_INPUT_BYTES_MAX {
        return Err(Error::invalid(format!(
            "{} has more than {TRANSFORM_INPUT_BYTES_MAX} bytes: a sample is enough",
            path.display()
        )));
    }
    Ok(bytes)
}
