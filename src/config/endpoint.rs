//! An HTTP endpoint that takes the requests of Firehose, as a destination names it. Its bounds are those of the API.

use std::fmt;
use std::time::Duration;

use super::Secret;
use crate::error::{Error, Result};
use crate::limits::{
    ENDPOINT_ACCESS_KEY_MAX, ENDPOINT_ATTRIBUTE_NAME_MAX, ENDPOINT_ATTRIBUTE_VALUE_MAX, ENDPOINT_ATTRIBUTES_MAX,
    ENDPOINT_RETRY_DEFAULT, ENDPOINT_RETRY_MAX, ENDPOINT_URL_MAX,
};

/// An HTTP endpoint.
#[derive(Clone, PartialEq)]
pub struct HttpEndpoint {
    /// Where requests are posted, unchanged.
    pub url: String,
    /// What it is called.
    pub name: Option<String>,
    /// Sent with every request.
    pub access_key: Option<Secret<String>>,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// Sent with every request, in this order.
    pub attributes: Vec<(String, String)>,
    /// How long a request is tried again, not counting the time that answers take.
    pub retry: Duration,
}

impl fmt::Debug for HttpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HttpEndpoint { url, name, access_key, gzip, attributes, retry } = self;
        let names: Vec<_> = attributes.iter().map(|(name, _)| name).collect();
        f.debug_struct("HttpEndpoint")
            .field("url", &shown_url(url))
            .field("name", name)
            .field("access_key", access_key)
            .field("gzip", gzip)
            .field("attributes", &names)
            .field("retry", retry)
            .finish()
    }
}

/// A URL as it may be shown: credentials and query are hidden, for they hold secrets.
pub fn shown_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (path, query) = rest.split_once(['?', '#']).map_or((rest, ""), |(path, _)| (path, "?***"));
    let (host, path) = path.split_once('/').map_or((path, String::new()), |(host, path)| (host, format!("/{path}")));
    let host = host.rsplit_once('@').map_or_else(|| host.to_owned(), |(_, host)| format!("***@{host}"));
    let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    format!("{scheme}{host}{path}{query}")
}

impl HttpEndpoint {
    /// An endpoint with every default.
    pub fn new(url: impl Into<String>) -> Self {
        HttpEndpoint {
            url: url.into(),
            name: None,
            access_key: None,
            gzip: false,
            attributes: Vec::new(),
            retry: ENDPOINT_RETRY_DEFAULT,
        }
    }
}

/// The URL of an endpoint: `https://` (or `http://`, which Firehose would not take), a host, at most 1,000 characters.
pub fn endpoint_url(url: &str) -> Result<()> {
    if url.chars().count() > ENDPOINT_URL_MAX {
        let count = url.chars().count();
        return Err(Error::invalid(format!("url has {count} characters, more than {ENDPOINT_URL_MAX}")));
    }
    let fault =
        |why: &str| Err(Error::invalid(format!("url {why}, as \"https://collector.example.com/firehose\" does")));
    let Ok(uri) = url.parse::<http::Uri>() else {
        return fault("must be a URL");
    };
    match (uri.scheme_str(), uri.authority()) {
        // It is not shown: it holds a secret.
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            Err(Error::invalid("url must not contain credentials: an endpoint is shown an access key"))
        }
        (Some("http" | "https"), Some(authority)) if !authority.host().is_empty() => Ok(()),
        _ => fault("must begin with \"https://\" or \"http://\" and name a host"),
    }
}

/// An access key: what can stand in a header.
pub fn access_key(key: &str) -> Result<()> {
    if key.len() > ENDPOINT_ACCESS_KEY_MAX {
        return Err(Error::invalid(format!("has {} bytes, more than {ENDPOINT_ACCESS_KEY_MAX}", key.len())));
    }
    if http::HeaderValue::from_str(key).is_err() {
        return Err(Error::invalid("has a character that cannot stand in a header"));
    }
    Ok(())
}

/// Common attributes: at most 50, with names of 1 to 256 characters, each once, and values of at most 1,024.
pub fn common_attributes(attributes: &[(String, String)]) -> Result<()> {
    if attributes.len() > ENDPOINT_ATTRIBUTES_MAX {
        let count = attributes.len();
        return Err(Error::invalid(format!("there are {count} attributes, more than {ENDPOINT_ATTRIBUTES_MAX}")));
    }
    for (at, (name, value)) in attributes.iter().enumerate() {
        if !(1..=ENDPOINT_ATTRIBUTE_NAME_MAX).contains(&name.chars().count()) {
            let bound = ENDPOINT_ATTRIBUTE_NAME_MAX;
            return Err(Error::invalid(format!("attribute name {name:?} must have 1 to {bound} characters")));
        }
        if value.chars().count() > ENDPOINT_ATTRIBUTE_VALUE_MAX {
            let bound = ENDPOINT_ATTRIBUTE_VALUE_MAX;
            return Err(Error::invalid(format!(
                "the value of attribute {name:?} must have at most {bound} characters"
            )));
        }
        if attributes[..at].iter().any(|(other, _)| other == name) {
            return Err(Error::invalid(format!("Http Endpoint Common Attributes have duplicate name {name}")));
        }
    }
    Ok(())
}

/// How long a request is tried again: at most two hours.
pub fn retry_duration(retry: Duration) -> Result<Duration> {
    if retry <= ENDPOINT_RETRY_MAX {
        return Ok(retry);
    }
    let shown = super::units::show_duration;
    Err(Error::invalid(format!("must be 0s to {}, not {}", shown(ENDPOINT_RETRY_MAX), shown(retry))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_an_endpoint_has_no_secret() {
        for (url, shown) in [
            ("https://h.example/v1/in?api_key=hunter2", "https://h.example/v1/in?***"),
            ("https://me:hunter2@h:8443/a@b", "https://***@h:8443/a@b"),
            ("https://h#hunter2", "https://h?***"),
            ("h/p?x=hunter2", "h/p?***"),
            ("https://h", "https://h"),
            ("", ""),
        ] {
            assert_eq!(shown_url(url), shown);
        }
        let endpoint = HttpEndpoint {
            access_key: Some(Secret::new("hunter2".to_owned())),
            attributes: vec![("token".to_owned(), "hunter2".to_owned())],
            ..HttpEndpoint::new("https://h/in?key=hunter2")
        };
        let text = format!("{endpoint:?}");
        assert!(!text.contains("hunter2") && text.contains("https://h/in") && text.contains("token"), "{text}");
    }
}
