//! What a browser sends for a page, where nobody has to say who they are.
//!
//! It sends plain text anywhere, also to the loopback of whoever looks at the page, and says so in `Origin`. And it sends everything
//! to a name that the page's owner points at this loopback (DNS rebinding): the page is then of the same origin, its GETs carry no
//! header of a page at all, and the one thing that tells is that the request names a host of the page's owner. An address
//! cannot be pointed elsewhere, and browsers resolve `localhost` themselves (RFC 6761, 6.3).

use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::{HOST, ORIGIN};
use http::uri::Authority;

use crate::api::ApiError;
use crate::api::sigv4::Request;

/// As much of a host as an answer repeats.
const SHOWN_MAX: usize = 64;

/// # Errors
/// `AccessDeniedException` for a request of a page, or to a host that may be anybody's; `need` is what lets it in.
pub(super) fn refuse(request: &Request<'_>, need: &str) -> Result<(), ApiError> {
    if request.headers.contains_key(ORIGIN) {
        let said = format!("requests of web pages (with an Origin header) need {need}");
        return Err(ApiError::access_denied(said));
    }
    let stated = request.headers.get_all(HOST).iter().map(http::HeaderValue::as_bytes);
    let mut hosts = request.authority.map(str::as_bytes).into_iter().chain(stated).peekable();
    if hosts.peek().is_none() {
        return Err(ApiError::access_denied(format!(
            "the request names no host; without {need} it must name this one"
        )));
    }
    match hosts.find(|host| !is_here(host)) {
        None => Ok(()),
        Some(host) => {
            let host: String = String::from_utf8_lossy(host).chars().take(SHOWN_MAX).collect();
            Err(ApiError::access_denied(format!(
                "no access keys are configured, and then requests are taken by IP address or as localhost, not as \
                 {host:?}, which a web page could have pointed here: configure access keys to be called by name"
            )))
        }
    }
}

/// The same for what a page needs no more than a link for.
///
/// # Errors
/// As [`refuse`].
pub(super) fn refuse_reading(request: &Request<'_>) -> Result<(), ApiError> {
    if request.headers.contains_key("sec-fetch-site") {
        return Err(ApiError::access_denied("requests of web pages (with a Sec-Fetch-Site header) need a signature"));
    }
    refuse(request, "a signature")
}

/// Whether a host, with or without port, is an address or this machine's own name.
fn is_here(host: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return false };
    let name = authority.host();
    if let Some(inner) = name.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok());
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name.parse::<Ipv4Addr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_here_and_no_other_name() {
        for host in ["127.0.0.1", "127.0.0.1:4573", "[::1]", "[::1]:4573", "10.1.2.3:80", "localhost", "LocalHost:4573"]
        {
            assert!(is_here(host.as_bytes()), "{host}");
        }
        for host in ["localhost.", "kinesis.localhost:4573", "a.b.LOCALHOST"] {
            assert!(is_here(host.as_bytes()), "{host}");
        }
        for host in
            ["", ":80", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evillocalhost", "[::1"]
        {
            assert!(!is_here(host.as_bytes()), "{host}");
        }
        for host in ["[evil.example]", "a b", "\u{e9}", "0x7f.1", "standpipe", "standpipe:4573", "127.1"] {
            assert!(!is_here(host.as_bytes()), "{host}");
        }
    }
}
