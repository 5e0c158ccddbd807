//! Reads the body of a put: straight from JSON to one buffer of decoded bytes, without an allocation for a record.
//!
//! Two layers, as in Firehose. What is not of the model's shape (broken JSON, a wrong type, data that is no base64)
//! is `SerializationException`, at once. What breaks a constraint of the model is noted and reported together:
//! `ValidationException`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::api::ApiError;
use crate::limits;

mod scan;

/// Constraints that are spelt out in one message; more are only counted.
const FAULTS_SHOWN_MAX: usize = 16;

/// The body of PutRecord or PutRecordBatch.
#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct Put {
    /// `DeliveryStreamName`.
    pub(super) name: Option<String>,
    /// Whether `Record` or `Records` was there.
    given: bool,
    /// All records' bytes, one after the other.
    pub(super) data: Vec<u8>,
    /// Where each ends.
    pub(super) ends: Vec<u32>,
    faults: Faults,
}

#[derive(Default, Debug, PartialEq, Eq)]
struct Faults {
    count: usize,
    shown: Vec<String>,
}

impl Faults {
    fn add(&mut self, path: impl fmt::Display, constraint: impl fmt::Display) {
        self.count += 1;
        if self.shown.len() < FAULTS_SHOWN_MAX {
            self.shown.push(format!("Value at '{path}' failed to satisfy constraint: {constraint}"));
        }
    }
}

/// What Firehose says of more than 4 MiB in one batch.
pub(super) const BATCH_TOO_LARGE: &str = "Records size exceeds 4 MB limit";
const NOT_NULL: &str = "Member must not be null";

/// Whether the body carries one `Record` or a list of `Records`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    Record,
    Records,
}

impl Put {
    /// Reads a body.
    pub(super) fn parse(body: &[u8], shape: Shape) -> Result<Self, ApiError> {
        let mut put = match scan::scan(body, shape) {
            Some(put) => put,
            None => Put::deserialize(body, shape).map_err(|error| super::serialization(&error))?,
        };
        put.check(shape);
        Ok(put)
    }

    /// Reads a body that is any JSON, or none.
    fn deserialize(body: &[u8], shape: Shape) -> serde_json::Result<Self> {
        let mut put = Put::with_room_for(body);
        let mut json = serde_json::Deserializer::from_slice(body);
        CallSeed { put: &mut put, shape }.deserialize(&mut json)?;
        json.end()?;
        Ok(put)
    }

    fn with_room_for(body: &[u8]) -> Self {
        Put { data: Vec::with_capacity(body.len() / 4 * 3), ..Put::default() }
    }

    /// The name, if it is one that a stream can have.
    pub(super) fn valid_name(&self) -> Option<&str> {
        self.name.as_deref().filter(|name| name_faults(name).next().is_none())
    }

    /// Refuses what breaks the constraints of the model, then what breaks the bound of a batch.
    pub(super) fn validate(&self) -> Result<(), ApiError> {
        let Faults { count, shown } = &self.faults;
        if *count > 0 {
            let errors = if *count == 1 { "error" } else { "errors" };
            return Err(ApiError::validation(format!("{count} validation {errors} detected: {}", shown.join("; "))));
        }
        if self.data.len() > limits::BATCH_BYTES_MAX {
            return Err(ApiError::invalid_argument(BATCH_TOO_LARGE));
        }
        Ok(())
    }

    fn check(&mut self, shape: Shape) {
        let mut first = Faults::default();
        match &self.name {
            None => first.add("deliveryStreamName", NOT_NULL),
            Some(name) => name_faults(name).for_each(|fault| first.add("deliveryStreamName", fault)),
        }
        let max = limits::BATCH_RECORDS_MAX;
        match shape {
            Shape::Record if !self.given => first.add("record", NOT_NULL),
            Shape::Records if !self.given => first.add("records", NOT_NULL),
            Shape::Records if self.ends.is_empty() => {
                first.add("records", "Member must have length greater than or equal to 1");
            }
            Shape::Records if self.ends.len() > max => {
                first.add("records", format!("Member must have length less than or equal to {max}"));
            }
            _ => {}
        }
        first.count += self.faults.count;
        first.shown.append(&mut self.faults.shown);
        first.shown.truncate(FAULTS_SHOWN_MAX);
        self.faults = first;
    }

    /// Ends a record that begins at `start`; `data` says whether its data was there.
    fn end_record(&mut self, start: usize, shape: Shape, present: Present) {
        self.ends.push(u32::try_from(self.data.len()).expect("a body is bounded far below 4 GiB"));
        let number = self.ends.len();
        let path = |member: &str| match shape {
            Shape::Record => format!("record{member}"),
            Shape::Records => format!("records.{number}.member{member}"),
        };
        let max = limits::RECORD_BYTES_MAX;
        match present {
            Present::Nothing => self.faults.add(path(""), NOT_NULL),
            Present::NoData => self.faults.add(path(".data"), NOT_NULL),
            Present::Data if self.data.len() - start > max => {
                self.faults.add(path(".data"), format!("Member must have length less than or equal to {max}"));
            }
            Present::Data => {}
        }
    }
}

/// What is wrong with a stream's name, in the model's words.
fn name_faults(name: &str) -> impl Iterator<Item = Cow<'static, str>> {
    let max = limits::STREAM_NAME_MAX;
    let too_short = name.is_empty().then(|| "Member must have length greater than or equal to 1".into());
    let too_long = (name.len() > max).then(|| format!("Member must have length less than or equal to {max}").into());
    let pattern = (name.is_empty() || !name.bytes().all(is_name_byte))
        .then(|| "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+".into());
    [too_short, too_long, pattern].into_iter().flatten()
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

#[derive(Clone, Copy)]
enum Present {
    Nothing,
    NoData,
    Data,
}

struct CallSeed<'p> {
    put: &'p mut Put,
    shape: Shape,
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum CallField {
    DeliveryStreamName,
    Record,
    Records,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for CallSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for CallSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut seen_name, mut seen_records) = (false, false);
        while let Some(field) = map.next_key::<CallField>()? {
            match (field, self.shape) {
                (CallField::DeliveryStreamName, _) => {
                    once(&mut seen_name, "DeliveryStreamName")?;
                    self.put.name = map.next_value()?;
                }
                (CallField::Record, Shape::Record) => {
                    once(&mut seen_records, "Record")?;
                    let start = self.put.data.len();
                    let present = map.next_value_seed(RecordSeed(self.put))?;
                    self.put.given = !matches!(present, Present::Nothing);
                    if self.put.given {
                        self.put.end_record(start, self.shape, present);
                    }
                }
                (CallField::Records, Shape::Records) => {
                    once(&mut seen_records, "Records")?;
                    self.put.given = map.next_value_seed(RecordsSeed(self.put))?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

fn once<E: serde::de::Error>(seen: &mut bool, name: &'static str) -> Result<(), E> {
    if std::mem::replace(seen, true) { Err(E::duplicate_field(name)) } else { Ok(()) }
}

/// Reads the list; `false` for null.
struct RecordsSeed<'p>(&'p mut Put);

impl<'de> DeserializeSeed<'de> for RecordsSeed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RecordsSeed<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        loop {
            let start = self.0.data.len();
            let Some(present) = list.next_element_seed(RecordSeed(self.0))? else { return Ok(true) };
            self.0.end_record(start, Shape::Records, present);
        }
    }
}

/// Reads one record's data to the end of the buffer.
struct RecordSeed<'p>(&'p mut Put);

#[derive(Deserialize)]
#[serde(field_identifier)]
enum RecordField {
    Data,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for RecordSeed<'_> {
    type Value = Present;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Present, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed<'_> {
    type Value = Present;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_unit<E>(self) -> Result<Present, E> {
        Ok(Present::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Present, A::Error> {
        let (mut seen, mut present) = (false, Present::NoData);
        while let Some(field) = map.next_key()? {
            match field {
                RecordField::Data => {
                    once(&mut seen, "Data")?;
                    if map.next_value_seed(DataSeed(&mut self.0.data))? {
                        present = Present::Data;
                    }
                }
                RecordField::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(present)
    }
}

/// Decodes a base64 string to the end of a buffer; `false` for null.
struct DataSeed<'p>(&'p mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for DataSeed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for DataSeed<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a base64 string")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<bool, E> {
        base64_simd::STANDARD
            .decode_append(text.as_bytes(), self.0)
            .map_err(|_| E::custom("Data is not base64 (standard alphabet, with padding)"))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
