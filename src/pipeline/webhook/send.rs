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

/// When the next attempt is, at the same message or at another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Now,
    /// A message was given up for its age. The one behind it has its own attempt, after this time at the least; pauses begin anew, so
    /// that those of its age do not hold up the others for days.
    AfterLost(Duration),
    /// After a pause that grows, and this time at the least.
    AfterFailed(Duration),
}

impl Sender {
    /// Sends what is there and what comes, for ever.
    pub(super) async fn run(self) {
        self.open().await;
        let (mut waits, mut pause) = (self.outbox.waits(), WEBHOOK_PAUSE_MIN);
        loop {
            let next = match waits.wait_for(|waits| waits.next().is_some()).await {
                Ok(waits) => waits.next(),
                Err(_) => return,
            };
            let Some(name) = next else { continue };
            match self.settle(&name).await {
                Next::Now => pause = WEBHOOK_PAUSE_MIN,
                Next::AfterLost(least) => {
                    self.wait(WEBHOOK_PAUSE_MIN, least).await;
                    pause = WEBHOOK_PAUSE_MIN;
                }
                Next::AfterFailed(least) => {
                    self.wait(pause, least).await;
                    pause = (pause * 2).min(WEBHOOK_PAUSE_MAX);
                }
            }
        }
    }

    /// Finds what an earlier process left, as soon as the disk shows it. Until then what comes is dropped.
    async fn open(&self) {
        let mut pause = WEBHOOK_PAUSE_MIN;
        while let Err(error) = self.outbox.open().await {
            tracing::warn!(stream = self.stream, %error, "nothing is sent to the webhook; objects are delivered all the same");
            self.outbox.note(Some((error.to_string(), self.clock.now_ms())));
            self.wait(pause, Duration::ZERO).await;
            pause = (pause * 2).min(WEBHOOK_PAUSE_MAX);
        }
        self.outbox.note(None);
    }

    async fn wait(&self, pause: Duration, least: Duration) {
        let jitter = self.clock.random() % (pause.as_millis() as u64 / 2).max(1);
        let backoff = pause / 2 + Duration::from_millis(jitter);
        self.clock.sleep(backoff.max(least)).await;
    }

    /// Does with one message what can be done now.
    async fn settle(&self, name: &Name) -> Next {
        let letter = match self.outbox.read(name).await {
            Ok(Some(letter)) => letter,
            Ok(None) => {
                self.give_up(name, "it is not as it was written").await;
                return Next::Now;
            }
            Err(error) => {
                self.failed(name, &error.to_string());
                return Next::AfterFailed(Duration::ZERO);
            }
        };
        let Some(webhook) = self.orders.borrow().stream.webhook.clone() else {
            return Next::AfterFailed(Duration::ZERO);
        };
        match self.post(&webhook, &letter).await {
            Verdict::Taken => {
                self.outbox.remove(name).await;
                self.taken();
                Next::Now
            }
            Verdict::Refused(why) => {
                self.tried_in_vain(&why);
                self.give_up(name, &why).await;
                Next::Now
            }
            Verdict::Again(why, least) => {
                self.failed(name, &why);
                if !self.is_old(&letter) {
                    return Next::AfterFailed(least);
                }
                self.give_up(name, "it is too old").await;
                Next::AfterLost(least)
            }
        }
    }

    fn is_old(&self, letter: &Letter) -> bool {
        let age_ms = self.clock.now_ms().saturating_sub(letter.made_ms);
        u128::from(age_ms) > WEBHOOK_AGE_MAX.as_millis()
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

    fn tried_in_vain(&self, why: &str) {
        self.metrics.webhook_failures.inc();
        self.outbox.note(Some((why.to_owned(), self.clock.now_ms())));
    }

    /// Of an attempt that is to be repeated; one that was refused says nothing of the next.
    fn failed(&self, name: &Name, why: &str) {
        self.tried_in_vain(why);
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

    async fn give_up(&self, name: &Name, why: &str) {
        self.metrics.webhook_dropped.inc();
        tracing::warn!(stream = self.stream, plan = name.plan, reason = why, "a webhook's message is given up");
        self.outbox.remove(name).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::{DeliveryStream, Destination};
    use crate::disk::sim::{Op, SimDisk};
    use crate::pipeline::Until;
    use crate::pipeline::webhook::Sending;
    use crate::pipeline::webhook::outbox::{Message, Outboxes, Waits};
    use crate::record::StreamId;

    const OLD_MS: u64 = 1_700_000_000_000;
    const NOW_MS: u64 = OLD_MS + WEBHOOK_AGE_MAX.as_millis() as u64 + 1;

    /// A sender to `url`, when messages of `OLD_MS` are too old.
    fn sender(url: &str, disk: SimDisk) -> Sender {
        let webhook = Some(Box::new(Webhook::new(url)));
        let stream = DeliveryStream { webhook, ..DeliveryStream::new("web", Destination::local("/lake")) };
        let (_, orders) = watch::channel(Orders { stream: Arc::new(stream), version: 1, until: Until::Forever });
        Sender {
            stream: "web".to_owned(),
            outbox: Outboxes::new(Arc::new(disk)).of(StreamId(1)),
            stores: Stores::new(),
            clock: Clock::simulated(1, NOW_MS),
            metrics: Arc::default(),
            orders,
            outage: Outage::default(),
        }
    }

    fn name(plan: u64) -> Name {
        Name { plan, id: "a".to_owned() }
    }

    async fn keep(sender: &Sender, plan: u64, made_ms: u64) {
        let message = Message { id: name(plan).id, body: "{}".into() };
        assert_eq!(sender.outbox.keep(plan, made_ms, vec![message]).await.unwrap(), 0);
    }

    /// Answers one request after the other with these, each on a connection of its own, and takes no more; its URL.
    async fn receiver(statuses: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for status in statuses {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n{}") {
                    assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0);
                }
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        url
    }

    const WAIT: Next = Next::AfterFailed(Duration::ZERO);
    const LOST: Next = Next::AfterLost(Duration::ZERO);

    #[tokio::test]
    async fn what_is_too_old_is_given_up_once_an_attempt_of_its_own_fails() {
        let sender = sender("http://127.0.0.1:1/", SimDisk::new(1));
        for plan in 0..3 {
            keep(&sender, plan, if plan == 2 { OLD_MS + 60_000 } else { OLD_MS }).await;
        }
        for (plan, next) in [(0, LOST), (1, LOST), (2, WAIT), (2, WAIT)] {
            assert_eq!(sender.settle(&name(plan)).await, next, "{plan}");
        }
        let (dropped, tries) = (sender.metrics.webhook_dropped.get(), sender.metrics.webhook_failures.get());
        assert_eq!((dropped, tries), (2, 4));
        let waits = sender.outbox.waits();
        assert_eq!(waits.borrow().next(), Some(name(2)));
        let fault = waits.borrow().fault.clone().unwrap().0;
        assert!(fault.starts_with("Unable to connect"), "{fault}");
    }

    #[tokio::test]
    async fn however_old_each_is_tried_whatever_became_of_those_before_it() {
        let statuses = &["422 No", "200 OK", "500 Oh", "500 Oh", "204 OK", "400 No", "200 OK"];
        let sender = sender(&receiver(statuses).await, SimDisk::new(1));
        for plan in 0..6 {
            keep(&sender, plan, if plan == 2 { NOW_MS } else { OLD_MS }).await;
        }
        for (plan, next) in [(0, Next::Now), (1, Next::Now), (2, WAIT), (3, LOST), (4, Next::Now), (5, Next::Now)] {
            assert_eq!(sender.settle(&name(plan)).await, next, "{plan}");
        }
        assert!(!sender.outage.lasts(), "one that is refused begins no outage");
        assert_eq!(sender.settle(&name(2)).await, Next::Now);
        assert_eq!(sender.metrics.webhook(), (3, 4, 3));
        assert_eq!(sender.outbox.waits().borrow().next(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_shows_nothing_at_first_holds_nothing_up_and_its_messages_are_sent_later() {
        let disk = SimDisk::new(1);
        keep(&sender("http://127.0.0.1:1/", disk.clone()), 7, NOW_MS).await;
        let sender = sender("http://127.0.0.1:1/", disk.clone());
        let (outbox, orders, clock) = (sender.outbox.clone(), sender.orders.clone(), sender.clock.clone());
        let mut waits = outbox.waits();
        disk.fail_from(Op::List, 1, io::ErrorKind::PermissionDenied);
        let sending = Sending::begin(sender).await;
        assert!(sending.is_some() && orders.borrow().stream.webhook.is_some());
        let fault = |waits: &Waits| waits.fault.as_ref().map(|fault| fault.0.clone()).unwrap_or_default();
        waits.wait_for(|waits| fault(waits).contains("cannot be listed")).await.unwrap();
        clock.sleep(WEBHOOK_PAUSE_MAX).await;
        assert_eq!(waits.borrow().next(), None);
        disk.heal();
        waits.wait_for(|waits| fault(waits).starts_with("Unable to connect")).await.unwrap();
        assert_eq!(waits.borrow().next(), Some(name(7)));
    }
}
