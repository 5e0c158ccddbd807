//! Who may reshard a stream, and how.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{unsuitable, within_a_day};
use super::{Definition, Mode, Status};
use crate::error::{Error, Kind, Result};
use crate::limits::{RESCALES_PER_DAY_MAX, SHARDS_MAX};
use crate::stream::data::lineage::{Map, Reshard, Step, uniform};
use crate::stream::data::shard::{Shard, shard_index};
use crate::stream::data::{Settings, shard_name};

impl Definition {
    /// The steps of a reshard that the API asks for, if it is allowed, whatever else there is in the account.
    ///
    /// # Errors
    /// In AWS's words: `Invalid`, `NotFound`, `Conflict`, `Throttled`.
    pub(in crate::stream::data) fn plan(
        &self,
        reshard: &Reshard,
        settings: &Settings,
        now_ms: u64,
    ) -> Result<Vec<Step>> {
        self.of_api(settings)?;
        if self.mode == Mode::OnDemand {
            let (name, account) = (&self.name, &settings.account_id);
            let said = format!("Request is invalid. Stream {name} under account {account} is in On-Demand mode.");
            return Err(unsuitable(said));
        }
        if let Reshard::Uniform { target } = reshard {
            self.check_target(*target, settings, now_ms)?;
        }
        let steps = self.steps(reshard, settings)?;
        self.must_be_active(settings, now_ms)?;
        Ok(steps)
    }

    /// The steps that the load of an on-demand stream asks for, also of one of the file, unless the map is another one by
    /// now. Each is for shards that are there.
    pub(in crate::stream::data) fn plan_load(
        &self,
        steps: &[Step],
        settings: &Settings,
        now_ms: u64,
    ) -> Result<Vec<Step>> {
        self.must_be_there(settings, now_ms)?;
        let mut closed = BTreeSet::new();
        let mut open = |index: u32| self.shard(index).filter(|shard| shard.closed.is_none() && closed.insert(index));
        let suits = |step: &Step| match *step {
            Step::Split { shard, start } => {
                open(shard).is_some_and(|shard| shard.range.start < start && start <= shard.range.end)
            }
            Step::Merge { lower, upper } => open(lower)
                .zip(open(upper))
                .is_some_and(|(lower, upper)| lower.range.end.checked_add(1) == Some(upper.range.start)),
        };
        if self.mode == Mode::OnDemand && steps.iter().all(suits) {
            return Ok(steps.to_vec());
        }
        let name = &self.name;
        Err(Error::new(Kind::Conflict, format!("data stream {name} was changed while its load was looked at")))
    }

    fn steps(&self, reshard: &Reshard, settings: &Settings) -> Result<Vec<Step>> {
        Ok(match reshard {
            Reshard::Split { shard, new_start } => vec![self.plan_split(shard, *new_start, settings)?],
            Reshard::Merge { shard, adjacent } => vec![self.plan_merge(shard, adjacent, settings)?],
            Reshard::Uniform { target } => self.to_count(*target),
        })
    }

    fn plan_split(&self, name: &str, start: u128, settings: &Settings) -> Result<Step> {
        let Shard { index, range, .. } = self.eligible(name, settings)?;
        if start <= range.start.saturating_add(1) || start >= range.end {
            return Err(Error::invalid(format!(
                "NewStartingHashKey {start} used in SplitShard() on shard {} in stream {} under account {} is not \
                 both greater than one plus the shard's StartingHashKey {} and less than the shard's EndingHashKey {}.",
                shard_name(*index),
                self.name,
                settings.account_id,
                range.start,
                range.end
            )));
        }
        Ok(Step::Split { shard: *index, start })
    }

    fn plan_merge(&self, lower: &str, upper: &str, settings: &Settings) -> Result<Step> {
        let (lower, upper) = (self.named(lower, settings)?, self.named(upper, settings)?);
        if lower.range.end.checked_add(1) != Some(upper.range.start) {
            return Err(Error::invalid(format!(
                "Shards {} and {} in stream {} under account {} are not an adjacent pair of shards eligible for \
                 merging",
                shard_name(lower.index),
                shard_name(upper.index),
                self.name,
                settings.account_id
            )));
        }
        for shard in [lower, upper] {
            self.must_be_open(shard, settings)?;
        }
        Ok(Step::Merge { lower: lower.index, upper: upper.index })
    }

    fn check_target(&self, target: u32, settings: &Settings, now_ms: u64) -> Result<()> {
        let current = u32::try_from(self.open_shards().count()).expect("shards are numbered with 32 bits");
        let counts = format!("Current open shard count: {current} Target shard count: {target}");
        if target == 0 || target > SHARDS_MAX {
            return Err(Error::invalid(format!("TargetShardCount {target} is not between 1 and {SHARDS_MAX}")));
        }
        if target > current.saturating_mul(2) {
            let said = "UpdateShardCount cannot scale up over double your current open shard count.";
            return Err(Error::invalid(format!("{said} {counts}")));
        }
        if u64::from(target) * 2 < u64::from(current) {
            let said = "UpdateShardCount cannot scale down below half your current open shard count.";
            return Err(Error::invalid(format!("{said} {counts}")));
        }
        if within_a_day(&self.rescaled_ms, now_ms).len() >= RESCALES_PER_DAY_MAX {
            let (name, account) = (&self.name, &settings.account_id);
            return Err(Error::new(
                Kind::Throttled,
                format!(
                    "The shard count of stream {name} under account {account} was updated {RESCALES_PER_DAY_MAX} \
                     times in the last 24 hours, which is the most there may be."
                ),
            ));
        }
        Ok(())
    }

    /// The steps to any number of open shards, whoever asks.
    pub(in crate::stream::data) fn to_count(&self, target: u32) -> Vec<Step> {
        uniform(&self.shards, self.next_shard, target)
    }

    /// The shard that a caller names, if it can be split or merged.
    fn eligible(&self, name: &str, settings: &Settings) -> Result<&Shard> {
        let shard = self.named(name, settings)?;
        self.must_be_open(shard, settings)?;
        Ok(shard)
    }

    fn named(&self, name: &str, settings: &Settings) -> Result<&Shard> {
        let shard = shard_index(name).ok().and_then(|index| self.shard(index));
        shard.ok_or_else(|| settings.shard_not_found(&self.name, name))
    }

    fn must_be_open(&self, shard: &Shard, settings: &Settings) -> Result<()> {
        if shard.closed.is_none() {
            return Ok(());
        }
        let (shard, name, account) = (shard_name(shard.index), &self.name, &settings.account_id);
        Err(Error::new(
            Kind::Conflict,
            format!(
                "Shard {shard} in stream {name} under account {account} has already been merged or split, and thus is \
                 not eligible for merging or splitting."
            ),
        ))
    }

    /// Gives a new stream its first shards. Their sequence numbers are dated after `after_ms`.
    pub(in crate::stream::data) fn fill(&mut self, count: u32, after_ms: Option<u64>) {
        let opened_ms = self.created_ms;
        let created_ms = opened_ms.max(after_ms.map_or(0, |after_ms| after_ms.saturating_add(1_000)));
        Map { shards: &mut self.shards, next: &mut self.next_shard }.fill(count, opened_ms, created_ms);
        self.find_routes();
    }

    /// Does what was planned; `ends` has the end in the journal of each shard that is closed.
    pub(in crate::stream::data) fn reshard(
        &mut self,
        steps: &[Step],
        ends: &BTreeMap<u32, u64>,
        now_ms: u64,
    ) -> Result<()> {
        Map { shards: &mut self.shards, next: &mut self.next_shard }.reshard(steps, ends, now_ms)?;
        self.find_routes();
        Ok(())
    }

    /// What the API's reshard leaves behind it beside the map.
    pub(in crate::stream::data) fn resharded(&mut self, reshard: &Reshard, settings: &Settings, now_ms: u64) {
        if let Reshard::Uniform { .. } = reshard {
            self.rescaled_ms = within_a_day(&self.rescaled_ms, now_ms);
            self.rescaled_ms.push(now_ms);
        }
        self.passing = settings.passing(Status::Updating, now_ms);
    }

    /// Drops those of `which` that are closed and past retention: every list may then do without them.
    pub(in crate::stream::data) fn forget_shards(&mut self, which: &[u32], now_ms: u64) {
        let (which, horizon_ms) = (which.iter().collect::<BTreeSet<_>>(), self.horizon_ms(now_ms));
        let over = |shard: &Shard| shard.closed.is_some_and(|closed| closed.at_ms < horizon_ms);
        self.shards.retain(|shard| !(which.contains(&shard.index) && over(shard)));
        self.find_routes();
    }
}
