//! Runs a plugin without a host, for its own `cargo test`.
use crate::bindings::standpipe::transform::types;
use crate::{Batch, Facts, Outcome, Transform};

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A row is delivered: its data, and its partition keys by name.
    Ok(String, Vec<(String, String)>),
    /// It is left out on purpose.
    Dropped,
    /// It goes to the error output, with this message.
    Failed(String),
}

/// Starts a plugin with configuration values.
pub fn init<T: Transform>(config: &[(&str, &str)]) -> Result<T, String> {
    let config = config.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    T::init(Facts { delivery_stream: "test".to_owned(), config })
}

/// Runs a plugin on records that arrived at the start of 1970, and gives the fates of each.
///
/// # Panics
///
/// If a record is forgotten, or records are not answered in order.
pub fn run<T: Transform>(plugin: &mut T, records: &[impl AsRef<[u8]>]) -> Vec<Vec<Fate>> {
    let batch = batch(records);
    let mut out = Outcome::of(&batch);
    plugin.transform(Batch::new(&batch), &mut out);
    fates(&out.into_inner(), records.len())
}

fn batch(records: &[impl AsRef<[u8]>]) -> types::Batch {
    let mut batch = types::Batch {
        data: Vec::new(),
        ends: Vec::new(),
        arrived_ms: vec![0; records.len()],
        positions: (0..records.len() as u64).collect(),
        shards: Vec::new(),
        key_data: Vec::new(),
        key_ends: Vec::new(),
    };
    for record in records {
        batch.data.extend_from_slice(record.as_ref());
        batch.ends.push(batch.data.len() as u32);
    }
    batch
}

fn fates(outcome: &types::Outcome, records: usize) -> Vec<Vec<Fate>> {
    assert!(outcome.inputs.is_sorted(), "records are answered in order");
    let mut fates = vec![Vec::new(); records];
    for (row, &input) in outcome.inputs.iter().enumerate() {
        let data = text(&outcome.data, &outcome.ends, row);
        fates[input as usize].push(match outcome.statuses[row] {
            0 => Fate::Ok(data, keys(outcome, row)),
            1 => Fate::Dropped,
            _ => Fate::Failed(data),
        });
    }
    assert!(fates.iter().all(|rows| !rows.is_empty()), "every record is answered");
    fates
}

fn keys(outcome: &types::Outcome, row: usize) -> Vec<(String, String)> {
    let all = outcome.keys.iter().map(|column| (column.name.clone(), text(&column.data, &column.ends, row)));
    all.filter(|(_, value)| !value.is_empty()).collect()
}

fn text(data: &[u8], ends: &[u32], row: usize) -> String {
    let start = if row == 0 { 0 } else { ends[row - 1] };
    String::from_utf8_lossy(&data[start as usize..ends[row] as usize]).into_owned()
}
