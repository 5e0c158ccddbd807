//! What holds for new plans: the settings, and their steps made ready. While a step cannot be done nothing is planned: a
//! plan would pin what cannot be carried out, and would do so for ever.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use super::Orders;
use super::outage::Outage;
use super::prepare::Recipe;
use super::steps::Toolbox;
use super::target::Target;
use crate::clock::{Clock, Instant};
use crate::config::DeliveryStream;
use crate::error::{Error, Kind, Result};
use crate::limits::{RETRY_PAUSE_MAX, RETRY_PAUSE_MIN};
use crate::transform::Step;

/// Settings whose steps can be done.
pub(super) struct InForce {
    /// The settings.
    pub stream: Arc<DeliveryStream>,
    /// Their version.
    pub version: u64,
    /// Their steps, as plans name them.
    pub steps: Vec<Step>,
    /// Their steps, ready.
    pub recipe: Recipe,
}

impl InForce {
    /// Whether chunks that were prepared under `other` are those of this.
    pub(super) fn makes_the_same_as(&self, other: &InForce) -> bool {
        self.version == other.version && self.steps == other.steps
    }
}

/// Keeps what is in force up to date.
pub(super) struct Force {
    tools: Toolbox,
    clock: Clock,
    now: Option<Arc<InForce>>,
    blocked: Option<Blocked>,
    outage: Outage,
}

/// Why nothing can be planned, and when it is tried again.
struct Blocked {
    why: String,
    again: Instant,
    pause: Duration,
}

impl Force {
    pub(super) fn new(tools: Toolbox) -> Self {
        let clock = tools.clock.clone();
        Force { tools, clock, now: None, blocked: None, outage: Outage::default() }
    }

    /// What is in force, if its steps can be done.
    pub(super) fn now(&self) -> Option<&Arc<InForce>> {
        self.now.as_ref()
    }

    /// Why nothing can be planned, if nothing can.
    pub(super) fn fault(&self) -> Option<Error> {
        self.blocked.as_ref().map(|blocked| Error::unavailable(blocked.why.clone()))
    }

    /// Has what is in force follow `orders` and the registry. What cannot be done is tried again after a pause.
    pub(super) async fn follow(&mut self, orders: &Orders) {
        if self.blocked.as_ref().is_some_and(|blocked| self.clock.instant() < blocked.again) {
            return;
        }
        match self.make(orders).await {
            Ok(None) => {}
            Ok(Some(now)) => {
                self.now = Some(Arc::new(now));
                self.blocked = None;
                if let Some(toll) = self.outage.over(self.clock.instant()) {
                    let (stream, seconds) = (&orders.stream.name, toll.lasted.as_secs());
                    tracing::info!(stream, seconds, "the stream's processors can be run again");
                }
            }
            Err(error) => self.block(&orders.stream.name, &error),
        }
    }

    /// What is new in force, if anything is.
    async fn make(&self, orders: &Orders) -> Result<Option<InForce>> {
        let (stream, version) = (orders.stream.clone(), orders.version);
        let steps: Vec<_> = stream.process.iter().map(|step| self.tools.registry.step(step)).collect::<Result<_>>()?;
        let before = self.now.as_deref().filter(|now| now.steps == steps);
        if before.is_some_and(|now| now.version == version && Arc::ptr_eq(&now.stream, &stream)) {
            return Ok(None);
        }
        let target = Target::of(&stream, steps.clone());
        let recipe = match before {
            Some(now) => now.recipe.of(&target),
            None => Recipe::load(&target, &self.tools).await?,
        };
        Ok(Some(InForce { stream, version, steps, recipe }))
    }

    fn block(&mut self, stream: &str, error: &Error) {
        let pause = self.blocked.as_ref().map_or(RETRY_PAUSE_MIN, |blocked| (blocked.pause * 2).min(RETRY_PAUSE_MAX));
        let now = self.clock.instant();
        let why = match error.kind() {
            Kind::NotFound => format!("{error}; the stream's records wait for it"),
            _ => error.to_string(),
        };
        if let Some(toll) = self.outage.failed(now) {
            let (attempts, seconds) = (toll.attempts, toll.lasted.as_secs());
            tracing::error!(stream, attempts, seconds, %error, "a stream's processors cannot be run, its records wait in the journal");
        }
        self.now = None;
        self.blocked = Some(Blocked { why, again: now + pause, pause });
    }

    /// Tries again at once what is blocked: something has changed.
    pub(super) fn hurry(&mut self) {
        if let Some(blocked) = &mut self.blocked {
            blocked.again = self.clock.instant();
        }
    }

    /// Waits until [`follow`](Force::follow) has something to do beside new orders.
    pub(super) async fn due(&mut self) {
        let again = self.blocked.as_ref().map(|blocked| blocked.again);
        let (clock, registry) = (&self.clock, &mut self.tools.registry);
        tokio::select! {
            () = registry.changed() => {}
            () = async {
                match again {
                    Some(again) => clock.sleep_until(again).await,
                    None => future::pending().await,
                }
            } => {}
        }
        self.hurry();
    }
}
