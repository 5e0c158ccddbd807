//! Objects, as readers of others find them.

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
use arrow::compute::{cast, concat_batches};
use bytes::Bytes;
use orc_rust::ArrowReaderBuilder;

use super::*;
use crate::config::{OrcCompression, ParquetCompression, ParquetVersion, Statistics};
use crate::limits::{WRITE_BYTES, WRITE_ROWS};

const COLUMNS: &[(&str, &str)] = &[
    ("b", "boolean"),
    ("t", "tinyint"),
    ("h", "smallint"),
    ("i", "int"),
    ("l", "bigint"),
    ("f", "float"),
    ("d", "double"),
    ("s", "string"),
    ("v", "varchar(9)"),
    ("x", "binary"),
    ("day", "date"),
    ("at", "timestamp"),
];

/// Record `number`; every third value is not there, and every fifth record has next to none.
fn record(number: usize) -> String {
    let signed = i64::try_from(number).unwrap();
    let there = |column: usize| !(number + column).is_multiple_of(3) && !number.is_multiple_of(5);
    let values = [
        format!("\"b\":{}", number.is_multiple_of(2)),
        format!("\"t\":{}", number % 100),
        format!("\"h\":{}", signed - 5_000),
        format!("\"i\":{}", number * 1_000),
        format!("\"l\":{}", signed * -1_000_000_007),
        format!("\"f\":{number}.5"),
        format!("\"d\":{number}e-3"),
        format!("\"s\":\"text {}\"", number % 1_000),
        format!("\"v\":\"ü{}\"", number % 10),
        "\"x\":\"AQI=\"".to_owned(),
        format!("\"day\":\"20{:02}-01-02\"", number % 100),
        format!("\"at\":{}.25", signed * 10_000 - 5_000_000),
    ];
    let values: Vec<_> = (0..).zip(values).filter(|(column, _)| there(*column)).map(|(_, value)| value).collect();
    format!("{{{}}}", values.join(","))
}

fn batch(converter: &Converter, rows: usize) -> RecordBatch {
    let records: Vec<_> = (0..rows).map(record).collect();
    let made = converter.convert(records.iter().map(String::as_bytes)).unwrap();
    assert!(made.misfits.is_empty(), "{:?}", made.misfits);
    concat_batches(converter.schema(), &made.batches).unwrap()
}

/// The object of `batch`, given in pieces of `cut` rows.
fn object(converter: &Converter, batch: &RecordBatch, cut: usize) -> Bytes {
    let mut writer = converter.writer().unwrap();
    let mut bytes = Vec::new();
    for start in (0..batch.num_rows()).step_by(cut) {
        let piece = batch.slice(start, cut.min(batch.num_rows() - start));
        writer.push(piece).unwrap().iter().for_each(|ready| bytes.extend_from_slice(ready));
    }
    writer.finish().unwrap().iter().for_each(|ready| bytes.extend_from_slice(ready));
    bytes.into()
}

fn read_parquet(object: Bytes, converter: &Converter) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(object).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<_> = reader.build().unwrap().collect::<Result<_, _>>().unwrap();
    let read = concat_batches(&schema, &batches).unwrap();
    RecordBatch::try_new(converter.schema().clone(), read.columns().to_vec()).unwrap()
}

/// ORC's reader has times of nanoseconds.
fn read_orc(object: Bytes, converter: &Converter) -> RecordBatch {
    let batches: Vec<_> = ArrowReaderBuilder::try_new(object).unwrap().build().collect::<Result<_, _>>().unwrap();
    let schema = batches[0].schema();
    let read = concat_batches(&schema, &batches).unwrap();
    let fields = converter.schema().fields().iter();
    let columns = read.columns().iter().zip(fields).map(|(column, field)| cast(column, field.data_type()).unwrap());
    RecordBatch::try_new(converter.schema().clone(), columns.collect()).unwrap()
}

fn with(change: impl FnOnce(&mut Parquet)) -> Columnar {
    let mut options = Parquet::default();
    change(&mut options);
    Columnar { format: Format::Parquet(options), ..parquet(COLUMNS) }
}

#[test]
fn parquet_is_read_back_with_every_option() {
    for settings in [
        with(|_| {}),
        with(|options| options.compression = ParquetCompression::None),
        with(|options| (options.compression, options.level) = (ParquetCompression::Gzip, Some(1))),
        with(|options| (options.compression, options.level) = (ParquetCompression::Zstd, Some(1))),
        with(|options| (options.version, options.dictionary) = (ParquetVersion::V2, false)),
        with(|options| options.statistics = Statistics::None),
        with(|options| options.bloom_filters = vec!["s".to_owned()]),
        with(|options| (options.row_group_rows, options.page_bytes) = (1_000, 64 << 10)),
    ] {
        let converter = Converter::new(&settings).unwrap();
        let batch = batch(&converter, 2_500);
        let object = object(&converter, &batch, 1_000);
        assert_eq!(read_parquet(object.clone(), &converter), batch, "{settings:?}");
        let Format::Parquet(options) = &settings.format else { unreachable!() };
        let file = SerializedFileReader::new(object).unwrap();
        let groups = file.metadata().row_groups();
        assert_eq!(groups.len(), if options.row_group_rows == 1_000 { 3 } else { 1 });
        let text = groups[0].column(7);
        assert_eq!(text.statistics().is_some(), options.statistics != Statistics::None);
        assert_eq!(text.bloom_filter_offset().is_some(), !options.bloom_filters.is_empty());
        assert_eq!(text.dictionary_page_offset().is_some(), options.dictionary);
        assert_eq!(file.metadata().file_metadata().created_by(), Some("standpipe"));
    }
}

#[test]
fn nested_parquet_is_read_back() {
    let columns = [
        ("s", "struct<a:int,t:struct<b:array<string>>>"),
        ("l", "array<struct<k:string,v:double>>"),
        ("m", "map<string,array<bigint>>"),
        ("n", "decimal(20,3)"),
        ("ll", "array<array<timestamp>>"),
    ];
    let converter = Converter::new(&parquet(&columns)).unwrap();
    let records = [
        r#"{"s":{"a":1,"t":{"b":["x",null,""]}},"l":[{"k":"a","v":1},null,{}],"m":{"k":[1,2],"e":[],"n":null},"n":1.5}"#,
        "{}",
        r#"{"s":{"t":null},"l":[],"m":{},"n":-12345678901234567.0005,"ll":[[],null,[0,null]]}"#,
        r#"{"s":null,"l":null,"m":null,"ll":[]}"#,
    ];
    let made = converter.convert(records.iter().map(|record| record.as_bytes())).unwrap();
    assert_eq!(made.misfits, []);
    let batch = &made.batches[0];
    let written = object(&converter, batch, 4);
    assert_eq!(read_parquet(written.clone(), &converter), *batch);
    // What was kept in between is the same.
    let (mut kept, mut writer) = (Vec::new(), converter.writer().unwrap());
    converter.keep(&[batch.slice(0, 1), batch.slice(1, 3)], &mut kept).unwrap();
    let mut again = writer.push_kept(&kept).unwrap();
    again.extend(writer.finish().unwrap());
    assert_eq!(again.concat(), written);
    assert!(converter.writer().unwrap().push_kept(&kept[..kept.len() / 2]).is_err());
}

#[test]
fn orc_is_read_back_with_every_compression() {
    for compression in [OrcCompression::None, OrcCompression::Zlib, OrcCompression::Snappy, OrcCompression::Zstd] {
        let format = Format::Orc(Orc { compression, ..Orc::default() });
        let converter = Converter::new(&Columnar { format, ..orc(COLUMNS) }).unwrap();
        let batch = batch(&converter, 2_500);
        assert_eq!(read_orc(object(&converter, &batch, 999), &converter), batch, "{compression:?}");
    }
}

#[test]
fn bytes_depend_on_the_rows_and_not_on_how_they_came() {
    // Of some batches no value of a column is missing: that must not show.
    for settings in [with(|options| options.row_group_rows = 10_000), orc(COLUMNS)] {
        let converter = Converter::new(&settings).unwrap();
        let records: Vec<_> = (0..2 * WRITE_ROWS + 77)
            .map(|number| if number < WRITE_ROWS { record(1 + number * 15 + 6) } else { record(number) })
            .collect();
        let convert = |records: &[String]| converter.convert(records.iter().map(String::as_bytes)).unwrap().batches;
        let objects: Vec<_> = [records.len(), WRITE_ROWS, 1_000, 4_097]
            .iter()
            .map(|&cut| {
                let mut writer = converter.writer().unwrap();
                let batches = records.chunks(cut).flat_map(convert);
                let mut pieces: Vec<_> = batches.flat_map(|batch| writer.push(batch).unwrap()).collect();
                pieces.extend(writer.finish().unwrap());
                pieces.concat()
            })
            .collect();
        assert!(objects.iter().all(|object| *object == objects[0]), "{settings:?}");
    }
}

#[test]
fn row_groups_and_stripes_leave_as_they_fill() {
    let columns = [("s", "string")];
    let text = |number: u64| format!("{{\"s\":\"{:x}{:x}\"}}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15), number);
    let options = Parquet { row_group_bytes: 1 << 20, dictionary: false, ..Parquet::default() };
    let small_parquet = Columnar { format: Format::Parquet(options), ..parquet(&columns) };
    let small_orc = Columnar { format: Format::Orc(Orc { stripe_bytes: 1 << 20, ..Orc::default() }), ..orc(&columns) };
    for settings in [small_parquet, small_orc] {
        let converter = Converter::new(&settings).unwrap();
        let mut writer = converter.writer().unwrap();
        let (mut early, mut most) = (0, 0);
        for block in 0..12 {
            let records: Vec<_> = (block * 20_000..(block + 1) * 20_000).map(text).collect();
            for batch in converter.convert(records.iter().map(String::as_bytes)).unwrap().batches {
                early += writer.push(batch).unwrap().iter().map(Bytes::len).sum::<usize>();
                most = most.max(writer.held());
            }
        }
        let last: usize = writer.finish().unwrap().iter().map(Bytes::len).sum();
        assert!(early > 3 << 20, "{early} bytes came before the end");
        assert!(last < 3 << 20, "{last} bytes came at the end");
        assert!(most < 8 << 20, "{most} bytes were held");
    }
}

#[test]
fn an_object_without_rows_is_one() {
    let converter = Converter::new(&parquet(COLUMNS)).unwrap();
    let object = converter.writer().unwrap().finish().unwrap().concat();
    let file = SerializedFileReader::new(Bytes::from(object)).unwrap();
    assert_eq!(file.metadata().file_metadata().num_rows(), 0);
    let converter = Converter::new(&orc(COLUMNS)).unwrap();
    let object = converter.writer().unwrap().finish().unwrap().concat();
    let reader = ArrowReaderBuilder::try_new(Bytes::from(object)).unwrap();
    assert_eq!(reader.file_metadata().number_of_rows(), 0);
    assert_eq!((converter.extension(), Converter::new(&parquet(COLUMNS)).unwrap().extension()), (".orc", ".parquet"));
}

fn may_move<T: Send>() {}

#[test]
fn a_writer_that_is_given_up_ends() {
    let converter = Converter::new(&orc(COLUMNS)).unwrap();
    let mut writer = converter.writer().unwrap();
    writer.push(batch(&converter, WRITE_ROWS)).unwrap();
    drop(writer);
    may_move::<Writer>();
    may_move::<Converter>();
}

/// Batches of few rows, of which each has many bytes.
#[test]
fn large_rows_are_written_a_few_at_a_time_and_the_same_however_they_came() {
    let columns =
        [("id", "bigint"), ("s", "string"), ("l", "array<struct<a:string,b:int>>"), ("m", "map<string,string>")];
    let text = |number: u64, bytes: usize| -> String {
        let mut dice = number;
        std::iter::repeat_with(|| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'a' + (dice >> 60) as u8)
        })
        .take(bytes)
        .collect()
    };
    let records: Vec<_> = (0..60)
        .map(|number| match number % 3 {
            0 => format!("{{\"id\":{number},\"s\":\"{}\"}}", text(number, 3 << 20)),
            1 => format!("{{\"l\":[{{\"a\":\"{}\"}},null,{{\"b\":1}}]}}", text(number, 2 << 20)),
            _ => format!("{{\"m\":{{\"{}\":\"x\",\"k\":null}}}}", text(number, 1 << 20)),
        })
        .collect();
    for settings in [with(|options| options.compression = ParquetCompression::None), orc(&columns[..2])] {
        let settings = match settings.format {
            Format::Parquet(_) => Columnar { schema: Schema::Table(table(&columns)), ..settings },
            Format::Orc(_) => settings,
        };
        let converter = Converter::new(&settings).unwrap();
        let objects: Vec<_> = [records.len(), 1, 7]
            .iter()
            .map(|&cut| {
                let (mut writer, mut pieces, mut most) = (converter.writer().unwrap(), Vec::new(), 0);
                for records in records.chunks(cut) {
                    let misfits = converter.convert_each(records.iter().map(String::as_bytes), |batch| {
                        pieces.extend(writer.push(batch)?);
                        most = most.max(writer.pending_bytes());
                        Ok(true)
                    });
                    assert_eq!(misfits.unwrap(), []);
                }
                pieces.extend(writer.finish().unwrap());
                assert!(most < WRITE_BYTES, "{most} bytes were pending");
                pieces.concat()
            })
            .collect();
        assert!(objects.iter().all(|object| *object == objects[0]));
    }
}

#[test]
fn what_rows_weigh_is_no_matter_of_their_batch() {
    let columns = [
        ("b", "boolean"),
        ("s", "string"),
        ("l", "array<array<string>>"),
        ("o", "struct<x:binary,d:decimal(9,2)>"),
        ("m", "map<string,int>"),
    ];
    let converter = Converter::new(&parquet(&columns)).unwrap();
    let records = [
        r#"{"b":true,"s":"ab","l":[["x","yz"],[]],"o":{"x":"AQI="},"m":{"k":1}}"#,
        "{}",
        r#"{"l":[null],"o":null,"m":{"key":null,"two":2}}"#,
    ];
    let alone: Vec<_> = records
        .iter()
        .map(|record| weight::of_rows(&converter.convert([record.as_bytes()]).unwrap().batches[0], &(0..1)))
        .collect();
    let all = converter.convert(records.iter().map(|record| record.as_bytes())).unwrap().batches.remove(0);
    let within: Vec<_> = (0..3).map(|row| weight::of_rows(&all, &(row..row + 1))).collect();
    let sliced: Vec<_> = (0..3).map(|row| weight::of_rows(&all.slice(row, 1), &(0..1))).collect();
    assert_eq!((&within, &sliced), (&alone, &alone));
    assert_eq!(weight::of_rows(&all, &(0..3)), alone.iter().sum::<usize>());
    // b 2, s 5 and 2, l 5 and 5 + 5 and 5 + 1 + 5 + 2, o 1 and 5 + 2 and 17, m 5 and 1 and 5 + 1 and 5
    assert_eq!(alone[0], 2 + 7 + 28 + 25 + 17);
    assert_eq!(alone[1], 2 + 5 + 5 + 23 + 5);
    let reaching = |wanted| weight::reaching(&all, wanted);
    assert_eq!([reaching(1), reaching(alone[0]), reaching(alone[0] + 1)], [Some(1), Some(1), Some(2)]);
    assert_eq!((reaching(alone.iter().sum()), reaching(alone.iter().sum::<usize>() + 1)), (Some(3), None));
}
