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
use crate::config::{Columnar, Conversion, DeliveryStream, GlueTable, SchemaFrom, TableSchema};
use crate::error::{Error, Kind, Result};
use crate::format::columnar::glue_table;
use crate::limits::{GLUE_ASKED_EVERY, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN};
use crate::transform::{Names, Step};

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
    /// What the registry's names stood for when `now` was made.
    names: Names,
    blocked: Option<Blocked>,
    outage: Outage,
    glue: Option<Glue>,
}

/// A table of AWS Glue as it was last seen.
struct Glue {
    of: GlueTable,
    table: TableSchema,
    /// When it is asked for again.
    again: Instant,
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
        Force { tools, clock, now: None, names: Names::default(), blocked: None, outage: Outage::default(), glue: None }
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
    async fn make(&mut self, orders: &Orders) -> Result<Option<InForce>> {
        let names = self.tools.registry.names();
        if self.is_current(orders, &names) {
            return Ok(None);
        }
        let (stream, version) = (orders.stream.clone(), orders.version);
        let mut steps: Vec<_> =
            stream.process.iter().map(|step| self.tools.registry.step(step)).collect::<Result<_>>()?;
        if let Some(conversion) = &stream.destination.conversion {
            steps.push(Step::Convert(Arc::new(self.resolved(conversion).await?)));
        }
        let before = self.now.as_deref().filter(|now| now.steps == steps);
        if before.is_some_and(|now| now.version == version && Arc::ptr_eq(&now.stream, &stream)) {
            self.names = names;
            return Ok(None);
        }
        let target = Target::of(&stream, steps.clone());
        let recipe = match before {
            Some(now) => now.recipe.of(&target),
            None => Recipe::load(&target, &self.tools).await?,
        };
        self.names = names;
        Ok(Some(InForce { stream, version, steps, recipe }))
    }

    /// Whether nothing has changed of all that what is in force is made of: this is asked with every turn of the loop, and making it
    /// copies and checks schemas.
    fn is_current(&self, orders: &Orders, names: &Names) -> bool {
        let Some(now) = &self.now else { return false };
        let is_same = now.version == orders.version && Arc::ptr_eq(&now.stream, &orders.stream);
        let is_asked = self.glue.as_ref().is_some_and(|known| known.again <= self.clock.instant());
        is_same && Arc::ptr_eq(&self.names, names) && !is_asked
    }

    /// The conversion with its schema.
    async fn resolved(&mut self, conversion: &Conversion) -> Result<Columnar> {
        let SchemaFrom::Glue(wanted) = &conversion.schema else { return conversion.resolved(None) };
        let now = self.clock.instant();
        let known = self.glue.take_if(|known| known.of != **wanted);
        drop(known);
        if self.glue.as_ref().is_none_or(|known| known.again <= now) {
            match (glue_table(wanted).await, &mut self.glue) {
                (Ok(table), _) => {
                    self.glue = Some(Glue { of: (**wanted).clone(), table, again: now + GLUE_ASKED_EVERY });
                }
                (Err(error), Some(known)) => {
                    known.again = now + GLUE_ASKED_EVERY;
                    tracing::warn!(table = wanted.table, %error, "AWS Glue cannot be asked, the schema stays as it was");
                }
                (Err(error), None) => return Err(error),
            }
        }
        conversion.resolved(self.glue.as_ref().map(|known| known.table.clone()))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::sync::watch;

    use super::super::Until;
    use super::*;
    use crate::config::{Destination, Processor, Store};
    use crate::transform::function::{self, Caller};
    use crate::transform::{Known, Names, Registry};

    fn orders(version: u64, process: Vec<Processor>) -> Orders {
        let destination = Destination::new(Store::Local { path: "/lake".into() });
        let stream = DeliveryStream { process, ..DeliveryStream::new("web", destination) };
        Orders { stream: Arc::new(stream), version, until: Until::Forever }
    }

    fn plugin() -> Processor {
        Processor::Plugin { name: "p".to_owned(), config: BTreeMap::new(), retries: None, batch_bytes: None }
    }

    fn force(names: watch::Receiver<Names>, clock: Clock) -> Force {
        let caller = Caller { delivery_stream_arn: String::new(), region: String::new(), source_arn: None };
        let registry = Registry::without_plugins(names);
        Force::new(Toolbox { stream: "web".to_owned(), registry, caller, clock, metrics: Arc::default() })
    }

    fn why(force: &Force) -> String {
        force.fault().map(|error| error.to_string()).unwrap_or_default()
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_done_is_said_and_tried_again_after_longer_and_longer_pauses() {
        let clock = Clock::simulated(1, 0);
        let (names, now) = watch::channel(Arc::default());
        let mut force = force(now, clock.clone());
        let orders = orders(1, vec![plugin()]);
        force.follow(&orders).await;
        assert!(force.now().is_none() && why(&force).contains("\"p\" is not in the configuration"), "{}", why(&force));
        for pause in [RETRY_PAUSE_MIN, RETRY_PAUSE_MIN * 2, RETRY_PAUSE_MIN * 4] {
            let before = clock.instant();
            force.due().await;
            assert_eq!(clock.instant() - before, pause);
            force.follow(&orders).await;
        }
        names.send_replace(Arc::new([("p".to_owned(), Known::Unusable("it is torn".to_owned()))].into()));
        let before = clock.instant();
        force.due().await;
        assert_eq!(clock.instant(), before, "a change is no reason to wait");
        force.follow(&orders).await;
        assert!(why(&force).contains("it is torn"), "{}", why(&force));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_force_follows_settings_and_steps() {
        let (_names, now) = watch::channel(Arc::default());
        let mut force = force(now, Clock::simulated(1, 0));
        force.follow(&orders(1, vec![Processor::RequireJson])).await;
        let first = force.now().unwrap().clone();
        assert_eq!(first.steps, [Step::RequireJson]);
        force.follow(&orders(1, vec![Processor::RequireJson])).await;
        let second = force.now().unwrap().clone();
        assert!(second.makes_the_same_as(&first) && !Arc::ptr_eq(&first, &second), "new credentials, perhaps");
        force.follow(&orders(1, Vec::new())).await;
        assert!(!force.now().unwrap().makes_the_same_as(&second), "other steps");
        force.follow(&orders(2, Vec::new())).await;
        assert!(force.now().unwrap().version == 2 && force.fault().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_made_while_nothing_has_changed() {
        let known = || Names::from(BTreeMap::from([("p".to_owned(), Known::Unusable(String::new()))]));
        let (names, now) = watch::channel(known());
        let mut force = force(now, Clock::simulated(1, 0));
        let same = orders(1, vec![Processor::RequireJson]);
        let is_current = |force: &Force, orders: &Orders| force.is_current(orders, &force.tools.registry.names());
        assert!(!is_current(&force, &same));
        force.follow(&same).await;
        assert!(is_current(&force, &same));
        assert!(!is_current(&force, &orders(1, vec![Processor::RequireJson])), "new credentials, perhaps");
        assert!(!is_current(&force, &Orders { version: 2, ..same.clone() }));
        names.send_replace(known());
        assert!(!is_current(&force, &same));
        force.follow(&same).await;
        assert!(is_current(&force, &same), "it was looked at, and is the same");
    }

    #[tokio::test(start_paused = true)]
    async fn what_calls_functions_is_known_and_a_url_that_is_none_is_said() {
        let settings = |url: &str| function::Settings {
            name: "p".to_owned(),
            url: url.to_owned(),
            arn: "arn:f".to_owned(),
            timeout: Duration::from_secs(1),
            retries: 3,
            batch_bytes: 9,
        };
        let known = |url| Arc::new(BTreeMap::from([("p".to_owned(), Known::Function(settings(url)))]));
        let (names, now) = watch::channel(known("http://f"));
        let mut force = force(now, Clock::simulated(1, 0));
        force.follow(&orders(1, vec![plugin()])).await;
        assert!(force.now().unwrap().recipe.calls_functions());
        force.follow(&orders(2, vec![Processor::RequireJson])).await;
        assert!(!force.now().unwrap().recipe.calls_functions());
        names.send_replace(known("http://a b"));
        force.follow(&orders(3, vec![plugin()])).await;
        assert!(
            force.now().is_none() && why(&force).contains("the function \"p\" cannot be called"),
            "{}",
            why(&force)
        );
    }
}
