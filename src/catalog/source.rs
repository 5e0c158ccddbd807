//! The stored form of where a stream's records come from. Absent in catalogs of versions that knew direct puts only,
//! so `direct` is what is not written.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::definition::{known_credentials, milliseconds};
use crate::config::{Config, KinesisSource, Source, StartAt};

/// A [`Source`] without its secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StoredSource {
    #[default]
    Direct,
    DataStream {
        name: String,
        start: StoredStart,
    },
    Kinesis(Box<StoredKinesis>),
}

/// A [`StartAt`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StoredStart {
    Latest,
    Horizon,
    TimeMs(u64),
}

/// A [`KinesisSource`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredKinesis {
    stream: String,
    region: Option<String>,
    endpoint: Option<String>,
    access_key_id: Option<String>,
    profile: Option<String>,
    start: StoredStart,
    consumer: Option<String>,
    poll_ms: u64,
}

impl StoredSource {
    pub(super) fn is_direct(&self) -> bool {
        *self == StoredSource::Direct
    }

    /// The source again, with secrets from `config`; `stream` is the delivery stream's name.
    pub(super) fn restore(self, stream: &str, config: &Config) -> Source {
        match self {
            StoredSource::Direct => Source::Direct,
            StoredSource::DataStream { name, start } => Source::DataStream { name, start: start.into() },
            StoredSource::Kinesis(from) => Source::Kinesis(Box::new(KinesisSource {
                stream: from.stream,
                region: from.region,
                endpoint: from.endpoint,
                credentials: from.access_key_id.and_then(|id| known_credentials(&id, stream, config)),
                profile: from.profile,
                start: from.start.into(),
                consumer: from.consumer,
                poll: Duration::from_millis(from.poll_ms),
            })),
        }
    }
}

impl From<&Source> for StoredSource {
    fn from(source: &Source) -> Self {
        match source {
            Source::Direct => StoredSource::Direct,
            Source::DataStream { name, start } => {
                StoredSource::DataStream { name: name.clone(), start: (*start).into() }
            }
            Source::Kinesis(from) => StoredSource::Kinesis(Box::new(from.as_ref().into())),
        }
    }
}

impl From<&KinesisSource> for StoredKinesis {
    fn from(source: &KinesisSource) -> Self {
        let KinesisSource { stream, region, endpoint, credentials, profile, start, consumer, poll } = source;
        StoredKinesis {
            stream: stream.clone(),
            region: region.clone(),
            endpoint: endpoint.clone(),
            access_key_id: credentials.as_ref().map(|credentials| credentials.access_key_id.clone()),
            profile: profile.clone(),
            start: (*start).into(),
            consumer: consumer.clone(),
            poll_ms: milliseconds(*poll),
        }
    }
}

impl From<StartAt> for StoredStart {
    fn from(start: StartAt) -> Self {
        match start {
            StartAt::Latest => StoredStart::Latest,
            StartAt::Horizon => StoredStart::Horizon,
            StartAt::Time(ms) => StoredStart::TimeMs(ms),
        }
    }
}

impl From<StoredStart> for StartAt {
    fn from(start: StoredStart) -> Self {
        match start {
            StoredStart::Latest => StartAt::Latest,
            StoredStart::Horizon => StartAt::Horizon,
            StoredStart::TimeMs(ms) => StartAt::Time(ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AwsCredentials, DeliveryStream, Destination, Secret};

    fn kinesis() -> KinesisSource {
        let credentials = AwsCredentials {
            access_key_id: "AKID".into(),
            secret_access_key: Secret::new("hunter2".into()),
            session_token: None,
        };
        KinesisSource {
            region: Some("eu-west-1".into()),
            endpoint: Some("http://127.0.0.1:1".into()),
            credentials: Some(credentials),
            profile: Some("p".into()),
            start: StartAt::Latest,
            consumer: Some("c".into()),
            poll: Duration::from_millis(1_234),
            ..KinesisSource::new("orders")
        }
    }

    fn round(source: &Source, config: &Config) -> Source {
        let text = serde_json::to_string(&StoredSource::from(source)).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        serde_json::from_str::<StoredSource>(&text).unwrap().restore("s", config)
    }

    #[test]
    fn what_is_stored_comes_back_without_secrets() {
        let mut config = Config::new("/data");
        for start in [StartAt::Horizon, StartAt::Latest, StartAt::Time(7)] {
            let source = Source::DataStream { name: "clicks".into(), start };
            assert_eq!(round(&source, &config), source);
        }
        assert_eq!(round(&Source::Direct, &config), Source::Direct);
        let source = Source::Kinesis(kinesis().into());
        let bare = Source::Kinesis(KinesisSource { credentials: None, ..kinesis() }.into());
        assert_eq!(round(&source, &config), bare, "the secret is nowhere");
        config.delivery_streams =
            vec![DeliveryStream { source: source.clone(), ..DeliveryStream::new("other", Destination::local("/x")) }];
        assert_eq!(round(&source, &config), source, "the secret is found again by its id");
    }
}
