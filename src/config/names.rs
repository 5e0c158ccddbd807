//! What names may be: streams and their ARNs, buckets, extensions, storage classes, tags. Each rule is its owner's: Firehose's or S3's.

use super::endpoint::shown_url;
use super::{Destination, Store};
use crate::disk::HIDDEN_PREFIX;
use crate::error::{Error, Result};
use crate::limits::{
    DATA_NAME_MAX, FILE_EXTENSION_MAX, FUNCTION_URL_MAX, GLUE_NAME_MAX, OBJECT_TAG_KEY_MAX, OBJECT_TAG_VALUE_MAX,
    OBJECT_TAGS_MAX, PATH_NAME_BYTES_MAX, PLUGIN_NAME_MAX, PLUGIN_VALUE_BYTES_MAX, PLUGIN_VALUE_NAME_BYTES_MAX,
    PLUGIN_VALUES_BYTES_MAX, PLUGIN_VALUES_MAX, STREAM_NAME_MAX,
};

/// Storage classes of S3 that an object can be put in.
pub const STORAGE_CLASSES: &[&str] = &[
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
    "OUTPOSTS",
    "SNOW",
    "EXPRESS_ONEZONE",
];

/// Canned ACLs of S3 that an object can be put with.
pub const ACLS: &[&str] = &[
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
];

/// A stream's name: 1 to 64 letters, digits, `_`, `.`, `-` (Firehose).
pub fn stream_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if (1..=STREAM_NAME_MAX).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "stream name {name:?} must have 1 to {STREAM_NAME_MAX} letters, digits, \"_\", \".\" or \"-\""
    )))
}

/// A data stream's name, or a consumer's: 1 to 128 letters, digits, `_`, `.`, `-` (Kinesis).
pub fn data_stream_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if (1..=DATA_NAME_MAX).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::invalid(format!("name {name:?} must have 1 to {DATA_NAME_MAX} letters, digits, \"_\", \".\" or \"-\"")))
}

/// A stream of Amazon Kinesis: its name, or `arn:aws:kinesis:REGION:ACCOUNT:stream/NAME`.
pub fn kinesis_stream(stream: &str) -> Result<()> {
    match data_stream_arn(stream) {
        Some(arn) => region(arn.region).and(account_id(arn.account)).and(data_stream_name(arn.name)),
        None if stream.starts_with("arn:") => Err(Error::invalid(format!(
            "{stream:?} is not the ARN of a stream: it has the form \"arn:aws:kinesis:REGION:ACCOUNT:stream/NAME\""
        ))),
        None => data_stream_name(stream),
    }
}

/// The parts of a data stream's ARN, not yet checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataStreamArn<'a> {
    /// As AWS names them.
    pub region: &'a str,
    /// Twelve digits.
    pub account: &'a str,
    /// The stream's name.
    pub name: &'a str,
}

/// The parts of a text that has the form of a data stream's ARN, in whatever partition of AWS.
pub fn data_stream_arn(arn: &str) -> Option<DataStreamArn<'_>> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next();
    let (scheme, partition, service) = (next()?, next()?, next()?);
    let (region, account, name) = (next()?, next()?, next()?.strip_prefix("stream/")?);
    let ours = scheme == "arn" && partition.starts_with("aws") && service == "kinesis" && !name.contains(['/', ':']);
    ours.then_some(DataStreamArn { region, account, name })
}

/// A name of AWS Glue, an id or a version, as Firehose takes it: 1 to 1024 characters without blanks.
pub fn glue_name(name: &str) -> Result<()> {
    if !name.is_empty() && name.chars().count() <= GLUE_NAME_MAX && !name.contains(char::is_whitespace) {
        return Ok(());
    }
    Err(Error::invalid(format!("{name:?} must have 1 to {GLUE_NAME_MAX} characters and no blanks")))
}

/// A plugin's name: 1 to 64 letters, digits, `-`, `_` (what a Lambda function may be called).
pub fn plugin_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..=PLUGIN_NAME_MAX).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "plugin name {name:?} must have 1 to {PLUGIN_NAME_MAX} letters, digits, \"-\" or \"_\""
    )))
}

/// The function's name in an ARN `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`, in whatever partition, region
/// and account: which plugin it means says the configuration.
pub fn function_of_arn(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    let mut next = || parts.next();
    let (scheme, partition, service, region) = (next()?, next()?, next()?, next()?);
    let (account, kind, name, qualifier) = (next()?, next()?, next()?, next());
    let whole = scheme == "arn"
        && partition.starts_with("aws")
        && service == "lambda"
        && kind == "function"
        && ![region, account].contains(&"")
        && qualifier != Some("")
        && next().is_none();
    (whole && plugin_name(name).is_ok()).then_some(name)
}

/// The ARN by which the API and the error output name a plugin or a function of the configuration. A module without a name of
/// its own, which is called by its stream and its place there (`web.logs/1`), gets one that an ARN can have: `web-logs-1`.
pub fn function_arn(region: &str, account: &str, plugin: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let name: String = plugin.chars().map(|c| if fits(c) { c } else { '-' }).collect();
    format!("arn:aws:lambda:{region}:{account}:function:{name}")
}

/// The URL of a function: `http://` or `https://`, a host, a path.
pub fn function_url(url: &str) -> Result<()> {
    let fault = |why: &str| Err(Error::invalid(format!("url {:?} {why}", shown_url(url))));
    let example = "\"http://127.0.0.1:9000/2015-03-31/functions/function/invocations\"";
    if url.len() > FUNCTION_URL_MAX {
        return Err(Error::invalid(format!("url has {} characters, more than {FUNCTION_URL_MAX}", url.len())));
    }
    let Ok(uri) = url.parse::<http::Uri>() else {
        return fault(&format!("is not a URL such as {example}"));
    };
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            fault("must not contain credentials: calls of functions are not signed")
        }
        (Some("http" | "https"), Some(authority)) if authority.host().is_empty() => fault("names no host"),
        (Some("http" | "https"), Some(_)) => Ok(()),
        _ => fault(&format!("must begin with \"http://\" or \"https://\", as {example} does")),
    }
}

/// A SHA-256 in hexadecimal; gives it in lower case.
pub fn sha256(text: &str) -> Result<String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    let shown: String = text.chars().take(80).collect();
    Err(Error::invalid(format!("{shown:?} must have 64 hexadecimal digits, not {} characters", text.chars().count())))
}

/// A configuration value of a plugin: a name of 1 to 128 bytes, a value of at most 4 KiB, neither with NUL characters.
pub fn plugin_value(name: &str, value: &str) -> Result<()> {
    if !(1..=PLUGIN_VALUE_NAME_BYTES_MAX).contains(&name.len()) || name.contains('\0') {
        return Err(Error::invalid(format!("name {name:?} must have 1 to {PLUGIN_VALUE_NAME_BYTES_MAX} bytes")));
    }
    if value.len() > PLUGIN_VALUE_BYTES_MAX || value.contains('\0') {
        let bytes = value.len();
        return Err(Error::invalid(format!(
            "the value of {name:?} must have at most {PLUGIN_VALUE_BYTES_MAX} bytes and no NUL, not {bytes} bytes"
        )));
    }
    Ok(())
}

/// All configuration values of a plugin: at most 64, and 64 KiB with their names.
pub fn plugin_values<'v>(values: impl Iterator<Item = (&'v str, &'v str)>) -> Result<()> {
    let (mut count, mut bytes) = (0, 0);
    for (name, value) in values {
        count += 1;
        bytes += name.len() + value.len();
    }
    if count > PLUGIN_VALUES_MAX {
        return Err(Error::invalid(format!("there are {count} values, more than {PLUGIN_VALUES_MAX}")));
    }
    if bytes > PLUGIN_VALUES_BYTES_MAX {
        return Err(Error::invalid(format!(
            "the values have {bytes} bytes with their names, more than {PLUGIN_VALUES_BYTES_MAX}"
        )));
    }
    Ok(())
}

/// A bucket's name: 3 to 63 lower-case letters, digits, `.`, `-`, a letter or digit at both ends (S3). Capitals and
/// `_` and up to 255 characters, which S3 allowed once and other stores allow still, are taken too.
pub fn bucket_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let well_formed = (3..=255).contains(&name.len())
        && name.chars().all(allowed)
        && ends(name.chars().next())
        && ends(name.chars().next_back())
        && !name.contains("..");
    if well_formed {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "bucket name {name:?} must have 3 to 63 lower-case letters, digits, \".\" or \"-\", a letter or digit at both ends"
    )))
}

/// A file extension: empty, or a dot and `0-9 a-z ! - _ . * ' ( )`, at most 128 characters in all (Firehose).
pub fn file_extension(extension: &str) -> Result<()> {
    let allowed = |c: char| {
        c.is_ascii_digit() || c.is_ascii_lowercase() || matches!(c, '!' | '-' | '_' | '.' | '*' | '\'' | '(' | ')')
    };
    let well_formed = extension.strip_prefix('.').is_some_and(|rest| !rest.is_empty() && rest.chars().all(allowed));
    if extension.is_empty() || (well_formed && extension.len() <= FILE_EXTENSION_MAX) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "file extension {extension:?} must begin with a dot and have 2 to {FILE_EXTENSION_MAX} of 0-9 a-z ! - _ . * ' ( )"
    )))
}

/// Twelve digits.
pub fn account_id(id: &str) -> Result<()> {
    if id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(());
    }
    Err(Error::invalid(format!("account id {id:?} must have twelve digits")))
}

/// A region: letters, digits and `-`, 1 to 64 of them; stores that are not AWS's have their own.
pub fn region(name: &str) -> Result<()> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::invalid(format!("region {name:?} must have 1 to 64 letters, digits or \"-\"")))
}

/// An access key's id: 1 to 128 letters, digits, `_`.
pub fn access_key_id(id: &str) -> Result<()> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if (1..=128).contains(&id.len()) && id.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::invalid(format!("access key id {id:?} must have 1 to 128 letters, digits or \"_\"")))
}

/// An endpoint: `http://` or `https://`, a host, perhaps a port, nothing after it.
pub fn endpoint(url: &str) -> Result<()> {
    let fault = |why: &str| Err(Error::invalid(format!("endpoint {:?} {why}", shown_url(url))));
    let Ok(uri) = url.parse::<http::Uri>() else {
        return fault("is not a URL such as \"https://s3.example.com:9000\"");
    };
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            fault("must not contain credentials: use credentials = { access_key_id = …, secret_access_key = … }")
        }
        (Some("http" | "https"), Some(authority)) if authority.host().is_empty() => fault("names no host"),
        (Some("http" | "https"), Some(_)) if uri.path_and_query().is_none_or(|path| path.as_str() == "/") => Ok(()),
        (Some("http" | "https"), Some(_)) => fault("must end after the host and port"),
        _ => fault("must begin with \"http://\" or \"https://\""),
    }
}

/// Object tags: at most 10; keys of 1 to 128 characters that do not begin with `aws:`, values of at most 256 (S3).
pub fn object_tags(tags: &[(String, String)]) -> Result<()> {
    if tags.len() > OBJECT_TAGS_MAX {
        return Err(Error::invalid(format!("an object has at most {OBJECT_TAGS_MAX} tags, here are {}", tags.len())));
    }
    tags.iter().try_for_each(|(key, value)| object_tag(key, value))
}

/// One object tag; see [`object_tags`].
pub fn object_tag(key: &str, value: &str) -> Result<()> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '+' | '-' | '=' | '.' | '_' | ':' | '/' | '@');
    let (key_chars, value_chars) = (key.chars().count(), value.chars().count());
    let fault = |why: String| Err(Error::invalid(format!("tag {key:?} {why}")));
    match () {
        () if !(1..=OBJECT_TAG_KEY_MAX).contains(&key_chars) => {
            fault(format!("must have 1 to {OBJECT_TAG_KEY_MAX} characters, not {key_chars}"))
        }
        () if key.starts_with("aws:") => fault("must not begin with \"aws:\"".to_owned()),
        () if value_chars > OBJECT_TAG_VALUE_MAX => {
            fault(format!("must have a value of at most {OBJECT_TAG_VALUE_MAX} characters, not {value_chars}"))
        }
        () if !key.chars().chain(value.chars()).all(allowed) => {
            fault("and its value may have letters, digits, spaces and + - = . _ : / @ only".to_owned())
        }
        () => Ok(()),
    }
}

/// When the keys are made that are looked at as samples, milliseconds since 1970.
const SAMPLE_MS: u64 = 1_790_000_000_000;

/// A storage account of Azure: 3 to 24 lower-case letters and digits.
pub fn azure_account(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if (3..=24).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::invalid(format!("storage account {name:?} must have 3 to 24 lower-case letters or digits")))
}

/// A container of Azure: 3 to 63 lower-case letters, digits and single `-`, a letter or digit at both ends; or `$root`,
/// `$web`.
pub fn azure_container(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let well_formed = (3..=63).contains(&name.len())
        && name.chars().all(allowed)
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--");
    if well_formed || matches!(name, "$root" | "$web") {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "container {name:?} must have 3 to 63 lower-case letters, digits or \"-\", a letter or digit at both ends"
    )))
}

/// As [`endpoint`], but of Azure, whose emulators have the account as the path.
pub fn azure_endpoint(url: &str) -> Result<()> {
    let trimmed = url.trim_end_matches('/');
    match trimmed.rsplit_once('/') {
        Some((root, account)) if !root.ends_with('/') && azure_account(account).is_ok() => endpoint(root),
        _ => endpoint(url),
    }
}

/// Storage classes of Google Cloud Storage.
pub const GCS_CLASSES: &[&str] = &["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"];

/// Access tiers of Azure Blob Storage.
pub const AZURE_TIERS: &[&str] = &["Hot", "Cool", "Cold", "Archive"];

/// What objects' keys must be beyond S3's rules. To be paths below a directory: no empty name, no `.` and `..`, no name
/// over 255 bytes or like that of a temporary file, no backslash; with Google and Azure the first three. A plan whose key breaks
/// this would be held for ever. `stream` is the stream's name, part of the last name. Always `Ok` for S3.
pub fn local_keys(stream: &str, destination: &Destination) -> Result<()> {
    let is_local = match destination.store {
        Store::S3(_) => return Ok(()),
        Store::Gcs(_) | Store::Azure(_) => false,
        Store::Local { .. } => true,
    };
    if is_local && !destination.prefix.ends_key_folders() {
        return Err(Error::invalid(format!(
            "prefix {:?} needs a slash behind its last partition key: in a directory names have at most {PATH_NAME_BYTES_MAX} bytes",
            destination.prefix.text()
        )));
    }
    let keys = destination.prefix.sample_keys(SAMPLE_MS, destination.time_zone);
    // The longest name: version and all.
    let sample = super::prefix::PrefixFacts {
        object_ms: SAMPLE_MS,
        time_zone: destination.time_zone,
        random: "aaaaaaaaaaa",
        error_type: "processing-failed",
        keys: &keys,
    };
    let extension = destination.file_extension.as_deref().unwrap_or(".hsnappy");
    let nonce = "00000000-0000-0000-0000-000000000000";
    let name = super::object_name(stream, u64::MAX, sample.object_ms, sample.time_zone, nonce, extension);
    for (field, prefix) in [("prefix", &destination.prefix), ("error_prefix", &destination.error_prefix)] {
        let key = prefix.evaluate(sample) + &name;
        for part in key.split('/') {
            let why = match part {
                "" => "an empty name in its path (a slash at the start or two in a row)",
                "." | ".." => "\".\" or \"..\" as a name in its path",
                _ if !is_local => continue,
                _ if part.len() > PATH_NAME_BYTES_MAX => "a name of more than 255 bytes in its path",
                _ if part.starts_with(HIDDEN_PREFIX) => "a name like that of a temporary file in its path",
                _ if part.contains('\\') => "a backslash in its path",
                _ => continue,
            };
            let what = if is_local { "file" } else { "key" };
            return Err(Error::invalid(format!("{field} {:?} makes a {what} with {why}", prefix.text())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(check: fn(&str) -> Result<()>, good: &[&str], bad: &[&str]) {
        for name in good {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in bad {
            assert!(check(name).is_err(), "{name}");
        }
    }

    #[test]
    fn names_of_every_kind() {
        let long = "x".repeat(65);
        table(stream_name, &["a", "web-logs_1.x", ".", &long[1..]], &["", "a b", "é", "a/b", "a\n", &long]);
        table(
            bucket_name,
            &["logs", "a.b-c", "Old_Bucket"],
            &["", "ab", "-ab", "ab-", "a..b", "a/b", "a b", &long.repeat(4)],
        );
        table(
            file_extension,
            &["", ".gz", ".json.gz", ".a-b_c!*'()"],
            &["gz", ".", ".GZ", ".a b", ".a/b", &format!(".{}", long.repeat(2))],
        );
        table(account_id, &["000000000000", "123456789012"], &["", "12345678901", "1234567890123", "12345678901a"]);
        table(region, &["us-east-1", "garage"], &["", "us east", "eu/1", &long]);
        table(access_key_id, &["AKIDEXAMPLE", "a_1"], &["", "a b", "a/b", "é"]);
        table(
            endpoint,
            &["http://localhost:9000", "https://s3.example.com", "https://s3.example.com/", "http://[::1]:9000"],
            &["", "localhost:9000", "ftp://x", "https://u:p@h", "https://h/path", "https://h?q", "https://"],
        );
    }

    #[test]
    fn arns_of_functions_have_names_that_functions_can_have() {
        let arn = |name: &str| function_arn("us-east-1", "123456789012", name);
        assert_eq!(function_of_arn(&arn("mask_2-x")), Some("mask_2-x"));
        assert_eq!(function_of_arn(&arn("web.logs/1")), Some("web-logs-1"));
        assert_eq!(function_of_arn("arn:aws:lambda:us-east-1:123456789012:function:web.logs/1"), None);
    }

    #[test]
    fn data_streams_have_names_and_arns() {
        let long = "x".repeat(129);
        table(data_stream_name, &["a", "web-logs_1.x", &long[1..]], &["", "a b", "a/b", "é", &long]);
        table(
            kinesis_stream,
            &["clicks", "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"],
            &[
                "",
                "a b",
                "arn:aws:kinesis:eu-west-1:123456789012:clicks",
                "arn:aws:kinesis:eu-west-1:1234:stream/clicks",
                "arn:aws:kinesis::123456789012:stream/clicks",
                "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks/consumer/c:1",
                "arn:aws:firehose:eu-west-1:123456789012:stream/clicks",
                "arn:x:kinesis:eu-west-1:123456789012:stream/clicks",
                "arn:",
            ],
        );
        let arn = data_stream_arn("arn:aws-cn:kinesis:cn-north-1:123456789012:stream/c");
        assert_eq!(arn, Some(DataStreamArn { region: "cn-north-1", account: "123456789012", name: "c" }));
    }

    #[test]
    fn tags_have_the_limits_of_s3() {
        let tag = |key: &str, value: &str| object_tag(key, value).is_ok();
        assert!(tag("k", "") && tag("Kosten Stelle", "a+b=c@d:e/f_g-h.i"));
        assert!(!tag("", "v") && !tag("aws:x", "v") && !tag("k", "a\nb") && !tag("k&", "v"));
        assert!(tag(&"k".repeat(128), &"v".repeat(256)) && !tag(&"k".repeat(129), "") && !tag("k", &"v".repeat(257)));
        let many: Vec<_> = (0..11).map(|n| (n.to_string(), String::new())).collect();
        assert!(object_tags(&many[1..]).is_ok() && object_tags(&many).is_err());
    }
}
