//! All that the owner stores, and what each change makes of it. Pure, but for new identities.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Settings;
use super::definition::change::{check_distribution, check_warm, record_bytes_fit, unsuitable};
use super::definition::consumers::is_name;
use super::definition::{Definition, Mode, NewDataStream, Origin, Status};
use super::owner::{How, Made};
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::limits::{DATA_STREAMS_CREATING_MAX, DATA_STREAMS_MAX, ON_DEMAND_SHARDS, SHARDS_MAX};
use crate::record::{DATA_STREAM_BIT, StreamId};

/// How long it is remembered how far the shards of a stream that is gone were dated ahead, beyond that time itself: for a clock that
/// is set back a little.
const RETIRED_MS: u64 = 60_000;

/// All that is stored. See [`store`](super::store) for the format.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Seals tokens; zeros before the first start.
    #[serde(with = "super::store::key")]
    pub(super) token_key: [u8; 32],
    /// How many identities were ever given out here: the low half of the next one.
    pub(super) ids_made: u32,
    /// By name.
    pub(super) streams: BTreeMap<String, Arc<Definition>>,
    /// Streams that are gone, whose records may be left in the journal.
    #[serde(default, with = "super::store::ids", skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) removing: BTreeSet<StreamId>,
    /// The newest date of a shard (milliseconds since 1970) of streams that are gone, by name: a new one's shards are
    /// dated later, so that it takes no old sequence number for its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) retired: BTreeMap<String, u64>,
}

impl State {
    /// A new identity. The counted half makes it unlike any before in this data directory, also after a restart;
    /// the random half unlike those in a copy of it; the top bit unlike those of delivery streams.
    pub(super) fn new_id(&mut self, clock: &Clock) -> Result<StreamId> {
        let made = self.ids_made.checked_add(1);
        self.ids_made =
            made.ok_or_else(|| Error::new(Kind::Internal, "the data directory has no stream identities left"))?;
        Ok(StreamId(DATA_STREAM_BIT | clock.random() << 32 | u64::from(self.ids_made)))
    }

    /// Whether nothing was changed since `other` was cloned; cheap.
    pub(super) fn is(&self, other: &State) -> bool {
        self.ids_made == other.ids_made
            && self.removing == other.removing
            && self.streams.len() == other.streams.len()
            && self.streams.values().zip(other.streams.values()).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// In how long a deletion is due.
    pub(super) fn next_due(&self, now_ms: u64) -> Option<Duration> {
        let due = self.streams.values().filter_map(|definition| match definition.passing {
            Some((Status::Deleting, until_ms)) => Some(until_ms),
            _ => None,
        });
        due.min().map(|due_ms| Duration::from_millis(due_ms.saturating_sub(now_ms)))
    }

    /// Takes out what has been DELETING for long enough.
    pub(super) fn finish_deletions(&mut self, now_ms: u64) {
        let due = |definition: &Definition| matches!(definition.passing, Some((Status::Deleting, until_ms)) if until_ms <= now_ms);
        let names: Vec<_> = self.streams.values().filter(|d| due(d)).map(|d| d.name.clone()).collect();
        for name in names {
            self.take_out(&name, now_ms);
        }
    }

    /// Makes a stream of the API.
    pub(super) fn create(&mut self, new: NewDataStream, settings: &Settings, clock: &Clock) -> Result<StreamId> {
        let now_ms = clock.now_ms();
        if self.streams.contains_key(&new.name) {
            let (name, account) = (&new.name, &settings.account_id);
            let said = format!("Stream {name} under account {account} already exists.");
            return Err(Error::new(Kind::Conflict, said));
        }
        let shards = check_new(&new)?;
        self.check_room(settings, now_ms)?;
        if new.mode == Mode::Provisioned {
            self.check_shards(u64::from(shards), settings)?;
        }
        let mut definition = Definition::new(self.new_id(clock)?, &new.name, Origin::Api, now_ms);
        definition.mode = new.mode;
        definition.record_bytes_max = new.record_bytes_max;
        definition.distribution = new.distribution;
        definition.warm_mibps = new.warm_mibps;
        definition.add_tags(new.tags, settings)?;
        definition.passing = settings.passing(Status::Creating, now_ms);
        let id = definition.id;
        self.add(definition, shards);
        Ok(id)
    }

    /// Adds a stream and gives it its first shards.
    pub(super) fn add(&mut self, mut definition: Definition, shards: u32) {
        definition.fill(shards, self.retired.get(&definition.name).copied());
        self.streams.insert(definition.name.clone(), Arc::new(definition));
    }

    fn check_room(&self, settings: &Settings, now_ms: u64) -> Result<()> {
        let account = &settings.account_id;
        let creating = self.streams.values().filter(|known| known.status(now_ms) == Status::Creating).count();
        let said = if self.streams.len() >= DATA_STREAMS_MAX {
            format!("There are {DATA_STREAMS_MAX} streams under account {account}, which is the most there may be.")
        } else if creating >= DATA_STREAMS_CREATING_MAX {
            format!(
                "There are {creating} streams under account {account} in state CREATING, which is the most there may be."
            )
        } else {
            return Ok(());
        };
        Err(Error::new(Kind::Throttled, said))
    }

    /// That the account may have so many more open shards.
    fn check_shards(&self, more: u64, settings: &Settings) -> Result<()> {
        let Settings { account_id, region, shards_max, .. } = settings;
        let provisioned = self.streams.values().filter(|known| known.mode == Mode::Provisioned);
        let current: u64 = provisioned.map(|known| known.open_shards().count() as u64).sum();
        if more == 0 || current + more <= u64::from(*shards_max) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Throttled,
            format!(
                "This request would exceed the shard limit for the account {account_id} in {region}. Current shard \
                 count for the account: {current}. Limit: {shards_max}. Number of additional shards that would have \
                 resulted from this request: {more}. Refer to the AWS Service Limits page \
                 (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to \
                 request higher limits."
            ),
        ))
    }

    /// Changes the definition with this name; nothing where `edit` fails, or makes it one for which there are too many shards.
    pub(super) fn edit(
        &mut self,
        name: &str,
        settings: &Settings,
        edit: impl FnOnce(&mut Definition) -> Result<Made>,
    ) -> Result<Made> {
        let definition = self.streams.get(name).ok_or_else(|| settings.not_found(name))?;
        let mut edited = Definition::clone(definition);
        let made = edit(&mut edited)?;
        if definition.mode == Mode::OnDemand && edited.mode == Mode::Provisioned {
            // From now on its shards count.
            self.check_shards(edited.open_shards().count() as u64, settings)?;
        }
        if edited != **definition {
            self.streams.insert(name.to_owned(), Arc::new(edited));
        }
        Ok(made)
    }

    /// Changes the definition of this identity, if it is there.
    pub(super) fn edit_by_id(&mut self, id: StreamId, edit: impl FnOnce(&mut Definition)) {
        if let Some(definition) = self.streams.values_mut().find(|definition| definition.id == id) {
            let mut edited = Definition::clone(definition);
            edit(&mut edited);
            if edited != **definition {
                *definition = Arc::new(edited);
            }
        }
    }

    /// Reshards; what the plan closes has its end in `ends`.
    pub(super) fn reshard(
        &mut self,
        id: StreamId,
        how: &How,
        ends: &BTreeMap<u32, u64>,
        settings: &Settings,
        now_ms: u64,
    ) -> Result<()> {
        let gone = || Error::new(Kind::NotFound, "the stream was deleted meanwhile");
        let known = self.streams.values().find(|definition| definition.id == id).ok_or_else(gone)?;
        let mut definition = Definition::clone(known);
        let steps = how.plan(&definition, settings, now_ms)?;
        if super::lineage::closing(&definition.shards, &steps).iter().any(|index| !ends.contains_key(index)) {
            return Err(Error::new(Kind::Conflict, "the shards of the stream were changed meanwhile"));
        }
        let before = definition.open_shards().count() as u64;
        definition.reshard(&steps, ends, now_ms)?;
        if let How::Api(reshard) = how {
            let after = definition.open_shards().count() as u64;
            self.check_shards(after.saturating_sub(before), settings)?;
            definition.resharded(reshard, settings, now_ms);
        }
        self.streams.insert(definition.name.clone(), Arc::new(definition));
        Ok(())
    }

    /// Deletes a stream; its identity if it is gone at once.
    pub(super) fn delete(
        &mut self,
        name: &str,
        even_with_consumers: bool,
        settings: &Settings,
        now_ms: u64,
    ) -> Result<Option<StreamId>> {
        let known = self.streams.get_mut(name).ok_or_else(|| settings.not_found(name))?;
        if known.vanished_ms.is_none() {
            known.of_api(settings)?;
        }
        if !even_with_consumers && !known.consumers.is_empty() {
            let (count, account) = (known.consumers.len(), &settings.account_id);
            let said = format!(
                "Stream {name} under account {account} has {count} registered consumers: deregister them first, or \
                 enforce their deletion."
            );
            return Err(Error::new(Kind::Conflict, said));
        }
        match settings.passing(Status::Deleting, now_ms) {
            None => Ok(self.take_out(name, now_ms)),
            Some(_) if known.status(now_ms) == Status::Deleting => Ok(None),
            passing => {
                Arc::make_mut(known).passing = passing;
                Ok(None)
            }
        }
    }

    /// Takes out a stream that vanished from the file.
    pub(super) fn gone(&mut self, id: StreamId, now_ms: u64) {
        let known = self.streams.values().find(|definition| definition.id == id && definition.vanished_ms.is_some());
        if let Some(name) = known.map(|definition| definition.name.clone()) {
            self.take_out(&name, now_ms);
        }
    }

    fn take_out(&mut self, name: &str, now_ms: u64) -> Option<StreamId> {
        let definition = self.streams.remove(name)?;
        self.removing.insert(definition.id);
        self.retired.retain(|_, dated_ms| dated_ms.saturating_add(RETIRED_MS) > now_ms);
        let newest_ms = definition.shards.iter().map(|shard| shard.created_ms).max().unwrap_or(0);
        self.retired.insert(name.to_owned(), newest_ms);
        Some(definition.id)
    }
}

/// Refuses what cannot be made; how many shards it is to have.
fn check_new(new: &NewDataStream) -> Result<u32> {
    if !is_name(&new.name) {
        let said = "StreamName must have 1 to 128 letters, digits, `_`, `.` or `-`";
        return Err(unsuitable(said.to_owned()));
    }
    if !record_bytes_fit(new.record_bytes_max) {
        let bytes = new.record_bytes_max;
        return Err(unsuitable(format!("MaxRecordSizeInKiB of {bytes} bytes is not between 1024 and 10240")));
    }
    check_distribution(new.distribution, new.mode)?;
    check_warm(new.warm_mibps, new.mode)?;
    match (new.mode, new.shards) {
        (Mode::OnDemand, _) => Ok(ON_DEMAND_SHARDS),
        (Mode::Provisioned, Some(shards)) if (1..=SHARDS_MAX).contains(&shards) => Ok(shards),
        (Mode::Provisioned, Some(shards)) => {
            Err(Error::invalid(format!("ShardCount {shards} is not between 1 and {SHARDS_MAX}")))
        }
        (Mode::Provisioned, None) => {
            Err(unsuitable("ShardCount is required for streams in PROVISIONED mode".to_owned()))
        }
    }
}
