//! The built-in processors and event times: what they say, and each kind of mistake.

use standpipe::config::{Beyond, Builtin, Delimiter, EventTime, Fallback, Processor, SubRecords};

use super::{local, parse, with_data_dir};

const PREFIX: &str = "prefix = \"t=!{partitionKeyFromQuery:t}/!{eventTime:yyyy/MM/dd/HH}/\"\n";
const ERRORS: &str = "error_prefix = \"e/!{firehose:error-output-type}/\"\n";

/// A stream with these steps and what else is in its table, and `more` in its destination.
fn stream(tables: &str, more: &str) -> String {
    format!("{}{tables}", local(more)) + "\n"
}

fn steps(steps: &[&str]) -> String {
    let steps: Vec<_> = steps.iter().map(|step| format!("[[delivery_stream.s.process]]\n{step}\n")).collect();
    steps.concat()
}

#[test]
fn each_processor_means_what_it_says() {
    let tables = steps(&[
        "type = \"decompress\"",
        "type = \"cloudwatch-logs\"",
        "type = \"deaggregate\"\ndelimiter = \"####\"",
        "type = \"require-json\"",
        "type = \"extract\"\nquery = '{t: .tenant}'",
        "type = \"append-delimiter\"",
    ]) + "[delivery_stream.s.event_time]\nfrom = \".at\"\nformat = \"yyyy-MM-dd HH:mm\"\ntime_zone = \"Europe/Berlin\"\n\
          unreadable = \"arrival\"\nlate = { after = \"7d\", then = \"error\" }\nearly = { after = \"1h\" }\n";
    let text = with_data_dir(&stream(&tables, &format!("{PREFIX}{ERRORS}time_zone = \"Asia/Tokyo\"\n")));
    let config = parse(&text).unwrap_or_else(|faults| panic!("{faults}"));
    let stream = &config.delivery_streams[0];
    let time = EventTime {
        format: "yyyy-MM-dd HH:mm".into(),
        time_zone: "Europe/Berlin".into(),
        unreadable: Fallback::Arrival,
        late: Some(Beyond { after_ms: 7 * 86_400_000, then: Fallback::Error }),
        early: Some(Beyond { after_ms: 3_600_000, then: Fallback::Arrival }),
        prints: vec!["yyyy/MM/dd/HH".into()],
        prints_in: "Asia/Tokyo".into(),
        ..EventTime::new(".at")
    };
    let expected = [
        Processor::Builtin(Builtin::Decompress),
        Processor::Builtin(Builtin::CloudwatchLogs),
        Processor::Builtin(Builtin::Deaggregate(SubRecords::Delimited("IyMjIw==".into()))),
        Processor::RequireJson,
        Processor::Builtin(Builtin::Keys { query: Some("{t: .tenant}".into()), event_time: Some(time) }),
    ];
    assert_eq!((stream.process.as_slice(), stream.destination.delimiter), (&expected[..], Delimiter::Between));
}

/// Each text has one fault, in this line, whose message has this in it.
fn each<const N: usize>(cases: [(String, usize, &str); N]) {
    for (text, line, message) in cases {
        let faults = parse(&with_data_dir(&text)).expect_err(&text);
        let found: Vec<_> = faults.iter().map(|fault| (fault.line, fault.message.as_str())).collect();
        assert!(matches!(found[..], [(at, said)] if at == line && said.contains(message)), "{text} {found:?}");
    }
}

#[test]
fn each_mistake_is_named() {
    let by_query = "prefix = \"!{partitionKeyFromQuery:t}/\"\n";
    let with = |steps_of: &[&str], more: &str| stream(&steps(steps_of), more);
    let timed = |table: &str| {
        let table = format!("[delivery_stream.s.event_time]\n{table}\n");
        stream(&table, &format!("prefix = \"!{{eventTime:yyyy}}/\"\n{ERRORS}"))
    };
    let extract = "type = \"extract\"\nquery = '{t}'";
    let both = format!("{by_query}{ERRORS}");
    each([
        (with(&["type = \"extract\""], ""), 5, "missing key \"query\": type = \"extract\" needs it"),
        (with(&["type = \"extract\"\nquery = '.a'"], ""), 7, "query: the query is wrong at character 1"),
        (
            with(&["type = \"decompress\"\nquery = '{t}'"], ""),
            7,
            "key \"query\" does not belong to type = \"decompress\"",
        ),
        (
            with(&["type = \"extract\"\nquery = '{t}'\ndelimiter = \"x\""], &both),
            10,
            "key \"delimiter\" does not belong",
        ),
        (with(&["type = \"deaggregate\"\ndelimiter = \"\""], ""), 7, "a delimiter has 1 to 3840 bytes, not 0"),
        (with(&["type = \"decompress\"", "type = \"decompress\""], ""), 8, "type = \"decompress\" is there twice"),
        (
            with(&[extract, "type = \"deaggregate\""], &both),
            11,
            "type = \"deaggregate\" must stand before type = \"extract\"",
        ),
        (with(&[extract, "type = \"require-json\""], &both), 11, "type = \"extract\" must stand behind this step"),
        (
            with(&["type = \"append-delimiter\""], "delimiter = \"always\"\n"),
            6,
            "type = \"append-delimiter\" is delimiter = \"between\", and the destination says otherwise",
        ),
        (with(&["type = \"extract\"\nquery = '{t,u}'"], &both), 5, "can't contain keys that are not present"),
        (with(&[], &both), 5, "no query gives \"t\""),
        (with(&[], &format!("prefix = \"!{{eventTime:yyyy}}/\"\n{ERRORS}")), 5, "event_time is missing"),
        (stream("[delivery_stream.s.event_time]\nfrom = \".t\"\n", ""), 5, "event_time is of no use"),
        (timed(""), 7, "missing key \"from\""),
        (timed("from = \".a[]\""), 8, "from \".a[]\" is not a plain path"),
        (timed("from = \".t\"\nformat = \"unix\""), 9, "it must be \"rfc3339\", \"epoch-seconds\""),
        (timed("from = \".t\"\nformat = \"HH:mm\""), 9, "the pattern must have the year"),
        (timed("from = \".t\"\ntime_zone = \"Mars/Olympus\""), 9, "Provided custom time zone is not supported"),
        (timed("from = \".t\"\nunreadable = \"keep\""), 9, "\"keep\" has no meaning"),
        (timed("from = \".t\"\nlate = { after = \"4000d\" }"), 9, "late.after must be 0s to"),
    ]);
}
