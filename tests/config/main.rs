//! The configuration file: the examples are right, and each kind of mistake is named with its line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use standpipe::config::{
    Buckets, Compression, Config, Delimiter, DiskBudget, Faults, Level, Processor, Sse, Store, schema,
};

mod builtin;
mod formats;
mod mistakes;
mod plugins;
mod sources;
mod stores;
mod webhooks;

/// 32 zero bytes.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn env(name: &str) -> Option<String> {
    match name {
        "STANDPIPE_KEY" => Some(KEY.to_owned()),
        "SHORT_KEY" => Some("AAAA".to_owned()),
        "EMPTY" => Some(String::new()),
        "WITH_BLANK" => Some("a b".to_owned()),
        "NOT_SET" => None,
        other => Some(format!("value-of-{other}")),
    }
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn parse(text: &str) -> Result<Config, Faults> {
    Config::parse(text, "standpipe.toml", &deploy(), &env)
}

/// A text with what every file needs before it, on a line of its own.
fn with_data_dir(text: &str) -> String {
    format!("data_dir = \"/var/lib/standpipe\"\n{text}")
}

/// A stream `s` whose destination is local, with `more` in its destination.
fn local(more: &str) -> String {
    format!("[delivery_stream.s.destination]\ntype = \"local\"\npath = \"/srv/lake\"\n{more}")
}

/// A stream `s` whose destination is S3, with `more` in its destination.
fn s3(more: &str) -> String {
    format!("[delivery_stream.s.destination]\ntype = \"s3\"\nbucket = \"logs\"\n{more}")
}

#[test]
fn the_examples_are_right() {
    let mut seen = 0;
    for entry in std::fs::read_dir(deploy()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let config = Config::parse(&text, &path.display().to_string(), &deploy(), &env);
            let config = config.unwrap_or_else(|faults| panic!("{faults}"));
            assert!(!config.delivery_streams.is_empty(), "{}", path.display());
            assert_eq!(config.warnings, Vec::<String>::new());
            seen += 1;
        }
    }
    assert!(seen >= 4);
}

#[test]
fn the_complete_example_says_what_it_means() {
    let text = std::fs::read_to_string(deploy().join("standpipe.toml")).unwrap();
    let config = parse(&text).unwrap();
    assert_eq!(config.encryption_key.as_ref().unwrap().reveal(), &[0; 32]);
    assert_eq!(config.journal.max, DiskBudget::Percent(80));
    assert_eq!(config.server.ingest_tokens[0].reveal(), "value-of-INGEST_TOKEN");
    assert_eq!(config.access_keys.len(), 2);
    assert!(config.access_keys[1].policy.as_ref().unwrap().contains("ButLeaveTheAuditTrail"));
    let Buckets::S3(connection) = &config.buckets else { panic!("the buckets are in S3") };
    assert_eq!(connection.region.as_deref(), Some("eu-central-1"));
    let [web, audit] = config.delivery_streams.as_slice() else { panic!("there are two streams") };
    assert_eq!((web.name.as_str(), web.bytes_max, web.drain, web.encrypted), ("web-logs", Some(20 << 30), true, false));
    assert_eq!((web.buffer.size_bytes, web.buffer.interval), (5 << 20, Duration::from_mins(5)));
    let Store::S3(store) = &web.destination.store else { panic!("web logs go to S3") };
    assert_eq!((store.bucket.as_str(), &store.sse), ("logs", &Some(Sse::S3)));
    assert_eq!(store.tags, [("team", "platform"), ("source", "standpipe")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    assert_eq!(web.destination.time_zone, chrono_tz::Europe::Berlin);
    assert_eq!((web.destination.compression, web.destination.level), (Compression::Gzip, Level::Balanced));
    assert_eq!(web.destination.delimiter, Delimiter::IfMissing);
    assert_eq!(web.destination.file_extension.as_deref(), Some(".log.gz"));
    assert_eq!((audit.process.as_slice(), audit.encrypted), ([Processor::RequireJson].as_slice(), true));
    assert_eq!(audit.destination.store, Store::Local { path: "/srv/lake/audit".into() });
}

#[test]
fn what_is_not_said_has_defaults() {
    let config = parse(&with_data_dir(&local(""))).unwrap();
    assert_eq!((config.account_id.as_str(), config.region.as_str()), ("000000000000", "us-east-1"));
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:4573");
    assert_eq!(config.server.admin_listen.to_string(), "127.0.0.1:4574");
    assert_eq!(config.server.grace, Duration::from_secs(30));
    let stream = &config.delivery_streams[0];
    assert_eq!((stream.retention, stream.bytes_max, stream.drain), (None, None, false));
    assert_eq!((stream.buffer.size_bytes, stream.buffer.interval), (5 << 20, Duration::from_mins(5)));
    assert_eq!(stream.destination.compression, Compression::None);
    assert_eq!(config.delivery_streams[0].destination.prefix.text(), "");
}

#[test]
fn paths_are_relative_to_the_file_and_streams_keep_their_order() {
    let text = "data_dir = \"data\"\n\
        [delivery_stream.z.destination]\ntype = \"local\"\npath = \"lake\"\n\
        [delivery_stream.a.destination]\ntype = \"s3\"\nbucket = \"logs\"\nendpoint = \"http://127.0.0.1:9000/\"\n";
    let config = parse(text).unwrap();
    assert_eq!(config.data_dir, deploy().join("data"));
    assert_eq!(config.delivery_streams[0].destination.store, Store::Local { path: deploy().join("lake") });
    let Store::S3(store) = &config.delivery_streams[1].destination.store else { panic!("the second is in S3") };
    assert_eq!(store.connection.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    assert!(store.connection.path_style, "a bucket cannot stand before an IP address");
}

#[test]
fn faults_of_files_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("broken.json"), "{").unwrap();
    std::fs::write(dir.path().join("empty.json"), "{}").unwrap();
    std::fs::write(dir.path().join("not.pem"), "nothing").unwrap();
    let text = "data_dir = \"d\"\nencryption_key = { file = \"missing\" }\n\
        [server]\ntls = { cert = \"not.pem\", key = \"no.pem\" }\n\
        [[access_key]]\nid = \"A\"\nsecret = \"x\"\npolicy = \"missing.json\"\n\
        [[access_key]]\nid = \"B\"\nsecret = \"x\"\npolicy = \"broken.json\"\n\
        [[access_key]]\nid = \"C\"\nsecret = \"x\"\npolicy = \"empty.json\"\n";
    let faults = Config::parse(text, "f", dir.path(), &env).unwrap_err();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let expected = [
        (2, format!("encryption_key: cannot read {}: No such file or directory (os error 2)", at("missing"))),
        (4, format!("cert: {} has no certificate in PEM form", at("not.pem"))),
        (4, format!("key: cannot read {}: No such file or directory (os error 2)", at("no.pem"))),
        (8, format!("policy: cannot read {}: No such file or directory (os error 2)", at("missing.json"))),
        (12, format!("policy: {} is not JSON: EOF while parsing an object at line 1 column 1", at("broken.json"))),
        (16, format!("policy: {} is not a policy document: it has no \"Statement\"", at("empty.json"))),
    ];
    let found: Vec<_> = faults.iter().map(|fault| (fault.line, fault.message.clone())).collect();
    assert_eq!(found, expected);
}

#[test]
fn all_faults_come_at_once_with_their_lines_below() {
    let text = "data_dir = 5\nregoin = \"x\"\n\n[delivery_stream.web.bufer]\nsize = 1\n\
        [delivery_stream.web.destination]\n  type = \"s3\"\n  compresion = \"gzip\"\n  acl = \"public-reed\"\n";
    let shown = parse(text).unwrap_err().to_string();
    let expected = "\
standpipe.toml:1:12: must be a string, not an integer
  1 | data_dir = 5
    |            ^
standpipe.toml:2:1: unknown key \"regoin\": did you mean \"region\"?
  2 | regoin = \"x\"
    | ^^^^^^
standpipe.toml:4:22: unknown key \"bufer\": did you mean \"buffer\"?
  4 | [delivery_stream.web.bufer]
    |                      ^^^^^
standpipe.toml:6:1: missing key \"bucket\": type = \"s3\" needs it
  6 | [delivery_stream.web.destination]
    | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
standpipe.toml:8:3: unknown key \"compresion\": did you mean \"compression\"?
  8 |   compresion = \"gzip\"
    |   ^^^^^^^^^^
standpipe.toml:9:9: unknown acl \"public-reed\": did you mean \"public-read\"?
  9 |   acl = \"public-reed\"
    |         ^^^^^^^^^^^^^";
    assert_eq!(shown, expected);
}

#[test]
fn several_faults_of_syntax_come_at_once() {
    let faults = parse("a = \nb = 'x\nc = 1\nc = 2\n").unwrap_err();
    let lines: Vec<_> = faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [1, 2, 4]);
}

#[test]
fn a_misspelled_key_is_not_missing_too() {
    let text = with_data_dir(
        "[delivery_stream.s.destination]\ntype = \"s3\"\nbuckt = \"logs\"\n[[access_key]]\nid = \"A\"\nsecrt = \"x\"",
    );
    let faults = parse(&text).unwrap_err();
    let found: Vec<_> = faults.iter().map(|fault| fault.message.as_str()).collect();
    assert_eq!(
        found,
        ["unknown key \"buckt\": did you mean \"bucket\"?", "unknown key \"secrt\": did you mean \"secret\"?"]
    );
}

#[test]
fn secrets_are_shown_nowhere() {
    let text = with_data_dir(
        "encryption_key = \"hunter2\"\n[server]\ningest_tokens = [\n  \"hunter2 \",\n]\n\
         [[access_key]]\nid = \"A B\"\nsecrte = \"hunter2\"\n\
         [delivery_stream.s.destination]\ntype = \"s3\"\nbucket = \"b!\"\n\
         credentials = { access_key_id = \"a\", secret_acess_key = \"hunter2\", x = 5 }\n",
    );
    let faults = parse(&text).unwrap_err();
    assert!(faults.iter().count() >= 5);
    assert!(!faults.to_string().contains("hunter2") && !format!("{faults:?}").contains("hunter2"), "{faults}");
    let config = parse(&with_data_dir("[[access_key]]\nid = \"A\"\nsecret = \"hunter2\"\n")).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[cfg(unix)]
#[test]
fn secrets_that_others_can_read_are_warned_about() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    write("closed", &format!("{KEY}\n"), 0o600);
    write("open", &format!("{KEY}\n"), 0o640);
    let load = |text: &str, mode| Config::load(&write("c.toml", text, mode)).unwrap().warnings;
    assert_eq!(load("data_dir = \"d\"\nencryption_key = { file = \"closed\" }", 0o644), Vec::<String>::new());
    let warnings = load("data_dir = \"d\"\nencryption_key = { file = \"open\" }", 0o644);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].ends_with("open holds a secret and can be read by others (mode 0640)"), "{warnings:?}");
    let literal = "data_dir = \"d\"\n[[access_key]]\nid = \"A\"\nsecret = \"x\"";
    assert_eq!(load(literal, 0o600), Vec::<String>::new());
    assert!(load(literal, 0o644)[0].ends_with("c.toml holds secrets and can be read by others (mode 0644)"));
}

#[test]
fn files_that_are_no_configuration_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    let message = |faults: Faults| faults.iter().next().unwrap().message.clone();
    assert!(message(Config::load(&path).unwrap_err()).starts_with("cannot be read: No such file"));
    assert!(message(Config::load(dir.path()).unwrap_err()).starts_with("cannot be read: it is a directory"));
    std::fs::write(&path, b"a = 1\n\xff").unwrap();
    assert_eq!(message(Config::load(&path).unwrap_err()), "is not UTF-8: there is another byte at 6");
}

proptest! {
    #[test]
    fn a_damaged_file_is_read_or_refused_but_never_panics(
        at in 0..4_000usize,
        cut in 0..40usize,
        put in prop_oneof![any::<String>(), "[\\[\\]{}=\"'.,# \n0-9a-z]{0,12}".prop_map(String::from)],
    ) {
        let mut text: Vec<char> = std::fs::read_to_string(deploy().join("standpipe.toml")).unwrap().chars().collect();
        let start = at.min(text.len());
        let end = (start + cut).min(text.len());
        text.splice(start..end, put.chars());
        let text: String = text.into_iter().collect();
        if let Err(faults) = parse(&text) {
            prop_assert!(faults.iter().all(|fault| fault.line >= 1 && fault.line <= text.lines().count() + 1));
            prop_assert!(!faults.to_string().is_empty());
        }
    }
}

/// The paths of all keys of the schema, references followed.
fn keys_of(schema: &Value, node: &Value, path: &str, keys: &mut BTreeSet<String>) {
    if let Some(target) = node.get("$ref").and_then(Value::as_str) {
        keys_of(schema, schema.pointer(&target[1..]).expect("references lead somewhere"), path, keys);
    }
    for (key, property) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}.{key}");
        assert!(property.get("description").is_some(), "{path} has a description");
        keys_of(schema, property, &path, keys);
        keys.insert(path);
    }
    for (inner, name) in [("items", "[]"), ("additionalProperties", "*")] {
        if let Some(inner) = node.get(inner) {
            keys_of(schema, inner, &format!("{path}{name}"), keys);
        }
    }
    for alternative in node.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
        keys_of(schema, alternative, path, keys);
    }
}

#[test]
fn the_schema_names_every_key_of_the_complete_example() {
    let schema = schema();
    let mut keys = BTreeSet::new();
    keys_of(&schema, &schema, "", &mut keys);
    for key in [
        ".data_dir",
        ".encryption_key.env",
        ".journal.max_bytes",
        ".server.tls.client_ca",
        ".server.ingest_tokens[].file",
        ".access_key[].session_token",
        ".buckets.credentials.secret_access_key.env",
        ".kinesis.state_delay",
        ".data_stream*.max_record_size",
        ".delivery_stream*.source.start",
        ".delivery_stream*.source.kinesis.credentials.secret_access_key.file",
        ".delivery_stream*.buffer.interval",
        ".delivery_stream*.process[].type",
        ".delivery_stream*.process[].limits.fuel_per_byte",
        ".plugin*.module.credentials.access_key_id.env",
        ".plugin*.url",
        ".delivery_stream*.destination.sse.kms",
        ".delivery_stream*.destination.file_extension",
    ] {
        assert!(keys.contains(key), "{key} is not among {keys:#?}");
    }
    let text = std::fs::read_to_string(deploy().join("standpipe.toml")).unwrap();
    let unmentioned: Vec<_> =
        keys.iter().filter_map(|key| key.rsplit('.').next()).filter(|key| !text.contains(key)).collect();
    assert_eq!(unmentioned, Vec::<&str>::new());
    assert!(!schema.to_string().contains("x-later") && !schema.to_string().contains("null"));
}
