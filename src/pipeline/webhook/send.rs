//! The task that sends a delivery stream's messages, one after the other, until each is taken or given up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::super::Orders;
use super::super::outage::Outage;
use super::outbox::{Letter, Name, Outbox};
use super::request::{Verdict, judge, request};
use crate::clock::Clock;
use crate::config::Webhook;
use crate::destination::Stores;
use crate::destination::http::{Refusal, read};
use crate::limits::{
    WEBHOOK_AGE_MAX, WEBHOOK_ANSWER_BYTES_MAX, WEBHOOK_ANSWER_TIME_MAX, WEBHOOK_PAUSE_MAX, WEBHOOK_PAUSE_MIN,
};
use crate::telemetry::metrics::StreamMetrics;

/// Sends what is in the outbox of one delivery stream.
pub(in super::super) struct Sender {
    pub stream: String,
    pub outbox: Arc<Outbox>,
    pub stores: Stores,
    pub clock: Clock,
    pub metrics: Arc<StreamMetrics>,
    pub orders: watch::Receiver<Orders>,
    /// Whether attempts fail.
    pub outage: Outage,
}

impl Sender {
    /// Sends what is there and what comes, for ever.
    pub(super) async fn run(self) {
        let (mut waits, mut pause) = (self.outbox.waits(), WEBHOOK_PAUSE_MIN);
        loop {
            let next = match waits.wait_for(|waits| waits.next().is_some()).await {
                Ok(waits) => waits.next(),
                Err(_) => return,
            };
            let Some(name) = next else { continue };
            let Some(least) = self.settle(name).await else {
                pause = WEBHOOK_PAUSE_MIN;
                continue;
            };
            let jitter = self.clock.random() % (pause.as_millis() as u64 / 2).max(1);
            let backoff = pause / 2 + Duration::from_millis(jitter);
            self.clock.sleep(backoff.max(least)).await;
            pause = (pause * 2).min(WEBHOOK_PAUSE_MAX);
        }
    }

    /// Does with one message what can be done now; how long it wants to wait if that was in vain.
    async fn settle(&self, name: Name) -> Option<Duration> {
        let letter = match self.outbox.read(name).await {
            Ok(Some(letter)) => letter,
            Ok(None) => {
                self.give_up(name, "it is not as it was written").await;
                return None;
            }
            Err(error) => {
                self.failed(name, &error.to_string());
                return Some(Duration::ZERO);
            }
        };
        let age_ms = self.clock.now_ms().saturating_sub(letter.made_ms);
        if self.outage.lasts() && u128::from(age_ms) > WEBHOOK_AGE_MAX.as_millis() {
            // Others of its age had their attempt, and it was in vain.
            self.give_up(name, "it is too old").await;
            return None;
        }
        let Some(webhook) = self.orders.borrow().stream.webhook.clone() else { return Some(Duration::ZERO) };
        match self.post(&webhook, &letter).await {
            Verdict::Taken => {
                self.outbox.remove(name).await;
                self.taken();
                None
            }
            Verdict::Refused(why) => {
                self.failed(name, &why);
                self.give_up(name, &why).await;
                None
            }
            Verdict::Again(why, least) => {
                self.failed(name, &why);
                Some(least)
            }
        }
    }

    /// One attempt.
    async fn post(&self, webhook: &Webhook, letter: &Letter) -> Verdict {
        let request = request(webhook, &letter.message, self.clock.now_ms());
        let again = |why: String| Verdict::Again(why, Duration::ZERO);
        let (client, request) = match self.stores.endpoints(&webhook.url).and_then(|client| Ok((client, request?))) {
            Ok(both) => both,
            Err(error) => return again(error.to_string()),
        };
        let answer = self.clock.within(webhook.timeout, client.send(request)).await;
        let (head, body) = match answer {
            Some(Ok(answer)) => answer,
            Some(Err(Refusal { message, .. })) => return again(message),
            None => return again(format!("there was no answer within {} s", webhook.timeout.as_secs())),
        };
        // What it says does not matter, only that the connection can be used again.
        let _ = self.clock.within(WEBHOOK_ANSWER_TIME_MAX, read(body, WEBHOOK_ANSWER_BYTES_MAX)).await;
        judge(&head, self.clock.now_ms())
    }

    fn taken(&self) {
        self.metrics.webhook_sent.inc();
        self.outbox.note(None);
        if let Some(toll) = self.outage.over(self.clock.instant()) {
            let (attempts, seconds) = (toll.attempts, toll.lasted.as_secs());
            tracing::info!(stream = self.stream, attempts, seconds, "the webhook's receiver takes messages again");
        }
    }

    fn failed(&self, name: Name, why: &str) {
        self.metrics.webhook_failures.inc();
        self.outbox.note(Some((why.to_owned(), self.clock.now_ms())));
        match self.outage.failed(self.clock.instant()) {
            Some(toll) => {
                let (attempts, seconds) = (toll.attempts, toll.lasted.as_secs());
                tracing::warn!(
                    stream = self.stream,
                    plan = name.plan,
                    attempts,
                    seconds,
                    error = why,
                    "a webhook's message was not taken; objects are delivered all the same"
                );
            }
            None => {
                tracing::debug!(stream = self.stream, plan = name.plan, error = why, "a message was not taken again");
            }
        }
    }

    async fn give_up(&self, name: Name, why: &str) {
        self.metrics.webhook_dropped.inc();
        tracing::warn!(stream = self.stream, plan = name.plan, reason = why, "a webhook's message is given up");
        self.outbox.remove(name).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DeliveryStream, Destination};
    use crate::disk::sim::SimDisk;
    use crate::pipeline::Until;
    use crate::pipeline::webhook::outbox::{Message, Outboxes};
    use crate::record::StreamId;

    /// A sender to a port that nobody listens on, at `now_ms`.
    fn sender(now_ms: u64) -> Sender {
        let webhook = Some(Box::new(Webhook::new("http://127.0.0.1:1/")));
        let stream = DeliveryStream { webhook, ..DeliveryStream::new("web", Destination::local("/lake")) };
        let (_, orders) = watch::channel(Orders { stream: Arc::new(stream), version: 1, until: Until::Forever });
        Sender {
            stream: "web".to_owned(),
            outbox: Outboxes::new(Arc::new(SimDisk::new(1))).of(StreamId(1)),
            stores: Stores::new(),
            clock: Clock::simulated(1, now_ms),
            metrics: Arc::default(),
            orders,
            outage: Outage::default(),
        }
    }

    #[tokio::test]
    async fn what_is_too_old_is_given_up_once_an_attempt_fails() {
        let old_ms = 1_700_000_000_000;
        let sender = sender(old_ms + WEBHOOK_AGE_MAX.as_millis() as u64 + 1);
        let message = Message { id: "a".to_owned(), body: "{}".into() };
        for plan in 0..3 {
            let made_ms = if plan == 2 { old_ms + 60_000 } else { old_ms };
            sender.outbox.keep(plan, made_ms, vec![message.clone()]).await.unwrap();
        }
        let name = |plan| Name { plan, number: 0 };
        assert_eq!(sender.settle(name(0)).await, Some(Duration::ZERO), "each start has an attempt, however late");
        assert_eq!(sender.settle(name(0)).await, None);
        assert_eq!(sender.settle(name(1)).await, None);
        assert_eq!(sender.settle(name(2)).await, Some(Duration::ZERO), "it is young enough");
        let (dropped, tries) = (sender.metrics.webhook_dropped.get(), sender.metrics.webhook_failures.get());
        assert_eq!((dropped, tries), (2, 2));
        let waits = sender.outbox.waits();
        assert_eq!(waits.borrow().next(), Some(name(2)));
        let fault = waits.borrow().fault.clone().unwrap().0;
        assert!(fault.starts_with("Unable to connect"), "{fault}");
    }
}
