//! What a plugin answers: rows.
use crate::Record;
use crate::bindings::standpipe::transform::types;

const OK: u8 = 0;
const DROPPED: u8 = 1;
const FAILED: u8 = 2;

/// What becomes of a batch. Records are answered in their order; each may become several rows.
pub struct Outcome {
    inner: types::Outcome,
}

impl Outcome {
    pub(crate) fn of(batch: &types::Batch) -> Self {
        let rows = batch.ends.len();
        Outcome {
            inner: types::Outcome {
                data: Vec::with_capacity(batch.data.len()),
                ends: Vec::with_capacity(rows),
                inputs: Vec::with_capacity(rows),
                statuses: Vec::with_capacity(rows),
                keys: Vec::new(),
            },
        }
    }

    pub(crate) fn into_inner(self) -> types::Outcome {
        self.inner
    }

    /// Delivers `data` for `record`; may be called several times for one record.
    pub fn emit(&mut self, record: &Record<'_>, data: impl AsRef<[u8]>) -> Row<'_> {
        self.inner.data.extend_from_slice(data.as_ref());
        self.end_row(record, OK)
    }

    /// Delivers what `write` appends to the buffer that it is given. That holds the rows before too: append only.
    pub fn emit_with(&mut self, record: &Record<'_>, write: impl FnOnce(&mut Vec<u8>)) -> Row<'_> {
        write(&mut self.inner.data);
        self.end_row(record, OK)
    }

    /// Leaves `record` out, on purpose: it is counted as dropped.
    pub fn drop(&mut self, record: &Record<'_>) {
        self.end_row(record, DROPPED);
    }

    /// Sends `record` to the error output as it came, with a message for a person; nothing else of it is delivered.
    pub fn fail(&mut self, record: &Record<'_>, message: impl AsRef<str>) {
        self.inner.data.extend_from_slice(message.as_ref().as_bytes());
        self.end_row(record, FAILED);
    }

    fn end_row(&mut self, record: &Record<'_>, status: u8) -> Row<'_> {
        self.inner.ends.push(offset(self.inner.data.len()));
        self.inner.inputs.push(offset(record.index));
        self.inner.statuses.push(status);
        for column in &mut self.inner.keys {
            column.ends.push(offset(column.data.len()));
        }
        Row { outcome: self }
    }
}

/// A row that was just emitted, to give it partition keys.
pub struct Row<'a> {
    outcome: &'a mut Outcome,
}

impl Row<'_> {
    /// Gives the row a partition key, for `!{partitionKeyFromLambda:name}` in a prefix. An empty value is as good as none.
    ///
    /// # Panics
    ///
    /// If the row has a key of that name.
    pub fn key(self, name: &str, value: impl AsRef<str>) -> Self {
        let rows = self.outcome.inner.ends.len();
        let keys = &mut self.outcome.inner.keys;
        let at = keys.iter().position(|column| column.name == name).unwrap_or_else(|| {
            // The rows before had no such key: theirs is empty.
            keys.push(types::KeyColumn { name: name.to_owned(), data: Vec::new(), ends: vec![0; rows] });
            keys.len() - 1
        });
        let column = &mut keys[at];
        let start = if rows == 1 { 0 } else { column.ends[rows - 2] };
        assert!(column.ends[rows - 1] == start, "a row has one value of the key {name:?}");
        column.data.extend_from_slice(value.as_ref().as_bytes());
        column.ends[rows - 1] = offset(column.data.len());
        self
    }
}

/// Offsets are 32 bits wide, as the memory of a plugin is.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a plugin's memory ends before 4 GiB")
}
