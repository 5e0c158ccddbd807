//! The rules of prefixes, and their messages.

use proptest::prelude::*;

use super::*;

/// 2026-07-13T14:04:05.678Z.
const OBJECT_MS: u64 = 1_783_951_445_678;

fn facts(time_zone: Tz) -> PrefixFacts<'static> {
    PrefixFacts { object_ms: OBJECT_MS, time_zone, random: "046b6c7f0bq", error_type: "processing-failed", keys: &[] }
}

fn evaluated(prefix: Option<&str>, error_prefix: Option<&str>) -> (String, String) {
    let (delivered, errors) = check_prefixes(prefix, error_prefix).unwrap();
    (delivered.evaluate(facts(Tz::UTC)), errors.evaluate(facts(Tz::UTC)))
}

#[test]
fn prefixes_get_the_time_that_firehose_appends() {
    const TYPE: &str = "!{firehose:error-output-type}";
    let e = "processing-failed/2026/07/13/14/";
    let cases = [
        (None, None, "2026/07/13/14/".to_owned(), e.to_owned()),
        (Some(""), Some(""), "2026/07/13/14/".to_owned(), e.to_owned()),
        (Some("legacy"), None, "legacy2026/07/13/14/".to_owned(), format!("legacy{e}")),
        (Some("web/"), None, "web/2026/07/13/14/".to_owned(), format!("web/{e}")),
        (Some("web/"), Some("bad/"), "web/2026/07/13/14/".to_owned(), "bad/".to_owned()),
        (Some("a/!{firehose:random-string}/"), Some(TYPE), "a/046b6c7f0bq/".to_owned(), "processing-failed".to_owned()),
        (
            Some("web/!{timestamp:yyyy/MM/dd/HH}/"),
            Some("errors/!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd}/"),
            "web/2026/07/13/14/".to_owned(),
            "errors/processing-failed/2026/07/13/".to_owned(),
        ),
        (
            Some("!{timestamp:'year='yyyy'/month='MM'/'}x"),
            Some("!{firehose:error-output-type}!{firehose:random-string}"),
            "year=2026/month=07/x".to_owned(),
            "processing-failed046b6c7f0bq".to_owned(),
        ),
        (Some("!{timestamp:ss.SSS}"), Some(TYPE), "05.000".to_owned(), "processing-failed".to_owned()),
        (Some("a!b}{/"), None, "a!b}{/2026/07/13/14/".to_owned(), format!("a!b}}{{/{e}")),
    ];
    for (prefix, error_prefix, delivered, errors) in cases {
        assert_eq!(evaluated(prefix, error_prefix), (delivered, errors), "{prefix:?} {error_prefix:?}");
    }
}

#[test]
fn the_zone_moves_prefix_and_name() {
    let zone = time_zone("Asia/Kolkata").unwrap();
    let old_name = time_zone("Asia/Calcutta").unwrap();
    assert_eq!(object_name("n", 1, 0, zone, "u", ""), object_name("n", 1, 0, old_name, "u", ""));
    let (delivered, errors) = check_prefixes(None, None).unwrap();
    assert_eq!(delivered.evaluate(facts(zone)), "2026/07/13/19/");
    assert_eq!(errors.evaluate(facts(zone)), "processing-failed/2026/07/13/19/");
    assert_eq!(object_name("web", 7, OBJECT_MS, zone, "n-o-n-c-e", ".gz"), "web-7-2026-07-13-19-34-05-n-o-n-c-e.gz");
    assert_eq!(object_name("web", 1, OBJECT_MS, Tz::UTC, "u", ""), "web-1-2026-07-13-14-04-05-u");
}

#[test]
fn faults_have_the_messages_of_firehose() {
    const VALUE: &str = "Invalid conversion character used in the value of the expression in Prefix";
    const USAGE: &str = "Invalid expression usage";
    const OFF: &str =
        "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic Partitioning is enabled.";
    const TYPE: &str = "!{firehose:error-output-type}/";
    let cases = [
        ("a!{", TYPE, USAGE),
        ("!{timestamp:yyyy", TYPE, USAGE),
        ("!{timestamp}", TYPE, USAGE),
        ("!{}", TYPE, USAGE),
        ("!{timestamp:!{yyyy}}", TYPE, USAGE),
        ("!{time:yyyy}", TYPE, "Namespace to the left of colon (time) is an invalid keyword!"),
        ("!{:yyyy}", TYPE, "Namespace to the left of colon () is an invalid keyword!"),
        ("!{timestamp:}", TYPE, VALUE),
        ("!{timestamp:YYYT}", TYPE, VALUE),
        ("!{timestamp:'open}", TYPE, VALUE),
        ("!{firehose:random}", TYPE, VALUE),
        ("!{partitionKeyFromQuery:k}", TYPE, OFF),
        ("!{partitionKeyFromLambda:k}", TYPE, OFF),
        (
            "",
            "!{partitionKeyFromQuery:k}",
            "Dynamic Partitioning Namespaces can't be part of an error prefix expression",
        ),
        ("!{timestamp:yyyy}", "", "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"),
        (
            "",
            "!{timestamp:yyyy}",
            "ErrorOutputPrefix must contain at least one occurrence of !{firehose:error-output-type}",
        ),
        (TYPE, TYPE, "Prefix must not contain any occurrence of !{firehose:error-output-type}"),
        ("a\nb", "", "a prefix must not contain control characters"),
        ("", "a\0b", "a prefix must not contain control characters"),
    ];
    for (prefix, error_prefix, message) in cases {
        let error = check_prefixes(Some(prefix), Some(error_prefix)).unwrap_err();
        assert_eq!(error.message(), message, "{prefix} {error_prefix}");
    }
}

#[test]
fn lengths_are_counted_as_evaluated_without_what_is_appended() {
    let long = "x".repeat(512);
    assert_eq!(Prefix::parse(&long, PrefixKind::Delivered).unwrap().chars_max(), 512 + 14);
    let over = "Length of evaluated prefix cannot be greater than 512";
    for text in [format!("{long}x"), format!("{}!{{timestamp:MMMM}}", &long[8..])] {
        assert_eq!(Prefix::parse(&text, PrefixKind::Delivered).unwrap_err().message(), over);
    }
    // Longer as written than as evaluated.
    let text = format!("{}!{{timestamp:yyyy}}", &long[4..]);
    assert_eq!(Prefix::parse(&text, PrefixKind::Delivered).unwrap().chars_max(), 512);
    let bytes = Prefix::parse(&"é".repeat(400), PrefixKind::Delivered).unwrap_err();
    assert_eq!(bytes.message(), "a prefix has at most 720 bytes in UTF-8 when it is evaluated, this one up to 800");
    let written = Prefix::parse(&"x".repeat(1_025), PrefixKind::Delivered).unwrap_err();
    assert_eq!(written.message(), "a prefix has at most 1024 characters, this one 1025");
}

const TYPE_ONLY: &str = "!{firehose:error-output-type}/";

fn with_keys(prefix: &str, keys: &[&str]) -> String {
    let (delivered, _) = check_partitioned(Some(prefix), Some(TYPE_ONLY)).unwrap();
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    delivered.evaluate(PrefixFacts { keys: &keys, ..facts(Tz::UTC) })
}

#[test]
fn hostile_values_stay_in_their_place() {
    let prefix = "t=!{partitionKeyFromLambda:t}/!{partitionKeyFromLambda:a b}!{partitionKeyFromLambda:t}/";
    let cases = [
        (["acme", "x"], "t=acme/xacme/"),
        (["..", "."], "t=%2E%2E/%2E%2E%2E/"),
        (["a/../../b", "/"], "t=a%2F..%2F..%2Fb/%2Fa%2F..%2F..%2Fb/"),
        ([".hidden", "%2F"], "t=%2Ehidden/%252F%2Ehidden/"),
        (["a\0\n\\", "é 日本"], "t=a%00%0A%5C/é%20日本a%00%0A%5C/"),
        (["!{timestamp:yyyy}", "a=b:c"], "t=!%7Btimestamp%3Ayyyy%7D/a%3Db%3Ac!%7Btimestamp%3Ayyyy%7D/"),
        (["\u{202e}x", "-_.!*'()@,+~"], "t=%E2%80%AEx/-_.!*'()@,+~%E2%80%AEx/"),
    ];
    for (keys, expected) in cases {
        assert_eq!(with_keys(prefix, &keys), expected, "{keys:?}");
    }
}

#[test]
fn what_begins_a_name_is_not_hidden() {
    let prefix = "t=!{partitionKeyFromLambda:t}/!{partitionKeyFromLambda:u}!{partitionKeyFromLambda:t}/";
    let cases = [
        (["_x", "_temporary"], "t=_x/%5Ftemporary_x/"),
        ([".x", "__"], "t=%2Ex/%5F_%2Ex/"),
        (["x_", "%5F_"], "t=x_/%255F_x_/"),
    ];
    for (keys, expected) in cases {
        assert_eq!(with_keys(prefix, &keys), expected, "{keys:?}");
    }
    let bare = "!{timestamp:yyyy/}!{partitionKeyFromLambda:t}-";
    assert_eq!(with_keys(bare, &["_x"]).split_once('/').unwrap().1, "%5Fx-");
    let rules = Prefix::parse(prefix, PrefixKind::Partitioned).unwrap().partitioning(true).unwrap();
    let fits = |value: &str| rules.check(&["t".to_owned(), value.to_owned()]).is_ok();
    let longest = "x".repeat(rules.each);
    assert!(fits(&longest) && fits(&format!("_{}", &longest[3..])) && !fits(&format!("_{}", &longest[2..])));
}

#[test]
fn no_value_leads_into_the_error_output() {
    let evaluated = |prefix: &str, errors: &str, value: &str| {
        let prefix = prefix.replace('K', "!{partitionKeyFromQuery:k}");
        let errors = errors.replace('T', "!{firehose:error-output-type}");
        let (prefix, errors) = check_partitioned(Some(&prefix), Some(&errors)).unwrap();
        let keys = [value.to_owned()];
        prefix.evaluate_apart(PrefixFacts { keys: &keys, ..facts(Tz::UTC) }, &[(&errors, "processing-failed")])
    };
    let cases = [
        ("K/", "errors/T/", "errors", "%65rrors/"),
        ("K/", "errors/T/", "errors2", "errors2/"),
        ("K/", "errors/T/", "error", "error/"),
        ("K-x/", "a-x/T/", "a", "%61-x/"),
        ("K/", "T/", "processing-failed", "%70rocessing-failed/"),
        ("e/K/", "e/errors/T/", "errors", "e/%65rrors/"),
        ("eK/", "errors/T/", "rrors", "e%72rors/"),
        ("!{timestamp:yyyy}/K/", "!{timestamp:yyyy}/\u{e9}/T/", "\u{e9}", "2026/%C3%A9/"),
        // Yesterday's folder is one of error output, too.
        ("K/", "!{timestamp:yyyy-MM-dd}/T/", "2026-01-01", "%32026-01-01/"),
        ("K/", "!{timestamp:dd}/T/", "x", "%78/"),
        ("K/", "!{firehose:random-string}/T/", "x", "%78/"),
        ("k=K/", "errors/T/", "errors", "k=errors/"),
        ("K/", "errors/!{timestamp:yyyy}/T/", "2026", "2026/"),
        ("data/K/", "errors/T/", "errors", "data/errors/"),
        ("a/K/", "a", "2026", "a/2026/"),
    ];
    for (prefix, errors, value, expected) in cases {
        assert_eq!(evaluated(prefix, errors, value), expected, "{prefix} {errors} {value}");
    }
}

#[test]
fn keys_have_room_in_the_prefix_and_in_names_of_directories() {
    let prefix = "t=!{partitionKeyFromLambda:t}-!{partitionKeyFromLambda:h}/!{partitionKeyFromLambda:t}/";
    let prefix = Prefix::parse(prefix, PrefixKind::Partitioned).unwrap();
    assert_eq!((prefix.keys(), prefix.ends_key_folders()), (&["t".to_owned(), "h".to_owned()][..], true));
    let anywhere = prefix.partitioning(false).unwrap();
    assert_eq!((&anywhere.uses[..], anywhere.room, anywhere.each), (&[2, 1][..], 507, 507));
    let named = prefix.partitioning(true).unwrap();
    assert_eq!((named.room, named.each), (507, 126));
    let check = |rules: &Partitioning, t: usize, h: usize| rules.check(&["t".repeat(t), "h".repeat(h)]).is_ok();
    assert!(check(&anywhere, 253, 1) && !check(&anywhere, 254, 0) && !check(&anywhere, 1, 506));
    assert!(check(&named, 126, 126) && !check(&named, 127, 1) && !check(&named, 1, 127));
    assert!(!check(&anywhere, 1, 10 << 20), "nothing is written to find out");
    let rules = anywhere.check(&["\0".repeat(100), "h".to_owned()]).unwrap_err();
    assert!(rules.contains("601 bytes") && rules.contains("507"), "{rules}");
    let plain = Prefix::parse("a/!{timestamp:yyyy}/", PrefixKind::Partitioned).unwrap();
    assert!(plain.partitioning(true).is_none() && plain.ends_key_folders());
    assert!(!Prefix::parse("a/!{partitionKeyFromLambda:t}", PrefixKind::Partitioned).unwrap().ends_key_folders());
}

#[test]
fn keys_that_cannot_be_are_refused() {
    let long = format!("{}!{{partitionKeyFromLambda:k}}", "x".repeat(477));
    let many = (0..51).fold(String::new(), |text, n| text + "!{partitionKeyFromLambda:" + &n.to_string() + "}");
    let cases = [
        ("!{partitionKeyFromQuery:}", "the name of a partition key has 1 to 128 bytes, not 0"),
        ("!{partitionKeyFromLambda:query:k}", "has no colon, unlike \"query:k\""),
        ("!{eventTime:bogus}", "Invalid conversion character"),
        ("!{partitionKeyFromLambda:}", "the name of a partition key has 1 to 128 bytes, not 0"),
        ("!{partitionKeyFromLambda}", "Invalid expression usage"),
        (&long, "must leave room for 36 bytes of partition keys, this one leaves 35"),
        (&many, "a prefix has at most"),
    ];
    for (prefix, message) in cases {
        let error = check_partitioned(Some(prefix), Some(TYPE_ONLY)).unwrap_err();
        assert!(error.message().contains(message), "{prefix}: {error}");
    }
    let errors = check_partitioned(Some("!{partitionKeyFromLambda:k}/"), None).unwrap_err();
    assert_eq!(errors.message(), "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions");
}

#[test]
fn keys_of_plugins_queries_and_times_are_told_apart() {
    let text =
        "!{partitionKeyFromQuery:k}/!{partitionKeyFromLambda:k}/!{eventTime:yyyy/MM/dd}/!{partitionKeyFromQuery:k}";
    let prefix = Prefix::parse(text, PrefixKind::Partitioned).unwrap();
    assert_eq!(prefix.keys(), ["query:k", "k", "time:yyyy/MM/dd"]);
    let sources: Vec<_> = prefix.keys().iter().map(|key| source(key)).collect();
    assert_eq!(sources, [KeySource::Query("k"), KeySource::Plugin("k"), KeySource::Time("yyyy/MM/dd")]);
    let rules = prefix.partitioning(false).unwrap();
    assert_eq!((rules.uses.as_slice(), rules.room), (&[2, 1, 0][..], 512 - 3 - 10));
    let keys = ["a/b", "..", "2026/11/21"];
    assert_eq!(with_keys(text, &keys), "a%2Fb/%2E%2E/2026/11/21/a%2Fb");
    assert!(rules.check(&keys.map(str::to_owned)).is_ok());
    // A plan of old says nothing of sources, and means plugins.
    let old: Partitioning = serde_json::from_str("{\"keys\":[\"k\"],\"uses\":[1],\"room\":9,\"each\":9}").unwrap();
    assert_eq!(source(&old.keys[0]), KeySource::Plugin("k"));
    let errors = Prefix::parse("!{firehose:error-output-type}/!{eventTime:yyyy}", PrefixKind::Errors).unwrap_err();
    assert!(errors.message().contains("eventTime can't be part of an error prefix"), "{errors}");
}

#[test]
fn zones_are_iana_names_but_no_three_letters() {
    for name in ["", "UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Calcutta", "America/Argentina/Buenos_Aires"] {
        assert!(time_zone(name).is_ok(), "{name}");
    }
    for name in ["EST", "GMT", "Mars/Olympus", "europe/berlin", "+02:00", " UTC"] {
        let message = time_zone(name).unwrap_err();
        assert!(message.message().starts_with("Provided custom time zone is not supported."), "{name}");
    }
    assert_eq!(time_zone("").unwrap(), Tz::UTC);
}

proptest! {
    #[test]
    fn different_values_are_never_one_and_none_leaves_its_folder(one in ".{1,20}", other in ".{1,20}") {
        let written = |value: &str| with_keys("a/k=!{partitionKeyFromLambda:k}/", &[value]);
        prop_assert_eq!(one == other, written(&one) == written(&other));
        let alone = with_keys("a/!{partitionKeyFromLambda:k}/", &[&one]);
        let names: Vec<_> = alone.split('/').collect();
        prop_assert_eq!(names.len(), 3);
        prop_assert!(!names[1].is_empty() && !names[1].starts_with(['.', '_']), "{}", alone);
        let bare = |value: &str| with_keys("a/!{partitionKeyFromLambda:k}/", &[value]);
        prop_assert_eq!(one == other, bare(&one) == bare(&other));
    }

    #[test]
    fn parsing_never_panics(text in any::<String>(), kind in prop_oneof![Just(PrefixKind::Delivered), Just(PrefixKind::Partitioned), Just(PrefixKind::Errors)]) {
        let _ = Prefix::parse(&text, kind);
    }

    #[test]
    fn evaluation_keeps_its_bound(
        text in "([a-z/é]{0,4}|!\\{timestamp:[yMdHmsEaQBzXO'/-]{1,6}\\}|!\\{firehose:(random-string|error-output-type)\\}){0,6}",
        kind in prop_oneof![Just(PrefixKind::Delivered), Just(PrefixKind::Errors)],
        object_ms in any::<u64>(),
        zone in 0..chrono_tz::TZ_VARIANTS.len(),
    ) {
        if let Ok(prefix) = Prefix::parse(&text, kind) {
            let facts = PrefixFacts { object_ms, time_zone: chrono_tz::TZ_VARIANTS[zone], ..facts(Tz::UTC) };
            let out = prefix.evaluate(facts);
            prop_assert!(out.chars().count() <= prefix.chars_max(), "{out} from {text}");
        }
    }
}
