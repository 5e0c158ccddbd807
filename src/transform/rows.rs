//! Records on their way through the steps, in columns.

use std::borrow::Cow;
use std::ops::Range;

use crate::record::Keys;

/// What rows are made of: the records as they were read, user records of aggregates one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// When each arrived, milliseconds since 1970.
    pub arrived_ms: Vec<u64>,
    /// Where each stands in its shard. User records of one aggregate stand at the same position.
    pub positions: Vec<u64>,
    /// The shard of each, where they come from a data stream; empty otherwise.
    pub shards: Vec<u32>,
    /// Their partition keys, where they come from a data stream.
    pub keys: Option<Keys>,
}

/// Rows: what records have become so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The bytes of all rows, one after the other.
    pub data: Vec<u8>,
    /// One past the last byte of each row, in `data`.
    pub ends: Vec<u32>,
    /// The number of the origin of each row; never falls. One origin may have several rows, or none any more.
    pub origins: Vec<u32>,
    /// Partition keys, each with a value for every row.
    pub keys: Vec<KeyColumn>,
}

/// One partition key of all rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyColumn {
    /// Its name.
    pub name: String,
    /// The values, one after the other; an empty one is as good as none.
    pub data: String,
    /// One past the last byte of each value.
    pub ends: Vec<u32>,
}

/// Why a record goes to the error output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// `Processor.Reason`, in Firehose's manner.
    pub code: Cow<'static, str>,
    /// For a person.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The ARN of the function or plugin that failed, if it has one.
    pub by: Option<String>,
}

/// An origin that goes to the error output, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The number of the origin.
    pub origin: u32,
    /// Why.
    pub failure: Failure,
}

/// What one step made of rows. An origin that had rows and is neither in `rows` nor in `failed` was dropped; one that is
/// in `failed` (in order, each once) has no rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What goes on.
    pub rows: Rows,
    /// What goes to the error output.
    pub failed: Vec<Failed>,
}

impl Rows {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Row `index` as a slice.
    pub fn get(&self, index: usize) -> &[u8] {
        &self.data[start_of(&self.ends, index) as usize..self.ends[index] as usize]
    }

    /// Where row `index` begins in `data`.
    pub fn start_of(&self, index: usize) -> u32 {
        start_of(&self.ends, index)
    }

    /// Where the rows `range` lie in `data`. At least one row.
    pub fn bytes_of(&self, range: &Range<usize>) -> Range<usize> {
        self.start_of(range.start) as usize..self.ends[range.end - 1] as usize
    }

    /// The rows of the origins that `stays` takes.
    #[must_use]
    pub fn filter(&self, stays: impl Fn(u32) -> bool) -> Rows {
        let mut rows = Rows::default();
        let kept: Vec<usize> = (0..self.len()).filter(|&row| stays(self.origins[row])).collect();
        for &row in &kept {
            rows.data.extend_from_slice(self.get(row));
            rows.ends.push(offset(rows.data.len()));
            rows.origins.push(self.origins[row]);
        }
        rows.keys = self.keys.iter().map(|key| key.pick(&kept)).collect();
        rows
    }

    /// Gives the rows key columns, in the place of any of the same names.
    pub fn set_keys(&mut self, columns: Vec<KeyColumn>) {
        self.keys.retain(|key| columns.iter().all(|column| column.name != key.name));
        self.keys.extend(columns);
    }

    /// Keeps the first rows.
    pub fn truncate(&mut self, kept: usize) {
        let end = |ends: &[u32]| if kept < ends.len() { start_of(ends, kept) as usize } else { usize::MAX };
        self.data.truncate(end(&self.ends));
        for key in &mut self.keys {
            key.data.truncate(end(&key.ends));
            key.ends.truncate(kept);
        }
        self.ends.truncate(kept);
        self.origins.truncate(kept);
    }

    /// Keeps the rows for which `keep`, which says something of every row, is true.
    pub fn retain(&mut self, keep: &[bool]) {
        let kept = |row: usize| keep[row];
        self.data = retained(&self.data, &self.ends, keep);
        for column in &mut self.keys {
            let data = retained(column.data.as_bytes(), &column.ends, keep);
            column.data = String::from_utf8(data).expect("values are kept whole, and each is UTF-8");
            column.ends = ends(&column.ends, keep);
        }
        self.ends = ends(&self.ends, keep);
        let mut row = 0..;
        self.origins.retain(|_| row.next().is_some_and(kept));
    }
}

/// The bytes of the elements that are kept.
fn retained(data: &[u8], ends: &[u32], keep: &[bool]) -> Vec<u8> {
    let mut start = 0;
    let mut out = Vec::with_capacity(data.len());
    for (end, keep) in ends.iter().zip(keep) {
        if *keep {
            out.extend_from_slice(&data[start..*end as usize]);
        }
        start = *end as usize;
    }
    out
}

/// Where the elements that are kept end, once the others are gone.
fn ends(ends: &[u32], keep: &[bool]) -> Vec<u32> {
    let (mut start, mut total) = (0, 0);
    let mut out = Vec::with_capacity(ends.len());
    for (end, keep) in ends.iter().zip(keep) {
        if *keep {
            total += end - start;
            out.push(total);
        }
        start = *end;
    }
    out
}

impl KeyColumn {
    /// The value of row `index`.
    pub fn get(&self, index: usize) -> &str {
        &self.data[start_of(&self.ends, index) as usize..self.ends[index] as usize]
    }

    /// The values of `rows` alone.
    fn pick(&self, rows: &[usize]) -> KeyColumn {
        let mut column = KeyColumn { name: self.name.clone(), ..KeyColumn::default() };
        for &row in rows {
            column.data.push_str(self.get(row));
            column.ends.push(offset(column.data.len()));
        }
        column
    }
}

fn start_of(ends: &[u32], index: usize) -> u32 {
    if index == 0 { 0 } else { ends[index - 1] }
}

/// A part of rows is no longer than the whole, whose offsets are 32 bits wide.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a part of rows is no longer than the whole")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_some_origins_keep_their_bytes_and_keys() {
        let key = KeyColumn { name: "k".into(), data: "xyyz".into(), ends: vec![1, 3, 3, 4] };
        let rows =
            Rows { data: b"abbcdd".into(), ends: vec![1, 3, 4, 6], origins: vec![0, 2, 2, 5], keys: vec![key.clone()] };
        assert_eq!(rows.filter(|_| true), rows);
        let some = rows.filter(|origin| origin != 2);
        assert_eq!((some.get(0), some.get(1), some.len()), (&b"a"[..], &b"dd"[..], 2));
        assert_eq!((some.keys[0].get(0), some.keys[0].get(1), some.origins), ("x", "z", vec![0, 5]));
        assert_eq!(rows.bytes_of(&(1..3)), 1..4);
        for (kept, data, values) in [(0, "", ""), (2, "abb", "xyy"), (4, "abbcdd", "xyyz"), (9, "abbcdd", "xyyz")] {
            let mut first = rows.clone();
            first.truncate(kept);
            assert_eq!((&*first.data, &*first.keys[0].data), (data.as_bytes(), values));
            assert_eq!(
                (first.len(), first.origins.len(), first.keys[0].ends.len()),
                (kept.min(4), kept.min(4), kept.min(4))
            );
        }
        let none = rows.filter(|_| false);
        assert_eq!(
            none,
            Rows { keys: vec![KeyColumn { name: "k".into(), ..KeyColumn::default() }], ..Rows::default() }
        );
    }
}
