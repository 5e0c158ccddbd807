//! Data streams and where delivery streams take their records from: what is meant, and each mistake with its line.

use std::time::Duration;

use standpipe::config::{Config, DataStream, KinesisConfig, KinesisSource, Source, StartAt};

use super::mistakes::each;
use super::{deploy, local, parse, with_data_dir};

/// A data stream `clicks`, and a delivery stream `s` with this source and `more` beside it; the source is in line 4.
fn reading(source: &str, more: &str) -> String {
    format!("[data_stream.clicks]\n[delivery_stream.s]\nsource = {source}\n{more}{}", local(""))
}

/// The source of a delivery stream in a file that is right.
fn source(text: &str) -> Source {
    let config = parse(&with_data_dir(&reading(text, ""))).unwrap_or_else(|faults| panic!("{faults}"));
    config.delivery_streams[0].source.clone()
}

/// A real stream with `more` in its table.
fn kinesis(more: &str) -> String {
    format!("{{ kinesis = {{ stream = \"orders\"{more} }} }}")
}

#[test]
fn the_example_says_what_it_means() {
    let text = std::fs::read_to_string(deploy().join("data-streams.toml")).unwrap();
    let config = parse(&text).unwrap();
    assert_eq!(config.kinesis, KinesisConfig { shards_max: 500, state_delay: Duration::ZERO });
    let clicks = DataStream {
        shards: 2,
        retention: Duration::from_hours(7 * 24),
        bytes_max: Some(20 << 30),
        ..DataStream::new("clicks")
    };
    assert_eq!(config.data_streams, [clicks]);
    let own = |start| Source::DataStream { name: "clicks".into(), start };
    let orders = KinesisSource { region: Some("eu-central-1".into()), ..KinesisSource::new("orders") };
    let found: Vec<_> = config.delivery_streams.iter().map(|stream| (stream.name.as_str(), &stream.source)).collect();
    let expected = [
        ("clicks-archive", &own(StartAt::Horizon)),
        ("clicks-fresh", &own(StartAt::Latest)),
        ("orders", &Source::Kinesis(orders.into())),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_not_said_of_a_data_stream_has_defaults() {
    let config = |text: &str| -> Config { parse(&with_data_dir(text)).unwrap_or_else(|faults| panic!("{faults}")) };
    let plain = config("[data_stream.b]\n[data_stream.a]\n");
    assert_eq!(plain.data_streams, [DataStream::new("b"), DataStream::new("a")]);
    assert_eq!((plain.data_streams[0].shards, plain.data_streams[0].retention), (1, Duration::from_hours(24)));
    let full = "encryption_key = { env = \"STANDPIPE_KEY\" }\n[data_stream.x]\nmode = \"on-demand\"\nlimits = \"aws\"\n\
                retention = \"1s\"\nmax_record_size = \"10 MiB\"\nencrypted = true\n";
    let x = DataStream {
        shards: 4,
        on_demand: true,
        retention: Duration::from_secs(1),
        record_bytes_max: 10 << 20,
        aws_limits: true,
        encrypted: true,
        ..DataStream::new("x")
    };
    assert_eq!(config(full).data_streams, std::slice::from_ref(&x));
    let said = full.replace("limits", "shards = 9\nlimits");
    assert_eq!(config(&said).data_streams, [DataStream { shards: 9, ..x }]);
}

#[test]
fn sources() {
    assert_eq!(source("\"direct\""), Source::Direct);
    let own = |start| Source::DataStream { name: "clicks".into(), start };
    assert_eq!(source("{ data_stream = \"clicks\" }"), own(StartAt::Horizon));
    assert_eq!(source("{ data_stream = \"clicks\", start = \"latest\" }"), own(StartAt::Latest));
    let time = StartAt::Time(1_767_323_045_000);
    assert_eq!(source("{ data_stream = \"clicks\", start = \"2026-01-02T03:04:05Z\" }"), own(time));
    assert_eq!(source(&kinesis("")), Source::Kinesis(KinesisSource::new("orders").into()));
    let full = kinesis(
        ", region = \"garage\", endpoint = \"http://127.0.0.1:9000/\", start = \"2026-01-02T03:04:05Z\", poll = \"200ms\", \
         credentials = { access_key_id = \"A\", secret_access_key = { env = \"S\" } }",
    );
    let Source::Kinesis(from) = source(&full) else { panic!("it is elsewhere") };
    assert_eq!((from.region.as_deref(), from.endpoint.as_deref()), (Some("garage"), Some("http://127.0.0.1:9000")));
    assert_eq!((from.start, from.poll), (time, Duration::from_millis(200)));
    assert_eq!(from.credentials.unwrap().secret_access_key.reveal(), "value-of-S");
    let arn = "{ kinesis = { stream = \"arn:aws:kinesis:eu-west-1:123456789012:stream/o\", consumer = \"c\", profile = \"p\" } }";
    let Source::Kinesis(from) = source(arn) else { panic!("it is elsewhere") };
    assert_eq!((from.region.as_deref(), from.consumer.as_deref()), (Some("eu-west-1"), Some("c")));
    assert_eq!((from.profile.as_deref(), from.stream.rsplit('/').next()), (Some("p"), Some("o")));
}

#[test]
fn a_copied_stream_has_a_journal_of_its_own() {
    let more = "max_bytes = \"1 GiB\"\nretention = \"7d\"\n";
    let config = parse(&with_data_dir(&reading(&kinesis(""), more))).unwrap();
    assert_eq!(config.delivery_streams[0].bytes_max, Some(1 << 30));
}

#[test]
fn mistakes_in_data_streams() {
    let stream = |text: &str| format!("[data_stream.clicks]\n{text}\n");
    each(&[
        (stream("shards = 0"), 3, "shards must be 1 to 10000, not 0"),
        (stream("shards = 10001"), 3, "shards must be 1 to 10000, not 10001"),
        (stream("shards = -1"), 3, "must not be negative, not -1"),
        (stream("shards = \"2\""), 3, "must be an integer, not a string"),
        (stream("shard = 2"), 3, "unknown key \"shard\": did you mean \"shards\"?"),
        (stream("mode = \"ondemand\""), 3, "unknown value \"ondemand\": did you mean \"on-demand\"?"),
        (stream("limits = \"some\""), 3, "unknown value \"some\": must be \"aws\" or \"none\""),
        (stream("retention = \"999ms\""), 3, "retention must be 1s to 365d, not 999ms"),
        (stream("retention = \"366d\""), 3, "retention must be 1s to 365d, not 366d"),
        (stream("max_record_size = \"1 KiB\""), 3, "max_record_size must be 1 MiB to 10 MiB, not 1 KiB"),
        (stream("max_record_size = \"11 MiB\""), 3, "max_record_size must be 1 MiB to 10 MiB, not 11 MiB"),
        (stream("max_bytes = \"5 KiB\""), 3, "max_bytes must be at least 1 MiB, not 5 KiB"),
        (stream("encrypted = true"), 3, "encrypted = true needs the key \"encryption_key\" at the top of the file"),
        (
            "[data_stream.\"a b\"]\n".into(),
            2,
            "data stream name \"a b\" must have 1 to 128 letters, digits, \"_\", \".\" or \"-\"",
        ),
        ("[data_stream.a]\n[data_stream.a]\n".into(), 3, "duplicate key \"a\""),
        (
            "[kinesis]\nshard_limit = 5\n[data_stream.a]\nshards = 3\n[data_stream.b]\nshards = 3\n[data_stream.c]\n"
                .into(),
            6,
            "with the shards of this data stream there are 6, more than the shard_limit of 5: raise it in the table [kinesis]",
        ),
        ("[kinesis]\nshard_limit = 0".into(), 3, "shard_limit must be 1 to 10000, not 0"),
        ("[kinesis]\nstate_delay = \"1h\"".into(), 3, "state_delay must be 0s to 600s, not 1h"),
    ]);
}

#[test]
fn mistakes_in_sources() {
    let own = |name: &str| reading(&format!("{{ data_stream = \"{name}\" }}"), "");
    let nameless =
        "source names no stream: write \"direct\", { data_stream = \"NAME\" } or { kinesis = { stream = \"NAME\" } }";
    let elsewhere = |more: &str| reading(&kinesis(more), "");
    each(&[
        (own("clics"), 4, "there is no data stream \"clics\" in this file: did you mean \"clicks\"?"),
        (own("orders"), 4, "there is no data stream \"orders\" in this file: known are \"clicks\""),
        (
            "[delivery_stream.s]\nsource = { data_stream = \"x\" }\n".to_owned() + &local(""),
            3,
            "there is no data stream \"x\" in this file: it has no table [data_stream.x]",
        ),
        (reading("{}", ""), 4, nameless),
        (reading("{ start = \"latest\" }", ""), 4, nameless),
        (reading("{ data_strem = \"clicks\" }", ""), 4, "unknown key \"data_strem\": did you mean \"data_stream\"?"),
        (reading("{ data_stream = 5 }", ""), 4, "must be a string, not an integer"),
        (reading("\"kinesis\"", ""), 4, "\"kinesis\" needs to be told which: write { kinesis = … }"),
        (reading("\"driect\"", ""), 4, "unknown value \"driect\": did you mean \"direct\"?"),
        (reading("5", ""), 4, "must be \"direct\" or a table, not an integer"),
        (
            reading("{ data_stream = \"clicks\", kinesis = { stream = \"x\" } }", ""),
            4,
            "data_stream and kinesis exclude one another: a source is one stream",
        ),
        (
            reading("{ start = \"latest\", kinesis = { stream = \"x\" } }", ""),
            4,
            "start belongs into the table of kinesis: { kinesis = { stream = …, start = … } }",
        ),
        (
            reading("{ data_stream = \"clicks\", start = \"newest\" }", ""),
            4,
            "start: \"newest\" is no place to begin: write \"horizon\", \"latest\" or a time such as \"2026-01-02T03:04:05Z\"",
        ),
        (
            reading("{ data_stream = \"clicks\", start = 2026-01-02T03:04:05Z }", ""),
            4,
            "must be a string such as \"2026-01-02T03:04:05Z\", not a date",
        ),
        (reading("{ kinesis = {} }", ""), 4, "missing key \"stream\""),
        (elsewhere(", poll = \"100ms\""), 4, "poll must be 200ms to 60s, not 100ms"),
        (elsewhere(", poll = \"2m\""), 4, "poll must be 200ms to 60s, not 120s"),
        (
            elsewhere(", consumer = \"c\", poll = \"1s\""),
            4,
            "poll has no meaning with consumer: to a consumer the records are pushed",
        ),
        (
            elsewhere(", profile = \"p\", credentials = { access_key_id = \"a\", secret_access_key = \"s\" }"),
            4,
            "profile and credentials exclude one another",
        ),
        (
            elsewhere(", endpoint = \"127.0.0.1\""),
            4,
            "endpoint: endpoint \"127.0.0.1\" must begin with \"http://\" or \"https://\"",
        ),
        (
            reading("{ kinesis = { stream = \"arn:aws:kinesis:eu-west-1:1:stream/o\" } }", ""),
            4,
            "stream: account id \"1\" must have twelve digits",
        ),
        (
            reading(
                "{ kinesis = { stream = \"arn:aws:kinesis:eu-west-1:123456789012:stream/o\", region = \"us-east-1\" } }",
                "",
            ),
            4,
            "region \"us-east-1\" is not that of the stream's ARN, \"eu-west-1\"",
        ),
    ]);
}

#[test]
fn what_lies_in_a_data_stream_is_said_there() {
    let with = |more: &str| {
        let text = reading("{ data_stream = \"clicks\" }", &format!("{more}\n"));
        format!("encryption_key = {{ env = \"STANDPIPE_KEY\" }}\n{text}")
    };
    let why =
        "belongs into [data_stream.clicks]: this delivery stream reads the records there and keeps none of its own";
    each(&[
        (with("max_bytes = \"1 GiB\""), 6, &format!("max_bytes {why}")),
        (with("retention = \"1d\""), 6, &format!("retention {why}")),
        (with("encrypted = true"), 6, &format!("encrypted {why}")),
    ]);
}

#[test]
fn two_readers_do_not_share_a_consumer() {
    let both = |second: &str| {
        let one = |name: &str, stream: &str| {
            let destination = format!("[delivery_stream.{name}.destination]\ntype = \"local\"\npath = \"/srv/lake\"\n");
            format!(
                "[delivery_stream.{name}]\nsource.kinesis = {{ stream = \"{stream}\", consumer = \"c\" }}\n{destination}"
            )
        };
        one("a", "orders") + &one("b", second)
    };
    let message = "consumer \"c\" of this stream is that of delivery stream a already: each needs its own";
    each(&[(both("orders"), 8, message)]);
    assert!(parse(&with_data_dir(&both("others"))).is_ok());
}
