//! The steps that rows go through, one after the other, each ready to be done.

use std::borrow::Cow;
use std::sync::Arc;

use super::columns::Columns;
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::limits::{STEP_OUTPUT_BYTES_MAX, STEP_TOGETHER_BYTES_MAX};
use crate::telemetry::metrics::StreamMetrics;
use crate::transform::builtin::Builtin;
use crate::transform::function::{Caller, Function};
use crate::transform::wasm::Plugin;
use crate::transform::{Failed, Failure, Origins, Outcome, Registry, Rows, Step};

/// A step that is ready to be done. Cheap to clone.
#[derive(Clone)]
pub(super) enum Tool {
    RequireJson,
    Plugin(Arc<Plugin>),
    Builtin(Arc<Builtin>),
    Convert(Columns),
    /// It is called, and not run on a thread: see [`chain`](super::chain).
    Function(Function),
    /// A test's own.
    #[cfg(test)]
    Fake(fn(&Rows, &Origins) -> Result<Outcome>),
    /// A test's own that is taken for a function which is called.
    #[cfg(test)]
    FakeFunction(fn(&Rows, &Origins) -> Result<Outcome>),
}

/// Where the tools of a delivery stream come from. Cheap to clone.
#[derive(Clone)]
pub(super) struct Toolbox {
    /// The name of the delivery stream.
    pub stream: String,
    pub registry: Registry,
    /// What functions are told of it.
    pub caller: Caller,
    pub clock: Clock,
    pub metrics: Arc<StreamMetrics>,
}

impl Toolbox {
    /// Makes `steps` ready. An error is never [`Kind::NotFound`](crate::error::Kind::NotFound), which would be taken for
    /// that of a store.
    pub(super) async fn load(&self, steps: &[Step]) -> Result<Vec<Tool>> {
        let mut tools = Vec::with_capacity(steps.len());
        for step in steps {
            tools.push(self.tool(step).await?);
        }
        Ok(tools)
    }

    async fn tool(&self, step: &Step) -> Result<Tool> {
        #[cfg(test)]
        if let Step::Wasm(step) = step
            && let Some(fake) = super::lanes::tests::fake(&step.sha256)
        {
            return Ok(Tool::Fake(fake));
        }
        #[cfg(test)]
        if let Step::Function(settings) = step
            && let Some(fake) = super::lanes::tests::fake(&settings.url)
        {
            return Ok(Tool::FakeFunction(fake));
        }
        match step {
            Step::RequireJson => Ok(Tool::RequireJson),
            Step::Builtin(settings) => Builtin::new(settings)
                .map(|builtin| Tool::Builtin(Arc::new(builtin)))
                .map_err(|error| Error::unavailable("a built-in processor cannot be used").because(error)),
            Step::Convert(settings) => Columns::new(settings)
                .map(Tool::Convert)
                .map_err(|error| Error::unavailable("records cannot be converted").because(error)),
            Step::Wasm(step) => {
                let plugin = async { self.registry.plugins()?.plugin(&self.stream, step).await }.await;
                plugin.map(Tool::Plugin).map_err(|error| {
                    let message = format!("plugin {:?} cannot be run", step.plugin);
                    Error::unavailable(message).because(error)
                })
            }
            Step::Function(settings) => {
                let metrics = self.metrics.function(&settings.name);
                let function = Function::new(settings.clone(), self.caller.clone(), self.clock.clone(), metrics);
                function.map(Tool::Function).map_err(|error| {
                    let message = format!("the function {:?} cannot be called", settings.name);
                    Error::unavailable(message).because(error)
                })
            }
        }
    }
}

impl Tool {
    /// Whether it is called, and may answer otherwise another time.
    pub(super) fn is_called(&self) -> bool {
        #[cfg(test)]
        if matches!(self, Tool::FakeFunction(_)) {
            return true;
        }
        matches!(self, Tool::Function(_))
    }
}

/// What the steps made of rows.
pub(super) struct Made {
    /// What goes on; `None` when it is what was given.
    pub rows: Option<Rows>,
    /// What goes to the error output, in order.
    pub failed: Vec<Failed>,
}

/// How much a step may make of what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// Of several records: where there is more, nothing comes of it, and their halves are to be given.
    Together,
    /// Of a single record (position): where there is more, what lies beyond fails.
    Alone,
}

impl Bound {
    /// That of what so many positions hold.
    pub(super) fn of(positions: usize) -> Self {
        if positions > 1 { Bound::Together } else { Bound::Alone }
    }

    fn bytes_max(self) -> usize {
        match self {
            // In tests little, so that everything goes through the steps in halves now and then.
            Bound::Together if cfg!(test) => 1 << 10,
            Bound::Together => STEP_TOGETHER_BYTES_MAX,
            Bound::Alone => STEP_OUTPUT_BYTES_MAX,
        }
    }

    /// What a step made of the first `taken` of `given`, within the bound; nothing when their halves are to be given.
    pub(super) fn keep(self, outcome: Outcome, given: &Rows, taken: usize) -> Option<Outcome> {
        let bytes_max = self.bytes_max();
        match self {
            Bound::Together if taken < given.len() || fitting(&outcome.rows, bytes_max) < outcome.rows.len() => None,
            Bound::Together => Some(outcome),
            Bound::Alone => Some(bounded(outcome, &given.origins[taken..], bytes_max)),
        }
    }
}

/// What becomes of `given` when all `tools` have done their step; nothing when the halves of it are to be given. Where all rows
/// stay as they are but for their keys, they are given those. An error is a fault of ours.
pub(super) fn run(tools: &[Tool], given: &mut Rows, origins: &Origins, bound: Bound) -> Result<Option<Made>> {
    let mut made = Made { rows: None, failed: Vec::new() };
    for tool in tools {
        let rows = made.rows.as_mut().unwrap_or(given);
        if rows.is_empty() {
            break;
        }
        let Some((rows, mut failed)) = tool.run(rows, origins, bound)? else { return Ok(None) };
        made.rows = rows.or(made.rows);
        made.failed.append(&mut failed);
    }
    // Each step says its own in order; an origin that failed has no rows that could fail again.
    made.failed.sort_by_key(|failed| failed.origin);
    Ok(Some(made))
}

/// The rows, unless they stay as they are, and what failed; nothing when there are too many.
type Ran = Option<(Option<Rows>, Vec<Failed>)>;

impl Tool {
    fn run(&self, rows: &mut Rows, origins: &Origins, bound: Bound) -> Result<Ran> {
        let (outcome, taken) = match self {
            Tool::RequireJson => return Ok(Some(require_json(rows))),
            Tool::Plugin(plugin) => (plugin.run(rows, origins)?, rows.len()),
            Tool::Builtin(builtin) => match builtin.keys(rows, origins, bound.bytes_max()) {
                None => builtin.run(rows, origins, bound.bytes_max()),
                Some(keyed) => match keyed.whole(rows, bound.bytes_max()) {
                    Err(keyed) => keyed.outcome(rows),
                    Ok(columns) => {
                        rows.set_keys(columns);
                        return Ok(Some((None, Vec::new())));
                    }
                },
            },
            Tool::Convert(columns) => return Ok(Some(columns.check(rows))),
            Tool::Function(_) => return Err(Error::new(Kind::Internal, "a function is not run on a thread")),
            #[cfg(test)]
            Tool::Fake(fake) | Tool::FakeFunction(fake) => (fake(rows, origins)?, rows.len()),
        };
        let kept = bound.keep(outcome, rows, taken);
        Ok(kept.map(|Outcome { rows, failed }| (Some(rows), failed)))
    }
}

/// A row must be exactly one JSON value.
fn require_json(rows: &Rows) -> (Option<Rows>, Vec<Failed>) {
    let mut failed: Vec<Failed> = Vec::new();
    for row in 0..rows.len() {
        let origin = rows.origins[row];
        if failed.last().is_some_and(|last| last.origin == origin) {
            continue;
        }
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(rows.get(row)) {
            let message = format!("the record is not one JSON value: {error}");
            failed.push(Failed { origin, failure: failure("RequireJson.ParseError", message) });
        }
    }
    let rest = (!failed.is_empty()).then(|| without(rows.clone(), &failed));
    (rest, failed)
}

/// How many rows, with their keys, have `bytes_max` bytes at most.
fn fitting(rows: &Rows, bytes_max: usize) -> usize {
    let bytes =
        |row: usize| rows.ends[row] as usize + rows.keys.iter().map(|key| key.ends[row] as usize).sum::<usize>();
    let (mut fits, mut beyond) = (0, rows.len());
    while fits < beyond {
        let middle = fits.midpoint(beyond);
        if bytes(middle) <= bytes_max {
            fits = middle + 1;
        } else {
            beyond = middle;
        }
    }
    fits
}

/// Fails the origins whose rows lie beyond `bytes_max`, and those of `untouched` rows that a step did not come to: a chain of steps
/// each of which may multiply its input would else end in gigabytes.
pub(super) fn bounded(outcome: Outcome, untouched: &[u32], bytes_max: usize) -> Outcome {
    let Outcome { rows, mut failed } = outcome;
    let fits = fitting(&rows, bytes_max);
    let mut beyond = [&rows.origins[fits..], untouched].concat();
    if beyond.is_empty() {
        return Outcome { rows, failed };
    }
    beyond.dedup();
    beyond.retain(|origin| failed.binary_search_by_key(origin, |failed| failed.origin).is_err());
    let message = format!("with those before it, its rows have more than {bytes_max} bytes");
    let too_large = |origin| Failed { origin, failure: failure("Transform.OutputTooLarge", message.clone()) };
    let too_large: Vec<_> = beyond.into_iter().map(too_large).collect();
    let rows = without(rows, &too_large);
    failed.extend(too_large);
    failed.sort_by_key(|failed| failed.origin);
    Outcome { rows, failed }
}

fn failure(code: &'static str, message: String) -> Failure {
    Failure { code: Cow::Borrowed(code), message, attempts: 1, by: None }
}

/// Takes the rows of the origins that failed away.
fn without(mut rows: Rows, failed: &[Failed]) -> Rows {
    let mut at = failed.iter().map(|failed| failed.origin).peekable();
    let mut is_kept = |origin: &u32| {
        while at.next_if(|failed| failed < origin).is_some() {}
        at.peek() != Some(origin)
    };
    let keep: Vec<bool> = rows.origins.iter().map(&mut is_kept).collect();
    rows.retain(&keep);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::KeyColumn;

    fn rows(text: &[(u32, &str)]) -> Rows {
        let mut rows = Rows::default();
        let mut keys = KeyColumn { name: "k".to_owned(), ..KeyColumn::default() };
        for (origin, text) in text {
            rows.data.extend_from_slice(text.as_bytes());
            rows.ends.push(rows.data.len() as u32);
            rows.origins.push(*origin);
            keys.data.push_str(text);
            keys.ends.push(keys.data.len() as u32);
        }
        rows.keys.push(keys);
        rows
    }

    fn listed(rows: &Rows) -> Vec<(u32, &str, &str)> {
        let text = |row| std::str::from_utf8(rows.get(row)).unwrap();
        (0..rows.len()).map(|row| (rows.origins[row], text(row), rows.keys[0].get(row))).collect()
    }

    /// Fails every origin that has a row "bad", drops "none", doubles the others.
    #[expect(clippy::unnecessary_wraps, reason = "a fake is of this type")]
    fn fake(rows: &Rows, _: &Origins) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut made = Vec::new();
        for row in 0..rows.len() {
            let origin = rows.origins[row];
            match rows.get(row) {
                b"bad" => outcome.failed.push(Failed { origin, failure: failure("Fake.Bad", "bad".to_owned()) }),
                b"none" => {}
                text => made.extend([(origin, std::str::from_utf8(text).unwrap()); 2]),
            }
        }
        outcome.rows = super::tests::rows(&made);
        Ok(outcome)
    }

    fn numbers(failed: &[Failed]) -> Vec<u32> {
        failed.iter().map(|failed| failed.origin).collect()
    }

    #[test]
    fn each_step_takes_what_the_one_before_left_and_failures_stand_in_order() {
        let tools = [Tool::Fake(fake), Tool::RequireJson];
        let mut given = rows(&[(0, "none"), (1, "1"), (2, "{"), (3, "bad"), (4, "2")]);
        let made = run(&tools, &mut given, &Origins::default(), Bound::Alone).unwrap().unwrap();
        assert_eq!(listed(&made.rows.unwrap()), [(1, "1", "1"), (1, "1", "1"), (4, "2", "2"), (4, "2", "2")]);
        let failed: Vec<_> = made.failed.iter().map(|failed| (failed.origin, &*failed.failure.code)).collect();
        assert_eq!(failed, [(2, "RequireJson.ParseError"), (3, "Fake.Bad")]);
    }

    #[test]
    fn rows_that_all_have_their_keys_stay_where_they_are() {
        let keys = crate::config::Builtin::Keys { query: Some("{k:.a}".to_owned()), event_time: None };
        let tools = [Tool::Builtin(Arc::new(Builtin::new(&keys).unwrap())), Tool::RequireJson];
        let origins = Origins { arrived_ms: vec![0; 2], ..Origins::default() };
        let values = |rows: &Rows| rows.keys.iter().map(|key| (key.name.clone(), key.data.clone())).collect::<Vec<_>>();
        let mut given = rows(&[(0, "{\"a\":1}"), (1, "{\"a\":2}")]);
        let expected = [values(&given), vec![("query:k".to_owned(), "12".to_owned())]].concat();
        let made = run(&tools, &mut given, &origins, Bound::Together).unwrap().unwrap();
        assert!(made.rows.is_none() && made.failed.is_empty());
        assert_eq!(values(&given), expected);
        // Once more, in the place of those.
        run(&tools, &mut given, &origins, Bound::Together).unwrap().unwrap();
        assert_eq!(values(&given), expected);
        let mut one_fails = rows(&[(0, "{}"), (1, "{\"a\":2}")]);
        let made = run(&tools, &mut one_fails, &origins, Bound::Together).unwrap().unwrap();
        assert_eq!((made.rows.unwrap().origins, numbers(&made.failed), one_fails.keys.len()), (vec![1], vec![0], 1));
        // With their keys they are too much.
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(Bound::Together.bytes_max() / 2));
        let mut large = rows(&[(0, &long)]);
        assert!(run(&tools, &mut large, &origins, Bound::Together).unwrap().is_none());
        assert!(run(&tools, &mut large, &origins, Bound::Alone).unwrap().unwrap().rows.is_none());
    }

    #[test]
    fn an_origin_fails_whole_and_its_keys_go_with_its_rows() {
        let (rest, failed) = require_json(&rows(&[(0, "1"), (1, "2"), (1, "{"), (1, "3"), (5, "[]")]));
        assert_eq!(listed(&rest.unwrap()), [(0, "1", "1"), (5, "[]", "[]")]);
        assert_eq!(numbers(&failed), [1]);
        assert!(require_json(&rows(&[(0, "1")])).0.is_none(), "nothing is copied when nothing fails");
    }

    #[test]
    fn what_lies_beyond_the_bound_fails_whole() {
        let failed = vec![Failed { origin: 1, failure: failure("Fake.Bad", "bad".to_owned()) }];
        let rows = rows(&[(0, "xxx"), (2, "y"), (2, "z"), (3, "z")]);
        // Each of them is its own key, too.
        let outcome = bounded(Outcome { rows, failed }, &[3, 3, 4], 8);
        assert_eq!(outcome.rows.origins, [0]);
        assert_eq!(numbers(&outcome.failed), [1, 2, 3, 4]);
    }

    #[test]
    fn of_several_records_nothing_comes_where_there_is_too_much_and_a_single_one_may_have_more() {
        let long = "x".repeat(Bound::Together.bytes_max() / 4 + 1);
        let mut given = rows(&[(0, "1"), (1, &long)]);
        let double = [Tool::Fake(fake)];
        assert!(run(&double, &mut given, &Origins::default(), Bound::Together).unwrap().is_none());
        let made = run(&double, &mut given, &Origins::default(), Bound::Alone).unwrap().unwrap();
        assert_eq!((made.rows.unwrap().origins, made.failed.len()), (vec![0, 0, 1, 1], 0));
        let mut small = rows(&[(0, "1"), (1, "2")]);
        assert!(run(&double, &mut small, &Origins::default(), Bound::Together).unwrap().is_some());
    }
}
