//! Queries that are taken and those that are not.

use proptest::prelude::*;

use super::*;

/// The keys of a query: name, and the path or the expression.
fn listed(text: &str) -> Vec<(String, String)> {
    let shown = |value: &QueryValue| match value {
        QueryValue::Jq(text) => format!("jq {text}"),
        QueryValue::Path(path) => path.segments.iter().fold(String::new(), |shown, segment| match segment {
            Segment::Field(name) => shown + "<" + name + ">",
            Segment::Index(index) => shown + &format!("[{index}]"),
        }),
    };
    let query = Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    query.keys.iter().map(|key| (key.name.clone(), shown(&key.value))).collect()
}

#[test]
fn plain_paths_are_known_and_all_else_is_jqs() {
    let cases: [(&str, &[(&str, &str)]); 8] = [
        ("{a}", &[("a", "<a>")]),
        (" { a : .b.c , \"d e\":.[\"f g\"][3].h } ", &[("a", "<b><c>"), ("d e", "<f g>[3]<h>")]),
        ("{a:.\"b.c\".d[0][1]}", &[("a", "<b.c><d>[0][1]")]),
        ("{a:.b?, b:.a[-1], c:.}", &[("a", "jq .b?"), ("b", "jq .a[-1]"), ("c", "jq .")]),
        ("{hour:.event_timestamp|strftime(\"%H\")}", &[("hour", "jq .event_timestamp|strftime(\"%H\")")]),
        ("{a:(.b, \"x\")|first(.), b: \"y\"}", &[]),
        (
            "{a:\"\\(.b), {\\(\"}\")\", c: {d: [1, 2]} | .d[0]}",
            &[("a", "jq \"\\(.b), {\\(\"}\")\""), ("c", "jq {d: [1, 2]} | .d[0]")],
        ),
        (
            "{a: if .b then .c else \"none\" end, d: .e // \"f\"}",
            &[("a", "jq if .b then .c else \"none\" end"), ("d", "jq .e // \"f\"")],
        ),
    ];
    for (text, expected) in cases.iter().filter(|(_, expected)| !expected.is_empty()) {
        let expected: Vec<_> = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(listed(text), expected, "{text}");
    }
}

#[test]
fn what_is_of_use_is_taken() {
    for value in [
        ".a | tostring",
        "(.a | tonumber) * 1000 | floor",
        ".a[0:10]",
        ".a | split(\"-\")[0]",
        ".a / \"-\" | first",
        ".a | strptime(\"%Y-%m-%d\") | mktime | strftime(\"%Y\")",
        "[.items[] | select(.kind == \"x\") | .id][0]",
        "first(.items[].id)",
        ".items | map(.id) | sort | last",
        ".a | ascii_downcase | ltrimstr(\"x\") | sub(\"a+\"; \"b\")",
        ".a | capture(\"(?<y>[0-9]{4})\").y",
        ".a | test(\"^x\"; \"i\")",
        "if .a > 3 and (.b | length) != 0 then \"x\" elif .c then .c else empty end",
        "try (.a | fromdate) catch \"none\"",
        "@base64 \"\\(.a)\"",
        ".a | @uri",
        "\"\\(.a)-\\(.b.c)\"",
        "-(.a)",
        ".a.b.[\"c\"]?",
        "(.a | not) == true",
    ] {
        let query = format!("{{k:{value}}}");
        assert!(Query::parse(&query).is_ok(), "{query}: {:?}", Query::parse(&query).unwrap_err());
    }
}

#[test]
fn what_may_run_long_is_refused_with_its_place() {
    let cases = [
        ("{k:[range(1e12)]|length}", "character 5: there is no function range with an argument"),
        ("{k:[limit(9;repeat(.))]|length}", "no function limit with 2 arguments"),
        ("{k:def f: f; f}", "defines no functions"),
        ("{k:reduce .[] as $x (0; . + $x)}", "character 4: a query has no reduce"),
        ("{k:.a as $x | $x}", "no variables"),
        ("{k:[..]|length}", "no .."),
        ("{k:input}", "no function input "),
        ("{k:now}", "no function now "),
        ("{k:env.HOME}", "no function env "),
        ("{k:$ENV.HOME}", "no variables such as $ENV"),
        ("{k:halt}", "no function halt "),
        ("{k:.a|localtime|mktime}", "no function localtime "),
        ("{k:.a|fromjson}", "no function fromjson "),
        ("{k:.a|gsub(\"a\";\"b\")}", "no function gsub "),
        ("{k:\"x\" * .n}", "* repeats strings"),
        ("{k:.a * .b}", "* repeats strings"),
        ("{k:.a = 1}", "changes nothing"),
        ("{k:.a |= 1}", "changes nothing"),
        ("{k:.a[]}", "more than one value"),
        ("{k:(.a,.b)}", "more than one value"),
        ("{k:[.a[] + .b[]]|length}", "several values"),
        ("{k:.a|test(.b)}", "an argument of test must be constant"),
        ("{k:.a[.b]}", "an index must be constant"),
        ("{k:.a|index(.b)}", "an argument of index must be constant"),
        ("{k:include}", "no function include"),
        ("{k:.+.|.+.|.+.|.+.|.+.|.+.|.+.|.+.|.+.}", "copies of the record"),
        ("{k:@csv}", "no function @csv"),
        ("{k:.a | foo(1;2;3)}", "no function foo with 3 arguments"),
    ];
    for (query, expected) in cases {
        let error = Query::parse(query).unwrap_err();
        assert!(error.message().contains(expected), "{query}: {error}");
    }
}

#[test]
fn what_is_no_object_of_keys_is_refused_with_its_place() {
    let long = format!("{{k:{}}}", "-".repeat(1_025));
    let minus = format!("{{k:{}1}}", "-".repeat(65));
    let deep = format!("{{k:{}1{}}}", "(".repeat(25), ")".repeat(25));
    let name = format!("{{{}:.a}}", "k".repeat(129));
    let many = format!("{{{}}}", (0..51).map(|n| format!("k{n}")).collect::<Vec<_>>().join(","));
    let too_long = format!("{{k:\"{}\"}}", "x".repeat(5_115));
    let cases = [
        ("", "character 1: it must be one object"),
        (".a", "character 1: it must be one object"),
        ("{}", "character 2: the name of a key is missing"),
        ("{a:.b,}", "character 7: the name of a key is missing"),
        ("{a:.b", "character 6: } is missing"),
        ("{a:}", "character 4: key \"a\" has no value"),
        ("{a:.b} | .a", "character 8: nothing may follow"),
        ("{a:.b}{c:.d}", "character 7: nothing may follow"),
        ("{a .b}", "character 4: a comma or } is missing"),
        ("{(.a):.b}", "character 2: the name of a key is missing"),
        ("{\"\\(.a)\":.b}", "character 2: the name of a key is a plain string"),
        ("{$a}", "character 2: the name of a key is missing"),
        ("{ä:.b}", "character 2: the name of a key is missing"),
        ("{a:.b,a:.c}", "character 7: key \"a\" is there twice"),
        ("{a:.b|}", "character 7: jq expects term here"),
        ("{é:1}", "character 2"),
        ("{a:\"é\"|%}", "character 7: jq expects nothing"),
        ("{a:.b)}", "character 6: ) closes nothing"),
        ("{a:\"x}", "\" is missing"),
        ("{a:.b#c\n}", "character 6: a query has no comments"),
        ("{\"\":.b}", "has 1 to 128 bytes, not 0"),
        (&long, "has at most 1024 bytes, this one 1025"),
        (&minus, "more than 64 minus signs"),
        (&deep, "more than 24 brackets"),
        (&name, "has 1 to 128 bytes, not 129"),
        (&many, "at most 50 keys"),
        (&too_long, "at most 5120 characters, this one 5121"),
    ];
    for (query, expected) in cases {
        let error = Query::parse(query).unwrap_err();
        assert!(error.message().contains(expected), "{query}: {error}");
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "\\{?([a-z.\"(){},:|\\[\\]\\\\ $#@é0-9+*/-]|\\.a|if |then |else |end|try |first\\(|map\\(|\\\\\\(){0,40}\\}?") {
        let _ = Query::parse(&text);
        let _ = Path::parse(&text);
    }
}
