//! JSON: read by serde, so that what is no JSON is nothing else either; written by hand, because times have a form of
//! their own.

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use super::{Bounds, Budget, Document, map_of};

/// The whole of `bytes` as one document.
pub(super) fn read(bytes: &[u8], bounds: Bounds) -> Result<Document, String> {
    const CHARS_MAX: usize = 200;
    let mut budget = Budget::new(bounds);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = Seed(&mut budget).deserialize(&mut reader).and_then(|document| reader.end().map(|()| document));
    // The reader's messages may repeat what the client sent.
    read.map_err(|error| error.to_string().chars().take(CHARS_MAX).collect())
}

struct Seed<'a>(&'a mut Budget);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Document;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Document, D::Error> {
        self.0.value().map_err(D::Error::custom)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Document;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Document, E> {
        Ok(Document::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Document, E> {
        Ok(Document::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Document, E> {
        Ok(i64::try_from(number).map_or(Document::Float(number as f64), Document::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Document, E> {
        Ok(Document::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Document, E> {
        Ok(Document::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Document, E> {
        Ok(Document::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Document, A::Error> {
        self.0.enter().map_err(A::Error::custom)?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(Seed(self.0))? {
            items.push(item);
        }
        self.0.leave();
        Ok(Document::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        self.0.enter().map_err(A::Error::custom)?;
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            members.push((name, map.next_value_seed(Seed(self.0))?));
        }
        self.0.leave();
        map_of(members).map_err(A::Error::custom)
    }
}

/// Appends the document.
pub(super) fn write(document: &Document, out: &mut Vec<u8>) {
    match document {
        Document::Null => out.extend_from_slice(b"null"),
        Document::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Document::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Document::Float(number) => plain(number, out),
        Document::Text(text) => plain(text, out),
        Document::Blob(blob) => {
            out.push(b'"');
            base64_simd::STANDARD.encode_append(blob, out);
            out.push(b'"');
        }
        Document::Time(ms) => out.extend_from_slice(format!("{}.{:03}", ms / 1000, ms % 1000).as_bytes()),
        Document::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                comma(at, out);
                write(item, out);
            }
            out.push(b']');
        }
        Document::Map(members) => {
            out.push(b'{');
            for (at, (name, value)) in members.iter().enumerate() {
                comma(at, out);
                plain(name, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
    }
}

fn comma(at: usize, out: &mut Vec<u8>) {
    if at > 0 {
        out.push(b',');
    }
}

/// What serde writes as we do; a number that JSON does not have becomes null.
fn plain(value: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("texts and numbers are always JSON, and a vector takes all bytes");
}
