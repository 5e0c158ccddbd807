//! Under which names the checkpoints of shards stand in the journal.
//!
//! A shard's checkpoint stands under its own name, as long as it may be asked for. A shard that its stream has not listed
//! for a day is past (its records lived a day at the least), and who comes new takes its place, with its first records:
//! so there are never many more checkpoints than shards, and nothing has to be put to forget one.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::checkpoint::{Naming, Progress};
use crate::error::{Error, Result};
use crate::limits::SOURCE_SHARD_KEPT;

/// The places of one stream's shards, and of those of streams that were made before under its ARN.
pub(super) struct Slots {
    naming: Naming,
    /// By the full name of the shard that has it.
    slots: BTreeMap<String, Slot>,
}

struct Slot {
    /// The name under which the checkpoint stands.
    source: String,
    last: Option<Progress>,
    /// When the shard was last known to be there, milliseconds since 1970.
    seen_ms: u64,
}

/// A shard's place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// The name under which its checkpoint stands.
    pub(super) source: String,
    /// Its own full name, where that is another one.
    pub(super) of: Option<String>,
    /// The last record that was copied, if one was.
    pub(super) last: Option<Progress>,
}

impl Slots {
    /// Those that `checkpoints` tell of.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(super) fn load(naming: Naming, checkpoints: &BTreeMap<String, Bytes>) -> Result<Self> {
        let mut slots = BTreeMap::new();
        for (source, at) in checkpoints.iter().filter(|(source, _)| naming.is_of_stream(source)) {
            let last: Progress = serde_json::from_slice(at).map_err(|error| {
                Error::corrupt(format!("the checkpoint of source {source} cannot be read")).because(error)
            })?;
            let of = last.of.clone().unwrap_or_else(|| source.clone());
            slots.insert(of, Slot { source: source.clone(), seen_ms: last.arrived_ms, last: Some(last) });
        }
        Ok(Slots { naming, slots })
    }

    /// Takes note that these shards are there.
    pub(super) fn seen<'a>(&mut self, shards: impl Iterator<Item = &'a str>, now_ms: u64) {
        for shard in shards {
            if let Some(slot) = self.slots.get_mut(&self.naming.source(shard)) {
                slot.seen_ms = now_ms;
            }
        }
    }

    /// The place of a shard: its own, or that of one that is past and not `running`, or a new one.
    pub(super) fn take(&mut self, shard: &str, running: &BTreeSet<String>, now_ms: u64) -> Taken {
        let name = self.naming.source(shard);
        let running: BTreeSet<String> = running.iter().map(|shard| self.naming.source(shard)).collect();
        if !self.slots.contains_key(&name) {
            let oldest_ms = now_ms.saturating_sub(SOURCE_SHARD_KEPT.as_millis() as u64);
            let is_past = |(name, slot): &(&String, &Slot)| slot.seen_ms < oldest_ms && !running.contains(*name);
            let past = self.slots.iter().find(is_past).map(|(past, _)| past.clone());
            let past = past.and_then(|past| self.slots.remove(&past));
            let source = past.map_or_else(|| self.free(&name), |slot| slot.source);
            self.slots.insert(name.clone(), Slot { source, last: None, seen_ms: now_ms });
        }
        let Slot { source, last, .. } = &self.slots[&name];
        Taken { source: source.clone(), of: (*source != name).then_some(name), last: last.clone() }
    }

    /// A name like this one that nobody uses: a shard that was past and is back may find another under its own.
    fn free(&self, name: &str) -> String {
        let mut source = name.to_owned();
        while self.slots.values().any(|slot| slot.source == source) {
            source.push('+');
        }
        source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;
    const ARN: &str = "arn:x:stream/a";

    fn naming(created_ms: u64) -> Naming {
        Naming::new(ARN, created_ms)
    }

    fn progress(sequence: &str, arrived_ms: u64, of: Option<&str>) -> Bytes {
        Progress { sequence: sequence.into(), arrived_ms, of: of.map(str::to_owned) }.encode()
    }

    fn taken(source: &str, of: Option<&str>, last: Option<(&str, u64)>) -> Taken {
        let of = of.map(str::to_owned);
        let progress =
            |(sequence, arrived_ms): (&str, _)| Progress { sequence: sequence.into(), arrived_ms, of: of.clone() };
        Taken { source: source.into(), last: last.map(progress), of }
    }

    #[test]
    fn a_shard_takes_the_place_of_one_that_is_past_and_of_no_other() {
        let own = |shard: &str| naming(2).source(shard);
        let stored = BTreeMap::from([
            (own("0"), progress("10", 0, None)),
            (own("1"), progress("11", DAY_MS, None)),
            (naming(1).source("0"), progress("12", 0, None)),
            (Naming::new("arn:x:stream/b", 2).source("0"), progress("13", 0, None)),
        ]);
        let mut slots = Slots::load(naming(2), &stored).unwrap();
        let (none, now_ms) = (BTreeSet::new(), DAY_MS + 1);
        // 0 is listed, and 1 was there a moment ago.
        slots.seen(["0"].into_iter(), now_ms);
        assert_eq!(slots.take("0", &none, now_ms), taken(&own("0"), None, Some(("10", 0))));
        // The stream that was made before is past.
        let (old, child) = (naming(1).source("0"), own("2"));
        assert_eq!(slots.take("2", &none, now_ms), taken(&old, Some(&child), None));
        assert_eq!(slots.take("2", &none, now_ms), taken(&old, Some(&child), None), "it stays");
        assert_eq!(slots.take("3", &none, now_ms), taken(&own("3"), None, None), "nothing else is past");
        // One that is still copied keeps its place, however long it is not listed.
        let later_ms = now_ms + 2 * DAY_MS;
        slots.seen(["2", "3"].into_iter(), later_ms);
        let copied = BTreeSet::from(["0".to_owned()]);
        assert_eq!(slots.take("4", &copied, later_ms), taken(&own("1"), Some(&own("4")), None));
        assert_eq!(slots.take("5", &copied, later_ms), taken(&own("5"), None, None));
    }

    #[test]
    fn what_was_taken_is_found_again() {
        let (old, child) = (naming(2).source("0"), naming(2).source("7"));
        let stored = BTreeMap::from([(old.clone(), progress("70", 5, Some(&child)))]);
        let mut slots = Slots::load(naming(2), &stored).unwrap();
        assert_eq!(slots.take("7", &BTreeSet::new(), 6), taken(&old, Some(&child), Some(("70", 5))));
        // Should the one that was past come back, there is another under its name.
        assert_eq!(slots.take("0", &BTreeSet::new(), 6), taken(&format!("{old}+"), Some(&old), None));
    }

    #[test]
    fn a_stream_made_again_has_no_progress_and_damage_is_said() {
        let mut slots =
            Slots::load(naming(2), &BTreeMap::from([(naming(1).source("0"), progress("1", 9, None))])).unwrap();
        assert_eq!(slots.take("0", &BTreeSet::new(), 10), taken(&naming(2).source("0"), None, None));
        let damaged = BTreeMap::from([(naming(2).source("s"), Bytes::from_static(b"{}"))]);
        assert!(Slots::load(naming(2), &damaged).is_err());
    }
}
