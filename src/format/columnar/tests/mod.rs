//! Conversion as a whole: values, misfits, files read back by others' readers, and what is found in rows.

mod files;
mod glue;
mod inference;
mod random;
mod values;

use arrow::util::display::array_value_to_string;

use super::*;
use crate::config::{Format, Json, Orc, Parquet};

fn table(columns: &[(&str, &str)]) -> TableSchema {
    TableSchema::of_texts(columns.iter().copied()).unwrap()
}

fn parquet(columns: &[(&str, &str)]) -> Columnar {
    let format = Format::Parquet(Parquet::default());
    Columnar { format, schema: Schema::Table(table(columns)), json: Json::default() }
}

fn orc(columns: &[(&str, &str)]) -> Columnar {
    Columnar { format: Format::Orc(Orc::default()), ..parquet(columns) }
}

fn hive(columns: &[(&str, &str)], formats: &[&str]) -> Columnar {
    let timestamp_formats = formats.iter().map(|&format| format.to_owned()).collect();
    Columnar { json: Json::Hive { timestamp_formats }, ..parquet(columns) }
}

/// The rows as text, values by `|`; and the misfits.
fn converted(settings: &Columnar, records: &[&str]) -> (Vec<String>, Vec<(usize, Misfit)>) {
    let converter = Converter::new(settings).unwrap();
    let records: Vec<&[u8]> = records.iter().map(|record| record.as_bytes()).collect();
    let Converted { batches, rows, misfits } = converter.convert(records.iter().copied()).unwrap();
    let shown: Vec<_> = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| shown(batch, row))).collect();
    assert_eq!(shown.len(), rows);
    assert_eq!(converter.check(records), misfits, "a check says what a conversion would say");
    (shown, misfits)
}

fn shown(batch: &RecordBatch, row: usize) -> String {
    let values = batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap());
    values.collect::<Vec<_>>().join("|")
}

/// One value in a column `a` of one type: how it is shown, or why it does not fit.
fn value(settings: &Columnar, json: &str) -> Result<String, String> {
    let (mut rows, misfits) = converted(settings, &[&format!("{{\"a\":{json}}}")]);
    match (rows.pop(), misfits.into_iter().next()) {
        (Some(row), None) => Ok(row),
        (None, Some((0, misfit))) => Err(misfit.message),
        other => panic!("{json} became {other:?}"),
    }
}
