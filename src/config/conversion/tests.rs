//! What of a conversion is refused, and its serialized form.

use super::*;

fn of(format: Format, columns: &[(&str, &str)]) -> Conversion {
    let table = TableSchema::of_texts(columns.iter().copied()).unwrap();
    Conversion { format, schema: SchemaFrom::Table(table), json: Json::default() }
}

fn parquet(change: impl FnOnce(&mut Parquet)) -> Conversion {
    let mut options = Parquet::default();
    change(&mut options);
    of(Format::Parquet(options), &[("id", "bigint"), ("user", "struct<name:string,tags:array<string>>")])
}

#[test]
fn options_stay_in_their_ranges() {
    parquet(|_| {}).check().unwrap();
    for (conversion, message) in [
        (
            parquet(|options| options.row_group_bytes = 1_000),
            "the row group size must be 1048576 to 1073741824, not 1000",
        ),
        (parquet(|options| options.row_group_rows = 1), "the rows of a row group must be 1000 to 100000000, not 1"),
        (parquet(|options| options.page_bytes = 65_535), "the page size must be 65536 to 268435456, not 65535"),
        (parquet(|options| options.level = Some(1)), "a compression level has a meaning with gzip and zstd alone"),
        (
            parquet(|options| (options.compression, options.level) = (ParquetCompression::Gzip, Some(10))),
            "the compression level must be 0 to 9, not 10",
        ),
        (
            parquet(|options| (options.compression, options.level) = (ParquetCompression::Zstd, Some(0))),
            "the compression level must be 1 to 22, not 0",
        ),
        (
            parquet(|options| options.bloom_filter_fpp = f64::NAN),
            "the error rate of bloom filters must be above 0 and below 1, not NaN",
        ),
        (
            parquet(|options| options.bloom_filters = vec!["user.nam".into()]),
            "the table has no column \"user.nam\" for a bloom filter",
        ),
        (
            parquet(|options| options.bloom_filters = vec!["user".into()]),
            "the table has no column \"user\" for a bloom filter",
        ),
        (
            of(Format::Orc(Orc { stripe_bytes: 1, ..Orc::default() }), &[("a", "int")]),
            "the stripe size must be 1048576 to 1073741824, not 1",
        ),
    ] {
        assert_eq!(conversion.check().unwrap_err().message(), message);
    }
    parquet(|options| options.bloom_filters = vec!["user.name".into(), "id".into()]).check().unwrap();
    let hive = Json::Hive { timestamp_formats: vec!["millis".into(), "tt".into()] };
    let fault = Conversion { json: hive, ..parquet(|_| {}) }.check().unwrap_err();
    assert_eq!(fault.message(), "the pattern \"tt\" has the letter 't', which is not known");
}

#[test]
fn what_a_plan_pins_reads_the_same_again() {
    let keys = [("ts".to_owned(), "timestamp".to_owned())].into();
    let json = Json::Openx { case_insensitive: false, dots_to_underscores: true, keys };
    let pinned = Conversion { json, ..parquet(|options| options.level = None) }.resolved(None).unwrap();
    let text = serde_json::to_string(&pinned).unwrap();
    assert_eq!(serde_json::from_str::<Columnar>(&text).unwrap(), pinned);
    assert!(text.contains(r#"{"name":"user","type":"struct<name:string,tags:array<string>>"}"#), "{text}");
}

#[test]
fn a_glue_table_must_be_fetched_and_must_fit() {
    let glue = GlueTable { database: "lake".into(), table: "events".into(), ..GlueTable::default() };
    let schema = SchemaFrom::Glue(Box::new(glue));
    let conversion = Conversion { schema, ..of(Format::Orc(Orc::default()), &[("a", "int")]) };
    conversion.check().unwrap();
    let unknown = conversion.resolved(None).unwrap_err();
    assert_eq!(unknown.message(), "the schema of the Glue table lake.events is not known");
    let flat = TableSchema::of_texts([("a", "int")]).unwrap();
    assert_eq!(conversion.resolved(Some(flat.clone())).unwrap().schema, Schema::Table(flat));
    let nested = TableSchema::of_texts([("a", "array<int>")]).unwrap();
    assert!(conversion.resolved(Some(nested)).unwrap_err().message().contains("column \"a\" is array<int>"));
}
