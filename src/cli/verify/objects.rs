//! The objects that must be there by the ledger, held against those that are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::audit::{Planned, State};
use crate::catalog::Entry;
use crate::cli::delivered::keys::{ErrorKeys, Names};
use crate::cli::delivered::{House, list_all};
use crate::config::Store;
use crate::destination::Destination;
use crate::error::{Error, Result};
use crate::ledger::{ErrorOutput, Lane, PlanId, Tally};
use crate::pipeline::{Written, written};

/// What an object must hold.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) enum Content {
    /// Rows, and the bytes of those before they are joined.
    Rows { rows: u64, bytes: u64 },
    /// Lines of error output.
    Failures(u64),
}

/// An object that must be there.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Expected {
    pub(in crate::cli) key: String,
    pub(in crate::cli) plan: PlanId,
    pub(in crate::cli) content: Content,
    /// As stored, where the ledger says so.
    pub(in crate::cli) bytes: Option<u64>,
    pub(in crate::cli) written: Arc<Written>,
}

/// Keys of the shape of a stream's own that were found, with their bytes.
pub(in crate::cli) type Found = BTreeMap<String, u64>;

/// Lists what of a stream's own is under its prefixes. Before the ledger is read: then all of it was planned before.
pub(in crate::cli) async fn find(house: &House, entry: &Entry) -> Result<Found> {
    let destination = &entry.stream.destination;
    let (names, errors) = (Names::of(&entry.stream), ErrorKeys::of(&entry.stream));
    let store = house.look(&destination.store).await?;
    let mut found = Found::new();
    for head in heads(destination.prefix.head(), &errors.head) {
        list_all(&*store, head, |object| {
            if names.read(&object.key).is_some() {
                found.insert(object.key, object.bytes);
            }
            Ok(())
        })
        .await?;
    }
    Ok(found)
}

/// Beginnings of keys, without those that are under another.
fn heads<'a>(one: &'a str, other: &'a str) -> Vec<&'a str> {
    match () {
        () if other.starts_with(one) => vec![one],
        () if one.starts_with(other) => vec![other],
        () => vec![one, other],
    }
}

/// The objects of a plan that is done.
pub(in crate::cli) fn expected(planned: &Planned, tally: &Tally, now: &Store) -> Result<Vec<Expected>> {
    let plan = &planned.plan;
    let written = Arc::new(written(plan, now)?);
    if written.is_sent {
        // What an endpoint took is nowhere to be seen, and what it did not take has keys that nobody has written down.
        return Ok(Vec::new());
    }
    let rows = Content::Rows { rows: tally.delivered + tally.unpacked, bytes: tally.delivered_bytes };
    let (has_rows, failures) = match plan.share.as_ref().map(|share| &share.lane) {
        Some(Lane::Keys(_)) => (tally.objects > 0, Vec::new()),
        Some(Lane::Failures) => (false, plan.error_output(tally)),
        None => (tally.delivered > 0, plan.error_output(tally)),
    };
    let mut all = Vec::new();
    if has_rows {
        let (key, bytes) = (plan.key.clone(), Some(tally.object_bytes));
        all.push(Expected { key, plan: planned.id, content: rows, bytes, written: written.clone() });
    }
    all.extend(failures.into_iter().map(|ErrorOutput { key, records, .. }| Expected {
        key: key.to_owned(),
        plan: planned.id,
        content: Content::Failures(records),
        bytes: None,
        written: written.clone(),
    }));
    Ok(all)
}

/// What was found out about one stream's objects.
#[derive(Default)]
pub(in crate::cli) struct Verdict {
    /// Objects that are there as they must be.
    pub(in crate::cli) good: Vec<Expected>,
    /// Bytes of all that are there.
    pub(in crate::cli) bytes: u64,
    pub(in crate::cli) faults: Vec<String>,
    pub(in crate::cli) notes: Vec<String>,
}

/// What a stream's plans and objects are held against.
pub(in crate::cli) struct Case<'a> {
    pub(in crate::cli) entry: &'a Entry,
    pub(in crate::cli) plans: &'a [Planned],
    pub(in crate::cli) found: Found,
    /// Keys of the stream's backup, or of the stream whose backup it is: they may be under the same prefixes.
    pub(in crate::cli) kin: BTreeSet<String>,
    /// Where the history begins, if something was before: milliseconds since 1970.
    pub(in crate::cli) begins_ms: Option<u64>,
    /// Whether a part of the history is lost.
    pub(in crate::cli) unsure: bool,
    /// Plans made before are passed over.
    pub(in crate::cli) since_ms: u64,
}

/// Holds them against each other.
///
/// # Errors
/// When a store cannot be asked.
pub(in crate::cli) async fn compare(house: &House, mut case: Case<'_>) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut stores: Vec<(Store, Arc<dyn Destination>)> = Vec::new();
    let now = &case.entry.stream.destination.store;
    let mut keys = BTreeSet::new();
    let (mut nonces, names) = (BTreeMap::new(), Names::of(&case.entry.stream));
    let mut passed_over = 0;
    case.found.retain(|key, _| !case.kin.contains(key));
    for planned in case.plans {
        for key in planned.plan.keys() {
            if !keys.insert(key.to_owned()) && planned.state != State::Open {
                verdict.faults.push(format!("plan {} has the key of another: {key:?}", planned.id));
            }
            nonces.extend(names.read(key).map(|named| (named.nonce, planned.id)));
        }
        let tally = match planned.state {
            State::Done(tally) if planned.plan.planned_ms >= case.since_ms => tally,
            State::Done(_) => {
                passed_over += 1;
                forget(&mut case.found, planned);
                continue;
            }
            State::Open => {
                forget(&mut case.found, planned);
                continue;
            }
            State::Void => continue,
        };
        let expected = match expected(planned, &tally, now) {
            Ok(expected) => expected,
            Err(error) => {
                verdict.faults.push(format!("plan {}: {error}", planned.id));
                continue;
            }
        };
        for one in expected {
            check(house, one, &mut case.found, &mut stores, &mut verdict).await?;
        }
        if tally.expired > 0 && forget(&mut case.found, planned) {
            verdict.notes.push(format!(
                "plan {} was given up as expired, and its object {:?} is there: an attempt had got through",
                planned.id, planned.plan.key
            ));
        }
    }
    if passed_over > 0 {
        verdict.notes.push(format!("{passed_over} plans made before --since are not held against the store"));
    }
    if case.entry.stream.destination.http.is_some() {
        let note =
            "what an HTTP endpoint took, and what it did not take, is counted and cannot be held against a store";
        verdict.notes.push(note.to_owned());
    } else {
        foreign(&case, &names, &nonces, &mut verdict);
    }
    Ok(verdict)
}

/// Takes a plan's objects out of what is to be explained; whether there was any.
fn forget(found: &mut Found, planned: &Planned) -> bool {
    planned.plan.keys().filter(|key| found.remove(*key).is_some()).count() > 0
}

async fn check(
    house: &House,
    expected: Expected,
    found: &mut Found,
    stores: &mut Vec<(Store, Arc<dyn Destination>)>,
    verdict: &mut Verdict,
) -> Result<()> {
    let bytes = match found.remove(&expected.key) {
        Some(bytes) => Some(bytes),
        // Made since the listing, or under another prefix or in another place than now.
        None => store_of(house, &expected.written.store, stores).await?.find(&expected.key).await?,
    };
    let (key, plan) = (&expected.key, expected.plan);
    match (bytes, expected.bytes) {
        (None, _) => verdict.faults.push(format!("missing: {key:?} of plan {plan} is not there")),
        (Some(there), Some(said)) if there != said => {
            verdict.faults.push(format!("altered: {key:?} of plan {plan} has {there} bytes, the ledger says {said}"));
        }
        (Some(there), _) => {
            verdict.bytes += there;
            verdict.good.push(expected);
        }
    }
    Ok(())
}

/// The store, opened once.
pub(in crate::cli) async fn store_of(
    house: &House,
    store: &Store,
    open: &mut Vec<(Store, Arc<dyn Destination>)>,
) -> Result<Arc<dyn Destination>> {
    if let Some((_, opened)) = open.iter().find(|(known, _)| known == store) {
        return Ok(opened.clone());
    }
    let opened = house.look(store).await.map_err(|error| Error::new(error.kind(), error.to_string()))?;
    open.push((store.clone(), opened.clone()));
    Ok(opened)
}

/// Judges what is left: objects of the stream's own shape that no plan explains.
fn foreign(case: &Case<'_>, names: &Names, nonces: &BTreeMap<String, PlanId>, verdict: &mut Verdict) {
    let (mut before, mut earlier, mut unknown) = ((0_u64, 0_u64), 0_u64, 0_u64);
    for (key, bytes) in &case.found {
        let Some(said) = names.read(key) else { continue };
        if let Some(plan) = nonces.get(&said.nonce) {
            verdict.faults.push(format!("twice: {key:?} is one more object of plan {plan}"));
        } else if said.object_ms + 1_000 < case.entry.created_ms {
            earlier += 1;
        } else if case.begins_ms.is_some_and(|begins| said.object_ms < begins) {
            before = (before.0 + 1, before.1 + bytes);
        } else if case.unsure {
            unknown += 1;
        } else {
            verdict.faults.push(format!("foreign: {key:?} is in no plan"));
        }
    }
    if earlier > 0 {
        verdict.notes.push(format!(
            "{earlier} objects of this name are older than the stream: of an earlier one of its name, perhaps; the ledger knows nothing of them"
        ));
    }
    if before.0 > 0 {
        let (objects, bytes) = before;
        verdict.notes.push(format!(
            "{objects} objects ({bytes} bytes) are older than the ledger's history: that each of them is a plan's cannot be proven"
        ));
    }
    if unknown > 0 {
        verdict.notes.push(format!("{unknown} objects are in no plan that is left of the damaged history"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_another_beginning_is_listed_once() {
        assert_eq!(heads("web/", "errors/"), ["web/", "errors/"]);
        assert_eq!(heads("web/", "web/errors/"), ["web/"]);
        assert_eq!(heads("web/data/", "web/"), ["web/"]);
        assert_eq!(heads("", "errors/"), [""]);
        assert_eq!(heads("a", "a"), ["a"]);
    }
}
