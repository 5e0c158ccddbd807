//! Registered consumers: who reads by enhanced fan-out.

use super::change::checked_policy;
use super::{Consumer, Definition, Status, tags};
use crate::error::{Error, Kind, Result};
use crate::limits::{CONSUMERS_MAX, DATA_NAME_MAX};
use crate::stream::data::Settings;

impl Definition {
    /// RegisterStreamConsumer.
    pub fn register_consumer(
        &mut self,
        name: &str,
        tags: Vec<(String, String)>,
        settings: &Settings,
        now_ms: u64,
    ) -> Result<Consumer> {
        if !is_name(name) {
            let said = "ConsumerName must have 1 to 128 letters, digits, `_`, `.` or `-`";
            return Err(super::change::unsuitable(said.to_owned()));
        }
        let place = match self.consumers.binary_search_by(|known| known.name.as_str().cmp(name)) {
            Ok(at) => {
                let arn = self.consumers[at].arn(&self.name, settings);
                return Err(Error::new(Kind::Conflict, format!("Consumer {arn} already exists.")));
            }
            Err(place) => place,
        };
        if self.consumers.len() >= CONSUMERS_MAX {
            let (stream, account) = (&self.name, &settings.account_id);
            return Err(Error::new(
                Kind::Throttled,
                format!(
                    "Stream {stream} under account {account} has {CONSUMERS_MAX} registered consumers, which is the \
                     most there may be."
                ),
            ));
        }
        let tags = tags::merged(&[], tags, &format!("consumer {name}"), settings)?;
        let consumer = Consumer { name: name.to_owned(), created_ms: now_ms, tags, policy: None };
        self.consumers.insert(place, consumer.clone());
        Ok(consumer)
    }

    /// DeregisterStreamConsumer: by name, or `name:seconds`, the end of its ARN.
    pub fn deregister_consumer(&mut self, which: &str, settings: &Settings) -> Result<Consumer> {
        let at = self.place_of(which, settings)?;
        Ok(self.consumers.remove(at))
    }

    /// The consumer with this name, or `name:seconds`, the end of its ARN.
    ///
    /// # Errors
    /// `NotFound`, also when one of that name was registered at another time.
    pub fn consumer(&self, which: &str, settings: &Settings) -> Result<&Consumer> {
        Ok(&self.consumers[self.place_of(which, settings)?])
    }

    /// TagResource of a consumer.
    pub fn add_consumer_tags(&mut self, which: &str, tags: Vec<(String, String)>, settings: &Settings) -> Result<()> {
        let at = self.place_of(which, settings)?;
        let consumer = &mut self.consumers[at];
        consumer.tags = tags::merged(&consumer.tags, tags, &format!("consumer {which}"), settings)?;
        Ok(())
    }

    /// UntagResource of a consumer.
    pub fn remove_consumer_tags(&mut self, which: &str, keys: &[String], settings: &Settings) -> Result<()> {
        let at = self.place_of(which, settings)?;
        self.consumers[at].tags.retain(|(key, _)| !keys.contains(key));
        Ok(())
    }

    /// PutResourcePolicy of a consumer, and DeleteResourcePolicy with none.
    pub fn set_consumer_policy(&mut self, which: &str, policy: Option<String>, settings: &Settings) -> Result<()> {
        let at = self.place_of(which, settings)?;
        self.consumers[at].policy = policy.map(checked_policy).transpose()?;
        Ok(())
    }

    fn place_of(&self, which: &str, settings: &Settings) -> Result<usize> {
        let (name, seconds) = which.split_once(':').map_or((which, None), |(name, time)| (name, Some(time)));
        let place = self.consumers.binary_search_by(|known| known.name.as_str().cmp(name)).ok();
        let found = place.filter(|at| {
            let registered = (self.consumers[*at].created_ms / 1_000).to_string();
            seconds.is_none_or(|seconds| seconds == registered)
        });
        found.ok_or_else(|| {
            let account = &settings.account_id;
            Error::new(Kind::NotFound, format!("Consumer {which}, account {account} not found."))
        })
    }
}

impl Consumer {
    /// Its state: CREATING for as long as streams are, then ACTIVE.
    pub fn status(&self, settings: &Settings, now_ms: u64) -> Status {
        match settings.passing(Status::Creating, self.created_ms) {
            Some((status, until_ms)) if now_ms < until_ms => status,
            _ => Status::Active,
        }
    }

    /// `arn:aws:kinesis:…:stream/<stream>/consumer/<name>:<seconds>`.
    pub fn arn(&self, stream: &str, settings: &Settings) -> String {
        let Settings { region, account_id, .. } = settings;
        let (name, seconds) = (&self.name, self.created_ms / 1_000);
        format!("arn:aws:kinesis:{region}:{account_id}:stream/{stream}/consumer/{name}:{seconds}")
    }
}

/// What AWS takes as the name of a stream or a consumer.
pub(in crate::stream::data) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=DATA_NAME_MAX).contains(&name.len()) && name.bytes().all(fits)
}
