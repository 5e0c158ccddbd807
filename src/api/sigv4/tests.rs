//! AWS's published test vectors, round trips with AWS's own signer, and every way to spoil a good signature.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

/// 2015-08-30T12:36:00Z, the time of all vectors.
const VECTOR_MS: u64 = 1_440_938_160_000;
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const VECTOR_RULES: Rules = Rules { services: &["service"], signed_if_sent: &[] };
const RULES: Rules = Rules { services: &["firehose"], signed_if_sent: &["content-encoding"] };

#[derive(Clone, Debug)]
struct Sent {
    method: &'static str,
    path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Sent {
    fn verify(&self, verifier: &Verifier, rules: &Rules, now_ms: u64) -> Result<usize, ApiError> {
        let mut headers = HeaderMap::new();
        let authority = self.headers.iter().find(|(name, _)| name == ":authority");
        let authority = authority.map(|(_, value)| std::str::from_utf8(value).unwrap());
        for (name, value) in self.headers.iter().filter(|(name, _)| name != ":authority") {
            let Ok(value) = HeaderValue::from_bytes(value) else {
                return Err(ApiError::serialization("no such header on the wire"));
            };
            headers.append(HeaderName::try_from(name).unwrap(), value);
        }
        let request =
            Request { method: self.method, path: &self.path, query: &self.query, headers: &headers, authority };
        let claim = verifier.claim(&request, rules, now_ms)?;
        verifier.verify(&claim, &request, digest::digest(&digest::SHA256, &self.body).as_ref().try_into().unwrap())
    }

    fn header(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.headers.iter_mut().find(|(sent, _)| sent == name).unwrap().1
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(sent, _)| sent != name);
        self
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

fn key(id: &str, secret: &str, token: Option<&str>) -> Key {
    Key {
        id: id.into(),
        secret: Secret::new(secret.into()),
        session_token: token.map(|token| Secret::new(token.into())),
    }
}

fn verifier() -> Verifier {
    Verifier::new(vec![key("AKIDEXAMPLE", SECRET, None), key("SECOND", "another", None)], "us-east-1".into())
}

/// Method, path, query, headers besides host and date, body, signed headers, signature.
type Vector = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
    &'static str,
);

const PLAIN: &str = "host;x-amz-date";
const ONE: &str = "host;my-header1;x-amz-date";
const VECTORS: [Vector; 14] = [
    ("GET", "/", "", &[], "", PLAIN, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    (
        "GET",
        "/",
        "",
        &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
        "",
        "host;my-header1;my-header2;x-amz-date",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    (
        "GET",
        "/",
        "",
        &[("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")],
        "",
        ONE,
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    (
        "GET",
        "/",
        "",
        &[("my-header1", "value1   value2      value3")],
        "",
        ONE,
        "cfd34249e4b1c8d6b91ef74165d41a32e5fab3306300901bb65a51a73575eefd",
    ),
    (
        "GET",
        "/",
        "Param2=value2&Param1=value1",
        &[],
        "",
        PLAIN,
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    (
        "GET",
        "/",
        "Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        &[],
        "",
        PLAIN,
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    ("GET", "/", "%E1%88%B4=bar", &[], "", PLAIN, "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
    ("GET", "/", "Param1=value1", &[], "", PLAIN, "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
    ("GET", "//example//", "", &[], "", PLAIN, "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
    (
        "GET",
        "/example1/example2/../..",
        "",
        &[],
        "",
        PLAIN,
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    ("GET", "/./example", "", &[], "", PLAIN, "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"),
    (
        "GET",
        "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        "",
        &[],
        "",
        PLAIN,
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    (
        "POST",
        "/",
        "",
        &[("my-header1", "value1")],
        "",
        ONE,
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    (
        "POST",
        "/",
        "",
        &[
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("content-length", "13"),
            ("x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"),
        ],
        "Param1=value1",
        "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
        "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
    ),
];

#[test]
fn the_published_vectors_verify() {
    for (method, path, query, headers, body, signed, signature) in VECTORS {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={signed}, \
             Signature={signature}"
        );
        let mut sent = Sent { method, path: path.into(), query: query.into(), headers: Vec::new(), body: body.into() }
            .with("host", "example.amazonaws.com")
            .with("x-amz-date", "20150830T123600Z")
            .with("authorization", &authorization);
        sent.headers.extend(headers.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        assert_eq!(
            sent.verify(&verifier(), &VECTOR_RULES, VECTOR_MS).map_err(|error| error.message),
            Ok(0),
            "{sent:?}"
        );
    }
}

/// A request signed by AWS's own signer for key, secret, region and service.
fn signed_for(mut sent: Sent, credentials: &Credentials, region: &str, service: &str) -> Sent {
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(UNIX_EPOCH + Duration::from_millis(VECTOR_MS))
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let query = if sent.query.is_empty() { String::new() } else { format!("?{}", sent.query) };
    let uri = format!("http://localhost:4573{}{query}", sent.path);
    let headers: Vec<_> =
        sent.headers.iter().map(|(name, value)| (name.as_str(), std::str::from_utf8(value).unwrap())).collect();
    let signable =
        SignableRequest::new(sent.method, uri, headers.into_iter(), SignableBody::Bytes(&sent.body)).unwrap();
    let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
    let (added, _) = instructions.into_parts();
    sent.headers.extend(added.iter().map(|header| (header.name().into(), header.value().into())));
    if !sent.headers.iter().any(|(name, _)| name == "host") {
        sent = sent.with("host", "localhost:4573");
    }
    sent
}

fn credentials() -> Credentials {
    Credentials::from_keys("AKIDEXAMPLE", SECRET, None)
}

fn put() -> Sent {
    Sent {
        method: "POST",
        path: "/".into(),
        query: String::new(),
        headers: Vec::new(),
        body: br#"{"DeliveryStreamName":"s","Record":{"Data":"aGVsbG8="}}"#.to_vec(),
    }
    .with("content-type", "application/x-amz-json-1.1")
    .with("x-amz-target", "Firehose_20150804.PutRecord")
}

fn signed_put() -> Sent {
    signed_for(put(), &credentials(), "us-east-1", "firehose")
}

fn refused(sent: &Sent, now_ms: u64) -> (&'static str, String) {
    let error = sent.verify(&verifier(), &RULES, now_ms).expect_err("must be refused");
    (error.code, error.message.into_owned())
}

proptest! {
    #[test]
    fn what_aws_signs_verifies(
        path in "(/[a-zA-Z0-9._~-]{1,8}){0,3}/?",
        query in proptest::collection::vec(("[a-zA-Z0-9_.~-]{1,6}", "[a-zA-Z0-9_.~-]{0,6}"), 0..4),
        headers in proptest::collection::btree_map("x-[a-z]{1,8}", "[!-~]([ -~]{0,12}[!-~])?", 0..4),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        prop_assume!(!path.split('/').any(|segment| segment == "." || segment == ".."));
        let query = query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let mut sent = Sent { method: "POST", path, query, headers: Vec::new(), body };
        sent.headers.extend(headers.into_iter().map(|(name, value)| (name, value.into_bytes())));
        let sent = signed_for(sent, &credentials(), "us-east-1", "firehose");
        prop_assert_eq!(sent.verify(&verifier(), &RULES, VECTOR_MS).map_err(|error| error.message), Ok(0));
    }

    #[test]
    fn no_authorization_header_panics(value in "[ -~]{0,120}") {
        let mut sent = signed_put();
        *sent.header("authorization") = value.into_bytes();
        let _ = refused(&sent, VECTOR_MS);
    }
}

#[test]
fn every_changed_byte_is_refused() {
    let good = signed_put();
    assert_eq!(good.verify(&verifier(), &RULES, VECTOR_MS).map_err(|error| error.message), Ok(0));
    for at in 0..good.body.len() {
        let mut bad = good.clone();
        bad.body[at] ^= 1;
        assert_eq!(refused(&bad, VECTOR_MS).0, "InvalidSignatureException", "body byte {at}");
    }
    for (number, (name, value)) in good.headers.iter().enumerate() {
        for at in 0..value.len() {
            let mut bad = good.clone();
            bad.headers[number].1[at] ^= 1;
            assert!(bad.verify(&verifier(), &RULES, VECTOR_MS).is_err(), "{name} byte {at} of {value:?}");
        }
    }
    for (path, query, method) in [("/x", "", "POST"), ("/", "a=b", "POST"), ("/", "", "PUT")] {
        let bad = Sent { path: path.into(), query: query.into(), method, ..good.clone() };
        assert_eq!(refused(&bad, VECTOR_MS).0, "InvalidSignatureException");
    }
}

#[test]
fn time_scope_and_key_are_checked() {
    let skew = u64::try_from(crate::limits::CLOCK_SKEW_MAX.as_millis()).unwrap();
    let good = signed_put();
    for now in [VECTOR_MS - skew, VECTOR_MS + skew] {
        assert!(good.verify(&verifier(), &RULES, now).is_ok());
    }
    assert_eq!(
        refused(&good, VECTOR_MS + skew + 1_000),
        (
            "InvalidSignatureException",
            "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"
                .to_owned()
        )
    );
    assert!(refused(&good, VECTOR_MS - skew - 1_000).1.starts_with("Signature not yet current: 20150830T123600Z"));
    let elsewhere = signed_for(put(), &credentials(), "eu-west-1", "firehose");
    assert!(refused(&elsewhere, VECTOR_MS).1.contains("valid region: 'us-east-1', not 'eu-west-1'"));
    let other = signed_for(put(), &credentials(), "us-east-1", "s3");
    assert!(refused(&other, VECTOR_MS).1.contains("correct service: 'firehose', not 's3'"));
    let stranger = signed_for(put(), &Credentials::from_keys("STRANGER", SECRET, None), "us-east-1", "firehose");
    assert_eq!(refused(&stranger, VECTOR_MS).0, "UnrecognizedClientException");
    let second = signed_for(put(), &Credentials::from_keys("SECOND", "another", None), "us-east-1", "firehose");
    assert_eq!(second.verify(&verifier(), &RULES, VECTOR_MS).ok(), Some(1));
    let wrong = signed_for(put(), &Credentials::from_keys("SECOND", SECRET, None), "us-east-1", "firehose");
    assert_eq!(refused(&wrong, VECTOR_MS).0, "InvalidSignatureException");
}

#[test]
fn session_tokens_are_compared() {
    let verifier = Verifier::new(vec![key("AKIDEXAMPLE", SECRET, Some("token"))], "us-east-1".into());
    let signed = |token: Option<&str>| {
        let credentials = Credentials::from_keys("AKIDEXAMPLE", SECRET, token.map(str::to_owned));
        signed_for(put(), &credentials, "us-east-1", "firehose").verify(&verifier, &RULES, VECTOR_MS)
    };
    assert!(signed(Some("token")).is_ok());
    for token in [None, Some("nekot"), Some("")] {
        assert_eq!(signed(token).unwrap_err().code, "UnrecognizedClientException", "{token:?}");
    }
    let unasked = Credentials::from_keys("AKIDEXAMPLE", SECRET, Some("token".to_owned()));
    let unasked = signed_for(put(), &unasked, "us-east-1", "firehose");
    assert_eq!(refused(&unasked, VECTOR_MS).0, "UnrecognizedClientException");
}

#[test]
fn forms_that_prove_nothing_are_refused() {
    let good = signed_put();
    let presigned = Sent { query: "X-Amz-Signature=00&X-Amz-Credential=a".into(), ..good.clone() };
    let table = [
        (good.clone().without("authorization"), "MissingAuthenticationTokenException"),
        (presigned.clone(), "IncompleteSignatureException"),
        (presigned.without("authorization"), "IncompleteSignatureException"),
        (good.clone().with("authorization", "AWS4-HMAC-SHA256 x"), "IncompleteSignatureException"),
        (good.clone().with("x-amz-target", "Firehose_20150804.DeleteDeliveryStream"), "InvalidSignatureException"),
        (good.clone().with("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), "InvalidSignatureException"),
        (good.clone().with("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), "InvalidSignatureException"),
        (good.clone().with("x-amz-content-sha256", &"0".repeat(64)), "InvalidSignatureException"),
        (good.clone().with("content-encoding", "gzip"), "InvalidSignatureException"),
        (good.clone().with("x-amz-security-token", "t"), "InvalidSignatureException"),
        (good.clone().without("x-amz-date"), "IncompleteSignatureException"),
        (
            good.clone().without("x-amz-date").with("date", "Sun, 30 Aug 2015 12:36:00 GMT"),
            "IncompleteSignatureException",
        ),
        (good.clone().without("content-type"), "InvalidSignatureException"),
    ];
    for (sent, code) in table {
        assert_eq!(refused(&sent, VECTOR_MS).0, code, "{sent:?}");
    }
}

/// Signed by `@smithy/signature-v4` of the JavaScript SDK 3, which over HTTP/2 signs what the connection sends.
#[test]
fn the_authority_of_http2_is_signed_in_place_of_host() {
    let sent = put()
        .with(":authority", "127.0.0.1:4573")
        .with("x-amz-date", "20150830T123600Z")
        .with("x-amz-content-sha256", "9f79f1e26920c6c42c879fd0b757ffeb354443c722a161a06999061b8d6fe70b")
        .with(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/firehose/aws4_request, \
             SignedHeaders=:authority;content-type;x-amz-content-sha256;x-amz-date;x-amz-target, \
             Signature=2fa1a8bbac6f33bdbfad95d079b9ed3cbb8ce2dedad5d10c76c9e02e60aa1341",
        );
    assert_eq!(sent.verify(&verifier(), &RULES, VECTOR_MS).map_err(|error| error.message), Ok(0));
    let mut other = sent.clone();
    *other.header(":authority") = b"127.0.0.1:4574".to_vec();
    assert!(refused(&other, VECTOR_MS).1.contains("does not match"), "{:?}", refused(&other, VECTOR_MS));
    let none = sent.without(":authority");
    assert!(refused(&none, VECTOR_MS).1.contains("':authority' is not in the request"));
}

#[test]
fn malformed_authorization_headers_are_named() {
    let scope = "Credential=AKIDEXAMPLE/20150830/us-east-1/firehose/aws4_request";
    let signature = format!("Signature={}", "0".repeat(64));
    let headers = "SignedHeaders=host;x-amz-date;x-amz-target";
    let table = [
        (format!("{scope}, {headers}"), "requires 'Signature' parameter"),
        (format!("{scope}, {signature}"), "requires 'SignedHeaders' parameter"),
        (format!("{headers}, {signature}"), "requires 'Credential' parameter"),
        (format!("{scope}, {scope}, {headers}, {signature}"), "'Credential' stands twice"),
        (format!("{scope}, {headers}, {signature}, Extra=1"), "unknown parameter 'Extra'"),
        (format!("{scope}, {headers}, Signature=00"), "64 lower-case hexadecimal digits"),
        (format!("Credential=AKIDEXAMPLE/us-east-1, {headers}, {signature}"), "Credential must have the form"),
        (format!("Credential=/20150830/us-east-1/firehose/aws4_request, {headers}, {signature}"), "must have the form"),
        (format!("{scope}x, {headers}, {signature}"), "valid terminator"),
        (format!("{}, {headers}, {signature}", scope.replace("0830", "0831")), "'20150831' != '20150830'"),
        (format!("{scope}, SignedHeaders=host;x-amz-date, {signature}"), "'x-amz-target' must be a signed header"),
        (format!("{scope}, SignedHeaders=x-amz-date;x-amz-target, {signature}"), "'host' must be a signed header"),
        (format!("{scope}, {headers};x-gone, {signature}"), "the signed header 'x-gone' is not in the request"),
    ];
    for (parameters, part) in table {
        let mut sent = signed_put();
        *sent.header("authorization") = format!("AWS4-HMAC-SHA256 {parameters}").into_bytes();
        let (_, message) = refused(&sent, VECTOR_MS);
        assert!(message.contains(part), "{parameters}: {message}");
    }
}

#[test]
fn derived_keys_stay_few() {
    let verifier = verifier();
    for day in 0..100u64 {
        let time = VECTOR_MS + day * 86_400_000;
        let mut sent = put().with("host", "h");
        sent = sent.with("x-amz-date", &scope::basic(time)).with(
            "authorization",
            &format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{}/us-east-1/firehose/aws4_request, \
                 SignedHeaders=host;x-amz-date;x-amz-target, Signature={}",
                &scope::basic(time)[..8],
                "0".repeat(64)
            ),
        );
        assert!(sent.verify(&verifier, &RULES, time).is_err());
    }
    assert!(verifier.derived.read().unwrap().len() <= DERIVED_PER_KEY_MAX * 3);
}
