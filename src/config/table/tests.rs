//! Types and schemas: what is read, what is refused and with which words.

use proptest::prelude::*;

use super::*;

fn shown(schema: &TableSchema) -> String {
    let columns: Vec<_> = schema.columns().iter().map(|Column { name, kind }| format!("{name} {kind}")).collect();
    columns.join("; ")
}

#[test]
fn types_are_read_as_hive_spells_them() {
    for (text, expected) in [
        (" BIGINT ", "bigint"),
        ("integer", "int"),
        ("Decimal", "decimal(10,0)"),
        ("decimal( 38 , 38 )", "decimal(38,38)"),
        ("numeric(5)", "decimal(5,0)"),
        ("varchar(65535)", "varchar(65535)"),
        ("array < int >", "array<int>"),
        ("map<string,array<timestamp>>", "map<string,array<timestamp>>"),
        ("struct<a:int, B : struct<c:date>>", "struct<a:int,B:struct<c:date>>"),
        ("struct<`a:b`:int,```x` :char(3),é:double>", "struct<`a:b`:int,```x`:char(3),é:double>"),
    ] {
        let kind: ColumnType = text.parse().expect(text);
        assert_eq!(kind.to_string(), expected);
        assert_eq!(kind.to_string().parse::<ColumnType>().unwrap(), kind, "{text}");
    }
}

#[test]
fn types_that_are_none_are_refused_with_their_place() {
    let deep = "array<".repeat(33) + "int" + &">".repeat(33);
    for (text, message) in [
        ("", "expected a type at character 1, found the end of the type"),
        ("array<int", "expected '>' at character 10, found the end of the type"),
        ("array<int>>", "expected the end at character 11, found \">\""),
        ("struct<>", "expected a field's name at character 8, found \">\""),
        ("struct<a int>", "expected ':' at character 10, found \"int>\""),
        ("struct<`a:int>", "expected a backquote that closes the name at character 8, found \"`a:int>\""),
        ("decimal(39,0)", "decimal(39,0) must have 1 to 38 digits, and no more after the point"),
        ("decimal(3,4)", "decimal(3,4) must have 1 to 38 digits, and no more after the point"),
        ("varchar(99999999999)", "expected a number at character 9, found \"99999999999)\""),
        ("char(256)", "a length must be 1 to 255, not 256"),
        ("uniontype<int>", "uniontype cannot be written"),
        (&deep, "more than 32 types within each other"),
    ] {
        assert_eq!(text.parse::<ColumnType>().expect_err(text).message(), message, "{text}");
    }
    let unknown = "strng".parse::<ColumnType>().unwrap_err();
    assert!(unknown.message().starts_with("unknown type \"strng\": known are boolean,"), "{unknown}");
}

#[test]
fn tables_have_columns_with_names_of_their_own() {
    let table = TableSchema::of_texts([("id", "bigint"), ("tags", "array<string>")]).unwrap();
    let text = serde_json::to_string(&table).unwrap();
    assert_eq!(text, r#"{"columns":[{"name":"id","type":"bigint"},{"name":"tags","type":"array<string>"}]}"#);
    assert_eq!(serde_json::from_str::<TableSchema>(&text).unwrap(), table);
    for (columns, message) in [
        (vec![], "a table must have columns"),
        (vec![("a", "int"), ("a", "int")], "the table has two columns \"a\""),
        (vec![("", "int")], "the name \"\" in the table must have 1 to 255 bytes and no NUL"),
        (vec![("s", "struct<a:int,a:int>")], "column \"s\" has two columns \"a\""),
        (vec![("m", "map<array<int>,int>")], "column \"m\": the keys of a map cannot be array<int>"),
        (vec![("x", "int4")], "column \"x\": unknown type \"int4\""),
    ] {
        let error = TableSchema::of_texts(columns).unwrap_err();
        assert!(error.message().starts_with(message), "{error}");
    }
    assert!(serde_json::from_str::<TableSchema>(r#"{"columns":[]}"#).is_err());
}

#[test]
fn json_schemas_are_read() {
    let text = r##"{"$defs": {"point": {"type": "object", "properties": {"x": {"type": "number"}}}},
        "type": "object", "properties": {
            "id": {"type": "integer"}, "at": {"type": ["string", "null"], "format": "date-time"},
            "day": {"type": "string", "format": "date"}, "raw": {"type": "string", "contentEncoding": "base64"},
            "where": {"$ref": "#/$defs/point"}, "all": {"type": "array", "items": {"$ref": "#/$defs/point"}},
            "counts": {"type": "object", "additionalProperties": {"type": "integer"}}, "any": {},
            "either": {"anyOf": [{"type": "null"}, {"type": "boolean"}]}, "two": {"type": ["string", "integer"]},
            "free": {"type": "object"}, "list": {"type": "array"}}}"##;
    assert_eq!(
        shown(&TableSchema::from_file("x.json", text).unwrap()),
        "id bigint; at timestamp; day date; raw binary; where struct<x:double>; all array<struct<x:double>>; counts \
         map<string,bigint>; any string; either boolean; two string; free string; list string"
    );
    for (text, message) in [
        ("{", "is not JSON: "),
        (r#"{"type": "object"}"#, "the JSON schema has no \"properties\""),
        (r##"{"properties": {"a": {"$ref": "#/properties/a"}}}"##, "column \"a\": \"$ref\" leads to no end"),
        (
            r#"{"properties": {"a": {"$ref": "http://x"}}}"#,
            "column \"a\": \"$ref\" \"http://x\" is not in the document",
        ),
        (
            r##"{"properties": {"a": {"type": "array", "items": {"$ref": "#/properties/a"}}}}"##,
            "column \"a\": the schema is too deep or too large",
        ),
    ] {
        let error = TableSchema::from_file("x.json", text).unwrap_err();
        assert!(error.message().starts_with(message), "{error}");
    }
}

#[test]
fn references_that_double_at_every_step_are_stopped() {
    let mut properties = String::from(r#""p0": {"type": "integer"}"#);
    for step in 1..30 {
        let reference = format!(r##"{{"$ref": "#/properties/p{}"}}"##, step - 1);
        properties = format!(
            r#"{properties}, "p{step}": {{"type": "object", "properties": {{"a": {reference}, "b": {reference}}}}}"#
        );
    }
    let error = TableSchema::from_file("x.json", &format!(r#"{{"properties": {{{properties}}}}}"#)).unwrap_err();
    assert!(error.message().contains("too deep or too large"), "{error}");
}

#[test]
fn avro_schemas_are_read() {
    let text = r#"{"type": "record", "name": "Event", "namespace": "com.x", "fields": [
        {"name": "id", "type": "long"}, {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A"]}}, {"name": "again", "type": "Kind"},
        {"name": "p", "type": {"type": "record", "name": "P", "fields": [{"name": "x", "type": "float"}]}},
        {"name": "ps", "type": {"type": "array", "items": "com.x.P"}}, {"name": "m", "type": {"type": "map", "values": "P"}},
        {"name": "f", "type": {"type": "fixed", "name": "F", "size": 4}}]}"#;
    assert_eq!(
        shown(&TableSchema::from_file("x.avsc", text).unwrap()),
        "id bigint; at timestamp; day date; price decimal(9,2); kind string; again string; p struct<x:float>; ps \
         array<struct<x:float>>; m map<string,struct<x:float>>; f binary"
    );
    for (fields, message) in [
        (r#"{"name": "a", "type": ["int", "string"]}"#, "column \"a\": a union may have null and one other type"),
        (r#"{"name": "a", "type": "Nope"}"#, "column \"a\": unknown Avro type \"Nope\""),
        (r#"{"name": "a", "type": "R"}"#, "column \"a\": "),
        (r#"{"name": "a"}"#, "field \"a\" has no \"type\""),
        (
            r#"{"name": "a", "type": {"type": "int", "logicalType": "time-millis"}}"#,
            "column \"a\": time-millis has no type in a table",
        ),
    ] {
        let text = format!(r#"{{"type": "record", "name": "R", "fields": [{fields}]}}"#);
        let error = TableSchema::from_file("x.json", &text).unwrap_err();
        assert!(error.message().starts_with(message), "{error}");
    }
}

#[test]
fn statements_are_read() {
    let text = r#"-- the events
        /* CREATE TABLE not_this (x int) */
        CREATE EXTERNAL TABLE IF NOT EXISTS `lake`.`events` (
            id BIGINT NOT NULL COMMENT 'the (one), "id"', `at` timestamp, price decimal(9, 2) DEFAULT 0,
            "who" struct<name:string,age:int> COMMENT 'x', tags array<string>, body text, n character varying(10),
            d double precision, z timestamp with time zone, PRIMARY KEY (id, who)
        ) PARTITIONED BY (dt string) STORED AS PARQUET"#;
    assert_eq!(
        shown(&TableSchema::from_file("x.sql", text).unwrap()),
        "id bigint; at timestamp; price decimal(9,2); who struct<name:string,age:int>; tags array<string>; body string; n \
         varchar(10); d double; z timestamp"
    );
    for (text, message) in [
        ("select 1", "the file is no JSON and has no CREATE TABLE statement with columns"),
        ("create table t", "the file is no JSON and has no CREATE TABLE statement with columns"),
        ("create table t (a int", "the list of columns is not closed"),
        ("create table t (a int,)", "the list of columns has an empty part"),
        ("create table t (a)", "column \"a\": expected a type at character 1, found the end of the type"),
        ("create table t (a money)", "column \"a\": unknown type \"money\""),
        ("create table t (`a int)", "the list of columns is not closed"),
    ] {
        let error = TableSchema::from_file("x.sql", text).unwrap_err();
        assert!(error.message().starts_with(message), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(text in "\\PC{0,80}", name in "(a.avsc|b.sql|c.json)") {
        let _ = text.parse::<ColumnType>();
        let _ = TableSchema::from_file(&name, &text);
        let _ = TableSchema::from_file(&name, &format!("create table t ({text})"));
        let _ = TableSchema::from_file(&name, &format!("struct<{text}>"));
    }
}
