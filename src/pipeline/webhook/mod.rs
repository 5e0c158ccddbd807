//! A webhook: a receiver is told of each object of a delivery stream at least once, and delivery waits for no receiver.
//!
//! Once a plan's objects are durable, and before it is committed, their messages are written into the stream's [`outbox`]. So a
//! crash at any time leaves a plan that is carried out again, or messages that are sent. One task for each stream [`send`]s them in
//! the order of their plans, as far as they are there, each until it is taken, or refused for good, or too old. What finds no room
//! in the outbox, or no disk that takes it, is dropped, counted and said: the object is delivered all the same.

mod message;
mod outbox;
mod request;
mod send;
mod there;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use self::message::{Done, Stream};
pub(super) use self::outbox::Outbox;
pub use self::outbox::Outboxes;
pub(super) use self::send::Sender;
pub(super) use self::there::There;
use super::deliver::{Courier, given_up};
use super::endpoint::Progress;
use super::outage::Outage;
use super::target::Target;
use super::{Orders, Parts, Until};
use crate::ledger::{Plan, PlanId, Tally};

/// The sending of one delivery stream's messages; it ends when this is dropped.
pub(super) struct Sending {
    outbox: Arc<Outbox>,
    orders: watch::Receiver<Orders>,
    _task: AbortOnDropHandle<()>,
}

/// What sends the messages of the pipeline that `parts` make.
pub(super) fn sender(parts: &Parts) -> Sender {
    Sender {
        stream: parts.name.clone(),
        outbox: parts.webhooks.of(parts.feed.by()),
        stores: parts.stores.clone(),
        clock: parts.clock.clone(),
        metrics: parts.metrics.clone(),
        orders: parts.orders.clone(),
        outage: Outage::default(),
    }
}

impl Sending {
    /// Begins to send what an earlier process left and what comes. What is left of a webhook that is no more is dropped. No disk that
    /// fails holds delivery up.
    pub(super) async fn begin(sender: Sender) -> Option<Self> {
        let (stream, outbox, orders) = (&sender.stream, sender.outbox.clone(), sender.orders.clone());
        if orders.borrow().stream.webhook.is_some() {
            let task = AbortOnDropHandle::new(tokio::spawn(sender.run()));
            return Some(Sending { outbox, orders, _task: task });
        }
        match outbox.clear().await {
            Ok(0) => {}
            Ok(messages) => tracing::warn!(stream, messages, "the webhook is no more, its messages are dropped"),
            Err(error) => tracing::warn!(stream, %error, "the webhook is no more, its messages cannot be removed"),
        }
        None
    }

    /// After the last object: waits until everything is sent, or something was not taken, or the time for it is over. The rest is sent
    /// after the next start.
    pub(super) async fn finish(mut self) {
        if !matches!(self.orders.borrow().until, Until::Flushed | Until::Drained) {
            return;
        }
        let mut waits = self.outbox.waits();
        tokio::select! {
            _ = waits.wait_for(outbox::Waits::is_at_rest) => {}
            () = given_up(&mut self.orders) => {}
        }
    }
}

impl Courier {
    /// Has the receiver told of the objects of a plan that was carried out, if there is one.
    pub(super) async fn announce(
        &self,
        (id, plan): (PlanId, &Plan),
        tally: &Tally,
        (there, progress): (&There, &Progress),
    ) {
        if self.orders.borrow().stream.webhook.is_none() {
            return;
        }
        let objects = there.all();
        if objects.is_empty() {
            return;
        }
        let Ok(target) = Target::of_plan(plan) else { return };
        let (now_ms, now) = (self.clock().now_ms(), self.clock().instant());
        let stream = Stream { name: &self.name, arn: &self.tools.caller.delivery_stream_arn };
        let done = Done { plan, target: &target, tally, progress };
        let messages: Vec<_> =
            objects.iter().map(|(key, bytes)| done.message(&stream, (key, *bytes), now_ms)).collect();
        let count = messages.len() as u64;
        let (dropped, why) = match self.outbox.keep(id, now_ms, messages).await {
            Ok(dropped) => (dropped, "too many wait".to_owned()),
            Err(error) => (count, error.to_string()),
        };
        if dropped == 0 {
            self.unannounced.over(now);
            return;
        }
        self.workshop.metrics.webhook_dropped.inc_by(dropped);
        if let Some(toll) = self.unannounced.failed(now) {
            let plans = toll.attempts;
            tracing::warn!(
                stream = self.name,
                key = plan.key,
                plans,
                reason = why,
                "messages of a webhook are dropped"
            );
        }
    }
}
