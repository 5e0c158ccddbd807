//! The built-in processors, by tables and against jq.

use std::io::Write;

use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::config::{Beyond, EventTime, Fallback};
use crate::transform::KeyColumn;

fn rows<T: AsRef<[u8]>>(records: &[(u32, T)]) -> Rows {
    let mut rows = Rows::default();
    let mut key = KeyColumn { name: "n".to_owned(), ..KeyColumn::default() };
    for (at, (origin, record)) in records.iter().enumerate() {
        rows.data.extend_from_slice(record.as_ref());
        rows.ends.push(rows.data.len() as u32);
        rows.origins.push(*origin);
        key.data.push_str(&at.to_string());
        key.ends.push(key.data.len() as u32);
    }
    rows.keys.push(key);
    rows
}

/// Rows of origins 0, 1, 2, …
fn own<T: AsRef<[u8]>>(records: &[T]) -> Rows {
    let numbered: Vec<_> = (0..).zip(records).map(|(origin, record)| (origin, record.as_ref().to_vec())).collect();
    rows(&numbered)
}

fn arrived(rows: usize, ms: u64) -> Origins {
    Origins { arrived_ms: vec![ms; rows], ..Origins::default() }
}

fn run(settings: &config::Builtin, rows: &Rows) -> Outcome {
    let last = rows.origins.last().map_or(0, |last| *last as usize + 1);
    let (outcome, taken) = Builtin::new(settings).unwrap().run(rows, &arrived(last, ARRIVED_MS), usize::MAX);
    assert_eq!(taken, rows.len());
    outcome
}

/// 2026-11-21T10:00:00Z.
const ARRIVED_MS: u64 = 1_795_255_200_000;

fn texts(outcome: &Outcome) -> Vec<(u32, String)> {
    let text = |row| String::from_utf8_lossy(outcome.rows.get(row)).into_owned();
    (0..outcome.rows.len()).map(|row| (outcome.rows.origins[row], text(row))).collect()
}

fn failures(outcome: &Outcome) -> Vec<(u32, &str, &str)> {
    outcome.failed.iter().map(|failed| (failed.origin, &*failed.failure.code, &*failed.failure.message)).collect()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_is_gzip_is_unpacked_and_what_is_not_fails() {
    let two = [gzip(b"a"), gzip(b"b")].concat();
    let cut = gzip(b"some text that is cut");
    let mut wrong = gzip(b"checksum");
    let end = wrong.len() - 8;
    wrong[end] ^= 1;
    let records = [gzip(b"one"), two, gzip(b""), b"plain".to_vec(), cut[..cut.len() - 3].to_vec(), Vec::new(), wrong];
    let outcome = run(&config::Builtin::Decompress, &own(&records));
    let expected = [(0, "one"), (1, "ab"), (2, "")].map(|(origin, text)| (origin, text.to_owned()));
    assert_eq!(texts(&outcome), expected);
    assert_eq!(outcome.rows.keys[0].get(1), "1", "keys stay with their rows");
    let failed: Vec<_> =
        outcome.failed.iter().map(|failed| (failed.origin, &*failed.failure.code, failed.failure.attempts)).collect();
    assert_eq!(failed, [3, 4, 5, 6].map(|origin| (origin, "Decompression failed.", 1)));
}

#[test]
fn bombs_fail_alone() {
    let bomb = gzip(&vec![0; crate::limits::DECOMPRESSED_RECORD_BYTES_MAX + 1]);
    assert!(bomb.len() < 100_000);
    let most = gzip(&vec![0; crate::limits::DECOMPRESSED_RECORD_BYTES_MAX]);
    let records = [bomb, most.clone(), most.clone(), most.clone(), most.clone(), most, gzip(b""), gzip(b"x")];
    let outcome = run(&config::Builtin::Decompress, &own(&records));
    assert_eq!(outcome.rows.origins, [1, 2, 3, 4, 5, 6, 7]);
    let failed = failures(&outcome);
    assert_eq!(failed.len(), 1);
    assert!(failed[0].0 == 0 && failed[0].2.contains("more than 33554432 bytes"), "{failed:?}");
}

#[test]
fn a_step_ends_with_the_row_with_which_there_are_too_many_bytes() {
    let run = |settings: &config::Builtin, rows: &Rows, bytes_max| {
        Builtin::new(settings).unwrap().run(rows, &arrived(rows.len(), ARRIVED_MS), bytes_max)
    };
    let packed = own(&[gzip(b"four"), gzip(b"four"), b"none".to_vec(), gzip(b"four")]);
    for (bytes_max, expected) in [(3, 1), (4, 2), (7, 2), (8, 4), (100, 4)] {
        let (outcome, taken) = run(&config::Builtin::Decompress, &packed, bytes_max);
        assert_eq!(taken, expected, "{bytes_max}");
        assert_eq!(outcome.rows.len() + outcome.failed.len(), taken);
    }
    // Each has 9 bytes, and a key of one.
    let keyed = own(&[r#"{"k":"a"}"#; 4]);
    let keys = config::Builtin::Keys { query: Some("{k}".into()), event_time: None };
    for (bytes_max, expected) in [(9, 1), (10, 2), (29, 3), (30, 4)] {
        let (outcome, taken) = run(&keys, &keyed, bytes_max);
        assert_eq!((outcome.rows.len(), taken), (expected, expected), "{bytes_max}");
        assert!(outcome.rows.keys.iter().all(|key| key.ends.len() == expected));
    }
}

#[test]
fn log_events_become_their_messages() {
    let data = r#"{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","subscriptionFilters":["f"],
        "logEvents":[{"id":"1","timestamp":1,"message":"one \"é\u00e9\""},{"id":"2","timestamp":2,"message":"two\n"}]}"#;
    let records = [
        data.as_bytes(),
        br#"{"messageType":"CONTROL_MESSAGE","logEvents":[{"message":"CWL CONTROL MESSAGE: Checking health"}]}"#,
        br#"{"messageType":"DATA_MESSAGE","logEvents":[]}"#,
        br#"{"messageType":"OTHER"}"#,
        br#"{"logEvents":[]}"#,
        b"{",
        br#"{"messageType":"DATA_MESSAGE","logEvents":[{"message":null}]}"#,
    ];
    let outcome = run(&config::Builtin::CloudwatchLogs, &own(&records));
    let expected = [(0, "one \"éé\"\ntwo\n\n"), (1, ""), (2, "")].map(|(origin, text)| (origin, text.to_owned()));
    assert_eq!(texts(&outcome), expected);
    let failed = failures(&outcome);
    assert_eq!(failed.iter().map(|failed| failed.0).collect::<Vec<_>>(), [3, 4, 5, 6]);
    assert!(failed.iter().all(|failed| failed.1 == "CloudWatchLogProcessing.ParseError"));
    assert!(failed[0].2.contains("\"OTHER\""), "{failed:?}");
}

#[test]
fn objects_are_taken_apart() {
    let full = "{}".repeat(500);
    let over = "{} ".repeat(501);
    let records = [
        r#"{"a":1}{"b":[{}]}"#,
        "{\"a\":1}\n {\"b\":\"}{\"}\n",
        "",
        " \n",
        "[{}]",
        "{} 1",
        "{}{",
        "{} x",
        &full,
        &over,
    ];
    let outcome = run(&config::Builtin::Deaggregate(SubRecords::Json), &own(&records));
    let texts = texts(&outcome);
    let expected = [(0, r#"{"a":1}"#), (0, r#"{"b":[{}]}"#), (1, "{\"a\":1}"), (1, "{\"b\":\"}{\"}")];
    assert_eq!(&texts[..4], expected.map(|(origin, text)| (origin, text.to_owned())));
    assert_eq!(texts.iter().filter(|(origin, _)| *origin == 8).count(), 500);
    assert_eq!(texts.last(), Some(&(9, over.clone())), "with more it goes on whole");
    assert_eq!(texts.len(), 505);
    let failed: Vec<_> = failures(&outcome).iter().map(|failed| (failed.0, failed.1)).collect();
    assert_eq!(failed, [4, 5, 6, 7].map(|origin| (origin, "RecordDeAggregation.ParseError")));
    assert_eq!(
        (outcome.rows.keys[0].get(0), outcome.rows.keys[0].get(1), outcome.rows.keys[0].get(2)),
        ("0", "0", "1")
    );
}

#[test]
fn delimiters_are_dropped_and_a_record_of_several_rows_fails_whole() {
    let split = |delimiter: &[u8], record: &str| {
        let settings = config::Builtin::Deaggregate(SubRecords::delimited(delimiter).unwrap());
        texts(&run(&settings, &own(&[record]))).into_iter().map(|(_, text)| text).collect::<Vec<_>>()
    };
    assert_eq!(split(b"####", "a####b####"), ["a", "b"]);
    assert_eq!(split(b"####", "####a########b#"), ["a", "b#"]);
    assert_eq!(split(b"\n", "a\r\nb\n\n"), ["a\r", "b"]);
    assert_eq!(split(b"\n", &"x\n".repeat(500)).len(), 500);
    assert_eq!(split(b"\n", &"x\n".repeat(501)).len(), 1);
    assert!(split(b"\n", "\n\n").is_empty() && SubRecords::delimited(b"").is_err());

    let given = rows(&[(0, "{}"), (3, "{}"), (3, "{}{}"), (3, "["), (3, "{}"), (4, "{}{}")]);
    let outcome = run(&config::Builtin::Deaggregate(SubRecords::Json), &given);
    assert_eq!(outcome.rows.origins, [0, 4, 4]);
    assert_eq!(outcome.rows.keys[0].data, "055");
    assert_eq!(failures(&outcome).len(), 1);
}

fn query(text: &str) -> config::Builtin {
    config::Builtin::Keys { query: Some(text.to_owned()), event_time: None }
}

/// The value of the key `k`, or why there is none.
fn key(text: &str, record: &[u8]) -> Result<String, String> {
    let outcome = run(&query(text), &own(&[record]));
    if let Some(failed) = outcome.failed.first() {
        return Err(format!("{}: {}", failed.failure.code, failed.failure.message));
    }
    assert_eq!((outcome.rows.get(0), outcome.rows.keys[1].name.as_str()), (record, "query:k"));
    Ok(outcome.rows.keys[1].get(0).to_owned())
}

#[test]
fn scalars_become_keys() {
    let cases = [
        (".a", r#"{"a":"x"}"#, "x"),
        (".a.b[1]", r#"{"a":{"b":[0,"y"]}}"#, "y"),
        (".a", r#"{"a":12}"#, "12"),
        (".a", r#"{"a":-12}"#, "-12"),
        (".a", r#"{"a":-0}"#, "0"),
        (".a", r#"{"a":true}"#, "true"),
        (".a", r#"{"a":"x","a":"y"}"#, "y"),
        (".a.b", r#"{"a":{"b":1},"a":{"b":2}}"#, "2"),
        (".a", r#"{"\u0061":"é\n\ud83d\ude00/..\u0000"}"#, "é\n😀/..\0"),
        (".a", r#" { "a" : "../../etc" } "#, "../../etc"),
        (".a", r#"{"b":"cut \ud83d","\udc00":{"\ud83dx":[]},"a":1}"#, "1"),
        (".a[1]", r#"{"a":[ [[1],{"a":[]}] , 7 ]}"#, "7"),
        (".a|tonumber|.+1", r#"{"a":"41"}"#, "42"),
        (
            ".a|strptime(\"%Y-%m-%dT%H:%M:%SZ\")|mktime|strftime(\"%Y/%H\")",
            r#"{"a":"2026-11-21T09:00:00Z"}"#,
            "2026/09",
        ),
        (".a // \"none\"", "{}", "none"),
        (".a[1:]", r#"{"a":"xyz"}"#, "yz"),
        ("[.a[]|select(.n>1)|.id][0]", r#"{"a":[{"n":1,"id":"p"},{"n":2,"id":"q"}]}"#, "q"),
        (".a|@base64", r#"{"a":"hi"}"#, "aGk="),
        (".a|sub(\"b+\";\"-\")", r#"{"a":"abbbc"}"#, "a-c"),
    ];
    for (value, record, expected) in cases {
        assert_eq!(key(&format!("{{k:{value}}}"), record.as_bytes()).as_deref(), Ok(expected), "{value} {record}");
    }
}

#[test]
fn what_is_no_scalar_or_no_json_fails_with_its_reason() {
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(2 << 10));
    let digits = format!(r#"{{"a":{}}}"#, "9".repeat(1 << 20));
    let deep = format!(r#"{{"b":{}{},"a":1}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let no_value = "MetadataExtractionFailed: the record has no string, number or boolean for the key \"k\"";
    let cases: [(&str, &[u8], &str); 18] = [
        (".a", b"{}", no_value),
        (".a", br#"{"a":null}"#, no_value),
        (".a", br#"{"a":{}}"#, no_value),
        (".a", br#"{"a":[1]}"#, no_value),
        (".a.b", br#"{"a":"x"}"#, no_value),
        (".a.b", br#"{"a":{"b":"x"},"a":null}"#, no_value),
        (".a[0]", br#"{"a":{"0":1}}"#, no_value),
        (".a", br#"{"a":""}"#, "has an empty string for the key \"k\""),
        (".a", long.as_bytes(), "KeyTooLong: the value of the key \"k\" has 2048 bytes"),
        (".a", digits.as_bytes(), no_value),
        (".a+1", digits.as_bytes(), "a number has more than 512 characters"),
        (".a+1", deep.as_bytes(), "more than 128 objects and arrays"),
        (".a", br#"{"a":1"#, "is not JSON"),
        (".a", br#"{"a":1} x"#, "is not JSON"),
        (".a", b"{\"a\":\"\xff\"}", "is not JSON"),
        (".a", b"", "is not JSON"),
        (".a|tonumber", br#"{"a":"[[[["}"#, "this is no number"),
        (".a|.b", br#"{"a":"x"}"#, "the query gives no value of \"k\": cannot index"),
    ];
    for (value, record, expected) in cases {
        let shown = String::from_utf8_lossy(&record[..record.len().min(50)]);
        let error = key(&format!("{{k:{value}}}"), record).unwrap_err();
        assert!(error.starts_with("DynamicPartitioning.") && error.contains(expected), "{value} {shown}: {error}");
        assert!(error.len() < 600, "{error}");
    }
    assert_eq!(key("{k:.a}", deep.as_bytes()).as_deref(), Ok("1"), "what is passed over may be deep");
    for levels in [127, 128, 129, 256, 257, 1_000] {
        let nested =
            |close: &str| format!(r#"{{"b":{}0{close}{},"a":1}}"#, "[{\"c\":".repeat(levels), "}]".repeat(levels));
        assert_eq!(key("{k:.a}", nested("").as_bytes()).as_deref(), Ok("1"), "{levels}");
        assert!(key("{k:.a}", nested("]").as_bytes()).unwrap_err().contains("expected ',' or '}' at byte"), "{levels}");
    }
    for (record, why) in [
        (r#"{"a":1,"b":"\x"}"#, "an unknown escape in a string at byte 12"),
        (r#"{"\u00g0":1,"a":1}"#, "an escape that lacks four hexadecimal digits at byte 2"),
        (r#"{"a":1} x"#, "expected the end at byte 8"),
        ("{\"a\":1}\0", "expected the end at byte 7"),
        (r#"{"a":1,}"#, "expected a key at byte 7"),
    ] {
        let error = key("{k:.a}", record.as_bytes()).unwrap_err();
        assert!(error.ends_with(&format!("the record is not JSON: {why}")), "{record}: {error}");
    }
}

#[test]
fn a_record_of_several_rows_fails_whole_and_columns_of_the_same_name_give_way() {
    let mut given = rows(&[(0, r#"{"a":1}"#), (1, r#"{"a":2}"#), (1, "{}"), (1, "x"), (2, r#"{"a":3}"#)]);
    given.keys[0].name = "query:k".to_owned();
    let outcome = run(&query("{k:.a}"), &given);
    assert_eq!(outcome.rows.origins, [0, 2]);
    assert_eq!(outcome.rows.keys.len(), 1);
    assert_eq!((outcome.rows.keys[0].data.as_str(), failures(&outcome).len()), ("13", 1));
}

fn timed(time: EventTime) -> config::Builtin {
    config::Builtin::Keys { query: None, event_time: Some(time) }
}

/// What `yyyy/MM/dd/HH` prints of a record's time, or the code of its failure.
fn hour(time: &EventTime, record: &str) -> String {
    let time = EventTime { prints: vec!["yyyy/MM/dd/HH".to_owned()], ..time.clone() };
    let outcome = run(&timed(time), &own(&[record]));
    if let Some(failed) = outcome.failed.first() {
        return failed.failure.code.to_string();
    }
    assert_eq!(outcome.rows.keys[1].name, "time:yyyy/MM/dd/HH");
    outcome.rows.keys[1].get(0).to_owned()
}

const NO: &str = "DynamicPartitioning.EventTimeFailed";
const NO_KEY: &str = "DynamicPartitioning.MetadataExtractionFailed";

#[test]
fn records_are_of_their_own_time() {
    let plain = EventTime::new(".t");
    let of = |format: &str| EventTime { format: format.to_owned(), ..plain.clone() };
    let zoned = |format: &str| EventTime { time_zone: "America/New_York".to_owned(), ..of(format) };
    let cases = [
        (plain.clone(), r#"{"t":"2026-01-02T03:04:05Z"}"#, "2026/01/02/03"),
        (plain.clone(), r#"{"t":"2026-01-02T03:04:05.999+05:30"}"#, "2026/01/01/21"),
        (plain.clone(), r#"{"t":"2026-01-02T03:04:05"}"#, "2026/01/02/03"),
        (zoned("rfc3339"), r#"{"t":"2026-01-02T03:04:05"}"#, "2026/01/02/08"),
        // Clocks are set forward at 2: it is 3 already.
        (zoned("rfc3339"), r#"{"t":"2026-03-08T02:30:00"}"#, "2026/03/08/07"),
        (plain.clone(), r#"{"t":1767323045}"#, NO),
        (plain.clone(), r#"{"t":"1969-12-31T00:00:00Z"}"#, NO),
        (plain.clone(), r#"{"t":null}"#, NO),
        (plain.clone(), "{}", NO),
        (of("epoch-seconds"), r#"{"t":1767323045}"#, "2026/01/02/03"),
        (of("epoch-seconds"), r#"{"t":"1767323045.5"}"#, "2026/01/02/03"),
        (of("epoch-seconds"), r#"{"t":-1}"#, NO),
        (of("epoch-seconds"), r#"{"t":1e9}"#, NO),
        (of("epoch-seconds"), r#"{"t":99999999999999999999}"#, NO),
        (of("epoch-millis"), r#"{"t":1767323045000}"#, "2026/01/02/03"),
        // The last second that is printed, and the one behind it.
        (of("epoch-seconds"), r#"{"t":253401264000}"#, "9999/12/20/00"),
        (of("epoch-seconds"), r#"{"t":253401264001}"#, NO_KEY),
        (of("epoch-millis"), r#"{"t":999999999999999}"#, NO_KEY),
        (plain.clone(), r#"{"t":"9999-12-31T00:00:00Z"}"#, NO_KEY),
        (plain.clone(), r#"{"t":"-0001-01-01T00:00:00Z"}"#, NO),
        (of("dd/MMM/yyyy:HH:mm:ss xx"), r#"{"t":"02/Jan/2026:03:04:05 -0800"}"#, "2026/01/02/11"),
        (of("yyyyMMddHHmmss"), r#"{"t":20260102030405}"#, "2026/01/02/03"),
        (of("M/d/yyyy h:mm a"), r#"{"t":"1/2/2026 3:04 PM"}"#, "2026/01/02/15"),
        (of("M/d/yyyy h:mm a"), r#"{"t":"1/2/2026 12:04 AM"}"#, "2026/01/02/00"),
        (of("yyyy-MM-dd"), r#"{"t":"2026-02-30"}"#, NO),
        (of("yyyy-MM-dd"), r#"{"t":"2026-02-28 "}"#, NO),
        (zoned("yyyy-MM-dd HH:mm"), r#"{"t":"2026-07-01 12:00"}"#, "2026/07/01/16"),
    ];
    for (time, record, expected) in cases {
        assert_eq!(hour(&time, record), expected, "{record} {}", time.format);
    }
    let tokyo = EventTime { prints_in: "Asia/Tokyo".to_owned(), ..plain };
    assert_eq!(hour(&tokyo, r#"{"t":"2026-01-02T23:00:00Z"}"#), "2026/01/03/08");
}

#[test]
fn late_and_early_are_measured_from_the_arrival() {
    let bound = |hours: u64, then| Some(Beyond { after_ms: hours * 3_600_000, then });
    let plain = EventTime::new(".t");
    let late = |then| EventTime { late: bound(2, then), early: bound(1, then), ..plain.clone() };
    let at = |hour: u32, minute: u32| format!(r#"{{"t":"2026-11-21T{hour:02}:{minute:02}:00Z"}}"#);
    for (hour_of, minute, is_beyond) in [(8, 0, false), (7, 59, true), (11, 0, false), (11, 1, true)] {
        let record = at(hour_of, minute);
        let own = format!("2026/11/21/{hour_of:02}");
        let expected = |beyond: &str| if is_beyond { beyond.to_owned() } else { own.clone() };
        assert_eq!(hour(&late(Fallback::Arrival), &record), expected("2026/11/21/10"), "{record}");
        assert_eq!(
            hour(&late(Fallback::Error), &record),
            expected("DynamicPartitioning.EventTimeOutOfRange"),
            "{record}"
        );
        assert_eq!(hour(&late(Fallback::Keep), &record), own, "{record}");
    }
    // What the settings keep, and no prefix prints as it is.
    let far = r#"{"t":"9999-12-31T00:00:00Z"}"#;
    assert_eq!(hour(&late(Fallback::Keep), far), NO_KEY);
    assert_eq!(hour(&late(Fallback::Arrival), far), "2026/11/21/10");
    let lenient = EventTime { unreadable: Fallback::Arrival, ..plain };
    assert_eq!(hour(&lenient, r#"{"t":"yesterday"}"#), "2026/11/21/10");
    assert_eq!(
        hour(&lenient, "{"),
        "DynamicPartitioning.MetadataExtractionFailed",
        "what is not JSON has no fields at all"
    );
}

#[test]
fn keys_and_times_are_read_together_also_where_one_is_within_the_other() {
    let time =
        EventTime { prints: vec!["HH".into(), "yyyy".into()], unreadable: Fallback::Arrival, ..EventTime::new(".a") };
    let settings = config::Builtin::Keys { query: Some("{k:.a.b, l:.c}".into()), event_time: Some(time) };
    let record = r#"{"a":{"b":"x"},"c":7}"#;
    let outcome = run(&settings, &own(&[record, record]));
    let values: Vec<_> = outcome.rows.keys.iter().map(|key| (key.name.as_str(), key.get(1))).collect();
    assert_eq!(values, [("n", "1"), ("query:k", "x"), ("query:l", "7"), ("time:HH", "10"), ("time:yyyy", "2026")]);
}

/// JSON in which a few names come again and again, also twice in one object.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,22})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        "\"([a-z/.%é ]|\\\\n|\\\\u00e9|\\\\\\\\|\\\\ud83d\\\\ude00|\\\\\"){0,6}\"",
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec(("[abc]", inner), 0..4).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\" :{value}")).collect();
                format!("{{ {} }}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn plain_paths_give_what_jq_gives(record in json(), path in "(\\.[abc]){1,2}(\\[[0-2]\\])?(\\.[abc])?") {
        let plain = key(&format!("{{k:{path}}}"), record.as_bytes());
        // The same for jq: it is no plain path any more.
        let asked = key(&format!("{{k:({path})}}"), record.as_bytes());
        prop_assert_eq!(plain.is_ok(), asked.is_ok(), "{:?} {:?}", plain, asked);
        if let (Ok(plain), Ok(asked)) = (plain, asked) {
            prop_assert_eq!(plain, asked);
        }
    }

    #[test]
    fn nothing_panics(record in prop::collection::vec(any::<u8>(), 0..60), origin in 0u32..3) {
        let given = rows(&[(0, &record), (origin, &record)]);
        let time = EventTime { prints: vec!["HH".into()], ..EventTime::new(".a") };
        for settings in [
            config::Builtin::Decompress,
            config::Builtin::CloudwatchLogs,
            config::Builtin::Deaggregate(SubRecords::Json),
            config::Builtin::Deaggregate(SubRecords::delimited(b"a").unwrap()),
            query("{k:.a, l:(.a|tostring)}"),
            timed(time),
        ] {
            let outcome = run(&settings, &given);
            for column in &outcome.rows.keys {
                prop_assert_eq!(column.ends.len(), outcome.rows.len());
            }
        }
    }
}

#[test]
fn what_is_too_much_for_jq_is_refused_with_a_reason() {
    let keys = config::Builtin::Keys { query: Some("{k: (.k | ascii_downcase)}".into()), event_time: None };
    let record = |values: usize| format!("{{\"k\":\"A\",\"l\":[{}]}}", vec!["0"; values].join(","));
    let most = crate::limits::QUERY_RECORD_VALUES_MAX;
    let large = format!("{{\"k\":\"A\",\"t\":\"{}\"}}", ",[".repeat(crate::limits::QUERY_RECORD_BYTES_MAX / 2));
    let strings = format!("{{\"k\":\"A\",\"t\":\"{}\"}}", ",[".repeat(most));
    let outcome = run(&keys, &own(&[record(most - 3), record(most), large, strings]));
    assert_eq!(outcome.rows.origins, [0, 3]);
    let failed = failures(&outcome);
    assert!(failed[0].0 == 1 && failed[0].2.contains("more than 524288 values"), "{}", failed[0].2);
    assert!(failed[1].0 == 2 && failed[1].2.contains("at most 10485760"), "{}", failed[1].2);
    // A plain path needs no tree.
    let path = config::Builtin::Keys { query: Some("{k}".into()), event_time: None };
    assert_eq!(run(&path, &own(&[record(most)])).failed, []);
}
