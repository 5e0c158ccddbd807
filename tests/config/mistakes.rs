//! Each kind of mistake with its line and its message.

use super::{local, parse, s3, with_data_dir};

/// Checks texts that come after the line of `data_dir`: the line of the only fault, and its message.
pub(crate) fn each(cases: &[(String, usize, &str)]) {
    for (text, line, message) in cases {
        let faults = parse(&with_data_dir(text)).expect_err(text);
        let found: Vec<_> = faults.iter().map(|fault| (fault.line, fault.message.as_str())).collect();
        assert_eq!(found, [(*line, *message)], "{text}");
    }
}

#[test]
fn keys_and_words() {
    each(&[
        ("accont_id = \"000000000000\"".into(), 2, "unknown key \"accont_id\": did you mean \"account_id\"?"),
        ("[journal]\nsize = 1".into(), 3, "unknown key \"size\": known here are \"max_bytes\""),
        (
            "[delivery_stream.s.bufer]\nsize = \"1 MiB\"\n".to_owned() + &local(""),
            2,
            "unknown key \"bufer\": did you mean \"buffer\"?",
        ),
        (local("compression = \"gzp\""), 5, "unknown value \"gzp\": did you mean \"gzip\"?"),
        (local("compression = \"GZIP\""), 5, "unknown value \"GZIP\": did you mean \"gzip\"?"),
        (
            local("delimiter = \"newline\""),
            5,
            "unknown value \"newline\": must be \"never\", \"always\", \"if-missing\" or \"between\"",
        ),
        (
            local("compression = 5"),
            5,
            "must be \"none\", \"gzip\", \"zstd\", \"snappy\", \"hadoop-snappy\" or \"zip\", not an integer",
        ),
        ("region = 5".into(), 2, "must be a string, not an integer"),
        ("access_key = \"AKID\"".into(), 2, "must be an array, not a string"),
        ("[server]\ngrace = 30".into(), 3, "must be a string such as \"300s\", not an integer"),
        (
            "[journal]\nmax_bytes = 99999999999999999999".into(),
            3,
            "must be a number of at most 63 bits, not 99999999999999999999",
        ),
        ("[journal]\nmax_bytes = 1.5".into(), 3, "must be a string or an integer such as \"5 MiB\", not a fraction"),
        ("[journal]\nmax_bytes = -1".into(), 3, "must not be negative, not -1"),
        (
            "[journal]\nmax_bytes = true".into(),
            3,
            "must be a string or an integer such as \"5 MiB\", not true or false",
        ),
    ]);
}

#[test]
fn what_is_missing() {
    each(&[
        ("[delivery_stream.s]\ndrain = true".into(), 2, "missing key \"destination\""),
        ("[delivery_stream.s.buffer]\nsize = \"1 MiB\"".into(), 2, "missing key \"destination\""),
        ("[delivery_stream.s.destination]\npath = \"/x\"".into(), 2, "missing key \"type\""),
        ("[delivery_stream.s.destination]\ntype = \"s3\"".into(), 2, "missing key \"bucket\": type = \"s3\" needs it"),
        (
            "[delivery_stream.s.destination]\ntype = \"local\"".into(),
            2,
            "missing key \"path\": type = \"local\" needs it",
        ),
        ("[buckets]\ntype = \"local\"".into(), 2, "missing key \"path\": type = \"local\" needs it"),
        ("[[access_key]]\nid = \"AKID\"".into(), 2, "missing key \"secret\""),
        ("[server]\ntls = 5".into(), 3, "must be a table, not an integer"),
    ]);
}

#[test]
fn what_comes_later_is_refused_by_name() {
    each(&[
        ("[kafka]\nlisten = \"x\"".into(), 2, "\"kafka\" comes with a later version"),
        (
            "[delivery_stream.s]\nsource = { kafka = { brokers = \"b\" } }\n".to_owned() + &local(""),
            3,
            "\"kafka\" comes with a later version",
        ),
        (
            "[delivery_stream.s]\nsource = \"kafka\"\n".to_owned() + &local(""),
            3,
            "\"kafka\" comes with a later version: this one has \"direct\"",
        ),
        (
            "[[delivery_stream.s.process]]\ntype = \"decompression\"\n".to_owned() + &local(""),
            3,
            "unknown value \"decompression\": did you mean \"decompress\"?",
        ),
    ]);
}

#[test]
fn values() {
    each(&[
        ("account_id = \"12\"".into(), 2, "account_id: account id \"12\" must have twelve digits"),
        ("region = \"us east\"".into(), 2, "region: region \"us east\" must have 1 to 64 letters, digits or \"-\""),
        (
            "[journal]\nmax_bytes = \"100%\"".into(),
            3,
            "max_bytes: \"100%\" is not a share of the disk: write \"1%\" to \"99%\", or a size",
        ),
        ("[journal]\nmax_bytes = \"5 KiB\"".into(), 3, "max_bytes must be at least 1 MiB, not 5 KiB"),
        ("[server]\ngrace = \"2h\"".into(), 3, "grace must be 0s to 1h, not 2h"),
        (
            "[server]\ngrace = \"30\"".into(),
            3,
            "grace: \"30\" is not a duration: write a number and a unit, such as \"300s\" or \"1h30m\"",
        ),
        (
            "[server]\nlisten = \"localhost\"".into(),
            3,
            "listen \"localhost\" is not an address and port such as \"127.0.0.1:4573\"",
        ),
        (
            "[server]\nlisten = \"0.0.0.0:4573\"".into(),
            3,
            "listen 0.0.0.0:4573 is not loopback: without any [[access_key]] everybody who reaches it could put records",
        ),
        (
            "[server]\nadmin_listen = \"127.0.0.1:4573\"".into(),
            3,
            "listen 127.0.0.1:4573 and admin_listen 127.0.0.1:4573 collide",
        ),
        (
            "[server]\nlisten = \"127.0.0.1:4574\"".into(),
            3,
            "listen 127.0.0.1:4574 and admin_listen 127.0.0.1:4574 collide",
        ),
        (
            "[[access_key]]\nid = \"A K\"\nsecret = \"x\"".into(),
            3,
            "id: access key id \"A K\" must have 1 to 128 letters, digits or \"_\"",
        ),
        (
            "[[access_key]]\nid = \"A\"\nsecret = \"x\"\n[[access_key]]\nid = \"A\"\nsecret = \"y\"".into(),
            6,
            "access key \"A\" is there twice",
        ),
    ]);
}

#[test]
fn values_of_streams() {
    each(&[
        (
            "[delivery_stream.\"a b\".destination]\ntype = \"local\"\npath = \"/srv/lake\"".into(),
            2,
            "stream name \"a b\" must have 1 to 64 letters, digits, \"_\", \".\" or \"-\"",
        ),
        (
            "[delivery_stream.s.buffer]\nsize = \"129 MiB\"\n".to_owned() + &local(""),
            3,
            "size must be 1 KiB to 128 MiB, not 129 MiB",
        ),
        (
            "[delivery_stream.s.buffer]\ninterval = \"901s\"\n".to_owned() + &local(""),
            3,
            "interval must be 0s to 900s, not 901s",
        ),
        (
            "[delivery_stream.s]\nretention = \"2m\"\n".to_owned() + &local(""),
            3,
            "retention must be 300s to 3652d, not 120s",
        ),
        (
            "[delivery_stream.s]\nmax_bytes = \"1 KiB\"\n".to_owned() + &local(""),
            3,
            "max_bytes must be at least 1 MiB, not 1 KiB",
        ),
    ]);
}

#[test]
fn prefixes_and_zones() {
    each(&[
        (local("prefix = \"!{time:yyyy}\""), 5, "prefix: Namespace to the left of colon (time) is an invalid keyword!"),
        (
            local("prefix = \"!{timestamp:yyyy}\""),
            5,
            "error_prefix: ErrorOutputPrefix cannot be null or empty when Prefix contains expressions",
        ),
        (
            local("error_prefix = \"!{timestamp:yyyy}\""),
            5,
            "error_prefix: ErrorOutputPrefix must contain at least one occurrence of !{firehose:error-output-type}",
        ),
        (local("prefix = \"../\""), 2, "prefix \"../\" makes a file with \".\" or \"..\" as a name in its path"),
        (
            local("prefix = \"/a/\""),
            2,
            "prefix \"/a/\" makes a file with an empty name in its path (a slash at the start or two in a row)",
        ),
        (
            local("time_zone = \"EST\""),
            5,
            "time_zone: Provided custom time zone is not supported. Custom time zones are limited to UTC and non-3-letter IANA time zones.",
        ),
        (
            local("file_extension = \"gz\""),
            5,
            "file_extension: file extension \"gz\" must begin with a dot and have 2 to 128 of 0-9 a-z ! - _ . * ' ( )",
        ),
    ]);
}

#[test]
fn what_does_not_go_together() {
    each(&[
        (local("compression_level = \"best\""), 5, "compression_level has no meaning with compression = \"none\""),
        (
            local("compression = \"snappy\"\ncompression_level = \"best\""),
            6,
            "compression_level has no meaning with compression = \"snappy\"",
        ),
        (local("bucket = \"logs\""), 5, "key \"bucket\" does not belong to type = \"local\""),
        (local("region = \"us-east-1\""), 5, "key \"region\" does not belong to type = \"local\""),
        (s3("path = \"/x\""), 5, "key \"path\" does not belong to type = \"s3\""),
        (
            "[delivery_stream.s]\nencrypted = true\n".to_owned() + &local(""),
            3,
            "encrypted = true needs the key \"encryption_key\" at the top of the file",
        ),
        (
            "[buckets]\ntype = \"local\"\npath = \"/var\"".into(),
            2,
            "path /var and data_dir /var/lib/standpipe lie in one another",
        ),
        (
            "[delivery_stream.s.destination]\ntype = \"local\"\npath = \"/var/lib/standpipe/lake\"".into(),
            2,
            "path /var/lib/standpipe/lake and data_dir /var/lib/standpipe lie in one another",
        ),
    ]);
}

#[test]
fn destinations_in_s3() {
    each(&[
        (
            "[delivery_stream.s.destination]\ntype = \"s3\"\nbucket = \"a/b\"".into(),
            4,
            "bucket: bucket name \"a/b\" must have 3 to 63 lower-case letters, digits, \".\" or \"-\", a letter or digit at both ends",
        ),
        (
            s3("endpoint = \"localhost:9000\""),
            5,
            "endpoint: endpoint \"localhost:9000\" must begin with \"http://\" or \"https://\"",
        ),
        (
            s3("storage_class = \"STANDARD-IA\""),
            5,
            "unknown storage_class \"STANDARD-IA\": did you mean \"STANDARD_IA\"?",
        ),
        (
            s3("acl = \"public\""),
            5,
            "unknown acl \"public\": must be \"private\", \"public-read\", \"public-read-write\", \"authenticated-read\", \"aws-exec-read\", \"bucket-owner-read\" or \"bucket-owner-full-control\"",
        ),
        (s3("sse = \"aes\""), 5, "sse \"aes\" must be \"s3\", \"kms\" or { kms = \"key id or ARN\" }"),
        (s3("tags = { \"aws:x\" = \"v\" }"), 5, "tags: tag \"aws:x\" must not begin with \"aws:\""),
        (
            s3("checksum = \"md5\""),
            5,
            "unknown value \"md5\": must be \"crc64nvme\", \"crc32\", \"crc32c\", \"sha256\" or \"none\"",
        ),
        (
            s3("profile = \"p\"\ncredentials = { access_key_id = \"a\", secret_access_key = \"b\" }"),
            5,
            "profile and credentials exclude one another",
        ),
    ]);
}

#[test]
fn secrets() {
    each(&[
        (
            "encryption_key = { env = \"NOT_SET\" }".into(),
            2,
            "encryption_key: environment variable \"NOT_SET\" is not set",
        ),
        ("encryption_key = { env = \"EMPTY\" }".into(), 2, "encryption_key: is empty"),
        (
            "encryption_key = { env = \"SHORT_KEY\" }".into(),
            2,
            "encryption_key: must be 32 bytes in base64, these are 3 bytes",
        ),
        (
            "encryption_key = \"not base64!\"".into(),
            2,
            "encryption_key: must be 32 bytes in base64, this is not base64",
        ),
        ("encryption_key = {}".into(), 2, "encryption_key: write { env = \"NAME\" } or { file = \"path\" }"),
        (
            "encryption_key = { env = \"A\", file = \"b\" }".into(),
            2,
            "encryption_key: write { env = \"NAME\" } or { file = \"path\" }",
        ),
        (
            "[server]\ningest_tokens = [{ env = \"WITH_BLANK\" }]".into(),
            3,
            "ingest_tokens: must have visible ASCII characters only",
        ),
        ("data_dir = \"x\"".into(), 2, "duplicate key \"data_dir\""),
        (local("") + "[delivery_stream.s.destination]", 5, "duplicate key \"destination\""),
    ]);
}
