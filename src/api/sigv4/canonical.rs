//! The canonical form of a request: what is hashed and signed.
//!
//! ```text
//! method \n path \n query \n (name:value \n for each signed header) \n signed header names \n digest of the body
//! ```
//!
//! The path is normalised and percent-encoded once more than on the wire, as every service but S3 wants it. Values
//! of a header that is sent more than once are joined by commas; blanks around a value go, runs of blanks become one.

use super::Request;
use crate::api::ApiError;

/// What HTTP/2 calls `host`. No header of a request can have this name.
pub(super) const AUTHORITY: &str = ":authority";

/// The one value of a header that must not be sent twice: a second one could be what is signed while the first is
/// what is read.
pub(super) fn single<'a>(request: &Request<'a>, name: &str) -> Result<Option<&'a [u8]>, ApiError> {
    let mut values = request.headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(ApiError::incomplete_signature(format!("the header '{name}' is sent more than once")));
    }
    Ok(first.map(http::HeaderValue::as_bytes))
}

/// Whether the query carries what presigned URLs carry.
pub(super) fn has_query_credentials(query: &str) -> bool {
    query.split('&').any(|pair| {
        let name = decode(pair.split('=').next().unwrap_or(""));
        let name = name.to_ascii_lowercase();
        [&b"x-amz-signature"[..], b"x-amz-credential", b"x-amz-algorithm", b"awsaccesskeyid"].contains(&&*name)
    })
}

/// The canonical form.
pub(super) fn request(request: &Request<'_>, signed_headers: &str, body_hex: &str) -> Result<Vec<u8>, ApiError> {
    let mut out = Vec::with_capacity(1_024);
    out.extend_from_slice(request.method.as_bytes());
    out.push(b'\n');
    path(&mut out, request.path);
    out.push(b'\n');
    query(&mut out, request.query);
    out.push(b'\n');
    for name in signed_headers.split(';') {
        header(&mut out, request, name)?;
    }
    out.push(b'\n');
    out.extend_from_slice(signed_headers.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(body_hex.as_bytes());
    Ok(out)
}

fn header(out: &mut Vec<u8>, request: &Request<'_>, name: &str) -> Result<(), ApiError> {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let mut values = request.headers.get_all(name).iter().map(http::HeaderValue::as_bytes).peekable();
    match (values.peek(), name, request.authority) {
        // JavaScript signs it under HTTP/2's own name.
        (None, "host" | AUTHORITY, Some(authority)) => squeeze(out, authority.as_bytes()),
        (None, _, _) => {
            let name = name.chars().take(64).collect::<String>();
            return Err(ApiError::invalid_signature(format!("the signed header '{name}' is not in the request")));
        }
        (Some(_), "host", _) => {
            single(request, "host")?;
        }
        _ => {}
    }
    for (number, value) in values.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        squeeze(out, value);
    }
    out.push(b'\n');
    Ok(())
}

/// A header's value without blanks at its ends, and with one for each run of them.
fn squeeze(out: &mut Vec<u8>, value: &[u8]) {
    let mut last = b' ';
    for &byte in value.trim_ascii() {
        if byte != b' ' || last != b' ' {
            out.push(byte);
        }
        last = byte;
    }
}

/// `.` and empty segments go, `..` takes the one before with it; the rest is percent-encoded as it stands.
fn path(out: &mut Vec<u8>, path: &str) {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    for segment in &segments {
        out.push(b'/');
        encode(out, segment.as_bytes());
    }
    if segments.is_empty() || path.ends_with('/') {
        out.push(b'/');
    }
}

/// Each name and value decoded, encoded in the one way, and sorted.
fn query(out: &mut Vec<u8>, query: &str) {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (mut encoded_name, mut encoded_value) = (Vec::new(), Vec::new());
            encode(&mut encoded_name, &decode(name));
            encode(&mut encoded_value, &decode(value));
            (encoded_name, encoded_value)
        })
        .collect();
    pairs.sort();
    for (number, (name, value)) in pairs.iter().enumerate() {
        if number > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

/// RFC 3986: everything but letters, digits, `-`, `.`, `_` and `~` as `%XX`.
fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}

/// `%XX` to bytes; what is no such triple stays as it is.
fn decode(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let pair = (digit(bytes.get(at + 1)), digit(bytes.get(at + 2)));
        if let (b'%', (Some(high), Some(low))) = (byte, pair) {
            out.push((high * 16 + low) as u8);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    out
}
