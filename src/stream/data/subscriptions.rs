//! Who is subscribed to which shard: one subscription for each consumer and shard; a later one takes over.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::definition::Status;
use super::shard::shard_name;
use super::{DataStream, DataStreams};
use crate::clock::Instant;
use crate::error::{Error, Kind, Result};
use crate::limits::{SUBSCRIPTION_TAKEOVER_AFTER, SUBSCRIPTIONS_MAX};
use crate::record::StreamId;

/// One subscription; it is over when it is dropped.
pub struct Subscription {
    taken_over: CancellationToken,
    streams: DataStreams,
    place: Place,
    number: u64,
}

impl Subscription {
    /// Cancelled when another call of the same consumer took the shard over, or the consumer was deregistered.
    pub fn over(&self) -> &CancellationToken {
        &self.taken_over
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.streams.shared.subscriptions.remove(&self.place, self.number);
    }
}

impl DataStream {
    /// Subscribes a registered consumer to a shard; it is named as in [`Definition::consumer`](super::Definition::consumer).
    ///
    /// A subscription that is over, because its client went away, keeps no other from its place, however young it is.
    ///
    /// # Errors
    /// `NotFound` without such a consumer or shard; `Conflict` within
    /// [`SUBSCRIPTION_TAKEOVER_AFTER`] of the last one that succeeded and
    /// still lasts; `Throttled` over [`SUBSCRIPTIONS_MAX`].
    pub fn subscribe(&self, consumer: &str, shard: u32) -> Result<Subscription> {
        let all = &self.streams.shared;
        let definition = self.definition()?;
        let registered = definition.consumer(consumer, &all.settings)?;
        let name = &registered.name;
        if registered.status(&all.settings, all.clock.now_ms()) != Status::Active {
            let (account, stream) = (&all.settings.account_id, &self.name);
            let fault = format!("Consumer {name} of stream {stream} under account {account} is not ACTIVE.");
            return Err(Error::new(Kind::NotFound, fault));
        }
        if definition.shard(shard).is_none() {
            return Err(all.settings.shard_not_found(&self.name, &shard_name(shard)));
        }
        let place = Place { stream: self.id, consumer: name.clone(), since_ms: registered.created_ms, shard };
        let Some((number, taken_over)) = all.subscriptions.add(&place, all.clock.instant())? else {
            let (account, shard) = (&all.settings.account_id, shard_name(shard));
            let fault = "Another active subscription exists for this consumer";
            return Err(Error::new(Kind::Conflict, format!("{fault}: {account}:{}:{name}:{shard}", self.name)));
        };
        Ok(Subscription { taken_over, streams: self.streams.clone(), place, number })
    }
}

/// All subscriptions.
#[derive(Default)]
pub(super) struct Subscriptions {
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    held: HashMap<Place, Held>,
    given: u64,
}

/// What one subscription is to. A consumer that is registered again under its name is another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    stream: StreamId,
    consumer: String,
    since_ms: u64,
    shard: u32,
}

struct Held {
    number: u64,
    since: Instant,
    taken_over: CancellationToken,
}

impl Subscriptions {
    /// Takes a place, from who had it; none while that one is too young.
    fn add(&self, place: &Place, now: Instant) -> Result<Option<(u64, CancellationToken)>> {
        let mut all = self.all();
        match all.held.get(place) {
            Some(held) if now.saturating_duration_since(held.since) < SUBSCRIPTION_TAKEOVER_AFTER => return Ok(None),
            Some(held) => held.taken_over.cancel(),
            None if all.held.len() >= SUBSCRIPTIONS_MAX => {
                let fault = format!("there are {SUBSCRIPTIONS_MAX} subscriptions, which is the most at once");
                return Err(Error::new(Kind::Throttled, fault));
            }
            None => {}
        }
        all.given += 1;
        let number = all.given;
        let taken_over = CancellationToken::new();
        all.held.insert(place.clone(), Held { number, since: now, taken_over: taken_over.clone() });
        Ok(Some((number, taken_over)))
    }

    /// Frees a place, unless another one has taken it over.
    fn remove(&self, place: &Place, number: u64) {
        let mut all = self.all();
        if all.held.get(place).is_some_and(|held| held.number == number) {
            all.held.remove(place);
        }
    }

    /// Ends the subscriptions of consumers that are no more.
    pub(super) fn retain(&self, exists: impl Fn(StreamId, &str, u64) -> bool) {
        self.all().held.retain(|place, held| {
            let stays = exists(place.stream, &place.consumer, place.since_ms);
            if !stays {
                held.taken_over.cancel();
            }
            stays
        });
    }

    /// The shards that consumers of a stream are subscribed to, with the consumers' names.
    pub(super) fn of(&self, stream: StreamId) -> Vec<(String, u32)> {
        let all = self.all();
        let of_stream = all.held.keys().filter(|place| place.stream == stream);
        of_stream.map(|place| (place.consumer.clone(), place.shard)).collect()
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    fn place(consumer: &str, since_ms: u64, shard: u32) -> Place {
        Place { stream: StreamId(1), consumer: consumer.into(), since_ms, shard }
    }

    #[test]
    fn a_place_is_taken_over_after_five_seconds_and_freed_by_its_own_holder_only() {
        let (all, now) = (Subscriptions::default(), Clock::real().instant());
        let place = place("a", 1, 0);
        let (first, over) = all.add(&place, now).unwrap().unwrap();
        assert!(all.add(&place, now + Duration::from_millis(4_999)).unwrap().is_none());
        assert!(!over.is_cancelled());
        let (second, _) = all.add(&place, now + Duration::from_secs(5)).unwrap().unwrap();
        assert!(over.is_cancelled());
        all.remove(&place, first);
        assert_eq!(all.of(StreamId(1)), [("a".to_owned(), 0)], "the first one's end does not touch the second");
        all.remove(&place, second);
        assert!(all.add(&place, now + Duration::from_secs(5)).unwrap().is_some(), "who is gone keeps nobody out");
    }

    #[test]
    fn consumers_and_shards_do_not_meet_and_their_number_is_bounded() {
        let (all, now) = (Subscriptions::default(), Clock::real().instant());
        for shard in 0..SUBSCRIPTIONS_MAX as u32 {
            assert!(all.add(&place("a", 1, shard), now).unwrap().is_some());
        }
        assert_eq!(all.add(&place("b", 1, 0), now).err().map(|error| error.kind()), Some(Kind::Throttled));
        assert!(all.add(&place("a", 1, 0), now + Duration::from_secs(9)).unwrap().is_some(), "a takeover adds none");
    }

    #[test]
    fn a_consumer_that_was_registered_anew_has_nothing_of_the_old_one() {
        let (all, now) = (Subscriptions::default(), Clock::real().instant());
        let (_, old) = all.add(&place("a", 1, 0), now).unwrap().unwrap();
        let (_, new) = all.add(&place("a", 2, 0), now).unwrap().unwrap();
        all.retain(|_, _, since_ms| since_ms == 2);
        assert!(old.is_cancelled() && !new.is_cancelled());
    }
}
