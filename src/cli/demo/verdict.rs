//! Whether the objects hold what was sent: every record once, unaltered, in its order within each object.

use std::fmt;

use super::super::generate::weblog::number_of;
use super::super::terminal::count;
use super::lake::Object;
use crate::error::{Error, Result};

/// What was sent: a checksum for each record, by its number.
#[derive(Default)]
pub(super) struct Expected {
    checksums: Vec<u32>,
    bytes: u64,
}

impl Expected {
    /// Takes note of the next record.
    pub(super) fn add(&mut self, record: &[u8]) {
        self.checksums.push(crc32c::crc32c(record));
        self.bytes += record.len() as u64;
    }

    /// How many.
    pub(super) fn records(&self) -> u64 {
        self.checksums.len() as u64
    }

    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Records sent.
    pub(super) sent: u64,
    /// Records in all objects.
    pub(super) found: u64,
    /// Sent, and in no object.
    pub(super) missing: u64,
    /// Found again after they had been found.
    pub(super) twice: u64,
    /// Never sent in this form.
    pub(super) altered: u64,
    /// Records that stand before a record of a lower number in the same object.
    pub(super) out_of_order: u64,
    /// The first record of the first object.
    pub(super) sample: Option<String>,
}

impl Verdict {
    /// Whether everything is as it should be.
    pub(super) fn right(&self) -> bool {
        self.sent == self.found && [self.missing, self.twice, self.altered, self.out_of_order] == [0; 4]
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.right() { "every record is there exactly once" } else { "THIS IS WRONG" };
        write!(
            f,
            "{word}.\n   sent {}, found {}, missing {}, twice {}, altered {}, out of order {}",
            count(self.sent),
            count(self.found),
            count(self.missing),
            count(self.twice),
            count(self.altered),
            count(self.out_of_order)
        )
    }
}

/// Compares. An error if the objects hold more records than can be counted.
pub(super) fn judge(expected: &Expected, objects: &[Object]) -> Result<Verdict> {
    let mut verdict = Verdict { sent: expected.records(), ..Verdict::default() };
    let mut seen = vec![false; expected.checksums.len()];
    for object in objects {
        let mut last = None;
        for line in &object.lines {
            verdict.found += 1;
            let number = number_of(line).and_then(|number| usize::try_from(number).ok());
            let known = number.filter(|number| expected.checksums.get(*number) == Some(&crc32c::crc32c(line)));
            let Some(number) = known else {
                verdict.altered += 1;
                continue;
            };
            verdict.twice += u64::from(std::mem::replace(&mut seen[number], true));
            verdict.out_of_order += u64::from(last.is_some_and(|last| last > number));
            last = Some(number);
        }
    }
    verdict.missing = seen.iter().filter(|seen| !**seen).count() as u64;
    verdict.sample = objects
        .first()
        .and_then(|object| object.lines.first())
        .map(|line| String::from_utf8(line.clone()))
        .transpose()
        .map_err(|error| Error::corrupt("the first record is not text").because(error))?;
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::super::super::generate::weblog::WebLog;
    use super::*;

    fn lines(count: usize) -> (Expected, Vec<Vec<u8>>) {
        let mut log = WebLog::new(3, 1_700_000_000_000);
        let lines: Vec<_> = (0..count).map(|_| log.line().into_bytes()).collect();
        let mut expected = Expected::default();
        for line in &lines {
            expected.add(line);
        }
        (expected, lines)
    }

    fn object(lines: &[Vec<u8>]) -> Object {
        Object { path: "x".into(), stored_bytes: 1, lines: lines.to_vec() }
    }

    #[test]
    fn each_fault_is_counted_as_what_it_is() {
        let (expected, lines) = lines(10);
        let whole = judge(&expected, &[object(&lines[4..]), object(&lines[..4])]).unwrap();
        assert!(whole.right() && whole.found == 10, "{whole}");

        let missing = judge(&expected, &[object(&lines[1..])]).unwrap();
        assert_eq!((missing.missing, missing.right()), (1, false));

        let twice = judge(&expected, &[object(&lines), object(&lines[..2])]).unwrap();
        assert_eq!((twice.twice, twice.missing, twice.right()), (2, 0, false));

        let mut altered = lines.clone();
        altered[3][60] ^= 1;
        let altered = judge(&expected, &[object(&altered)]).unwrap();
        assert_eq!((altered.altered, altered.missing, altered.right()), (1, 1, false));

        let mut swapped = lines.clone();
        swapped.swap(3, 4);
        let swapped = judge(&expected, &[object(&swapped)]).unwrap();
        assert_eq!((swapped.out_of_order, swapped.missing, swapped.right()), (1, 0, false));
    }
}
