//! The CPU part of delivery, pure: each chunk is processed, joined and encoded on its own, and the encoded chunks one after
//! the other are the object.

use super::chunk::Placed;
use super::columns::{self, Columns, Convertible};
use super::endpoint;
use super::failed::Refused;
use super::rows::{self, Taken};
use super::staged::Part;
use super::steps::{self, Bound, Made, Tool, Toolbox};
use super::target::Target;
use crate::config::Delimiter;
use crate::error::Result;
use crate::format::{Chunk, Encoding, kpl, lines};
use crate::ledger::Tally;
use crate::record::Records;
use crate::transform::{Failed, Rows};

/// What is done to each chunk: made ready once, and good for any number of chunks. Cheap to clone.
#[derive(Clone)]
pub(super) struct Recipe {
    unpack: bool,
    tools: Vec<Tool>,
    delimiter: Delimiter,
    encoding: Encoding,
    form: Form,
}

/// What rows are while they are gathered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Those of the object, joined by the delimiter.
    Joined,
    /// Kept to be converted: see [`columns`].
    Columns,
    /// Lines for an HTTP endpoint.
    Endpoint,
}

/// A chunk after its steps, not joined yet: what it was taken apart into, the rows if they are others, and what failed.
pub(super) type Stepped = (Taken, Option<Rows>, Vec<Failed>);

/// A chunk after its steps.
pub(super) struct Processed {
    /// What is delivered, joined.
    pub joined: Vec<u8>,
    /// What goes to the error output.
    pub failed: Vec<Refused>,
    /// What was counted.
    pub tally: Tally,
}

/// A chunk made ready: its part of the object, what goes to the error output, and what it counted.
pub(super) struct Prepared {
    pub chunk: Chunk,
    pub failed: Vec<Refused>,
    pub tally: Tally,
}

impl Prepared {
    /// About so much memory does it take.
    pub(super) fn held(&self) -> usize {
        self.chunk.bytes.len() + self.failed.iter().map(Refused::held).sum::<usize>()
    }
}

impl Recipe {
    /// Makes the steps of a target ready. An error says which cannot be, and why; it is never that a store does not exist.
    pub(super) async fn load(target: &Target, tools: &Toolbox) -> Result<Self> {
        Ok(Recipe { tools: tools.load(&target.process).await?, ..Recipe::without_steps(target) })
    }

    /// The recipe of a target that has the same steps.
    pub(super) fn of(&self, target: &Target) -> Self {
        Recipe { tools: self.tools.clone(), ..Recipe::without_steps(target) }
    }

    /// The recipe for what went through the steps of a target already.
    pub(super) fn without_steps(target: &Target) -> Self {
        let form = match (target.columnar(), &target.http) {
            (Some(_), _) => Form::Columns,
            (None, Some(_)) => Form::Endpoint,
            (None, None) => Form::Joined,
        };
        let encoding = target.encoding();
        Recipe { unpack: target.unpack, tools: Vec::new(), delimiter: target.delimiter, encoding, form }
    }

    /// The same with these steps.
    #[cfg(test)]
    pub(super) fn with_tools(self, tools: Vec<Tool>) -> Self {
        Recipe { tools, ..self }
    }

    /// Its steps.
    pub(super) fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// Whether aggregates are taken apart.
    pub(super) fn unpacks(&self) -> bool {
        self.unpack
    }

    /// Whether what it makes must be kept, since a function that is called might answer otherwise another time.
    pub(super) fn calls_functions(&self) -> bool {
        self.tools.iter().any(Tool::is_called)
    }

    /// Whether there is any step.
    pub(super) fn has_steps(&self) -> bool {
        !self.tools.is_empty()
    }

    /// Has a chunk go through all steps, and joins what comes out; nothing when it becomes so much that its
    /// [halves](super::chunk::halves) are to be processed in its place. An error is a fault of ours.
    pub(super) fn process(&self, chunk: &[Placed]) -> Result<Option<Processed>> {
        if self.tools.is_empty() {
            return Ok(Some(self.join(chunk)));
        }
        if let Some((Tool::Convert(columns), before)) = self.tools.split_last()
            && columns.is_known()
        {
            return self.convert(columns, before, chunk);
        }
        let Some((taken, made, failed)) = self.rows(chunk)? else { return Ok(None) };
        let rows = made.as_ref().unwrap_or(&taken.rows);
        let tally = taken.tally(rows, &failed);
        let joined = self.join_rows(rows, &taken.origins.arrived_ms);
        Ok(Some(Processed { joined, failed: Refused::of(&taken, failed), tally }))
    }

    /// The same where rows are converted in the end: each is read once.
    fn convert(&self, columns: &Columns, before: &[Tool], chunk: &[Placed]) -> Result<Option<Processed>> {
        let mut taken = rows::take(chunk, self.unpack);
        let bound = Bound::of(taken.positions());
        let made = steps::run(before, &mut taken.rows, &taken.origins, bound)?;
        let Some(Made { rows, mut failed }) = made else { return Ok(None) };
        let rows = rows.as_ref().unwrap_or(&taken.rows);
        let Some(Convertible { kept, rest, failed: mut unfit }) = columns.convert(rows, bound)? else {
            return Ok(None);
        };
        failed.append(&mut unfit);
        // What failed before has no rows that could fail again.
        failed.sort_by_key(|failed| failed.origin);
        let tally = taken.tally(rest.as_ref().unwrap_or(rows), &failed);
        Ok(Some(Processed { joined: kept, failed: Refused::of(&taken, failed), tally }))
    }

    /// The same; what comes out is not joined yet, nor converted.
    pub(super) fn rows(&self, chunk: &[Placed]) -> Result<Option<Stepped>> {
        let mut taken = rows::take(chunk, self.unpack);
        let bound = Bound::of(taken.positions());
        let made = steps::run(&self.tools, &mut taken.rows, &taken.origins, bound)?;
        Ok(made.map(|made| (taken, made.rows, made.failed)))
    }

    /// Appends one row to those of its object.
    pub(super) fn append(&self, joined: &mut Vec<u8>, row: &[u8]) {
        self.append_row(joined, None, row);
    }

    /// Encodes rows that were joined.
    pub(super) fn encode_joined(&self, joined: &[u8]) -> Chunk {
        let joined = if self.form == Form::Joined { lines::without_last(joined, self.delimiter) } else { joined };
        self.encoding.encode_chunk(joined)
    }

    /// What stands between two chunks of an object, encoded, if anything does.
    pub(super) fn separator(&self) -> Option<Chunk> {
        (self.delimiter == Delimiter::Between && self.form == Form::Joined)
            .then(|| self.encoding.encode_chunk(lines::SEPARATOR))
    }

    /// How it encodes.
    pub(super) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Encodes a chunk that was processed.
    pub(super) fn encode(&self, processed: Processed) -> Prepared {
        let Processed { joined, failed, tally } = processed;
        Prepared { chunk: self.encode_joined(&joined), failed, tally }
    }

    /// Joins and encodes what became of a chunk.
    pub(super) fn finish(&self, part: Part) -> Prepared {
        let Part { rows, failed, tally } = part;
        self.encode(Processed { joined: self.join_rows(&rows, &[]), failed, tally })
    }

    /// Where there are no steps, records are joined as they are, and user records of aggregates one by one.
    fn join(&self, chunk: &[Placed]) -> Processed {
        let all = chunk.iter().map(|placed| &placed.records);
        let mut joined = Vec::with_capacity(all.clone().map(|records| records.data.len() + records.len()).sum());
        let mut tally = Tally::default();
        for records in all {
            if self.is_untouched(records) {
                tally.delivered += records.len() as u64;
                tally.delivered_bytes += records.data.len() as u64;
                lines::append(&mut joined, records, self.delimiter);
            } else {
                self.unpack(records, &mut joined, &mut tally);
            }
        }
        Processed { joined, failed: Vec::new(), tally }
    }

    /// Whether all records are delivered just as they are.
    fn is_untouched(&self, records: &Records) -> bool {
        !(self.form != Form::Joined || self.unpack && records.iter().any(kpl::may_be_aggregate))
    }

    fn unpack(&self, records: &Records, joined: &mut Vec<u8>, tally: &mut Tally) {
        for record in records.iter() {
            let mut count = 0;
            let mut one = |record: &[u8]| {
                count += 1;
                tally.delivered_bytes += record.len() as u64;
                self.append_row(joined, Some(records.arrived_ms), record);
            };
            match if self.unpack { kpl::user_records(record) } else { None } {
                Some(records) => records.for_each(one),
                None => one(record),
            }
            rows::count(tally, count, 0);
        }
    }

    fn append_row(&self, joined: &mut Vec<u8>, arrived_ms: Option<u64>, row: &[u8]) {
        match self.form {
            Form::Joined => lines::append_record(joined, row, self.delimiter),
            Form::Columns => columns::append(joined, row),
            Form::Endpoint => endpoint::append(joined, arrived_ms, row),
        }
    }

    /// Rows one after the other; `arrived_ms` of their origins, as far as that is known.
    fn join_rows(&self, rows: &Rows, arrived_ms: &[u64]) -> Vec<u8> {
        let mut joined = Vec::with_capacity(rows.data.len() + rows.len());
        for row in 0..rows.len() {
            let arrived_ms = rows.origins.get(row).and_then(|origin| arrived_ms.get(*origin as usize)).copied();
            self.append_row(&mut joined, arrived_ms, rows.get(row));
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunk::tests::placed;
    use std::sync::Arc;

    use super::*;
    use crate::config;
    use crate::format::kpl::tests::aggregate;
    use crate::transform::{Failure, Origins, Outcome};

    fn recipe(unpack: bool, tools: Vec<Tool>) -> Recipe {
        let (delimiter, encoding) = (Delimiter::Always, Encoding::default());
        Recipe { unpack, tools, delimiter, encoding, form: Form::Joined }
    }

    fn prepare(recipe: &Recipe, chunk: &[Placed]) -> Prepared {
        recipe.encode(recipe.process(chunk).unwrap().unwrap())
    }

    /// Rows of digits become so many rows, other rows fail.
    #[expect(clippy::unnecessary_wraps, reason = "a fake is of this type")]
    fn multiply(rows: &Rows, _: &Origins) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        for row in 0..rows.len() {
            let (text, origin) = (std::str::from_utf8(rows.get(row)).unwrap(), rows.origins[row]);
            let Ok(times) = text.parse() else {
                let failure = Failure { code: "Fake.NoDigit".into(), message: text.into(), attempts: 1, by: None };
                outcome.failed.push(Failed { origin, failure });
                continue;
            };
            for _ in 0..times {
                outcome.rows.data.extend_from_slice(text.as_bytes());
                outcome.rows.ends.push(outcome.rows.data.len() as u32);
                outcome.rows.origins.push(origin);
            }
        }
        Ok(outcome)
    }

    fn raw(prepared: &Prepared) -> Vec<&[u8]> {
        prepared.failed.iter().map(|refused| &refused.record[..]).collect()
    }

    #[test]
    fn user_records_of_an_aggregate_are_sorted_one_by_one_and_it_counts_as_one_position() {
        let mixed = aggregate(&["1", "{", "2", "["]);
        let bad = aggregate(&["{", "["]);
        let none = aggregate(&[""; 0]);
        let chunk = [placed(3, Records::from_slices(5, &[&mixed[..], b"3", &bad, &none, b"]"]))];
        let prepared = prepare(&recipe(true, vec![Tool::RequireJson]), &chunk);
        let Tally { delivered, unpacked, failed, unpacked_failed, dropped, delivered_bytes, .. } = prepared.tally;
        assert_eq!((delivered, unpacked, delivered_bytes), (2, 1, 3));
        assert_eq!((failed, unpacked_failed, dropped), (2, 3, 1));
        assert_eq!(prepared.tally.positions(), 5);
        assert_eq!(prepared.chunk.bytes, "1\n2\n3\n");
        assert_eq!(raw(&prepared), [b"{", b"[", b"{", b"[", b"]"]);

        let as_it_is = prepare(&recipe(false, Vec::new()), &chunk);
        assert_eq!((as_it_is.tally.delivered, as_it_is.tally.unpacked), (5, 0));
        let unpacked = prepare(&recipe(true, Vec::new()), &chunk);
        let Tally { delivered, unpacked, dropped, .. } = unpacked.tally;
        assert_eq!((delivered, unpacked, dropped), (4, 4, 1));
    }

    #[test]
    fn a_record_that_is_not_json_is_counted_and_written_to_the_errors_alone() {
        let chunk = [placed(0, Records::from_slices(5, &["{\"a\":1}", "{\"a\":", "2 3", "null"]))];
        let prepared = prepare(&recipe(false, vec![Tool::RequireJson]), &chunk);
        assert_eq!((prepared.tally.delivered, prepared.tally.failed, prepared.tally.delivered_bytes), (2, 2, 11));
        assert_eq!(raw(&prepared), [&b"{\"a\":"[..], b"2 3"]);
        assert_eq!(prepared.failed[0].arrived_ms, 5);
        assert_eq!(prepared.failed[1].place.unwrap().position, 2);
    }

    #[test]
    fn rows_beyond_one_for_each_position_are_counted_beside_it() {
        let one = placed(0, Records::from_slices(5, &["3", "0", "x"]));
        let other = placed(9, Records::from_slices(6, &[&aggregate(&["2", "y", "0"])[..], b"1"]));
        let tools = vec![Tool::RequireJson, Tool::Fake(multiply)];
        let prepared = prepare(&recipe(true, tools), &[one, other]);
        let Tally { delivered, unpacked, failed, unpacked_failed, dropped, delivered_bytes, .. } = prepared.tally;
        assert_eq!((delivered, unpacked, delivered_bytes), (3, 3, 6));
        assert_eq!((failed, unpacked_failed, dropped), (1, 1, 1));
        assert_eq!(prepared.chunk.bytes, "3\n3\n3\n2\n2\n1\n");
        assert_eq!(raw(&prepared), [b"x", b"y"]);
    }

    #[test]
    fn line_feeds_between_records_end_no_chunk() {
        let between = |records: &[&str]| {
            let recipe = Recipe { delimiter: Delimiter::Between, ..recipe(false, Vec::new()) };
            assert_eq!(recipe.separator().unwrap().bytes, "\n");
            prepare(&recipe, &[placed(0, Records::from_slices(5, records))]).chunk.bytes
        };
        assert_eq!(between(&["a", "b\n", "c"]), "a\nb\n\nc");
        assert_eq!(between(&["a\n"]), "a\n");
        assert_eq!((between(&[""]), between(&["", ""])), ("".into(), "\n".into()));
        assert!(recipe(false, Vec::new()).separator().is_none());
    }

    #[test]
    fn rows_of_a_known_schema_are_columns_once_they_are_processed() {
        let columns = |schema| {
            let format = config::Format::Parquet(config::Parquet::default());
            let settings = config::Columnar { format, schema, json: config::Json::default() };
            Tool::Convert(Columns::new(&Arc::new(settings)).unwrap())
        };
        let table = config::Schema::Table(config::TableSchema::of_texts([("n", "int")]).unwrap());
        let chunk = [placed(0, Records::from_slices(5, &["1", "0", "x", "2"]))];
        let tools = |schema| vec![Tool::Fake(multiply), columns(schema)];
        let form = Form::Columns;
        // Digits are no objects.
        let none = Recipe { form, ..recipe(false, tools(table.clone())) }.process(&chunk).unwrap().unwrap();
        assert_eq!((none.tally.delivered, none.tally.failed, none.tally.dropped), (0, 3, 1));
        assert!(none.joined.is_empty());
        let objects = [placed(0, Records::from_slices(5, &["{\"n\":1}", "{\"n\":true}", "{}"]))];
        let known = Recipe { form, ..recipe(false, vec![columns(table)]) }.process(&objects).unwrap().unwrap();
        assert_eq!((known.tally.delivered, known.tally.failed, known.tally.delivered_bytes), (2, 1, 9));
        assert_eq!(known.failed[0].record, "{\"n\":true}");
        assert!(known.joined.starts_with(&[0xFF; 4]), "columns");
        let found = config::Schema::Infer(config::Inference::default());
        let found = Recipe { form, ..recipe(false, vec![columns(found)]) }.process(&objects).unwrap().unwrap();
        assert!(found.joined.starts_with(&7u32.to_le_bytes()), "rows, each behind its length");
    }

    #[test]
    fn a_fault_of_a_step_is_an_error_and_nothing_is_skipped() {
        let fault = |_: &Rows, _: &Origins| Err(crate::error::Error::unavailable("no instance"));
        let chunk = [placed(0, Records::from_slices(5, &["1"]))];
        assert!(recipe(false, vec![Tool::Fake(fault)]).process(&chunk).is_err());
    }
}
