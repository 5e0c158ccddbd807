//! Columns under construction: values one after the other, of which the last ones can be taken back.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, ListArray, MapArray, PrimitiveArray, StringArray, StructArray,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Field, FieldRef, Fields, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow::error::ArrowError;

use super::object::Object;
use super::rules::Rules;
use crate::config::ColumnType;

/// A column, or what is in one.
pub(super) struct Column<'t> {
    pub(super) kind: &'t ColumnType,
    pub(super) values: Values<'t>,
    /// Which are there: the others are null, and have a value that means nothing.
    pub(super) valid: Vec<bool>,
    /// How many values a null is: one, and those of all fields.
    pub(super) width: usize,
}

pub(super) enum Values<'t> {
    Boolean(Vec<bool>),
    TinyInt(Vec<i8>),
    SmallInt(Vec<i16>),
    Int(Vec<i32>),
    BigInt(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Decimal(Vec<i128>),
    Text(Bytes),
    Binary(Bytes),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
    Array { ends: Vec<i32>, items: Box<Column<'t>> },
    Map { ends: Vec<i32>, keys: Box<Column<'t>>, values: Box<Column<'t>> },
    Struct(Object<'t>),
}

/// Byte strings: one after the other, with the end of each.
#[derive(Default)]
pub(super) struct Bytes {
    pub(super) ends: Vec<i32>,
    pub(super) data: Vec<u8>,
}

impl Bytes {
    /// Ends the value whose bytes have been added.
    pub(super) fn end(&mut self) {
        self.ends.push(offset(self.data.len()));
    }

    /// Whether two of the values from number `from` on are the same.
    pub(super) fn has_twins(&self, from: usize) -> bool {
        /// Few are compared each with each.
        const FEW: usize = 16;
        let mut start = last(&self.ends[..from]);
        let mut values = self.ends[from..].iter().map(|end| {
            let end = usize::try_from(*end).unwrap_or(start);
            &self.data[std::mem::replace(&mut start, end)..end]
        });
        if self.ends.len() - from > FEW {
            let mut known = std::collections::HashSet::new();
            return !values.all(|value| known.insert(value));
        }
        let mut known = [&[][..]; FEW];
        for (count, value) in values.enumerate() {
            if known[..count].contains(&value) {
                return true;
            }
            known[count] = value;
        }
        false
    }

    fn truncate(&mut self, length: usize) {
        self.ends.truncate(length);
        self.data.truncate(last(&self.ends));
    }
}

/// A length as an end. A batch is too small for one that cannot be said; it would be refused in the end, being below 0.
pub(super) fn offset(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(-1)
}

/// Where the values that are whole end.
pub(super) fn last(ends: &[i32]) -> usize {
    ends.last().map_or(0, |end| usize::try_from(*end).unwrap_or(0))
}

impl<'t> Column<'t> {
    pub(super) fn new(kind: &'t ColumnType, rules: &Rules) -> Self {
        let values = match kind {
            ColumnType::Boolean => Values::Boolean(Vec::new()),
            ColumnType::TinyInt => Values::TinyInt(Vec::new()),
            ColumnType::SmallInt => Values::SmallInt(Vec::new()),
            ColumnType::Int => Values::Int(Vec::new()),
            ColumnType::BigInt => Values::BigInt(Vec::new()),
            ColumnType::Float => Values::Float(Vec::new()),
            ColumnType::Double => Values::Double(Vec::new()),
            ColumnType::Decimal { .. } => Values::Decimal(Vec::new()),
            ColumnType::String | ColumnType::Varchar(_) | ColumnType::Char(_) => Values::Text(Bytes::default()),
            ColumnType::Binary => Values::Binary(Bytes::default()),
            ColumnType::Date => Values::Date(Vec::new()),
            ColumnType::Timestamp => Values::Timestamp(Vec::new()),
            ColumnType::Array(item) => Values::Array { ends: Vec::new(), items: Box::new(Column::new(item, rules)) },
            ColumnType::Map(key, value) => Values::Map {
                ends: Vec::new(),
                keys: Box::new(Column::new(key, rules)),
                values: Box::new(Column::new(value, rules)),
            },
            ColumnType::Struct(fields) => Values::Struct(Object::new(fields, rules)),
        };
        let width = if let Values::Struct(object) = &values { 1 + object.width() } else { 1 };
        Column { kind, values, valid: Vec::new(), width }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.valid.len()
    }

    pub(super) fn push_null(&mut self) {
        match &mut self.values {
            Values::Boolean(values) => values.push(false),
            Values::TinyInt(values) => values.push(0),
            Values::SmallInt(values) => values.push(0),
            Values::Int(values) | Values::Date(values) => values.push(0),
            Values::BigInt(values) | Values::Timestamp(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Double(values) => values.push(0.0),
            Values::Decimal(values) => values.push(0),
            Values::Text(bytes) | Values::Binary(bytes) => bytes.end(),
            Values::Array { ends, items } => ends.push(offset(items.len())),
            Values::Map { ends, values, .. } => ends.push(offset(values.len())),
            Values::Struct(object) => object.push_null(),
        }
        self.valid.push(false);
    }

    /// Takes back all but the first `length` values, and whatever there is of one that is not whole.
    pub(super) fn truncate(&mut self, length: usize) {
        match &mut self.values {
            Values::Boolean(values) => values.truncate(length),
            Values::TinyInt(values) => values.truncate(length),
            Values::SmallInt(values) => values.truncate(length),
            Values::Int(values) | Values::Date(values) => values.truncate(length),
            Values::BigInt(values) | Values::Timestamp(values) => values.truncate(length),
            Values::Float(values) => values.truncate(length),
            Values::Double(values) => values.truncate(length),
            Values::Decimal(values) => values.truncate(length),
            Values::Text(bytes) | Values::Binary(bytes) => bytes.truncate(length),
            Values::Array { ends, items } => {
                ends.truncate(length);
                items.truncate(last(ends));
            }
            Values::Map { ends, keys, values } => {
                ends.truncate(length);
                keys.truncate(last(ends));
                values.truncate(last(ends));
            }
            Values::Struct(object) => object.truncate(length),
        }
        self.valid.truncate(length);
    }

    /// Makes an array of all that there is, of the type `kind`.
    pub(super) fn finish(self, kind: &DataType) -> Result<ArrayRef, ArrowError> {
        let nulls = nulls(&self.valid);
        Ok(match self.values {
            Values::Boolean(values) => {
                Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(values.len(), |at| values[at]), nulls))
            }
            Values::TinyInt(values) => flat::<Int8Type>(values, nulls),
            Values::SmallInt(values) => flat::<Int16Type>(values, nulls),
            Values::Int(values) => flat::<Int32Type>(values, nulls),
            Values::BigInt(values) => flat::<Int64Type>(values, nulls),
            Values::Float(values) => flat::<Float32Type>(values, nulls),
            Values::Double(values) => flat::<Float64Type>(values, nulls),
            Values::Date(values) => flat::<Date32Type>(values, nulls),
            Values::Decimal(values) => {
                Arc::new(Decimal128Array::new(values.into(), nulls).with_data_type(kind.clone()))
            }
            Values::Timestamp(values) => {
                let array = PrimitiveArray::<TimestampMicrosecondType>::new(values.into(), nulls);
                Arc::new(array.with_data_type(kind.clone()))
            }
            Values::Text(Bytes { ends, data }) => Arc::new(StringArray::try_new(offsets(ends)?, data.into(), nulls)?),
            Values::Binary(Bytes { ends, data }) => Arc::new(BinaryArray::try_new(offsets(ends)?, data.into(), nulls)?),
            Values::Array { ends, items } => {
                let item = only_child(kind)?;
                let items = items.finish(item.data_type())?;
                Arc::new(ListArray::try_new(item, offsets(ends)?, items, nulls)?)
            }
            Values::Map { ends, keys, values } => {
                let entries = only_child(kind)?;
                let fields = fields(entries.data_type())?;
                let columns = vec![keys.finish(fields[0].data_type())?, values.finish(fields[1].data_type())?];
                let pairs = StructArray::try_new(fields.clone(), columns, None)?;
                Arc::new(MapArray::try_new(entries, offsets(ends)?, pairs, nulls, false)?)
            }
            Values::Struct(object) => {
                let (fields, length) = (fields(kind)?, self.valid.len());
                let columns = object.finish(fields)?;
                Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, length)?)
            }
        })
    }
}

fn nulls(valid: &[bool]) -> Option<NullBuffer> {
    let all = valid.iter().all(|valid| *valid);
    (!all).then(|| NullBuffer::new(BooleanBuffer::collect_bool(valid.len(), |at| valid[at])))
}

fn flat<T: ArrowPrimitiveType>(values: Vec<T::Native>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls))
}

/// Ends never fall: an Arrow offset buffer is a 0 and the ends.
fn offsets(ends: Vec<i32>) -> Result<OffsetBuffer<i32>, ArrowError> {
    let mut all = Vec::with_capacity(ends.len() + 1);
    all.push(0);
    all.extend(ends);
    if all.windows(2).any(|pair| pair[0] > pair[1]) {
        return Err(ArrowError::ComputeError("a batch has more bytes than 32 bits can say".to_owned()));
    }
    Ok(OffsetBuffer::new(all.into()))
}

fn only_child(kind: &DataType) -> Result<FieldRef, ArrowError> {
    match kind {
        DataType::List(item) | DataType::Map(item, _) => Ok(item.clone()),
        other => Err(ArrowError::SchemaError(format!("{other} has no items"))),
    }
}

fn fields(kind: &DataType) -> Result<&Fields, ArrowError> {
    match kind {
        DataType::Struct(fields) => Ok(fields),
        other => Err(ArrowError::SchemaError(format!("{other} has no fields"))),
    }
}

/// The Arrow field of a column; times have the zone `zone`.
pub(super) fn field(name: &str, kind: &ColumnType, zone: Option<&str>) -> Field {
    Field::new(name, data_type(kind, zone), true)
}

fn data_type(kind: &ColumnType, zone: Option<&str>) -> DataType {
    match kind {
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::TinyInt => DataType::Int8,
        ColumnType::SmallInt => DataType::Int16,
        ColumnType::Int => DataType::Int32,
        ColumnType::BigInt => DataType::Int64,
        ColumnType::Float => DataType::Float32,
        ColumnType::Double => DataType::Float64,
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(*precision, scale.cast_signed()),
        ColumnType::String | ColumnType::Varchar(_) | ColumnType::Char(_) => DataType::Utf8,
        ColumnType::Binary => DataType::Binary,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, zone.map(Arc::from)),
        ColumnType::Array(item) => DataType::List(Arc::new(field("element", item, zone))),
        ColumnType::Map(key, value) => {
            let key = Field::new("key", data_type(key, zone), false);
            let entries = DataType::Struct(vec![key, field("value", value, zone)].into());
            DataType::Map(Arc::new(Field::new("key_value", entries, false)), false)
        }
        ColumnType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|column| field(&column.name, &column.kind, zone)).collect())
        }
    }
}
