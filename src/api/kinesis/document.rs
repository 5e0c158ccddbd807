//! A request or an answer without its encoding: what both of them can say.
//!
//! Requests are hostile: nesting and the count of values are bounded while they are read, nothing is allocated by a
//! number that stands in them, and a name that stands twice in a map is refused, so that no two readers of one request
//! can see two different things in it.

mod cbor;
mod json;
#[cfg(test)]
mod tests;

pub(super) use cbor::milliseconds;

use super::Wire;
use crate::api::ApiError;
use crate::limits;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// Nothing; in a request as if the member were absent.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text; in JSON also a blob, in base64.
    Text(String),
    /// A blob.
    Blob(Vec<u8>),
    /// Milliseconds since 1970.
    Time(u64),
    /// A list.
    List(Vec<Document>),
    /// A structure or a map, in order.
    Map(Vec<(String, Document)>),
}

/// What a document that is read may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Maps and lists within each other.
    pub depth: usize,
    /// Values in all.
    pub values: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { depth: limits::DOCUMENT_DEPTH_MAX, values: limits::DOCUMENT_VALUES_MAX }
    }
}

impl Document {
    /// Reads one document, the whole of `bytes`.
    ///
    /// # Errors
    /// `SerializationException` for what is not one, is over `bounds`, or has a name twice in a map.
    pub fn read(wire: Wire, bytes: &[u8], bounds: Bounds) -> Result<Self, ApiError> {
        match wire {
            Wire::Json => json::read(bytes, bounds),
            Wire::Cbor => cbor::read(bytes, bounds),
        }
        .map_err(|why| ApiError::serialization(format!("The request body cannot be read: {why}")))
    }

    /// The document's bytes. Times are seconds with three decimals in JSON, tag 1 with whole milliseconds in CBOR;
    /// lists and maps of CBOR have no stated length, as those of AWS.
    pub fn write(&self, wire: Wire) -> Vec<u8> {
        let mut out = Vec::new();
        match wire {
            Wire::Json => json::write(self, &mut out),
            Wire::Cbor => cbor::write(self, &mut out),
        }
        out
    }

    /// A map of these members.
    pub fn map<const N: usize>(members: [(&str, Document); N]) -> Self {
        Document::Map(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// A map without members.
    pub fn empty() -> Self {
        Document::Map(Vec::new())
    }

    /// This map with one member more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Document>) -> Self {
        if let Document::Map(members) = &mut self {
            members.push((name.to_owned(), value.into()));
        }
        self
    }

    /// The same, where there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Into<Document>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The member called `name` that is not null.
    pub fn get(&self, name: &str) -> Option<&Document> {
        let (_, value) = self.members().iter().find(|(known, _)| known == name)?;
        (*value != Document::Null).then_some(value)
    }

    /// Takes the member called `name` out, if it is not null.
    pub fn take(&mut self, name: &str) -> Option<Document> {
        let Document::Map(members) = self else { return None };
        let at = members.iter().position(|(known, _)| known == name)?;
        Some(members.remove(at).1).filter(|value| *value != Document::Null)
    }

    /// The members of a map; of anything else, none.
    pub fn members(&self) -> &[(String, Document)] {
        match self {
            Document::Map(members) => members,
            _ => &[],
        }
    }

    /// A member's text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_text()
    }

    /// A member's number.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Document::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether a member is there and true.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name) == Some(&Document::Bool(true))
    }

    /// A member's time, milliseconds since 1970.
    pub fn time(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Document::Time(ms) => Some(*ms),
            _ => None,
        }
    }

    /// A member's list; empty when there is none.
    pub fn list(&self, name: &str) -> &[Document] {
        match self.get(name) {
            Some(Document::List(list)) => list,
            _ => &[],
        }
    }

    /// Takes a member's list out; empty when there is none.
    pub fn take_list(&mut self, name: &str) -> Vec<Document> {
        match self.take(name) {
            Some(Document::List(list)) => list,
            _ => Vec::new(),
        }
    }

    /// Takes a member's blob out.
    pub fn take_blob(&mut self, name: &str) -> Option<Vec<u8>> {
        match self.take(name)? {
            Document::Blob(blob) => Some(blob),
            _ => None,
        }
    }

    /// The text that this is.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Document::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<&str> for Document {
    fn from(text: &str) -> Self {
        Document::Text(text.to_owned())
    }
}

impl From<String> for Document {
    fn from(text: String) -> Self {
        Document::Text(text)
    }
}

impl From<i64> for Document {
    fn from(number: i64) -> Self {
        Document::Int(number)
    }
}

impl From<u32> for Document {
    fn from(number: u32) -> Self {
        Document::Int(number.into())
    }
}

impl From<usize> for Document {
    fn from(number: usize) -> Self {
        Document::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Document {
    fn from(flag: bool) -> Self {
        Document::Bool(flag)
    }
}

impl From<Vec<Document>> for Document {
    fn from(list: Vec<Document>) -> Self {
        Document::List(list)
    }
}

/// Counts what is read against the bounds.
struct Budget {
    depth: usize,
    values: usize,
}

impl Budget {
    fn new(bounds: Bounds) -> Self {
        Budget { depth: bounds.depth, values: bounds.values }
    }

    /// One value more.
    fn value(&mut self) -> Result<(), String> {
        self.values = self.values.checked_sub(1).ok_or("it has too many values")?;
        Ok(())
    }

    /// One map or list more around what follows.
    fn enter(&mut self) -> Result<(), String> {
        self.depth = self.depth.checked_sub(1).ok_or("it is nested too deep")?;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth += 1;
    }
}

/// A map, unless a name stands in it twice.
fn map_of(members: Vec<(String, Document)>) -> Result<Document, String> {
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("the member {:?} stands in it twice", shown(pair[0]))),
        None => Ok(Document::Map(members)),
    }
}

/// As much of what a client sent as a message should repeat.
pub(super) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 64;
    text.chars().take(CHARS_MAX).collect()
}
