//! The steps that rows go through, one after the other, each ready to be done.

use std::borrow::Cow;
use std::sync::Arc;

use super::columns::Columns;
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::limits::STEP_OUTPUT_BYTES_MAX;
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
    /// What goes on; `None` when it is just what was given.
    pub rows: Option<Rows>,
    /// What goes to the error output, in order.
    pub failed: Vec<Failed>,
}

/// What becomes of `given` when all `tools` have done their step. An error is a fault of ours.
pub(super) fn run(tools: &[Tool], given: &Rows, origins: &Origins) -> Result<Made> {
    let mut made = Made { rows: None, failed: Vec::new() };
    for tool in tools {
        let rows = made.rows.as_ref().unwrap_or(given);
        if rows.is_empty() {
            break;
        }
        let (rows, mut failed) = tool.run(rows, origins)?;
        made.rows = rows.or(made.rows);
        made.failed.append(&mut failed);
    }
    // Each step says its own in order; an origin that failed has no rows that could fail again.
    made.failed.sort_by_key(|failed| failed.origin);
    Ok(made)
}

impl Tool {
    /// The rows, unless they stay as they are, and what failed.
    fn run(&self, rows: &Rows, origins: &Origins) -> Result<(Option<Rows>, Vec<Failed>)> {
        let outcome = match self {
            Tool::RequireJson => return Ok(require_json(rows)),
            Tool::Plugin(plugin) => plugin.run(rows, origins)?,
            Tool::Builtin(builtin) => builtin.run(rows, origins),
            Tool::Convert(columns) => return Ok(columns.check(rows)),
            Tool::Function(_) => return Err(Error::new(Kind::Internal, "a function is not run on a thread")),
            #[cfg(test)]
            Tool::Fake(fake) | Tool::FakeFunction(fake) => fake(rows, origins)?,
        };
        let Outcome { rows, failed } = bounded(outcome, STEP_OUTPUT_BYTES_MAX);
        Ok((Some(rows), failed))
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

/// Fails the origins whose rows lie beyond `bytes_max`: a chain of steps each of which may multiply its input would else end
/// in gigabytes.
pub(super) fn bounded(outcome: Outcome, bytes_max: usize) -> Outcome {
    let Outcome { rows, mut failed } = outcome;
    let fits = rows.ends.partition_point(|end| *end as usize <= bytes_max);
    let mut beyond = rows.origins[fits..].to_vec();
    if beyond.is_empty() {
        return Outcome { rows, failed };
    }
    beyond.dedup();
    let message = format!("with those of the records before it its rows have more than {bytes_max} bytes");
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
        let given = rows(&[(0, "none"), (1, "1"), (2, "{"), (3, "bad"), (4, "2")]);
        let made = run(&tools, &given, &Origins::default()).unwrap();
        assert_eq!(listed(&made.rows.unwrap()), [(1, "1", "1"), (1, "1", "1"), (4, "2", "2"), (4, "2", "2")]);
        let failed: Vec<_> = made.failed.iter().map(|failed| (failed.origin, &*failed.failure.code)).collect();
        assert_eq!(failed, [(2, "RequireJson.ParseError"), (3, "Fake.Bad")]);
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
        let outcome = bounded(Outcome { rows: rows(&[(0, "xxx"), (2, "y"), (2, "z"), (3, "z")]), failed }, 4);
        assert_eq!(outcome.rows.origins, [0]);
        assert_eq!(numbers(&outcome.failed), [1, 2, 3]);
    }
}
