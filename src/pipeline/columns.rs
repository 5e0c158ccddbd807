//! Record format conversion on the way into an object.
//!
//! What becomes of rows before their object is put is kept in zstd frames: so buffers, lanes, spill and repeats know nothing of
//! formats. A frame is one of two things:
//!
//! - **Columns**, where a chunk is of one object and its schema is known: each row is read once, when its chunk is processed, and what
//!   does not fit fails ([`Columns::convert`]). One record that becomes more than one batch stays rows: then one batch bounds memory.
//! - **Rows** as they were, each behind its length, elsewhere: a lane gathers rows of many batches, and a schema that is found in rows is
//!   known when all are there. Whether a row fits is a step of its own, the last one ([`Columns::check`]), and it is read again when the
//!   object is put.
//!
//! An object is made frame by frame: a row group is in memory, or as many rows as the writer takes at once, and of an object whose
//! schema is found in its rows all of its frames.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;

use super::capacity::Capacity;
use super::deliver::{produce, send};
use super::steps::Bound;
use crate::config::{Columnar, Compression, Level, Schema};
use crate::destination::{Body, BodySender, Created, Destination, ObjectFacts};
use crate::error::{Error, Kind, Result};
use crate::format::Encoding;
use crate::format::columnar::{Converter, Inferrer, Misfit, Writer};
use crate::transform::{Failed, Failure, Rows};

/// How rows are kept until they are converted.
pub(super) const GATHERED: Encoding = Encoding { compression: Compression::Zstd, level: Level::Fast };

/// What stands in the place of the first row's length in a frame of columns.
const COLUMNS: [u8; 4] = [0xFF; 4];

/// A conversion that is ready. Cheap to clone.
#[derive(Clone)]
pub(super) struct Columns {
    settings: Arc<Columnar>,
    /// Converts, unless the schema is that of each object: then it only tells what is JSON.
    converter: Converter,
}

impl Columns {
    /// Makes a conversion ready.
    pub(super) fn new(settings: &Arc<Columnar>) -> Result<Self> {
        let converter = match &settings.schema {
            Schema::Table(_) => Converter::sharing(settings)?,
            // A table that holds what no row has.
            Schema::Infer(_) => Converter::inferred(settings, &Inferrer::new(settings)?)?,
        };
        Ok(Columns { settings: settings.clone(), converter })
    }

    /// The rows that fit, unless all do, and the origins of those that do not.
    pub(super) fn check(&self, rows: &Rows) -> (Option<Rows>, Vec<Failed>) {
        sort_out(rows, self.converter.check(all(rows)))
    }

    /// Whether rows can be converted as they come.
    pub(super) fn is_known(&self) -> bool {
        matches!(self.settings.schema, Schema::Table(_))
    }

    /// Converts rows; nothing when they become too much at once for several records. Those of a single one are kept as they are then.
    pub(super) fn convert(&self, rows: &Rows, bound: Bound) -> Result<Option<Convertible>> {
        let Some((mut batches, misfits)) = self.batches(rows)? else {
            return Ok((bound == Bound::Alone).then(|| self.gather(rows)));
        };
        let unfit = misfits.len();
        let (rest, failed) = sort_out(rows, misfits);
        if let Some(rest) = &rest
            && rest.len() + unfit < rows.len()
        {
            // A record of several rows fails whole: what of it does fit is taken out.
            let Some((fewer, _)) = self.batches(rest)? else {
                return Err(Error::new(Kind::Internal, "some of the rows make more batches than all of them"));
            };
            batches = fewer;
        }
        let mut kept = Vec::new();
        if !batches.is_empty() {
            kept.extend_from_slice(&COLUMNS);
            self.converter.keep(&batches, &mut kept)?;
        }
        Ok(Some(Convertible { kept, rest, failed }))
    }

    /// The batch of rows, or none of no rows; nothing when there is more than one: no more than that is kept in memory.
    fn batches(&self, rows: &Rows) -> Result<Option<Batches>> {
        let (mut batches, mut is_too_much) = (Vec::new(), false);
        let misfits = self.converter.convert_each(all(rows), |batch| {
            is_too_much = !batches.is_empty();
            batches.push(batch);
            Ok(!is_too_much)
        })?;
        Ok((!is_too_much).then_some((batches, misfits)))
    }

    /// The same rows fit, but are converted when their object is put.
    fn gather(&self, rows: &Rows) -> Convertible {
        let (rest, failed) = self.check(rows);
        let mut kept = Vec::new();
        all(rest.as_ref().unwrap_or(rows)).for_each(|row| append(&mut kept, row));
        Convertible { kept, rest, failed }
    }

    /// Puts the object of `stream` that the rows in `body` make; gives its bytes, too.
    pub(super) async fn create(
        &self,
        destination: &dyn Destination,
        (stream, key): (&str, &str),
        body: Body,
        capacity: &Capacity,
    ) -> Result<(Created, u64)> {
        let (sender, converted) = Body::channel(1);
        let producer = produce(sender, async |sender| self.write((stream, key), body, sender, capacity).await);
        let (bytes, created) = tokio::join!(producer, destination.create(key, converted, ObjectFacts::default()));
        // The store's error first: a body that nobody takes ends the producer too, and one that failed is the store's error.
        Ok((created?, bytes?))
    }

    async fn write(
        &self,
        (stream, key): (&str, &str),
        mut body: Body,
        out: &BodySender,
        capacity: &Capacity,
    ) -> Result<u64> {
        let mut frames = VecDeque::new();
        let converter = match self.settings.schema {
            Schema::Table(_) => self.converter.clone(),
            Schema::Infer(_) => {
                while let Some(frame) = body.next().await {
                    frames.push_back(frame?);
                }
                let (converter, rest) = self.infer(frames.clone(), capacity).await?;
                if let Some((column, values)) = rest {
                    let message =
                        "keys have no column of their own in an inferred table, they are in the one for the rest";
                    tracing::warn!(stream, key, column, values, "{message}");
                }
                converter
            }
        };
        let mut writer = converter.writer()?;
        let mut bytes = 0;
        loop {
            let frame = match frames.pop_front() {
                Some(frame) => frame,
                None => match body.next().await {
                    Some(frame) => frame?,
                    None => break,
                },
            };
            let converter = converter.clone();
            let job = move || write(&converter, writer, &frame);
            let (rest, ready) = capacity.encode(job).await.done().await??;
            writer = rest;
            bytes += pass_on(ready, out).await?;
        }
        let ready = capacity.encode(move || writer.finish()).await.done().await??;
        Ok(bytes + pass_on(ready, out).await?)
    }

    /// The converter into the table that all rows of an object make, and its column for what has no other, if it has one, with how
    /// many values that are.
    async fn infer(&self, frames: VecDeque<Bytes>, capacity: &Capacity) -> Result<(Converter, Option<(String, u64)>)> {
        let settings = self.settings.clone();
        let job = move || {
            let mut inferrer = Inferrer::new(&settings)?;
            for frame in frames {
                let rows = gathered(&frame)?;
                rows_of(&rows)?.into_iter().for_each(|row| inferrer.see(row));
            }
            let rest = inferrer.rest().map(|column| (column, inferrer.left_out()));
            Ok((Converter::inferred(&settings, &inferrer)?, rest))
        };
        capacity.encode(job).await.done().await?
    }
}

/// Batches of rows, and those rows that are in none.
type Batches = (Vec<RecordBatch>, Vec<(usize, Misfit)>);

/// What became of rows.
pub(super) struct Convertible {
    /// Those that fit, as a frame keeps them.
    pub kept: Vec<u8>,
    /// Those that fit, unless all do.
    pub rest: Option<Rows>,
    /// The origins of those that do not.
    pub failed: Vec<Failed>,
}

fn all(rows: &Rows) -> impl Iterator<Item = &[u8]> {
    (0..rows.len()).map(|row| rows.get(row))
}

/// The rows of origins that fit whole, unless all do, and the others.
fn sort_out(rows: &Rows, misfits: Vec<(usize, Misfit)>) -> (Option<Rows>, Vec<Failed>) {
    let mut failed: Vec<Failed> = Vec::new();
    for (row, Misfit { code, message }) in misfits {
        let origin = rows.origins[row];
        if failed.last().is_none_or(|last| last.origin != origin) {
            let failure = Failure { code: Cow::Borrowed(code), message, attempts: 1, by: None };
            failed.push(Failed { origin, failure });
        }
    }
    let fits = |origin| failed.binary_search_by_key(&origin, |failed| failed.origin).is_err();
    let rest = (!failed.is_empty()).then(|| rows.filter(fits));
    (rest, failed)
}

/// Appends a row to those that are kept until they are converted.
pub(super) fn append(joined: &mut Vec<u8>, row: &[u8]) {
    let len = u32::try_from(row.len()).expect("offsets of rows have 32 bits");
    assert_ne!(len.to_le_bytes(), COLUMNS, "steps make no row of 4 GiB");
    joined.extend_from_slice(&len.to_le_bytes());
    joined.extend_from_slice(row);
}

fn write(converter: &Converter, mut writer: Writer, frame: &[u8]) -> Result<(Writer, Vec<Bytes>)> {
    let rows = gathered(frame)?;
    if let Some(columns) = rows.strip_prefix(&COLUMNS) {
        let ready = writer.push_kept(columns)?;
        return Ok((writer, ready));
    }
    let mut ready = Vec::new();
    let misfits = converter.convert_each(rows_of(&rows)?, |batch| {
        ready.extend(writer.push(batch)?);
        Ok(true)
    })?;
    if let Some((_, misfit)) = misfits.first() {
        let message = format!("a row that was found to fit does not: {}", misfit.message);
        return Err(Error::new(Kind::Internal, message));
    }
    Ok((writer, ready))
}

async fn pass_on(ready: Vec<Bytes>, out: &BodySender) -> Result<u64> {
    let mut bytes = 0;
    for piece in ready.into_iter().filter(|piece| !piece.is_empty()) {
        bytes += piece.len() as u64;
        send(out, piece).await?;
    }
    Ok(bytes)
}

/// The rows of a frame, each behind its length.
fn gathered(frame: &[u8]) -> Result<Vec<u8>> {
    if frame.is_empty() {
        return Ok(Vec::new());
    }
    zstd::decode_all(frame).map_err(|error| Error::new(Kind::Internal, "gathered rows cannot be read").because(error))
}

fn rows_of(mut gathered: &[u8]) -> Result<Vec<&[u8]>> {
    let mut rows = Vec::new();
    while let Some((len, rest)) = gathered.split_first_chunk() {
        let (row, rest) = rest
            .split_at_checked(u32::from_le_bytes(*len) as usize)
            .ok_or_else(|| Error::new(Kind::Internal, "gathered rows break off"))?;
        rows.push(row);
        gathered = rest;
    }
    if gathered.is_empty() { Ok(rows) } else { Err(Error::new(Kind::Internal, "gathered rows break off")) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Int64Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

    use super::*;
    use crate::config::{Format, Inference, Json, Orc, Parquet};
    use crate::destination::local::LocalDirectory;
    use crate::disk::sim::SimDisk;

    fn rows(records: &[String]) -> Rows {
        let mut rows = Rows::default();
        for (origin, record) in (0..).zip(records) {
            rows.data.extend_from_slice(record.as_bytes());
            rows.ends.push(rows.data.len() as u32);
            rows.origins.push(origin);
        }
        rows
    }

    /// A record with many keys, each of many lists.
    fn deep() -> String {
        let fields: Vec<_> = (0..900).map(|key| format!("\"k{key}\":{}1{}", "[".repeat(14), "]".repeat(14))).collect();
        format!("{{{}}}", fields.join(","))
    }

    #[tokio::test]
    async fn what_is_found_to_fit_is_converted_under_the_schema_that_the_rows_make() {
        let keys = BTreeMap::from([("at".to_owned(), "timestamp".to_owned())]);
        let renamed = Json::Openx { case_insensitive: true, dots_to_underscores: true, keys };
        let records = [
            "{\"at\":1,\"timestamp\":2,\"x\":{\"at\":3}}",
            "{\"at\":{\"y\":[]},\"x\":7,\"X\":null,\"a.b\":1,\"a_b\":{}}",
            "{\"x\":[1,\"two\",{}],\"timestamp\":\"none\",\"n\":99999999999999999999}",
            "{}{\"n\":1.5}",
            "no json",
        ];
        let mut records = records.map(str::to_owned).to_vec();
        records.push(deep());
        for json in [Json::default(), renamed] {
            for format in [Format::Parquet(Parquet::default()), Format::Orc(Orc::default())] {
                let schema = Schema::Infer(Inference::default());
                let columns = Columns::new(&Arc::new(Columnar { format, schema, json: json.clone() })).unwrap();
                let (rest, failed) = columns.check(&rows(&records));
                assert_eq!(failed.iter().map(|failed| failed.origin).collect::<Vec<_>>(), [4]);
                let (rest, mut joined) = (rest.unwrap(), Vec::new());
                (0..rest.len()).for_each(|row| append(&mut joined, rest.get(row)));
                let body = Body::ready([GATHERED.encode_chunk(&joined).bytes]);
                let lake = LocalDirectory::new(Arc::new(SimDisk::new(1)));
                let (created, bytes) = columns.create(&lake, ("web", "object"), body, &Capacity::new(1)).await.unwrap();
                assert_eq!((created, lake.find("object").await.unwrap()), (Created::Created, Some(bytes)));
            }
        }
    }

    /// What `records`, all in one object, become; and how many fail.
    async fn put_inferred(records: &[String]) -> (Vec<RecordBatch>, usize) {
        let schema = Schema::Infer(Inference::default());
        let format = Format::Parquet(Parquet::default());
        let columns = Columns::new(&Arc::new(Columnar { format, schema, json: Json::default() })).unwrap();
        let rows = rows(records);
        let (rest, failed) = columns.check(&rows);
        let mut joined = Vec::new();
        all(rest.as_ref().unwrap_or(&rows)).for_each(|row| append(&mut joined, row));
        let body = Body::ready([GATHERED.encode_chunk(&joined).bytes]);
        let lake = LocalDirectory::new(Arc::new(SimDisk::new(1)));
        columns.create(&lake, ("web", "object"), body, &Capacity::new(1)).await.unwrap();
        let (_, mut body) = lake.read("object").await.unwrap().unwrap();
        let mut object = Vec::new();
        while let Some(piece) = body.next().await {
            object.extend_from_slice(&piece.unwrap());
        }
        let reader = ParquetRecordBatchReader::try_new(Bytes::from(object), 1_024).unwrap();
        (reader.map(|batch| batch.unwrap()).collect(), failed.len())
    }

    fn with_keys(keys: usize) -> String {
        let fields: Vec<_> = (0..keys).map(|key| format!("\"k{key}\":1")).collect();
        format!("{{{}}}", fields.join(","))
    }

    #[tokio::test]
    async fn a_record_fits_whatever_table_is_found_or_fails_at_once() {
        for (narrow, lines, failed) in [
            ("{}".repeat(600), 601, 0),
            (format!("{{\"k0\":[{}{{}}]}}", "{},".repeat(600)), 2, 0),
            (format!("{{\"k0\":[{}{{}}]}}", "null,".repeat(600)), 2, 0),
            (format!("{{\"k0\":1{}}}", ",\"k1\":null".repeat(9_000)), 2, 0),
            ("{}".repeat(9_000), 1, 1),
            (format!("{{\"l\":[{}{{}}]}}", "{},".repeat(9_000)), 1, 1),
        ] {
            let wide = with_keys(1_990);
            // The same in a struct, of which a list's items may be.
            for wide in [wide.clone(), format!("{{\"k0\":[{wide}]}}"), format!("{{\"k1\":{wide}}}")] {
                let (batches, unfit) = put_inferred(&[wide, narrow.clone()]).await;
                let made: usize = batches.iter().map(RecordBatch::num_rows).sum();
                assert_eq!((made, unfit), (lines, failed), "{narrow:.40}");
            }
        }
    }

    #[tokio::test]
    async fn what_has_no_column_is_in_the_one_for_the_rest() {
        let records =
            [with_keys(2_000), "{\"tenant\":\"acme\", \"k1\":7,\"amount\":[1, 2]}".to_owned(), "{\"k0\":5}".to_owned()];
        let (batches, failed) = put_inferred(&records).await;
        assert_eq!((batches.len(), batches[0].num_columns(), failed), (1, 2_001, 0));
        let rest = batches[0].column_by_name("_rest").unwrap().as_string::<i32>();
        let found: Vec<_> = (0..3).map(|row| rest.is_valid(row).then(|| rest.value(row))).collect();
        assert_eq!(found, [None, Some("{\"tenant\":\"acme\",\"amount\":[1, 2]}"), None]);
        let k1 = batches[0].column_by_name("k1").unwrap().as_primitive::<Int64Type>();
        assert_eq!((k1.value(1), k1.is_null(2)), (7, true));
    }

    fn table(columns: &[(&str, &str)]) -> Columns {
        let schema = Schema::Table(crate::config::TableSchema::of_texts(columns.iter().copied()).unwrap());
        let format = Format::Parquet(Parquet::default());
        Columns::new(&Arc::new(Columnar { format, schema, json: Json::default() })).unwrap()
    }

    fn object(columns: &Columns, kept: &[u8]) -> Vec<u8> {
        let frame = GATHERED.encode_chunk(kept).bytes;
        let writer = columns.converter.writer().unwrap();
        let (writer, mut ready) = write(&columns.converter, writer, &frame).unwrap();
        ready.extend(writer.finish().unwrap());
        ready.concat()
    }

    #[test]
    fn columns_make_the_object_that_their_rows_make() {
        let columns = table(&[("a", "bigint"), ("l", "array<struct<x:string>>"), ("m", "map<string,double>")]);
        assert!(columns.is_known());
        let records = [
            "{\"a\":1,\"l\":[{\"x\":\"one\"},null]}",
            "{\"a\":\"none\"}",
            "{\"m\":{\"k\":1.5}}",
            "no json",
            "{}",
            "{\"a\":7}",
        ];
        let mut rows = rows(&records.map(str::to_owned));
        for origins in [[0, 1, 2, 3, 4, 5], [0, 1, 1, 3, 3, 5], [0, 0, 0, 0, 4, 4]] {
            rows.origins = origins.to_vec();
            let (rest, failed) = columns.check(&rows);
            let Convertible { kept, rest: same, failed: same_failed } =
                columns.convert(&rows, Bound::Together).unwrap().unwrap();
            assert_eq!((&same, &same_failed), (&rest, &failed));
            let (rest, mut joined) = (rest.unwrap(), Vec::new());
            (0..rest.len()).for_each(|row| append(&mut joined, rest.get(row)));
            assert_eq!(object(&columns, &kept), object(&columns, &joined), "{origins:?}");
        }
        let none = columns.convert(&rows.filter(|origin| origin == 9), Bound::Alone).unwrap().unwrap();
        assert!(none.kept.is_empty() && none.rest.is_none() && none.failed.is_empty());
    }

    #[test]
    fn several_records_that_make_too_many_values_are_converted_in_halves() {
        let wide: Vec<_> = (0..4_000).map(|column| (format!("c{column}"), "int")).collect();
        let wide: Vec<_> = wide.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
        let columns = table(&wide);
        let rows = rows(&vec!["{}".to_owned(); 3_000]);
        assert!(columns.convert(&rows, Bound::Together).unwrap().is_none());
        assert!(columns.convert(&rows.filter(|origin| origin < 1_500), Bound::Together).unwrap().is_some());
        // Only as many as are in memory at once are columns.
        let small = columns.convert(&rows.filter(|origin| origin < 1_500), Bound::Alone).unwrap().unwrap();
        assert!(small.kept.starts_with(&COLUMNS));
    }

    #[test]
    fn a_record_that_makes_several_batches_is_kept_as_rows() {
        let wide: Vec<_> = (0..4_000).map(|column| (format!("c{column}"), "int")).collect();
        let wide: Vec<_> = wide.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
        let columns = table(&wide);
        let mut records = vec!["{}".to_owned(); 3_000];
        let Convertible { kept, rest, failed } = columns.convert(&rows(&records), Bound::Alone).unwrap().unwrap();
        assert!(rest.is_none() && failed.is_empty());
        assert_eq!(rows_of(&kept).unwrap(), vec![&b"{}"[..]; 3_000]);
        // What does not fit fails all the same.
        records[2_999] = "{\"c0\":\"none\"}".to_owned();
        let Convertible { kept, rest, failed } = columns.convert(&rows(&records), Bound::Alone).unwrap().unwrap();
        assert_eq!((rest.unwrap().len(), failed.len(), failed[0].origin), (2_999, 1, 2_999));
        assert_eq!(rows_of(&kept).unwrap().len(), 2_999);
    }

    #[test]
    fn gathered_rows_that_break_off_are_told() {
        let mut joined = Vec::new();
        append(&mut joined, b"one");
        append(&mut joined, b"");
        assert_eq!(rows_of(&joined).unwrap(), [&b"one"[..], b""]);
        for len in [1, 4, 6, 8, 10] {
            assert!(rows_of(&joined[..len]).is_err(), "{len}");
        }
    }
}
