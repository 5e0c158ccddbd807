//! Random tables and rows: what we read is what arrow-json reads, and what Parquet's reader reads back.

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::compute::concat_batches;
use arrow::json::ReaderBuilder;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{Column, ColumnType};

/// Types whose values both readers read alike.
fn kind() -> impl Strategy<Value = ColumnType> {
    let flat = prop_oneof![
        Just(ColumnType::Boolean),
        Just(ColumnType::TinyInt),
        Just(ColumnType::SmallInt),
        Just(ColumnType::Int),
        Just(ColumnType::BigInt),
        Just(ColumnType::Float),
        Just(ColumnType::Double),
        Just(ColumnType::String),
        Just(ColumnType::Date),
        Just(ColumnType::Timestamp),
        Just(ColumnType::Decimal { precision: 12, scale: 3 }),
    ];
    flat.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|item| ColumnType::Array(Box::new(item))),
            inner.clone().prop_map(|value| ColumnType::Map(Box::new(ColumnType::String), Box::new(value))),
            prop::collection::vec(inner, 1..4).prop_map(|kinds| ColumnType::Struct(columns(kinds))),
        ]
    })
}

fn columns(kinds: Vec<ColumnType>) -> Vec<Column> {
    ('a'..).zip(kinds).map(|(name, kind)| Column { name: name.to_string(), kind }).collect()
}

/// Small numbers one after the other, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn random(kind: &ColumnType, dice: &mut Dice) -> Value {
    if dice.roll(5) == 0 {
        return Value::Null;
    }
    let number = i64::try_from(dice.roll(1 << 31)).unwrap() - (1 << 30);
    match kind {
        ColumnType::Boolean => json!(number > 0),
        ColumnType::TinyInt => json!(number % 128),
        ColumnType::SmallInt => json!(number % 32_768),
        ColumnType::Int => json!(number),
        ColumnType::BigInt => json!(number * 4_294_967_291),
        ColumnType::Float => json!((number as f32 / 7.0)),
        ColumnType::Double => json!(number as f64 / 7.0 * 10f64.powi(i32::try_from(dice.roll(400)).unwrap() - 200)),
        ColumnType::Decimal { .. } => json!(number as f64 / 8.0),
        ColumnType::Date => {
            json!(format!("{:04}-{:02}-{:02}", 1_900 + number.rem_euclid(200), dice.roll(12) + 1, dice.roll(28) + 1))
        }
        ColumnType::Timestamp => {
            json!(format!("2026-{:02}-07T{:02}:00:07.{:06}Z", dice.roll(12) + 1, dice.roll(24), dice.roll(1_000_000)))
        }
        ColumnType::Array(item) => (0..dice.roll(4)).map(|_| random(item, dice)).collect(),
        ColumnType::Map(_, value) => (0..dice.roll(4)).map(|key| (format!("k{key}"), random(value, dice))).collect(),
        ColumnType::Struct(fields) => object(fields, dice),
        _ => {
            json!(["", "plain", "é\"\\\n\u{0}😀", "/long text that has more than eight bytes\t"][dice.roll(4) as usize])
        }
    }
}

/// Some of the fields, in an order that turns.
fn object(fields: &[Column], dice: &mut Dice) -> Value {
    let turn = dice.roll(fields.len() as u64) as usize;
    let turned = fields[turn..].iter().chain(&fields[..turn]);
    let mut object = serde_json::Map::new();
    for Column { name, kind } in turned {
        if dice.roll(6) > 0 {
            object.insert(name.clone(), random(kind, dice));
        }
        if dice.roll(6) == 0 {
            object.insert(format!("extra{}", dice.roll(3)), json!({"x": [1, "é\n"]}));
        }
    }
    Value::Object(object)
}

proptest! {
    #[test]
    fn we_read_what_arrow_reads(kinds in prop::collection::vec(kind(), 1..6), seed: u64, rows in 1usize..40) {
        let fields = columns(kinds);
        let settings = Columnar { schema: Schema::Table(TableSchema::new(fields.clone()).unwrap()), ..parquet(&[("x", "int")]) };
        let converter = Converter::new(&settings).unwrap();
        let mut dice = Dice(seed);
        let records: Vec<_> = (0..rows).map(|_| object(&fields, &mut dice).to_string()).collect();
        let ours = converter.convert(records.iter().map(String::as_bytes)).unwrap();
        prop_assert_eq!(&ours.misfits, &vec![]);
        let lines = records.join("\n");
        let mut theirs = ReaderBuilder::new(converter.schema().clone()).build(lines.as_bytes()).unwrap();
        let theirs = theirs.next().unwrap().unwrap();
        prop_assert_eq!(&ours.batches[0], &theirs);

        let mut writer = converter.writer().unwrap();
        let mut object = writer.push(theirs.clone()).unwrap();
        object.extend(writer.finish().unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(object.concat())).unwrap();
        let schema = reader.schema().clone();
        let batches: Vec<_> = reader.build().unwrap().collect::<Result<_, _>>().unwrap();
        let read = concat_batches(&schema, &batches).unwrap();
        prop_assert_eq!(read.columns(), theirs.columns());
    }
}
