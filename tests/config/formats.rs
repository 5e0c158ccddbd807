//! Conversion into Parquet and ORC: what a file may say of it, and each mistake.

use standpipe::config::{
    ColumnType, Conflicts, Conversion, Format, Json, OrcCompression, ParquetCompression, SchemaFrom, Statistics,
};

use super::mistakes::each;
use super::{local, parse, with_data_dir};

fn conversion(text: &str) -> Conversion {
    let config = parse(&with_data_dir(&local(text))).unwrap_or_else(|faults| panic!("{faults}"));
    *config.delivery_streams[0].destination.conversion.clone().expect("there is a format")
}

#[test]
fn the_least_that_can_be_said() {
    let said = conversion("format = { parquet = {}, schema = { infer = {} } }");
    let Format::Parquet(parquet) = &said.format else { panic!("{said:?}") };
    assert_eq!((parquet.row_group_bytes, parquet.page_bytes), (256 << 20, 1 << 20));
    assert_eq!((parquet.compression, parquet.dictionary), (ParquetCompression::Snappy, true));
    assert_eq!(said.schema, SchemaFrom::Infer(standpipe::config::Inference { conflicts: Conflicts::Text }));
    assert_eq!(said.json, Json::default());
}

#[test]
fn everything_that_can_be_said() {
    let said = conversion(
        r#"
[delivery_stream.s.destination.format.parquet]
row_group_size = "64 MiB"
row_group_rows = 100000
page_size = "64 KiB"
compression = "zstd"
compression_level = 9
dictionary = false
statistics = "row-group"
bloom_filters = ["zulu", "who.name"]
bloom_filter_error = 0.01
version = "v2"
[delivery_stream.s.destination.format]
json = { openx = { case_insensitive = false, dots_to_underscores = true, keys = { zulu = "z" } } }
[delivery_stream.s.destination.format.schema.columns]
zulu = "bigint"
alpha = "decimal(9, 2)"
who = "struct<name:string>"
"#,
    );
    let Format::Parquet(parquet) = &said.format else { panic!("{said:?}") };
    assert_eq!((parquet.row_group_bytes, parquet.row_group_rows, parquet.page_bytes), (64 << 20, 100_000, 64 << 10));
    assert_eq!((parquet.compression, parquet.level), (ParquetCompression::Zstd, Some(9)));
    assert_eq!((parquet.dictionary, parquet.statistics), (false, Statistics::RowGroup));
    assert_eq!((parquet.bloom_filters.len(), parquet.bloom_filter_fpp), (2, 0.01));
    let SchemaFrom::Table(table) = &said.schema else { panic!("{said:?}") };
    let names: Vec<_> = table.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["zulu", "alpha", "who"], "columns stand in the order of the file");
    assert_eq!(table.columns()[1].kind, ColumnType::Decimal { precision: 9, scale: 2 });
    let keys = [("zulu".to_owned(), "z".to_owned())].into();
    assert_eq!(said.json, Json::Openx { case_insensitive: false, dots_to_underscores: true, keys });

    let said = conversion(
        r#"format = { orc = { stripe_size = "8 MiB", compression = "zlib" }, json = { hive = { timestamp_formats = ["millis"] } }, schema = { glue = { database = "lake", table = "events", region = "eu-west-1", version = "LATEST", endpoint = "http://127.0.0.1:1/" } } }"#,
    );
    let Format::Orc(orc) = &said.format else { panic!("{said:?}") };
    assert_eq!((orc.stripe_bytes, orc.compression), (8 << 20, OrcCompression::Zlib));
    let SchemaFrom::Glue(glue) = &said.schema else { panic!("{said:?}") };
    assert_eq!((glue.database.as_str(), glue.version.as_deref()), ("lake", None));
    assert_eq!(glue.endpoint.as_deref(), Some("http://127.0.0.1:1"));
}

#[test]
fn schemas_come_from_files() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("t.sql", "create table t (id bigint, tags array<string>)"),
        ("t.json", r#"{"properties":{"id":{"type":"integer"},"tags":{"type":"array","items":{"type":"string"}}}}"#),
        (
            "t.avsc",
            r#"{"type":"record","name":"t","fields":[{"name":"id","type":"long"},{"name":"tags","type":{"type":"array","items":"string"}}]}"#,
        ),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let said = conversion(&format!("format = {{ parquet = {{}}, schema = {{ file = {path:?} }} }}"));
        let SchemaFrom::Table(table) = &said.schema else { panic!("{said:?}") };
        let columns: Vec<_> = table.columns().iter().map(|column| format!("{} {}", column.name, column.kind)).collect();
        assert_eq!(columns, ["id bigint", "tags array<string>"], "{name}");
    }
    let path = dir.path().join("bad.sql");
    std::fs::write(&path, "select 1").unwrap();
    let message =
        format!("file: {}: the file is no JSON and has no CREATE TABLE statement with columns", path.display());
    let text = local(&format!("format = {{ parquet = {{}}, schema = {{ file = {path:?} }} }}"));
    each(&[(text, 5, &message)]);
}

#[test]
fn mistakes_are_named() {
    let format = |text: &str| local(&format!("format = {{ {text} }}"));
    let columns = |text: &str| format(&format!("parquet = {{}}, schema = {{ columns = {{ {text} }} }}"));
    each(&[
        (format("schema = { infer = {} }"), 5, "the format says neither \"parquet\" nor \"orc\""),
        (format("parquet = {}, orc = {}, schema = { infer = {} }"), 5, "parquet and orc exclude one another"),
        (format("parquet = {}"), 5, "missing key \"schema\""),
        (format("parqet = {}, schema = { infer = {} }"), 5, "unknown key \"parqet\": did you mean \"parquet\"?"),
        (format("parquet = {}, schema = {}"), 5, "a schema is one of \"columns\", \"file\", \"glue\" and \"infer\""),
        (
            format("parquet = {}, schema = { infer = { conflicts = \"fail\" } }"),
            5,
            "\"fail\" comes with a later version: this one has \"text\"",
        ),
        (
            format("parquet = {}, schema = { file = \"x\", infer = {} }"),
            5,
            "a schema is one of \"columns\", \"file\", \"glue\" and \"infer\"",
        ),
        (
            format("parquet = { compression = \"lzo\" }, schema = { infer = {} }"),
            5,
            "unknown value \"lzo\": must be \"none\", \"gzip\", \"snappy\" or \"zstd\"",
        ),
        (
            format("parquet = { row_group_size = \"2 GiB\" }, schema = { infer = {} }"),
            5,
            "row_group_size must be 1 MiB to 1 GiB, not 2 GiB",
        ),
        (
            format("parquet = { compression_level = 3 }, schema = { infer = {} }"),
            5,
            "format: a compression level has a meaning with gzip and zstd alone",
        ),
        (
            format("parquet = { bloom_filters = [\"b\"] }, schema = { columns = { a = \"int\" } }"),
            5,
            "format: the table has no column \"b\" for a bloom filter",
        ),
        (
            format("orc = {}, schema = { columns = { a = \"map<string,int>\" } }"),
            5,
            "format: column \"a\" is map<string,int>, which cannot be written as ORC: of types, ORC objects have no array, \
             map, struct and decimal here; Parquet has them all",
        ),
        (
            format("orc = { row_index_stride = 1000 }, schema = { infer = {} }"),
            5,
            "\"row_index_stride\" comes with a later version",
        ),
        (
            columns("a = \"array<int\""),
            5,
            "columns: column \"a\": expected '>' at character 10, found the end of the type",
        ),
        (columns(""), 5, "columns: a table must have columns"),
        (columns("a = \"int\", A = \"int\""), 5, "format: column \"A\" and another one both stand for the key \"a\""),
        (
            format("parquet = {}, schema = { infer = {} }, json = { hive = { timestamp_formats = [\"tt\"] } }"),
            5,
            "timestamp_formats: the pattern \"tt\" has the letter 't', which is not known",
        ),
        (
            format("parquet = {}, schema = { infer = {} }, json = { hive = {}, openx = {} }"),
            5,
            "openx and hive exclude one another",
        ),
        (format("parquet = {}, schema = { infer = {} }, json = {}"), 5, "json says neither \"openx\" nor \"hive\""),
        (
            format("parquet = {}, schema = { glue = { database = \"a b\", table = \"t\" } }"),
            5,
            "database: \"a b\" must have 1 to 1024 characters and no blanks",
        ),
        (format("parquet = {}, schema = { glue = { database = \"a\" } }"), 5, "missing key \"table\""),
        (
            local("compression = \"gzip\"\nformat = { parquet = {}, schema = { infer = {} } }"),
            6,
            "with a format, compression must be \"none\": the format has its own",
        ),
        (
            local("delimiter = \"always\"\nformat = { parquet = {}, schema = { infer = {} } }"),
            5,
            "with a format there is no delimiter between records",
        ),
    ]);
}
