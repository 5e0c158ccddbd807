//! How many bytes some rows have in their columns: a sum over values, not over buffers, so that it depends on the rows alone and not on
//! the batch that they are in.

use std::ops::Range;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;

/// Whether a value is there, and where it ends.
const MARK: usize = 1;
const END: usize = 4;

/// Bytes of the rows `rows`.
pub(super) fn of_rows(batch: &RecordBatch, rows: &Range<usize>) -> usize {
    batch.columns().iter().map(|column| of_values(column.as_ref(), rows)).sum()
}

fn of_values(column: &dyn Array, values: &Range<usize>) -> usize {
    // Ends are never below 0.
    let between = |ends: &[i32]| ends[values.start].cast_unsigned() as usize..ends[values.end].cast_unsigned() as usize;
    let inside = match column.data_type() {
        DataType::Boolean => values.len(),
        DataType::Utf8 => END * values.len() + between(column.as_string::<i32>().value_offsets()).len(),
        DataType::Binary => END * values.len() + between(column.as_binary::<i32>().value_offsets()).len(),
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            END * values.len() + of_values(list.values().as_ref(), &between(list.value_offsets()))
        }
        DataType::Map(..) => {
            let map = column.as_map();
            END * values.len() + of_values(map.entries(), &between(map.value_offsets()))
        }
        DataType::Struct(_) => column.as_struct().columns().iter().map(|field| of_values(field.as_ref(), values)).sum(),
        kind => values.len() * kind.primitive_width().unwrap_or(0),
    };
    MARK * values.len() + inside
}

/// With how few of a batch's first rows there are `wanted` bytes at least; nothing if all of them have less.
pub(super) fn reaching(batch: &RecordBatch, wanted: usize) -> Option<usize> {
    let has = |rows: usize| of_rows(batch, &(0..rows)) >= wanted;
    let (mut less, mut enough) = (0, batch.num_rows());
    if !has(enough) {
        return None;
    }
    while less + 1 < enough {
        let middle = less.midpoint(enough);
        if has(middle) {
            enough = middle;
        } else {
            less = middle;
        }
    }
    Some(enough)
}
