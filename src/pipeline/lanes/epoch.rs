//! Under what rows are routed and lanes are cut, and how what was read before a start is routed until all of it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::Orders;
use super::super::deliver::Courier;
use super::super::force::InForce;
use super::super::prepare::Recipe;
use super::super::target::Target;
use super::keep::{Keeping, Planned, rules_of};
use crate::clock::Instant;
use crate::config::{DeliveryStream, Partitioning, Prefix, PrefixKind};
use crate::error::{Error, Result};
use crate::ledger::Standing;
use crate::limits::{RETRY_PAUSE_MAX, RETRY_PAUSE_MIN};
use crate::record::{ShardId, StreamId};

/// Settings, and their steps made ready.
pub(super) struct Epoch {
    pub stream: Arc<DeliveryStream>,
    pub version: u64,
    pub target: Target,
    pub prefix: Prefix,
    pub recipe: Recipe,
    pub rules: Partitioning,
    /// Where functions are called: how what they answer is kept.
    pub keeping: Option<Arc<Keeping>>,
}

/// What batches are kept for: the delivery stream, and what was planned when this process began.
pub(super) type Kept = (StreamId, Arc<Planned>);

impl Epoch {
    /// What is in force, if it is partitioned.
    pub(super) fn of(now: &InForce, kept: &Kept) -> Option<Epoch> {
        let target = Target::of(&now.stream, now.steps.clone());
        target.partition.as_ref()?;
        let prefix = now.stream.destination.prefix.clone();
        Epoch::new((now.stream.clone(), now.version), target, prefix, now.recipe.clone(), kept).ok()
    }

    fn new(
        (stream, version): (Arc<DeliveryStream>, u64),
        target: Target,
        prefix: Prefix,
        recipe: Recipe,
        (by, planned): &Kept,
    ) -> Result<Self> {
        let rules = rules_of(&target)?;
        let keeping = recipe.calls_functions().then(|| {
            let (recipe, rules, steps) = (recipe.clone(), rules.clone(), target.digest_of_steps());
            Arc::new(Keeping { recipe, rules, steps, stream: *by, planned: planned.clone() })
        });
        Ok(Epoch { stream, version, target, prefix, recipe, rules, keeping })
    }
}

/// What stands above the watermark was routed otherwise than the settings in force would route it: so it is until every shard
/// is read up to where something of it was planned.
pub(super) struct Before {
    target: Target,
    halts: BTreeMap<ShardId, u64>,
    blocked: Option<Blocked>,
}

/// Why its steps cannot be done, and when it is tried again.
struct Blocked {
    why: Error,
    again: Instant,
    pause: Duration,
}

impl Before {
    /// What was routed otherwise than `now`, if anything was.
    pub(super) fn of(standing: &Standing, now: Option<&InForce>) -> Result<Option<Self>> {
        let Some(written) = &standing.lanes.target else { return Ok(None) };
        let target = Target::read(written)?;
        let routes_as = |now: &InForce| Target::of(&now.stream, now.steps.clone()).routes_as(&target);
        if now.is_some_and(routes_as) {
            return Ok(None);
        }
        let mut halts = standing.ends_of_plans();
        halts.extend(standing.lanes.furthest());
        Ok(Some(Before { target, halts, blocked: None }))
    }

    /// Up to where each shard is routed so.
    pub(super) fn halts(&self) -> &BTreeMap<ShardId, u64> {
        &self.halts
    }

    /// Makes its steps ready; `None` while they cannot be, or it is not time to try again.
    pub(super) async fn epoch(&mut self, courier: &Courier, orders: &Orders, kept: &Kept) -> Option<Epoch> {
        let now = courier.workshop.clock.instant();
        if self.blocked.as_ref().is_some_and(|blocked| now < blocked.again) {
            return None;
        }
        match self.load(courier, orders, kept).await {
            Ok(epoch) => {
                self.blocked = None;
                Some(epoch)
            }
            Err(error) => {
                let pause = self.blocked.as_ref().map(|blocked| (blocked.pause * 2).min(RETRY_PAUSE_MAX));
                if pause.is_none() {
                    let stream = &courier.name;
                    tracing::error!(stream, %error, "what was read before cannot be processed as it was, its records wait");
                }
                let pause = pause.unwrap_or(RETRY_PAUSE_MIN);
                let why =
                    Error::new(error.kind(), format!("records that were read before wait for their steps: {error}"));
                self.blocked = Some(Blocked { why, again: now + pause, pause });
                None
            }
        }
    }

    async fn load(&self, courier: &Courier, orders: &Orders, kept: &Kept) -> Result<Epoch> {
        let rules = self.target.partition.as_ref().ok_or_else(|| Error::corrupt("a lane's plan has no keys"))?;
        let prefix = Prefix::parse(&rules.prefix, PrefixKind::Partitioned)?;
        let recipe = Recipe::load(&self.target, &courier.tools).await?;
        Epoch::new((orders.stream.clone(), orders.version), self.target.clone(), prefix, recipe, kept)
    }

    /// When it is tried again.
    pub(super) fn again(&self) -> Option<Instant> {
        self.blocked.as_ref().map(|blocked| blocked.again)
    }

    /// Tries again at once: something has changed.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let Some(blocked) = &mut self.blocked {
            blocked.again = now;
        }
    }

    /// Why it cannot be done.
    pub(super) fn fault(&self) -> Option<Error> {
        self.blocked.as_ref().map(|blocked| Error::new(blocked.why.kind(), blocked.why.to_string()))
    }
}
