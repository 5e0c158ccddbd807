//! What a function answers, read as something hostile: `{"records":[{"recordId","result","data","metadata":
//! {"partitionKeys":{…}}}]}`. Its size is bounded before it comes here; here its number of records, the size of their
//! metadata and (by the reader) its nesting are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::super::Failure;
use super::invoke::Fault;
use crate::limits::{
    FUNCTION_KEY_VALUE_BYTES_MAX, FUNCTION_METADATA_BYTES_MAX, PLUGIN_KEY_NAME_BYTES_MAX, PLUGIN_KEYS_MAX,
};

/// Records beyond those that were asked for which an answer may have, before it is taken for nonsense.
const SPARE_RECORDS: usize = 1_000;

/// What becomes of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on as this, with these partition keys.
    Ok(Vec<u8>, Vec<(String, String)>),
    /// It is left out on purpose.
    Dropped,
    /// It goes to the error output.
    Failed(Failure),
}

/// The document, so far as it is one.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    records: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Answered<'a> {
    #[serde(borrow, rename = "recordId", default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    result: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
}

/// What becomes of each row by the body of an answer to the attempt number `attempt`. A fault is worth another attempt.
pub(super) fn judge(ids: &[String], body: &[u8], attempt: u32) -> Result<Vec<Verdict>, Fault> {
    let text = std::str::from_utf8(body).ok().filter(|text| serde_json::from_str::<&RawValue>(text).is_ok());
    let Some(text) = text else {
        return Err(Fault {
            code: "Lambda.JsonProcessingException",
            message: "There was an error parsing returned records from the Lambda function.".into(),
            detail: "the answer is not JSON".to_owned(),
        });
    };
    // An array would be taken for the members of the document in their order.
    let is_object = text.trim_start().starts_with('{');
    let document: Option<Document<'_>> = serde_json::from_str(text).ok().filter(|_| is_object);
    let records = document.and_then(|document| document.records).map(RawValue::get);
    let missing = || failed("Lambda.MissingRecordId", "One or more record Ids were not returned.", attempt);
    let Some(records) = records.filter(|records| records.starts_with('[')) else {
        return Ok(vec![missing(); ids.len()]);
    };
    let Some(answers) = sort(ids, records) else {
        let message = "Check your function and make sure the output is in required format. In addition to that, make sure \
                       the processed records contain valid result status of Dropped, Ok, or ProcessingFailed";
        return Ok(vec![failed("Lambda.FunctionError", message, attempt); ids.len()]);
    };
    Ok(answers.into_iter().map(|answer| answer.verdict(attempt).unwrap_or_else(missing)).collect())
}

fn failed(code: &'static str, message: &str, attempts: u32) -> Verdict {
    Verdict::Failed(Failure { code: code.into(), message: message.to_owned(), attempts, by: None })
}

/// What is said of one record id.
enum Heard<'a> {
    Nothing,
    Ok(Option<Vec<u8>>, Option<&'a RawValue>),
    Dropped,
    Failed,
    Twice,
}

impl Heard<'_> {
    /// What it means; nothing if nothing was said.
    fn verdict(self, attempt: u32) -> Option<Verdict> {
        let invalid = |message: &str| failed("Lambda.InvalidReturnFormat", message, attempt);
        Some(match self {
            Heard::Nothing => return None,
            Heard::Ok(None, _) => invalid("The Lambda function returned Ok without data for the record."),
            Heard::Ok(Some(data), metadata) => match metadata.map_or(Ok(Vec::new()), keys) {
                Ok(keys) => Verdict::Ok(data, keys),
                Err(why) => invalid(&format!("The partition keys that the Lambda function returned {why}.")),
            },
            Heard::Dropped => Verdict::Dropped,
            Heard::Failed => failed("Lambda.ProcessingFailedStatus", "ProcessingFailed status set for record", attempt),
            Heard::Twice => {
                let message = "Multiple records were returned with the same record Id.";
                failed("Lambda.DuplicatedRecordId", message, attempt)
            }
        })
    }
}

/// What is said of each id; nothing if the answer as a whole is not in the required format. Ids that nobody asked about
/// are passed over.
fn sort<'a>(ids: &[String], records: &'a str) -> Option<Vec<Heard<'a>>> {
    let mut heard: Vec<Heard<'a>> = ids.iter().map(|_| Heard::Nothing).collect();
    let numbers: HashMap<&str, usize> = ids.iter().enumerate().map(|(number, id)| (id.as_str(), number)).collect();
    let each = |answered: Answered<'a>| {
        let said = match answered.result.as_deref() {
            Some("Ok") => {
                let decode = |data: &Cow<'_, str>| base64_simd::STANDARD.decode_to_vec(data.as_bytes());
                let data = answered.data.as_ref().map(decode).transpose();
                Heard::Ok(data.map_err(|_| "data is not base64")?, answered.metadata)
            }
            Some("Dropped") => Heard::Dropped,
            Some("ProcessingFailed") => Heard::Failed,
            _ => return Err("the result is none"),
        };
        if let Some(&number) = answered.id.as_deref().and_then(|id| numbers.get(id)) {
            let before = matches!(heard[number], Heard::Nothing);
            heard[number] = if before { said } else { Heard::Twice };
        }
        Ok(())
    };
    let read = Each { each, left: 2 * ids.len() + SPARE_RECORDS };
    read.deserialize(&mut serde_json::Deserializer::from_str(records)).ok()?;
    Some(heard)
}

/// Reads the records one by one, so that no more of them are in memory than were asked for.
struct Each<F> {
    each: F,
    left: usize,
}

impl<'de, F: FnMut(Answered<'de>) -> Result<(), &'static str>> DeserializeSeed<'de> for Each<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Answered<'de>) -> Result<(), &'static str>> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("records")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut records: A) -> Result<(), A::Error> {
        while let Some(record) = records.next_element()? {
            self.left = self.left.checked_sub(1).ok_or_else(|| A::Error::custom("there are too many records"))?;
            (self.each)(record).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// The partition keys in the metadata of a record; why not, otherwise.
fn keys(metadata: &RawValue) -> Result<Vec<(String, String)>, String> {
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow, rename = "partitionKeys", default)]
        keys: Option<&'a RawValue>,
    }

    if metadata.get().len() > FUNCTION_METADATA_BYTES_MAX {
        return Err(format!("have more than {FUNCTION_METADATA_BYTES_MAX} bytes"));
    }
    let none = |_| "are no object of texts".to_owned();
    let metadata: Option<Metadata<'_>> = serde_json::from_str(metadata.get()).map_err(none)?;
    let Some(keys) = metadata.and_then(|metadata| metadata.keys).map(RawValue::get).filter(|keys| *keys != "null")
    else {
        return Ok(Vec::new());
    };
    let keys = serde_json::Deserializer::from_str(keys).deserialize_map(Texts).map_err(none)?;
    if keys.len() > PLUGIN_KEYS_MAX {
        return Err(format!("are more than {PLUGIN_KEYS_MAX}"));
    }
    for (name, value) in &keys {
        if name.is_empty() || name.len() > PLUGIN_KEY_NAME_BYTES_MAX {
            return Err(format!("have a name that has not 1 to {PLUGIN_KEY_NAME_BYTES_MAX} bytes"));
        }
        if value.len() > FUNCTION_KEY_VALUE_BYTES_MAX {
            return Err(format!("have a value of more than {FUNCTION_KEY_VALUE_BYTES_MAX} bytes"));
        }
    }
    Ok(keys)
}

/// An object of texts; numbers and booleans are taken as they are written. Of a name that stands twice the last counts.
struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut all: Vec<(String, String)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, serde_json::Value>()? {
            let value = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Number(number) => number.to_string(),
                serde_json::Value::Bool(is) => is.to_string(),
                _ => return Err(A::Error::custom("a value is no text")),
            };
            // One more than allowed is enough to be refused.
            if let Some((_, known)) = all.iter_mut().find(|(known, _)| *known == name) {
                *known = value;
            } else if all.len() <= PLUGIN_KEYS_MAX {
                all.push((name, value));
            }
        }
        Ok(all)
    }
}
