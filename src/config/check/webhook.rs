//! Webhooks: where messages go, and what goes with them.

use super::super::at::At;
use super::super::endpoint::endpoint_url;
use super::super::webhook::{header_name, header_value, signing_secret};
use super::super::{Secret, Webhook, raw};
use super::Checker;
use crate::limits::{WEBHOOK_TIME_MAX, WEBHOOK_TIME_MIN};

impl Checker<'_> {
    /// The webhook of a stream.
    pub(super) fn webhook(&mut self, raw: raw::Webhook) -> Option<Webhook> {
        let url = self.checked("url", raw.url, endpoint_url);
        let headers = self.headers(raw.headers.into_iter().collect());
        let secret = raw.secret.and_then(|written| {
            let text = self.secret("secret", &written)?;
            self.accept("secret", &written.span, signing_secret(text.reveal()))
        });
        let timeout = self.lapse("timeout", raw.timeout, WEBHOOK_TIME_MIN, WEBHOOK_TIME_MAX);
        let webhook = Webhook::new(url?);
        let timeout = timeout.unwrap_or(webhook.timeout);
        Some(Webhook { headers, secret, timeout, ..webhook })
    }

    fn headers(&mut self, mut written: Vec<(At<String>, At<raw::Secret>)>) -> Vec<(String, Secret<String>)> {
        written.sort_by_key(|(name, _)| name.span.start);
        let mut headers = Vec::new();
        for (name, value) in written {
            let lower = self.accept("headers", &name.span, header_name(&name.value, &headers));
            let Some(secret) = self.secret("headers", &value) else { continue };
            let accepted = self.accept("headers", &value.span, header_value(secret.reveal()));
            if let (Some(lower), Some(())) = (lower, accepted) {
                headers.push((lower, secret));
            }
        }
        headers
    }
}
