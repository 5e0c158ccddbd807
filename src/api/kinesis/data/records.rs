//! Reads the body of a put into columns: data and partition keys each in one buffer, without an allocation for a record.
//!
//! Bodies as the SDKs write them are read by [`scan`] (JSON) and [`cbor`]; both take only what keeps all constraints of
//! the model. Everything else is left to [`schema`], which reads anything and words what is wrong; where two of them can
//! read a body they make the same of it.

use std::str::FromStr;

use super::super::{Document, Wire, schema};
use crate::api::ApiError;
use crate::limits::{
    DATA_NAME_MAX, DATA_RECORD_BYTES_MAX, PARTITION_KEY_CHARS_MAX, PUT_RECORDS_BYTES_MAX, PUT_RECORDS_MAX,
};
use crate::record::{Keys, Records};
use crate::stream::data::hashes_of;

mod cbor;
mod scan;
#[cfg(test)]
mod tests;

/// Characters of an ARN, as the model has it.
const ARN_CHARS_MAX: usize = 2_048;

/// Whether a body is one record or has a list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// PutRecord.
    Record,
    /// PutRecords.
    Records,
}

/// The body of PutRecord or PutRecords.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Puts {
    /// The members beside the records.
    pub(super) input: Vec<(String, Document)>,
    /// All records' bytes, one after the other.
    data: Vec<u8>,
    /// Where each ends.
    ends: Vec<u32>,
    /// All partition keys; an empty one is none.
    keys: Vec<u8>,
    key_ends: Vec<u32>,
    /// The records that say their hash key.
    hashes: Vec<(u32, HashKey)>,
}

/// An `ExplicitHashKey`, of the model's form.
#[derive(Debug, PartialEq, Eq)]
enum HashKey {
    Within(u128),
    Beyond(String),
}

/// The members of one record but its data.
#[derive(Default)]
struct Fields<'b> {
    has_data: bool,
    key: Option<&'b str>,
    hash: Option<&'b str>,
}

impl Shape {
    fn operation(self) -> &'static str {
        match self {
            Shape::Record => "PutRecord",
            Shape::Records => "PutRecords",
        }
    }
}

impl Puts {
    /// Reads a body.
    ///
    /// # Errors
    /// `SerializationException`, `ValidationException`.
    pub(super) fn parse(body: &[u8], shape: Shape, wire: Wire) -> Result<Self, ApiError> {
        let fast = match wire {
            Wire::Json => scan::scan(body, shape),
            Wire::Cbor => cbor::read(body, shape),
        };
        match fast {
            Some(puts) => Ok(puts),
            None => Self::read_slowly(body, shape, wire),
        }
    }

    fn read_slowly(body: &[u8], shape: Shape, wire: Wire) -> Result<Self, ApiError> {
        let mut input = schema::read(shape.operation(), wire, body)?;
        let mut puts = Puts::default();
        match shape {
            Shape::Record => puts.take(&mut input),
            Shape::Records => input.take_list("Records").iter_mut().for_each(|record| puts.take(record)),
        }
        puts.input = match input {
            Document::Map(members) => members,
            _ => Vec::new(),
        };
        Ok(puts)
    }

    fn with_room_for(bytes: usize) -> Self {
        Puts { data: Vec::with_capacity(bytes), ..Puts::default() }
    }

    /// Takes a record that keeps the model's constraints.
    fn take(&mut self, record: &mut Document) {
        let data = record.take_blob("Data").unwrap_or_default();
        let (key, hash) = (record.take("PartitionKey"), record.take("ExplicitHashKey"));
        self.data.extend_from_slice(&data);
        let key = key.as_ref().and_then(Document::as_text).unwrap_or("");
        self.end_record(key, hash.as_ref().and_then(Document::as_text).and_then(|hash| hash.parse().ok()));
    }

    /// Ends a record whose data begins at `start`, unless it breaks a constraint.
    fn close(&mut self, start: usize, fields: &Fields<'_>) -> Option<()> {
        let Fields { has_data, key, hash } = *fields;
        let fits = has_data && self.data.len() - start <= DATA_RECORD_BYTES_MAX && self.ends.len() < PUT_RECORDS_MAX;
        let sound = fits && key.is_none_or(is_key);
        let hash = hash.map(str::parse).transpose().ok().filter(|_| sound)?;
        self.end_record(key.unwrap_or(""), hash);
        Some(())
    }

    fn end_record(&mut self, key: &str, hash: Option<HashKey>) {
        const BOUNDED: &str = "a body is bounded far below 4 GiB";
        if let Some(hash) = hash {
            self.hashes.push((self.ends.len() as u32, hash));
        }
        self.keys.extend_from_slice(key.as_bytes());
        self.ends.push(u32::try_from(self.data.len()).expect(BOUNDED));
        self.key_ends.push(u32::try_from(self.keys.len()).expect(BOUNDED));
    }

    /// Notes a member that names the stream, if it is sound and stands there for the first time.
    fn name(&mut self, member: &str, text: &str) -> Option<()> {
        let sound = match member {
            "StreamName" => !text.is_empty() && text.len() <= DATA_NAME_MAX && text.bytes().all(is_name_byte),
            _ => is_arn(text),
        };
        let first = self.input.iter().all(|(known, _)| known != member);
        (sound && first).then(|| self.input.push((member.to_owned(), text.into())))
    }

    /// Bytes of the largest record, its key included.
    pub(super) fn largest(&self) -> usize {
        let sizes = |ends: &[u32]| {
            let starts = std::iter::once(0).chain(ends.iter().copied());
            ends.iter().zip(starts).map(|(end, start)| (end - start) as usize).collect::<Vec<_>>()
        };
        sizes(&self.ends).iter().zip(sizes(&self.key_ends)).map(|(data, key)| data + key).max().unwrap_or(0)
    }

    /// # Errors
    /// `InvalidArgumentException` over 10 MiB.
    pub(super) fn check_bytes(&self) -> Result<(), ApiError> {
        if self.data.len() + self.keys.len() > PUT_RECORDS_BYTES_MAX {
            let max = PUT_RECORDS_BYTES_MAX >> 20;
            return Err(ApiError::invalid_argument(format!("Records size exceeds {max} MB limit")));
        }
        Ok(())
    }

    /// # Errors
    /// `ValidationException` for records without a partition key: most streams want one.
    pub(super) fn check_keys(&self, shape: Shape) -> Result<(), ApiError> {
        const SHOWN_MAX: usize = 10;
        let starts = std::iter::once(0).chain(self.key_ends.iter().copied());
        let missing = self.key_ends.iter().zip(starts).zip(1..).filter(|((end, start), _)| *end == start);
        let broken: Vec<String> = missing
            .take(SHOWN_MAX)
            .map(|(_, number)| match shape {
                Shape::Record => "Value null at 'partitionKey' failed to satisfy constraint: Member must not be null".to_owned(),
                Shape::Records => format!(
                    "Value null at 'records.{number}.member.partitionKey' failed to satisfy constraint: Member must not be null"
                ),
            })
            .collect();
        let errors = if broken.len() == 1 { "error" } else { "errors" };
        let message = || format!("{} validation {errors} detected: {}", broken.len(), broken.join("; "));
        if broken.is_empty() { Ok(()) } else { Err(ApiError::validation(message())) }
    }

    /// The hash key of each record.
    ///
    /// # Errors
    /// `InvalidArgumentException` for one that is out of range.
    pub(super) fn hashes(&self) -> Result<Vec<u128>, ApiError> {
        let starts = std::iter::once(0).chain(self.key_ends.iter().copied());
        let keys = starts.zip(&self.key_ends).map(|(start, end)| &self.keys[start as usize..*end as usize]);
        let mut hashes = hashes_of(keys);
        for (record, explicit) in &self.hashes {
            hashes[*record as usize] = match explicit {
                HashKey::Within(hash) => *hash,
                HashKey::Beyond(text) => {
                    return Err(ApiError::invalid_argument(format!(
                        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {text}"
                    )));
                }
            };
        }
        Ok(hashes)
    }

    /// The records with their keys.
    pub(super) fn records(self, arrived_ms: u64) -> Records {
        let keys = Keys { ends: self.key_ends, data: self.keys.into() };
        Records { keys: Some(keys), ..Records::new(arrived_ms, self.ends, self.data.into()) }
    }
}

/// `0|([1-9]\d{0,38})`.
impl FromStr for HashKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = (1..=39).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || (text.starts_with('0') && text != "0") {
            return Err(());
        }
        Ok(text.parse().map_or_else(|_| HashKey::Beyond(text.to_owned()), HashKey::Within))
    }
}

fn is_key(key: &str) -> bool {
    let short = key.len() <= PARTITION_KEY_CHARS_MAX || key.chars().count() <= PARTITION_KEY_CHARS_MAX;
    short && !key.is_empty()
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// Whether it is an ARN of a stream, as AWS writes them.
fn is_arn(arn: &str) -> bool {
    let plain = arn.len() <= ARN_CHARS_MAX && arn.bytes().all(|byte| is_name_byte(byte) || matches!(byte, b':' | b'/'));
    let mut parts = arn.split(':');
    let mut next = || parts.next().unwrap_or("");
    let service = next() == "arn" && next().starts_with("aws") && next() == "kinesis";
    let _region = next();
    let account = next();
    let account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let stream = next().strip_prefix("stream/").is_some_and(|name| !name.is_empty());
    plain && service && account && stream && parts.next().is_none()
}
