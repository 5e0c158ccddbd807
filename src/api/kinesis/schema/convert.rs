//! What a client sent as what the model says it is; messages are AWS's.

use super::super::document::{Document, milliseconds, shown};
use super::super::wire::Wire;
use super::{Member, Shape};
use crate::api::ApiError;

const NO_LIST: &str = "Start of list found where not expected";
const NO_MAP: &str = "Start of structure or map found where not expected.";

/// The members that are known, each of its type.
pub(super) fn structure(
    known: &'static [Member],
    given: Vec<(String, Document)>,
    wire: Wire,
) -> Result<Document, ApiError> {
    let mut members = Vec::new();
    for (name, value) in given {
        let Some(member) = known.iter().find(|member| member.name == name) else { continue };
        if value != Document::Null {
            members.push((name, convert(&member.shape, value, wire)?));
        }
    }
    Ok(Document::Map(members))
}

fn convert(shape: &'static Shape, value: Document, wire: Wire) -> Result<Document, ApiError> {
    match (shape, value) {
        (Shape::List { of, .. }, Document::List(items)) => {
            let items = items.into_iter().filter(|item| *item != Document::Null);
            items.map(|item| convert(of, item, wire)).collect::<Result<_, _>>().map(Document::List)
        }
        (Shape::Map { .. }, Document::Map(members)) => map(members),
        (Shape::Structure(known), Document::Map(members)) => structure(known, members, wire),
        (Shape::List { .. }, Document::Map(_)) => Err(ApiError::serialization(NO_MAP)),
        (Shape::List { .. }, _) => Err(ApiError::serialization("Expected list or null")),
        (_, Document::List(_)) => Err(ApiError::serialization(NO_LIST)),
        (Shape::Map { .. }, _) => Err(ApiError::serialization("Expected map or null")),
        (Shape::Structure(_), _) => Err(ApiError::serialization("Expected null")),
        (_, Document::Map(_)) => Err(ApiError::serialization(NO_MAP)),
        (Shape::Text(_) | Shape::Choice(_), value) => text(value),
        (Shape::Integer { .. }, value) => integer(&value),
        (Shape::Boolean, value) => boolean(&value),
        (Shape::Time, value) => time(&value),
        (Shape::Blob { .. }, value) => blob(value, wire),
    }
}

fn map(members: Vec<(String, Document)>) -> Result<Document, ApiError> {
    let mut texts = Vec::with_capacity(members.len());
    for (name, value) in members {
        match value {
            Document::Null => {}
            Document::List(_) => return Err(ApiError::serialization(NO_LIST)),
            Document::Map(_) => return Err(ApiError::serialization(NO_MAP)),
            value => texts.push((name, text(value)?)),
        }
    }
    Ok(Document::Map(texts))
}

fn text(value: Document) -> Result<Document, ApiError> {
    match value {
        Document::Text(_) => Ok(value),
        other => Err(cannot_be(&other, "an String")),
    }
}

fn integer(value: &Document) -> Result<Document, ApiError> {
    let number = match value {
        Document::Int(number) => *number,
        Document::Float(number) => number.floor() as i64,
        other => return Err(cannot_be(other, "an Integer")),
    };
    Ok(Document::Int(number.clamp(i32::MIN.into(), i32::MAX.into())))
}

fn boolean(value: &Document) -> Result<Document, ApiError> {
    match value {
        Document::Bool(flag) => Ok(Document::Bool(*flag)),
        Document::Text(text) => {
            let upper = shown(text).to_uppercase();
            match upper.as_str() {
                "TRUE" | "1" | "YES" => Ok(Document::Bool(true)),
                "FALSE" | "0" | "NO" => Ok(Document::Bool(false)),
                _ => Err(ApiError::serialization(format!("'{upper}' can not be converted to an Boolean"))),
            }
        }
        other => Err(cannot_be(other, "an Boolean")),
    }
}

/// A number without a tag is seconds in either encoding.
fn time(value: &Document) -> Result<Document, ApiError> {
    match value {
        Document::Time(ms) => Ok(Document::Time(*ms)),
        Document::Int(seconds) => Ok(Document::Time(u64::try_from(*seconds).unwrap_or(0).saturating_mul(1000))),
        Document::Float(seconds) => Ok(Document::Time(milliseconds(*seconds))),
        other => Err(cannot_be(other, "milliseconds since epoch")),
    }
}

fn blob(value: Document, wire: Wire) -> Result<Document, ApiError> {
    match (value, wire) {
        (Document::Blob(blob), _) => Ok(Document::Blob(blob)),
        (Document::Text(text), Wire::Json) => decoded(&text).map(Document::Blob),
        (other, _) => Err(cannot_be(&other, "a Blob")),
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, ApiError> {
    let refused =
        |why: String| ApiError::serialization(format!("'{}' can not be converted to a Blob: {why}", shown(text)));
    if !text.len().is_multiple_of(4) {
        let found = text.len();
        return Err(refused(format!("Base64 encoded length is expected a multiple of 4 bytes but found: {found}")));
    }
    base64_simd::STANDARD.decode_to_vec(text).map_err(|_| {
        let foreign =
            text.trim_end_matches('=').chars().find(|c| !c.is_ascii_alphanumeric() && !['+', '/'].contains(c));
        refused(match foreign {
            Some(found) => format!("Invalid Base64 character: '{found}'"),
            None => "Invalid last non-pad Base64 character dectected".to_owned(),
        })
    })
}

fn cannot_be(value: &Document, wanted: &str) -> ApiError {
    let class = match value {
        Document::Bool(_) => "java.lang.Boolean",
        Document::Text(_) => "java.lang.String",
        Document::Blob(_) => "java.nio.HeapByteBuffer",
        Document::Time(_) => "java.util.Date",
        _ => "com.amazon.coral.value.json.numbers.TruncatingBigNumber",
    };
    ApiError::serialization(format!("class {class} can not be converted to {wanted}"))
}
