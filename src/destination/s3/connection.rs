//! Clients of the SDK, one for each set of settings: a client holds TLS roots, a connection pool and cached
//! credentials, which a thousand streams with one bucket between them should have once.

use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation};

use crate::config::S3Connection;
use crate::error::{Error, Result};
use crate::limits::{S3_ATTEMPT_TIME_MAX, S3_ATTEMPTS_MAX, S3_CALL_TIME_MAX, S3_CONNECT_TIME_MAX, S3_RETRY_PAUSE};

/// The connections in use. Cloning shares them.
#[derive(Clone, Default)]
pub struct Connections {
    open: Arc<Mutex<Vec<Weak<Connection>>>>,
    limits: TimeLimits,
}

/// How long calls may take.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimits {
    /// One attempt of a call.
    pub attempt: Duration,
    /// A call with all its attempts.
    pub call: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        TimeLimits { attempt: S3_ATTEMPT_TIME_MAX, call: S3_CALL_TIME_MAX }
    }
}

/// A client and the settings that it was made from.
pub(super) struct Connection {
    settings: S3Connection,
    limits: TimeLimits,
    client: RwLock<Client>,
}

impl Connections {
    /// Connections with other time limits than those of `limits.rs`.
    pub fn with_limits(limits: TimeLimits) -> Self {
        Connections { limits, ..Connections::default() }
    }

    /// The connection with `settings`: one in use, or a new one.
    pub(super) async fn get(&self, settings: &S3Connection) -> Result<Arc<Connection>> {
        if let Some(connection) = self.find(settings) {
            return Ok(connection);
        }
        let client = RwLock::new(client(settings, self.limits).await?);
        let new = Arc::new(Connection { settings: settings.clone(), limits: self.limits, client });
        // Two that make the same at once keep two; it costs memory, nothing else.
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&new));
        Ok(new)
    }

    fn find(&self, settings: &S3Connection) -> Option<Arc<Connection>> {
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|connection| connection.strong_count() > 0);
        all.iter().filter_map(Weak::upgrade).find(|connection| connection.settings == *settings)
    }
}

impl Connection {
    /// The client as it is now.
    pub(super) fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the AWS chain's files and variables again: the SDK keeps credentials that have no end for ever, so that
    /// a mended profile would be seen only after a restart.
    pub(super) async fn renew(&self) {
        if self.settings.credentials.is_some() {
            return;
        }
        if let Ok(new) = client(&self.settings, self.limits).await {
            *self.client.write().unwrap_or_else(PoisonError::into_inner) = new;
        }
    }
}

async fn client(settings: &S3Connection, limits: TimeLimits) -> Result<Client> {
    let config = load(settings, limits).await;
    if config.region().is_none() {
        return Err(Error::invalid("no region: set `region` of the destination, or AWS_REGION, or one in the profile"));
    }
    // Checksums are given by us where they are wanted; without, some stores refuse what the SDK would add by itself.
    let builder = Builder::from(&config)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .force_path_style(settings.path_style);
    Ok(Client::from_conf(builder.build()))
}

async fn load(settings: &S3Connection, limits: TimeLimits) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(region(settings))
        .retry_config(retries())
        .timeout_config(timeouts(limits));
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    with_credentials(loader, settings).load().await
}

fn with_credentials(loader: ConfigLoader, settings: &S3Connection) -> ConfigLoader {
    let Some(credentials) = &settings.credentials else { return loader };
    loader.credentials_provider(Credentials::from_keys(
        &credentials.access_key_id,
        credentials.secret_access_key.reveal(),
        credentials.session_token.as_ref().map(|token| token.reveal().clone()),
    ))
}

/// The configured region, or that of the AWS chain. A store that is not AWS's usually does not care which it is: it
/// gets us-east-1, without asking a metadata service that is not there.
fn region(settings: &S3Connection) -> RegionProviderChain {
    let chain = RegionProviderChain::first_try(settings.region.clone().map(Region::new));
    match (&settings.endpoint, &settings.profile) {
        (None, None) => chain.or_default_provider(),
        (None, Some(profile)) => chain.or_else(profile_region(profile)).or_default_provider(),
        (Some(_), profile) => chain
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(profile.as_deref().map_or_else(ProfileFileRegionProvider::new, profile_region))
            .or_else(Region::new("us-east-1")),
    }
}

fn profile_region(profile: &str) -> ProfileFileRegionProvider {
    ProfileFileRegionProvider::builder().profile_name(profile).build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(S3_ATTEMPTS_MAX).with_initial_backoff(S3_RETRY_PAUSE)
}

fn timeouts(limits: TimeLimits) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(S3_CONNECT_TIME_MAX)
        .operation_attempt_timeout(limits.attempt)
        .operation_timeout(limits.call)
        .build()
}
