//! The stream that is copied, as its API shows it; and what its errors mean for us.

use std::fmt;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::primitives::event_stream::EventReceiver;
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError;
use aws_sdk_kinesis::types::{
    ConsumerStatus, Record, ShardIteratorType, StartingPosition, SubscribeToShardEventStream,
};

use super::lineage::Listed;
use crate::clock::Clock;
use crate::config::KinesisSource;
use crate::error::{Error, Result as OurResult};
use crate::limits;

/// What to do about a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Repeat it later.
    Again,
    /// Ask for a new iterator, at once.
    NewIterator,
    /// The position is not to be had: records are gone.
    Lost,
    /// The stream or the shard is not there.
    Gone,
    /// It is there already, or somebody else has it.
    InUse,
    /// What was asked with is none of the stream's: an iterator of one that was deleted, for instance.
    Refused,
    /// What came has no room in our journal.
    NoRoom,
}

/// A call that failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) what: What,
    pub(super) message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

type Result<T> = std::result::Result<T, Fault>;

/// Where reading of a shard begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// With its oldest record.
    Horizon,
    /// With what arrived then or later, milliseconds since 1970.
    Time(u64),
    /// After this record.
    After(String),
}

/// One answer: records and how to go on.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) records: Vec<Record>,
    /// How old what is left is.
    pub(super) behind_ms: u64,
    /// The shard has ended; there is nothing more.
    pub(super) ended: bool,
}

/// Who the stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) arn: String,
    pub(super) created_ms: u64,
}

/// The stream, through its API.
pub(super) struct Upstream {
    client: Client,
    name: Option<String>,
    arn: Option<String>,
}

/// Events of one subscription.
pub(super) type Events = EventReceiver<SubscribeToShardEventStream, SubscribeToShardEventStreamError>;

impl Upstream {
    pub(super) async fn connect(source: &KinesisSource) -> OurResult<Self> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::standard().with_max_attempts(limits::SOURCE_ATTEMPTS_MAX))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(limits::SOURCE_CONNECT_TIME_MAX)
                    .operation_attempt_timeout(limits::SOURCE_CALL_TIME_MAX)
                    .build(),
            );
        if let Some(region) = &source.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &source.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(profile) = &source.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(credentials) = &source.credentials {
            loader = loader.credentials_provider(Credentials::from_keys(
                &credentials.access_key_id,
                credentials.secret_access_key.reveal(),
                credentials.session_token.as_ref().map(|token| token.reveal().clone()),
            ));
        }
        let config = loader.load().await;
        if config.region().is_none() {
            return Err(Error::invalid("no region: set `region` of the source, or AWS_REGION, or one in the profile"));
        }
        let by_arn = source.stream.starts_with("arn:");
        let named = Some(source.stream.clone());
        let (arn, name) = if by_arn { (named, None) } else { (None, named) };
        Ok(Upstream { client: Client::new(&config), name, arn })
    }

    /// Who it is.
    pub(super) async fn identity(&self) -> Result<Identity> {
        let call = self.client.describe_stream_summary();
        let answer = call.set_stream_name(self.name.clone()).set_stream_arn(self.arn.clone()).send().await?;
        let incomplete = || fault(What::Again, "DescribeStreamSummary answered without a description");
        let summary = answer.stream_description_summary().ok_or_else(incomplete)?;
        Ok(Identity {
            arn: summary.stream_arn().to_owned(),
            created_ms: u64::try_from(summary.stream_creation_timestamp().to_millis().unwrap_or(0)).unwrap_or(0),
        })
    }

    /// All shards that it has or had within its retention.
    pub(super) async fn shards(&self) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        let mut token = None;
        loop {
            let call = self.client.list_shards();
            let call = match token.take() {
                Some(token) => call.next_token(token),
                None => call.set_stream_name(self.name.clone()).set_stream_arn(self.arn.clone()),
            };
            let answer = call.send().await?;
            listed.extend(answer.shards().iter().map(|shard| {
                Listed {
                    id: shard.shard_id().to_owned(),
                    parents: [shard.parent_shard_id(), shard.adjacent_parent_shard_id()]
                        .into_iter()
                        .flatten()
                        .map(str::to_owned)
                        .collect(),
                }
            }));
            token = answer.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(listed);
            }
        }
    }

    pub(super) async fn iterator(&self, shard: &str, from: &From) -> Result<String> {
        let call = self.client.get_shard_iterator().shard_id(shard);
        let call = call.set_stream_name(self.name.clone()).set_stream_arn(self.arn.clone());
        let call = match from {
            From::Horizon => call.shard_iterator_type(ShardIteratorType::TrimHorizon),
            From::Time(ms) => call.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(time(*ms)),
            From::After(sequence) => {
                call.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).starting_sequence_number(sequence)
            }
        };
        let answer = call.send().await.map_err(|error| positioned(error, from))?;
        let iterator = answer.shard_iterator().map(str::to_owned);
        iterator.ok_or_else(|| fault(What::Again, "GetShardIterator answered without an iterator"))
    }

    /// Reads on from an iterator, which is replaced by the next one.
    pub(super) async fn read(&self, iterator: &mut Option<String>, limit: i32) -> Result<Got> {
        let call = self.client.get_records().set_shard_iterator(iterator.clone()).set_stream_arn(self.arn.clone());
        let answer = call.limit(limit).send().await?;
        *iterator = answer.next_shard_iterator().map(str::to_owned);
        Ok(Got {
            behind_ms: answer.millis_behind_latest().and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0),
            ended: iterator.is_none(),
            records: answer.records,
        })
    }

    /// The consumer called `name`, registered if it is not there, once it can be used.
    pub(super) async fn consumer(&self, name: &str, identity: &Identity, clock: &Clock) -> Result<String> {
        let call = self.client.register_stream_consumer().stream_arn(&identity.arn).consumer_name(name);
        match call.send().await.map_err(Fault::from) {
            // It is there already, or will be.
            Ok(_) => {}
            Err(fault) if fault.what == What::InUse => {}
            Err(fault) => return Err(fault),
        }
        loop {
            let call = self.client.describe_stream_consumer().stream_arn(&identity.arn).consumer_name(name);
            let answer = call.send().await?;
            let incomplete = || fault(What::Again, "DescribeStreamConsumer answered without a description");
            let consumer = answer.consumer_description().ok_or_else(incomplete)?;
            if consumer.consumer_status() == &ConsumerStatus::Active {
                return Ok(consumer.consumer_arn().to_owned());
            }
            clock.sleep(Duration::from_secs(1)).await;
        }
    }

    /// Whether there is still a consumer with this ARN.
    pub(super) async fn has_consumer(&self, arn: &str) -> Result<bool> {
        match self.client.describe_stream_consumer().consumer_arn(arn).send().await.map_err(Fault::from) {
            Ok(_) => Ok(true),
            Err(fault) if fault.what == What::Gone => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    pub(super) async fn subscribe(&self, consumer: &str, shard: &str, from: &From) -> Result<Events> {
        let position = StartingPosition::builder();
        let position = match from {
            From::Horizon => position.r#type(ShardIteratorType::TrimHorizon),
            From::Time(ms) => position.r#type(ShardIteratorType::AtTimestamp).timestamp(time(*ms)),
            From::After(sequence) => position.r#type(ShardIteratorType::AfterSequenceNumber).sequence_number(sequence),
        };
        let position = position.build().map_err(|error| fault(What::Again, &error.to_string()))?;
        let call = self.client.subscribe_to_shard().consumer_arn(consumer).shard_id(shard).starting_position(position);
        Ok(call.send().await.map_err(|error| positioned(error, from))?.event_stream)
    }

    /// The next event; nothing when the subscription is over.
    pub(super) async fn event(events: &mut Events) -> Result<Option<Got>> {
        loop {
            match events.recv().await? {
                None => return Ok(None),
                Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) => {
                    return Ok(Some(Got {
                        behind_ms: u64::try_from(event.millis_behind_latest).unwrap_or(0),
                        ended: event.child_shards.is_some_and(|children| !children.is_empty()),
                        records: event.records,
                    }));
                }
                Some(_) => {}
            }
        }
    }
}

fn time(ms: u64) -> DateTime {
    DateTime::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn fault(what: What, message: &str) -> Fault {
    Fault { what, message: message.to_owned() }
}

/// A position that is refused is one that is not to be had any more; a time that is refused is ahead of the stream's
/// clock, and will be had later.
fn positioned<E, R>(error: SdkError<E, R>, from: &From) -> Fault
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: fmt::Debug + 'static,
{
    let fault = Fault::from(error);
    match (fault.what, from) {
        (What::Refused, From::After(_)) => Fault { what: What::Lost, ..fault },
        (What::Refused, _) => Fault { what: What::Again, ..fault },
        _ => fault,
    }
}

impl<E, R> std::convert::From<SdkError<E, R>> for Fault
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: fmt::Debug + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        let what = match error.code() {
            Some("ExpiredIteratorException") => What::NewIterator,
            Some("ResourceNotFoundException") => What::Gone,
            Some("ResourceInUseException") => What::InUse,
            Some("InvalidArgumentException") => What::Refused,
            _ => What::Again,
        };
        let message = DisplayErrorContext(&error).to_string();
        Fault { what, message: message.chars().take(limits::SOURCE_ERROR_CHARS_MAX).collect() }
    }
}
