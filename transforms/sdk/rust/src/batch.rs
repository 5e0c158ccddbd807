//! What a plugin is given: where it runs, and records.
use std::iter::FusedIterator;

use crate::bindings::standpipe::transform::types;

/// Where the plugin runs and how it is configured.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The delivery stream's name.
    pub delivery_stream: String,
    pub(crate) config: Vec<(String, String)>,
}

impl Facts {
    /// A configuration value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.config.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A configuration value that must be there; the error names it.
    pub fn require(&self, name: &str) -> Result<&str, String> {
        self.get(name).ok_or_else(|| format!("config value {name:?} is missing"))
    }

    /// All configuration values with their names.
    pub fn config(&self) -> impl Iterator<Item = (&str, &str)> {
        self.config.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The records of one call, in order.
#[derive(Clone)]
pub struct Batch<'a> {
    inner: &'a types::Batch,
    next: usize,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(inner: &'a types::Batch) -> Self {
        Batch { inner, next: 0 }
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let index = self.next;
        let end = *self.inner.ends.get(index)?;
        self.next += 1;
        Some(Record { data: cell(&self.inner.data, &self.inner.ends, index, end), batch: self.inner, index })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.inner.ends.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Batch<'_> {}
impl FusedIterator for Batch<'_> {}

/// One record.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    batch: &'a types::Batch,
    data: &'a [u8],
    pub(crate) index: usize,
}

impl<'a> Record<'a> {
    /// Its bytes.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// When it arrived, milliseconds since 1970.
    pub fn arrived_ms(&self) -> u64 {
        self.batch.arrived_ms[self.index]
    }

    /// Where it stands in its shard. It rises from record to record, with gaps; user records of one aggregate share theirs.
    pub fn position(&self) -> u64 {
        self.batch.positions[self.index]
    }

    /// The shard of a record of a data stream; none for what was put into the delivery stream itself.
    pub fn shard(&self) -> Option<u32> {
        self.batch.shards.get(self.index).copied()
    }

    /// The partition key of a record of a data stream; none for what was put into the delivery stream itself.
    pub fn key(&self) -> Option<&'a [u8]> {
        let ends = &self.batch.key_ends;
        Some(cell(&self.batch.key_data, ends, self.index, *ends.get(self.index)?))
    }
}

/// Row `index` of a column of bytes, which ends at `end`.
fn cell<'a>(data: &'a [u8], ends: &[u32], index: usize, end: u32) -> &'a [u8] {
    let start = if index == 0 { 0 } else { ends[index - 1] };
    &data[start as usize..end as usize]
}
