//! The AWS SDK's clients, as `put`, `tail` and `demo` use them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// Longest pause between two attempts of one call.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Where to send, and how hard to try.
pub(super) struct Endpoint<'a> {
    /// `http://host:port`.
    pub(super) url: &'a str,
    /// The region that signatures are made for.
    pub(super) region: &'a str,
    /// Attempts of one call, the first included.
    pub(super) attempts: u32,
}

/// A Firehose client for `endpoint`, and the number of attempts that it has made so far.
pub(super) async fn firehose(endpoint: &Endpoint<'_>) -> (aws_sdk_firehose::Client, Arc<AtomicU64>) {
    let attempts = Arc::new(AtomicU64::new(0));
    let shared = shared(endpoint).await;
    let config = aws_sdk_firehose::config::Builder::from(&shared).interceptor(Attempts(attempts.clone())).build();
    (aws_sdk_firehose::Client::from_conf(config), attempts)
}

/// A Kinesis client for `endpoint`, and the number of attempts that it has made so far.
pub(super) async fn kinesis(endpoint: &Endpoint<'_>) -> (aws_sdk_kinesis::Client, Arc<AtomicU64>) {
    let attempts = Arc::new(AtomicU64::new(0));
    let shared = shared(endpoint).await;
    let config = aws_sdk_kinesis::config::Builder::from(&shared).interceptor(Attempts(attempts.clone())).build();
    (aws_sdk_kinesis::Client::from_conf(config), attempts)
}

/// What all clients of `endpoint` share.
///
/// Credentials come from the AWS chain. For an endpoint on loopback the chain is only the environment and the
/// profile files, and where those have none a made-up key signs: a service without keys takes any.
pub(super) async fn shared(endpoint: &Endpoint<'_>) -> SdkConfig {
    let retry = RetryConfig::standard().with_max_attempts(endpoint.attempts).with_max_backoff(PAUSE_MAX);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(endpoint.region.to_owned()))
        .endpoint_url(endpoint.url)
        .retry_config(retry);
    if is_loopback(endpoint.url) {
        let chain = CredentialsProviderChain::first_try("environment", EnvironmentVariableCredentialsProvider::new())
            .or_else("profile", ProfileFileCredentialsProvider::builder().build())
            .or_else("made up", Credentials::from_keys("standpipe", "standpipe", None));
        loader = loader.credentials_provider(chain);
    }
    loader.load().await
}

/// Whether the URL's host is this machine.
fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Counts the attempts of all calls.
#[derive(Debug)]
struct Attempts(Arc<AtomicU64>);

#[dyn_dispatch_hint]
impl Intercept for Attempts {
    fn name(&self) -> &'static str {
        "Attempts"
    }

    fn read_before_attempt(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (url, expected) in [
            ("http://127.0.0.1:4573", true),
            ("http://127.8.8.8", true),
            ("http://localhost:80/", true),
            ("http://[::1]:4573", true),
            ("http://10.0.0.1:4573", false),
            ("https://firehose.eu-west-1.amazonaws.com", false),
            ("http://localhost.example.com", false),
            ("not a url", false),
        ] {
            assert_eq!(is_loopback(url), expected, "{url}");
        }
    }
}
