//! Destinations that are HTTP endpoints: where requests go, how, and to which store goes what could not be sent.

use std::ops::Range;
use std::time::Duration;

use super::super::at::At;
use super::super::endpoint::{access_key, common_attributes, endpoint_url};
use super::super::{HttpEndpoint, Store, raw};
use super::Checker;
use crate::limits::{ENDPOINT_BUFFER_BYTES_MAX, ENDPOINT_RETRY_MAX};

/// The keys of a destination that is an endpoint.
pub(super) struct EndpointKeys {
    pub(super) url: Option<At<String>>,
    pub(super) request: Option<At<raw::Endpoint>>,
    pub(super) failures: Option<At<raw::Store>>,
}

impl Checker<'_> {
    /// The endpoint, and the store of what could not be sent.
    pub(super) fn endpoint(&mut self, keys: EndpointKeys, place: &Range<usize>) -> Option<(HttpEndpoint, Store)> {
        let EndpointKeys { url, request, failures } = keys;
        if url.is_none() {
            self.findings.missing(place, place.clone(), "url", ": type = \"http\" needs it");
        }
        if failures.is_none() {
            let why = ": type = \"http\" needs a store for what cannot be sent";
            self.findings.missing(place, place.clone(), "failures", why);
        }
        let url = self.checked("url", url, endpoint_url);
        let store = failures.and_then(|At { value, span }| self.store(value, &span));
        let mut endpoint = HttpEndpoint::new(url?);
        if let Some(request) = request {
            self.request(request.value, &mut endpoint);
        }
        Some((endpoint, store?))
    }

    fn request(&mut self, raw: raw::Endpoint, endpoint: &mut HttpEndpoint) {
        if let Some(key) = raw.access_key
            && let Some(secret) = self.secret("access_key", &key)
        {
            self.accept("access_key", &key.span, access_key(secret.reveal()));
            endpoint.access_key = Some(secret);
        }
        endpoint.gzip = raw.gzip.is_some_and(|gzip| gzip.value);
        let place = raw.attributes.first_key_value().map(|(name, _)| name.span.clone());
        endpoint.attributes = raw.attributes.into_iter().map(|(name, value)| (name.value, value.value)).collect();
        if let Some(place) = place {
            self.accept("attributes", &place, common_attributes(&endpoint.attributes));
        }
        if let Some(retry) = self.lapse("retry", raw.retry, Duration::ZERO, ENDPOINT_RETRY_MAX) {
            endpoint.retry = retry;
        }
    }

    /// A buffer becomes a request, and that is bounded.
    pub(super) fn endpoint_buffer(&mut self, size_bytes: u64, place: &Range<usize>) {
        if size_bytes > ENDPOINT_BUFFER_BYTES_MAX {
            let shown = super::super::units::show_size;
            let message = format!(
                "buffer size must be at most {} with type = \"http\", not {}",
                shown(ENDPOINT_BUFFER_BYTES_MAX),
                shown(size_bytes)
            );
            self.findings.add(place.clone(), message);
        }
    }
}
