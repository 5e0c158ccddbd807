//! Values of each type, and each way in which one does not fit.

use proptest::prelude::*;

use super::*;

/// Cases of one type: what is shown, or the end of the reason.
fn each(settings: &Columnar, cases: &[(&str, Result<&str, &str>)]) {
    for (json, expected) in cases {
        match (value(settings, json), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, *expected, "{json}"),
            (Err(found), Err(expected)) => {
                assert_eq!(found, format!("Data does not match the schema. Column \"a\": {expected}"), "{json}");
            }
            (found, _) => panic!("{json}: {found:?}, not {expected:?}"),
        }
    }
}

fn of(kind: &str) -> Columnar {
    parquet(&[("a", kind)])
}

#[test]
fn whole_numbers() {
    each(
        &of("tinyint"),
        &[
            ("127", Ok("127")),
            ("-128", Ok("-128")),
            ("128", Err("128 is not a tinyint")),
            ("1.0", Ok("1")),
            ("1e2", Ok("100")),
            ("1.5", Err("1.5 is not a tinyint")),
            ("\"7\"", Ok("7")),
            ("\"oops\"", Err("\"oops\" is not a tinyint")),
            ("true", Err("true is not a tinyint")),
            ("{\"x\":[1]}", Err("{\"x\":[1]} is not a tinyint")),
            ("null", Ok("")),
        ],
    );
    each(&of("smallint"), &[("-32768", Ok("-32768")), ("32768", Err("32768 is not a smallint"))]);
    each(&of("int"), &[("2147483647", Ok("2147483647")), ("2147483648", Err("2147483648 is not an int"))]);
    each(
        &of("bigint"),
        &[
            ("9223372036854775807", Ok("9223372036854775807")),
            ("-9223372036854775808", Ok("-9223372036854775808")),
            ("9223372036854775808", Err("9223372036854775808 is not a bigint")),
            ("-0", Ok("0")),
            ("12e-1", Err("12e-1 is not a bigint")),
            ("120e-1", Ok("12")),
            ("1e999999999999", Err("1e999999999999 is not a bigint")),
            ("0e999999999999", Ok("0")),
            ("\"\\u0031\"", Ok("1")),
            ("\" 1\"", Err("\" 1\" is not a bigint")),
        ],
    );
    let long = "9".repeat(100_000);
    let shown = format!("{}… is not a bigint", "9".repeat(64));
    each(&of("bigint"), &[(&long, Err(&shown))]);
}

#[test]
fn fractions_and_decimals() {
    each(
        &of("double"),
        &[
            ("0.1", Ok("0.1")),
            ("-1e22", Ok("-1e22")),
            ("123456789012345678901234567890", Ok("1.2345678901234568e29")),
            ("5e-324", Ok("5e-324")),
            ("1e-999", Ok("0.0")),
            ("1e309", Err("1e309 is not a double")),
            ("\"NaN\"", Ok("NaN")),
            ("\"-Infinity\"", Ok("-inf")),
            ("\"2.5\"", Ok("2.5")),
            ("\"\"", Err("\"\" is not a double")),
        ],
    );
    each(&of("float"), &[("0.1", Ok("0.1")), ("1e39", Err("1e39 is not a float")), ("16777217", Ok("16777216.0"))]);
    each(
        &of("decimal(5,2)"),
        &[
            ("1.005", Ok("1.01")),
            ("-1.005", Ok("-1.01")),
            ("999.99", Ok("999.99")),
            ("999.995", Err("999.995 is not a decimal(5,2)")),
            ("1e2", Ok("100.00")),
            ("1e-9", Ok("0.00")),
            ("0.004999", Ok("0.00")),
            ("\"12.3\"", Ok("12.30")),
            ("1e400", Err("1e400 is not a decimal(5,2)")),
        ],
    );
    each(&of("decimal(38,0)"), &[(&"9".repeat(38), Ok(&"9".repeat(38))), ("0.5", Ok("1"))]);
}

#[test]
fn texts_and_bytes() {
    each(
        &of("string"),
        &[
            ("\"\"", Ok("")),
            ("\"a\\n\\u00e9\\ud83d\\ude00\\\"\\/\\u0000\"", Ok("a\né😀\"/\0")),
            ("1.50", Ok("1.50")),
            ("false", Ok("false")),
            ("{ \"b\": [1, null] }", Ok("{ \"b\": [1, null] }")),
            ("[]", Ok("[]")),
        ],
    );
    each(&of("varchar(3)"), &[("\"äöü\"", Ok("äöü")), ("\"abcd\"", Err("\"abcd\" is not a varchar(3)"))]);
    each(&of("char(1)"), &[("12", Err("12 is not a char(1)"))]);
    each(
        &of("binary"),
        &[("\"AQL/\"", Ok("0102ff")), ("\"A\"", Err("\"A\" is not a binary")), ("1", Err("1 is not a binary"))],
    );
    each(
        &of("boolean"),
        &[
            ("true", Ok("true")),
            ("\"FALSE\"", Ok("false")),
            ("0", Err("0 is not a boolean")),
            ("\"no\"", Err("\"no\" is not a boolean")),
        ],
    );
}

#[test]
fn times_as_openx_reads_them() {
    each(
        &of("timestamp"),
        &[
            ("\"2026-11-21T19:16:40Z\"", Ok("2026-11-21T19:16:40Z")),
            ("\"2026-11-21T19:16:40.123456789Z\"", Ok("2026-11-21T19:16:40.123456Z")),
            ("\"2026-11-21T19:16:40+01:00\"", Ok("2026-11-21T18:16:40Z")),
            ("\"2026-11-21T9:16:40Z\"", Err("\"2026-11-21T9:16:40Z\" is not a timestamp")),
            ("\"2026-11-21T19:16:40\"", Err("\"2026-11-21T19:16:40\" is not a timestamp")),
            ("\"2026-02-30T00:00:00Z\"", Err("\"2026-02-30T00:00:00Z\" is not a timestamp")),
            ("\"2026-1-2 3:4:5.5\"", Ok("2026-01-02T03:04:05.500Z")),
            ("\"2026-1-2 3:4:5.1234567890\"", Err("\"2026-1-2 3:4:5.1234567890\" is not a timestamp")),
            ("\"2026-01-02\"", Err("\"2026-01-02\" is not a timestamp")),
            ("1700000000", Ok("2023-11-14T22:13:20Z")),
            ("1700000000.25", Ok("2023-11-14T22:13:20.250Z")),
            ("1700000000123", Ok("2023-11-14T22:13:20.123Z")),
            ("\"1700000000123\"", Ok("2023-11-14T22:13:20.123Z")),
            ("-1", Ok("1969-12-31T23:59:59Z")),
            ("-0.0000001", Ok("1969-12-31T23:59:59.999999Z")),
            ("999999999999", Err("999999999999 is not a timestamp")),
            ("1e300", Err("1e300 is not a timestamp")),
            ("true", Err("true is not a timestamp")),
        ],
    );
    each(
        &of("date"),
        &[("\"2026-2-3\"", Ok("2026-02-03")), ("\"0001-01-01\"", Ok("0001-01-01")), ("1", Err("1 is not a date"))],
    );
    each(
        &orc(&[("a", "timestamp")]),
        &[
            ("-0.5", Err("-0.5 is not a timestamp")),
            ("-1", Ok("1969-12-31T23:59:59")),
            ("-0.9995", Ok("1969-12-31T23:59:59.000500")),
        ],
    );
}

#[test]
fn values_as_hive_reads_them() {
    let times = |formats: &[&str]| hive(&[("a", "timestamp")], formats);
    each(
        &times(&[]),
        &[("\"2026-01-02 03:04:05.5\"", Ok("2026-01-02T03:04:05.500Z")), ("1", Err("1 is not a timestamp"))],
    );
    each(
        &times(&["millis", "yyyy-MM-dd'T'HH:mm"]),
        &[
            ("1700000000123", Ok("2023-11-14T22:13:20.123Z")),
            ("\"2026-01-02T03:04\"", Ok("2026-01-02T03:04:00Z")),
            ("\"2026-01-02 03:04:05\"", Ok("2026-01-02T03:04:05Z")),
            ("\"x\"", Err("\"x\" is not a timestamp")),
        ],
    );
    let of = |kind| hive(&[("a", kind)], &[]);
    each(&of("int"), &[("\"1\"", Err("\"1\" is not an int")), ("1", Ok("1"))]);
    each(&of("string"), &[("1", Ok("1")), ("{}", Err("{} is not a string"))]);
    each(&of("boolean"), &[("\"true\"", Err("\"true\" is not a boolean"))]);
}

#[test]
fn nested_values_are_named_by_their_path() {
    let settings =
        parquet(&[("s", "struct<a:int,t:struct<b:array<int>>>"), ("m", "map<string,tinyint>"), ("k", "map<int,int>")]);
    let (rows, misfits) = converted(
        &settings,
        &[
            r#"{"s":{"a":1,"t":{"b":[1,null,2]}},"m":{"x":1,"y":2},"k":{"7":8}}"#,
            r#"{"s":{"a":1,"t":{"b":[1,"x"]}}}"#,
            r#"{"s":{"t":{"b":{}}}}"#,
            r#"{"m":{"x":1,"y":300}}"#,
            r#"{"k":{"seven":8}}"#,
            r#"{"s":[]}"#,
            r#"{"s":{},"m":{"X":1,"x":2,"y":3},"k":{}}"#,
        ],
    );
    assert_eq!(rows, ["{a: 1, t: {b: [1, , 2]}}|{x: 1, y: 2}|{7: 8}", "{a: , t: }|{x: 2, y: 3}|{}"]);
    let reasons: Vec<_> = misfits.iter().map(|(row, misfit)| (*row, &misfit.message[32..])).collect();
    assert_eq!(
        reasons,
        [
            (1, "Column \"s.t.b.[]\": \"x\" is not an int"),
            (2, "Column \"s.t.b\": {} is not an array<int>"),
            (3, "Column \"m.y\": 300 is not a tinyint"),
            (4, "Column \"k\": \"seven\" is not an int"),
            (5, "Column \"s\": [] is not a struct<a:int,t:struct<b:array<int>>>"),
        ]
    );
    assert!(misfits.iter().all(|(_, misfit)| misfit.code == MALFORMED_DATA));
}

#[test]
fn keys_find_their_columns() {
    let columns = [("userid", "int"), ("ts", "int"), ("a_b", "int")];
    let mut settings = parquet(&columns);
    let record = r#" {"UserId":1,"Timestamp":2,"a.b":3,"extra":[{"x":"\n"}],"a_b":4} "#;
    assert_eq!(converted(&settings, &[record]).0, ["1||4"]);
    let keys = [("ts".to_owned(), "timestamp".to_owned())].into();
    settings.json = Json::Openx { case_insensitive: true, dots_to_underscores: true, keys };
    // The last value of a key holds, and a column with a key of its own has no other.
    let records =
        [record, r#"{"USERID":1,"userid":2,"us\u0065rID":3,"ts":4}"#, r#"{"a.b":null,"a_b":1,"a.b":2}"#, "{}"];
    assert_eq!(converted(&settings, &records).0, ["1|2|4", "3||", "||2", "||"]);
    settings.json = Json::Openx { case_insensitive: false, dots_to_underscores: false, keys: [].into() };
    assert_eq!(converted(&settings, &[record, r#"{"userid":5}"#]).0, ["||4", "5||"]);
}

#[test]
fn records_of_many_shapes_are_read_alike() {
    let names: Vec<_> = (0..600).map(|number| format!("k{number}")).collect();
    let columns: Vec<_> = names.iter().map(|name| (name.as_str(), "int")).collect();
    let settings = parquet(&columns);
    for step in [1, 7, 599] {
        let members: Vec<_> = (0..600).map(|at| format!("\"k{0}\":{0}", at * step % 600)).collect();
        let record = format!("{{{}}}", members.join(","));
        let mut expected: Vec<String> = vec![String::new(); 600];
        (0..600).for_each(|at| expected[at * step % 600] = (at * step % 600).to_string());
        let (rows, misfits) = converted(&settings, &[&record, "{}", &record]);
        assert!(misfits.is_empty());
        assert_eq!((&rows[0], &rows[2]), (&expected.join("|"), &expected.join("|")));
    }
}

#[test]
fn a_record_may_be_several_documents_and_fails_whole() {
    let settings = parquet(&[("a", "int"), ("s", "string")]);
    let records = [
        r#"{"a":1}{"a":2}
           {"a":3}"#,
        r#"{"a":4,"s":"left behind"}{"a":"x"}"#,
        r#"{"a":5,"s":"left behind"}{"a":6"#,
        r#"[{"a":7}]"#,
        "8",
        " ",
        "{\"a\":9}",
    ];
    let (rows, misfits) = converted(&settings, &records);
    assert_eq!(rows, ["1|", "2|", "3|", "9|"]);
    let messages: Vec<_> = misfits.iter().map(|(row, misfit)| (*row, misfit.code, misfit.message.as_str())).collect();
    let not = "is not an object, as a record must be, or several";
    assert_eq!(
        messages,
        [
            (1, MALFORMED_DATA, "Data does not match the schema. Column \"a\": \"x\" is not an int"),
            (2, PARSE_ERROR, "Encountered malformed JSON. At byte 31: expected ',' or '}', found the end"),
            (3, MALFORMED_DATA, &*format!("Data does not match the schema. [{{\"a\":7}}] {not}")),
            (4, MALFORMED_DATA, &*format!("Data does not match the schema. 8 {not}")),
            (5, PARSE_ERROR, "Encountered malformed JSON. At byte 1: expected an object, found the end"),
        ]
    );
}

#[test]
fn malformed_records_are_named_as_such_wherever_the_fault_is() {
    let settings = parquet(&[("a", "int"), ("s", "string"), ("l", "array<string>")]);
    let deep = format!("{{\"x\":{}1{}}}", "[".repeat(128), "]".repeat(128));
    let deep_text = format!("{{\"s\":{}{}}}", "{\"s\":".repeat(200), "1");
    for (record, what) in [
        ("", "expected an object"),
        ("hello", "expected a value"),
        ("{", "expected a key"),
        ("{\"a\" 1}", "expected ':'"),
        ("{\"a\":1,}", "expected a key"),
        ("{\"a\":01}", "expected a number"),
        ("{\"a\":-}", "expected a number"),
        ("{\"a\":1.}", "expected a digit after the point"),
        ("{\"a\":1e}", "expected a digit of the exponent"),
        ("{\"a\":+1}", "expected a value"),
        ("{\"a\":nul}", "expected a value"),
        ("{\"a\":1}}", "expected a value"),
        ("{\"l\":[\"x\" \"y\"]}", "expected ',' or ']'"),
        ("{\"s\":\"open}", "a string without an end"),
        ("{\"s\":\"open\\\"}", "a string without an end"),
        ("{\"s\":\"line\nfeed\"}", "a control character in a string"),
        ("{\"s\":\"\\x\"}", "an unknown escape in a string"),
        ("{\"s\":\"\\ud800\"}", "half of a surrogate pair in a string"),
        ("{\"s\":\"\\ud800\\u0041\"}", "half of a surrogate pair in a string"),
        ("{\"s\":\"\\udc00\"}", "half of a surrogate pair in a string"),
        ("{\"extra\":\"\\ud83d\"}", "half of a surrogate pair in a string"),
        ("{\"\\ud83d\":1}", "half of a surrogate pair in a string"),
        ("{\"s\":\"\\u00g0\"}", "an escape that lacks four hexadecimal digits"),
        ("{\0}", "expected a key"),
        // What comes later in the record goes before a value that does not fit.
        ("{\"a\":\"oops\",\"b\":tru}", "expected a value"),
        (&deep, "more than 128 values within each other"),
        (&deep_text, "more than 128 values within each other"),
    ] {
        let (rows, misfits) = converted(&settings, &["{\"a\":1}", record, "{\"a\":2}"]);
        assert_eq!(rows, ["1||", "2||"], "{record}");
        let [(1, misfit)] = misfits.as_slice() else { panic!("{record}: {misfits:?}") };
        assert_eq!(misfit.code, PARSE_ERROR, "{record}");
        assert!(misfit.message.contains(&format!(": {what}, found ")), "{record}: {}", misfit.message);
        assert!(misfit.message.len() < 400, "{}", misfit.message.len());
    }
    let converter = Converter::new(&settings).unwrap();
    let misfits = converter.check([&b"{\"s\":\"\xff\"}"[..], b"\xef\xbb\xbf{}"]);
    assert_eq!(misfits[0].1.message, "Encountered malformed JSON. At byte 6: no UTF-8, found \"\u{fffd}\\\"}\"");
    assert_eq!(misfits.len(), 2);
}

#[test]
fn large_runs_become_several_batches() {
    let text = "x".repeat(1 << 20);
    let record = format!("{{\"s\":\"{text}\"}}");
    let converter = Converter::new(&parquet(&[("s", "string")])).unwrap();
    let made = converter.convert((0..70).map(|_| record.as_bytes())).unwrap();
    assert_eq!((made.rows, made.batches.len()), (70, 2));
}

#[test]
fn settings_that_do_not_fit_together_are_refused() {
    let refused = |settings: &Columnar| Converter::new(settings).err().expect("it is refused").to_string();
    for kind in ["array<int>", "map<string,int>", "struct<x:int>", "decimal(3,1)"] {
        let message = refused(&orc(&[("fine", "int"), ("bad", kind)]));
        assert!(message.contains(&format!("column \"bad\" is {kind}, which cannot be written as ORC")), "{message}");
    }
    let message = refused(&parquet(&[("a", "int"), ("A", "int")]));
    assert!(message.contains("column \"A\" and another one both stand for the key \"a\""), "{message}");
    let nested = refused(&parquet(&[("s", "array<struct<a:int,A:int>>")]));
    assert!(nested.contains("column \"A\" and another one"), "{nested}");
}

proptest! {
    /// Whatever comes, what is before and after it is converted, and nothing panics.
    #[test]
    fn no_bytes_do_harm(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        "[\\[\\]{}:,\"\\\\untrfalse0-9.eE+ -]{0,60}".prop_map(String::into_bytes),
        "\\{\"(a|s|l|m)\":[\\[\\]{}:,\"\\\\u0-9]{0,40}\\}".prop_map(String::into_bytes),
    ]) {
        let columns = [("a", "int"), ("s", "struct<x:string,y:double>"), ("l", "array<array<date>>"), ("m", "map<string,timestamp>")];
        let converter = Converter::new(&parquet(&columns)).unwrap();
        let sound = br#"{"a":1,"s":{"x":"y","y":2},"l":[[],["2026-01-01"]],"m":{"k":0}}"#;
        let all = [&sound[..], &bytes, sound];
        let Converted { batches, rows, misfits } = converter.convert(all).unwrap();
        prop_assert_eq!(shown(&batches[0], 0), shown(&batches[0], rows - 1));
        prop_assert_eq!(rows == 2, misfits.len() == 1);
        prop_assert_eq!(converter.check(all), misfits.clone());
        // It is JSON for others too, when it is for us.
        if rows > 2 {
            let stream = serde_json::Deserializer::from_slice(&bytes).into_iter::<serde::de::IgnoredAny>();
            prop_assert!(stream.into_iter().all(|document| document.is_ok()), "{:?}", String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn a_record_makes_no_more_values_than_its_size_allows() {
    let fields: Vec<_> = (0..1_000).map(|field| format!("f{field}:int")).collect();
    let wide = format!("array<struct<{}>>", fields.join(","));
    let settings = of(&wide);
    let list = |item: &str, items: usize| format!("[{}]", vec![item; items].join(","));
    for item in ["{}", "null"] {
        assert!(value(&settings, &list(item, 1_000)).is_ok(), "{item}");
        let refused = value(&settings, &list(item, 1_100)).unwrap_err();
        assert!(refused.contains("\"a.[]\"") && refused.contains("more than the 1048576 values"), "{refused}");
    }
    assert!(value(&settings, &list("{\"f7\":1,\"f9\":[]}", 10)).unwrap_err().contains("is not an int"));
    // A long one may make more.
    let long = format!("{},{{\"f1\":  {}  1}}]", list("{}", 1_100).trim_end_matches(']'), " ".repeat(100_000));
    assert!(value(&settings, &long).is_ok());
    // Rows of a record count together.
    let columns: Vec<_> = (0..1_000).map(|column| (format!("c{column}"), "int")).collect();
    let columns: Vec<_> = columns.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
    let (rows, misfits) = converted(&parquet(&columns), &["{}".repeat(1_000).as_str(), &"{}".repeat(1_100), "{}"]);
    assert_eq!((rows.len(), misfits.len(), misfits[0].0), (1_001, 1, 1));
}

#[test]
fn rows_of_many_values_make_batches_of_few_rows() {
    let columns: Vec<_> = (0..2_000).map(|column| (format!("c{column}"), "int")).collect();
    let columns: Vec<_> = columns.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
    let converter = Converter::new(&parquet(&columns)).unwrap();
    let mut batches = Vec::new();
    let misfits = converter.convert_each(std::iter::repeat_n(&b"{}"[..], 10_000), |batch| {
        batches.push(batch.num_rows());
        Ok(true)
    });
    assert_eq!(misfits.unwrap(), []);
    assert_eq!(batches.iter().sum::<usize>(), 10_000);
    let most = crate::limits::CONVERT_BATCH_BYTES_MAX / (2_000 * crate::limits::CONVERT_VALUE_BYTES) + 1;
    assert!(batches.iter().all(|rows| *rows <= most), "{batches:?}");
}
