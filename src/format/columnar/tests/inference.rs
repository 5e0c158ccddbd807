//! Schemas found in rows.

use proptest::prelude::*;

use super::*;
use crate::config::Inference;

fn inferred() -> Columnar {
    let schema = Schema::Infer(Inference::default());
    Columnar { schema, ..parquet(&[("unused", "int")]) }
}

fn found(settings: &Columnar, records: &[&str]) -> String {
    let mut inferrer = Inferrer::new(settings).unwrap();
    for record in records {
        inferrer.see(record.as_bytes());
    }
    let table = inferrer.table().unwrap();
    let columns: Vec<_> = table.columns().iter().map(|column| format!("{} {}", column.name, column.kind)).collect();
    columns.join("; ")
}

#[test]
fn kinds_are_widened_and_merged() {
    for (records, expected) in [
        (&[r#"{"b":1,"a":true}"#][..], "b bigint; a boolean"),
        (&[r#"{"a":1}"#, r#"{"a":2.5}"#, r#"{"a":3}"#], "a double"),
        (&[r#"{"a":null}"#, r#"{"a":[]}"#, r#"{"a":[null]}"#], "a array<string>"),
        (&[r#"{"a":null,"o":{}}"#], "a string; o string"),
        (&[r#"{"o":{"x":1}}"#, r#"{"o":{"y":{"z":"t"}}}{"o":null}"#], "o struct<x:bigint,y:struct<z:string>>"),
        (&[r#"{"l":[{"x":1},{"x":1.5,"y":[true]}]}"#], "l array<struct<x:double,y:array<boolean>>>"),
        (&[r#"{"a":1}"#, r#"{"a":"x"}"#, r#"{"a":2.5}"#], "a string"),
        (&[r#"{"a":{"x":1}}"#, r#"{"a":[1]}"#, r#"{"a":{"x":1}}"#], "a string"),
        (&[r#"{"a":9223372036854775808}"#, r#"{"b":1e999}"#, r#"{"c":1e5}"#], "a string; b string; c double"),
        (&[r#"{"Id":1}"#, r#"{"ID":2}"#], "id bigint"),
        (&["oops", "[1]", r#"{"a":1"#, r#"{"a":1}x"#, "\u{feff}{}", r#"{"b":1}"#], "b bigint"),
        (&["{}"], "_ string"),
        (&[], "_ string"),
        (&[r#"{"":1,"x":2}"#], "x bigint; _rest string"),
        (&[r#"{"":1,"_Rest":2,"__rest":3}"#], "_rest bigint; __rest bigint; ___rest string"),
    ] {
        assert_eq!(found(&inferred(), records), expected, "{records:?}");
    }
}

#[test]
fn keys_of_columns_are_followed_and_orc_is_flat() {
    let mut settings = inferred();
    let keys = [("ts".to_owned(), "Timestamp".to_owned())].into();
    settings.json = Json::Openx { case_insensitive: true, dots_to_underscores: true, keys };
    settings.format = Format::Orc(Orc::default());
    assert_eq!(found(&settings, &[r#"{"timestamp":1,"a.b":{"x":1},"l":[1]}"#]), "ts bigint; a_b string; l string");
}

#[test]
fn nothing_is_lost_of_what_has_no_column() {
    let keys = [("ts".to_owned(), "at".to_owned()), ("x".to_owned(), "_rest".to_owned())].into();
    let json = Json::Openx { case_insensitive: true, dots_to_underscores: false, keys };
    let settings = Columnar { json, ..inferred() };
    let records = [
        r#"{"at":1,"ts":2,"o":{"a":1,"":[2]},"l":[{"b":1}]}"#,
        r#"{"o": {"a": 3}, "l":[{"b":2},{"":null}] ,"":{"":"}"}}"#,
        r#"{"o":{"a":4}} {"l":null,"":5,"":6}"#,
        r#"{"_rest":7,"t":{"":1}}"#,
    ];
    let mut inferrer = Inferrer::new(&settings).unwrap();
    for record in &records {
        inferrer.see(record.as_bytes());
    }
    assert_eq!(inferrer.rest().as_deref(), Some("__rest"));
    let converter = Converter::inferred(&Arc::new(settings), &inferrer).unwrap();
    let made = converter.convert(records.iter().map(|record| record.as_bytes())).unwrap();
    assert_eq!(made.misfits, vec![]);
    let rest = made.batches[0].column_by_name("__rest").unwrap().clone();
    let shown: Vec<_> = (0..made.rows).map(|row| array_value_to_string(&rest, row).unwrap()).collect();
    let first = r#"{"ts":2,"o":{"a":1,"":[2]}}"#;
    // What is text as a whole has all of it.
    assert_eq!(shown, [first, r#"{"l":[{"b":2},{"":null}],"":{"":"}"}}"#, "", r#"{"":5,"":6}"#, ""]);
}

#[test]
fn bounds_hold() {
    let mut inferrer = Inferrer::new(&inferred()).unwrap();
    let wide: Vec<_> = (0..2_500).map(|number| format!("\"k{number}\":1")).collect();
    inferrer.see(format!("{{{}}}", wide.join(",")).as_bytes());
    assert_eq!((inferrer.table().unwrap().columns().len(), inferrer.left_out()), (2_001, 500));
    let deep = format!("{}1{}", "{\"d\":".repeat(100), "}".repeat(100));
    let text = found(&inferred(), &[&deep]);
    assert!(text.contains("d:string") && text.matches("struct").count() < 20, "{text}");
    let longest = format!("{{\"{}\":1}}", "k".repeat(256));
    assert_eq!(found(&inferred(), &[&longest]), "_rest string");
}

proptest! {
    /// Where conflicts become text, every record that is an object fits the table that was found in all of them.
    #[test]
    fn every_row_fits_what_was_found(records in prop::collection::vec(object(), 1..8)) {
        let settings = inferred();
        let texts: Vec<_> = records.iter().map(ToString::to_string).collect();
        let mut inferrer = Inferrer::new(&settings).unwrap();
        for record in &texts {
            inferrer.see(record.as_bytes());
        }
        let converter = Converter::inferred(&Arc::new(settings), &inferrer).unwrap();
        let made = converter.convert(texts.iter().map(String::as_bytes)).unwrap();
        prop_assert_eq!(made.misfits, vec![]);
        prop_assert_eq!(made.rows, records.len());
    }
}

fn object() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,4}".prop_map(Into::into),
    ];
    let value = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("[abC]", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    });
    prop::collection::btree_map("[abC]", value, 0..4).prop_map(|map| map.into_iter().collect())
}
