//! One request: its body, and the headers that go with it.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Request};
use http_body_util::Full;
use libdeflater::{CompressionLvl, Compressor};

use crate::config::HttpEndpoint;
use crate::config::endpoint::shown_url;
use crate::error::{Error, Kind, Result};

/// What stands around the data of one record.
const AROUND: usize = r#"{"data":""},"#.len();
/// What stands around the records, with room for an id and a number.
const FRAME: usize = 160;

/// The bytes that a body has with these records: so many, of so many bytes of base64 in all.
pub fn body_bytes(records: usize, base64_bytes: usize) -> usize {
    FRAME + records * AROUND + base64_bytes
}

/// The body of a request, good for any number of attempts.
pub struct RequestBody {
    id: String,
    bytes: Bytes,
    gzip: bool,
}

impl RequestBody {
    /// The request `id` of records that are in base64 already. The same arguments make the same bytes.
    ///
    /// # Errors
    /// A fault of ours, when memory for compression cannot be had.
    pub fn new<'r>(id: String, timestamp_ms: u64, records: impl Iterator<Item = &'r str>, gzip: bool) -> Result<Self> {
        let mut body = format!("{{\"requestId\":\"{id}\",\"timestamp\":{timestamp_ms},\"records\":[");
        for (at, data) in records.enumerate() {
            body.push_str(if at == 0 { "{\"data\":\"" } else { ",{\"data\":\"" });
            body.push_str(data);
            body.push_str("\"}");
        }
        body.push_str("]}");
        let bytes = if gzip { compress(body.as_bytes())? } else { body.into_bytes() };
        Ok(RequestBody { id, bytes: bytes.into(), gzip })
    }

    /// The request's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The body as it is sent.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

fn compress(body: &[u8]) -> Result<Vec<u8>> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut out = vec![0; compressor.gzip_compress_bound(body.len())];
    let len = compressor
        .gzip_compress(body, &mut out)
        .map_err(|error| Error::new(Kind::Internal, "a request cannot be compressed").because(error))?;
    out.truncate(len);
    Ok(out)
}

/// To whom a request goes, and for which stream.
pub struct Sending<'a> {
    /// The endpoint; whether it wants gzip is in the body.
    pub endpoint: &'a HttpEndpoint,
    /// The delivery stream.
    pub source_arn: &'a str,
}

impl Sending<'_> {
    /// # Errors
    /// [`Kind::Invalid`] for a URL or a key that cannot be sent.
    pub(super) fn request(&self, body: &RequestBody) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::post(&self.endpoint.url);
        if let Some(headers) = request.headers_mut() {
            self.fill(headers, body)?;
        }
        request.body(Full::new(body.bytes.clone())).map_err(|error| {
            Error::invalid(format!("no request can be made for {:?}", shown_url(&self.endpoint.url))).because(error)
        })
    }

    fn fill(&self, headers: &mut HeaderMap, body: &RequestBody) -> Result<()> {
        headers.insert("x-amz-firehose-protocol-version", HeaderValue::from_static("1.0"));
        headers.insert("x-amz-firehose-request-id", value("request id", &body.id)?);
        headers.insert("x-amz-firehose-source-arn", value("stream's ARN", self.source_arn)?);
        if let Some(key) = &self.endpoint.access_key {
            let mut key = value("access key", key.reveal())?;
            key.set_sensitive(true);
            headers.insert("x-amz-firehose-access-key", key);
        }
        if !self.endpoint.attributes.is_empty() {
            let attributes = value("common attributes", &common_attributes(&self.endpoint.attributes))?;
            headers.insert("x-amz-firehose-common-attributes", attributes);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("standpipe"));
        if body.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(())
    }
}

fn value(what: &str, text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| Error::invalid(format!("the {what} cannot stand in a header")))
}

/// `{"commonAttributes":{…}}` in ASCII: a header has no other characters that are sure to arrive.
fn common_attributes(attributes: &[(String, String)]) -> String {
    let all: serde_json::Map<_, _> =
        attributes.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let mut out = String::new();
    for char in serde_json::json!({ "commonAttributes": all }).to_string().chars() {
        if char.is_ascii() && char != '\u{7f}' {
            out.push(char);
            continue;
        }
        for unit in char.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}").expect("a string takes everything");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn a_body_is_what_the_protocol_says_and_always_the_same() {
        let make = |gzip| RequestBody::new("id-1".into(), 7, ["YQ==", "", "Yg=="].into_iter(), gzip).unwrap();
        let plain = make(false);
        let text = r#"{"requestId":"id-1","timestamp":7,"records":[{"data":"YQ=="},{"data":""},{"data":"Yg=="}]}"#;
        assert_eq!(plain.bytes(), text);
        assert!(text.len() <= body_bytes(3, 8) && body_bytes(3, 8) < text.len() + FRAME);
        let packed = make(true);
        assert_eq!(packed.bytes(), make(true).bytes());
        let mut out = vec![0; text.len()];
        libdeflater::Decompressor::new().gzip_decompress(packed.bytes(), &mut out).unwrap();
        assert_eq!(out, text.as_bytes());
    }

    #[test]
    fn headers_are_those_of_firehose() {
        let endpoint = HttpEndpoint {
            access_key: Some(Secret::new("the key".into())),
            attributes: vec![("größe".into(), "\u{1f642}\"\u{7f}".into()), ("env".into(), "prod".into())],
            ..HttpEndpoint::new("https://h:8443/path?x=%2F")
        };
        let sending = Sending { endpoint: &endpoint, source_arn: "arn:aws:firehose:r:1:deliverystream/s" };
        let body = RequestBody::new("id-1".into(), 7, std::iter::empty(), true).unwrap();
        let request = sending.request(&body).unwrap();
        assert_eq!((request.method().as_str(), request.uri().to_string()), ("POST", endpoint.url.clone()));
        let headers = request.headers();
        let expected = [
            ("x-amz-firehose-protocol-version", "1.0"),
            ("x-amz-firehose-request-id", "id-1"),
            ("x-amz-firehose-source-arn", "arn:aws:firehose:r:1:deliverystream/s"),
            ("x-amz-firehose-access-key", "the key"),
            (
                "x-amz-firehose-common-attributes",
                r#"{"commonAttributes":{"gr\u00f6\u00dfe":"\ud83d\ude42\"\u007f","env":"prod"}}"#,
            ),
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
        ];
        for (name, value) in expected {
            assert_eq!(headers[name], value);
        }
        assert!(headers["x-amz-firehose-access-key"].is_sensitive());
        let bare = HttpEndpoint::new("http://h/");
        let plain = RequestBody::new("id-1".into(), 7, std::iter::empty(), false).unwrap();
        let request = Sending { endpoint: &bare, ..sending }.request(&plain).unwrap();
        for name in ["x-amz-firehose-access-key", "x-amz-firehose-common-attributes", "content-encoding"] {
            assert!(!request.headers().contains_key(name), "{name}");
        }
    }
}
