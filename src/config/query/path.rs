//! Plain paths: `.a.b`, `."a b"`, `.["a"]`, `.a[0]`. Anything else is no plain path, which is not to say that it is wrong.

use crate::limits::{QUERY_INDEX_MAX, QUERY_PATH_SEGMENTS_MAX};

/// Where a value stands in a record; at least one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// From the record inwards.
    pub segments: Vec<Segment>,
}

/// One step inwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The member of an object with this name; the last one, should there be several.
    Field(String),
    /// The element of an array with this number, from 0.
    Index(usize),
}

impl Path {
    /// The path to one member.
    pub fn field(name: &str) -> Self {
        Path { segments: vec![Segment::Field(name.to_owned())] }
    }

    /// Reads a plain path.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('.')?;
        let mut segments = Vec::new();
        loop {
            let (segment, tail) = if let Some(inner) = rest.strip_prefix('[') {
                bracketed(inner)?
            } else if rest.starts_with('"') {
                quoted(rest)?
            } else {
                identifier(rest)?
            };
            segments.push(segment);
            if segments.len() > QUERY_PATH_SEGMENTS_MAX {
                return None;
            }
            rest = match tail.strip_prefix('.') {
                // jq 1.6 has no `.a.[0]`.
                Some(tail) if tail.starts_with('[') => return None,
                Some(tail) => tail,
                None if tail.starts_with('[') => tail,
                None => return tail.is_empty().then_some(Path { segments }),
            };
        }
    }
}

fn identifier(text: &str) -> Option<(Segment, &str)> {
    let fits = |(at, byte): (usize, u8)| byte.is_ascii_alphabetic() || byte == b'_' || at > 0 && byte.is_ascii_digit();
    let length = text.bytes().enumerate().take_while(|byte| fits(*byte)).count();
    let (name, tail) = text.split_at(length);
    (!name.is_empty()).then(|| (Segment::Field(name.to_owned()), tail))
}

/// A string without anything that is escaped.
fn quoted(text: &str) -> Option<(Segment, &str)> {
    let (name, tail) = text.strip_prefix('"')?.split_once('"')?;
    (!name.contains('\\')).then(|| (Segment::Field(name.to_owned()), tail))
}

fn bracketed(text: &str) -> Option<(Segment, &str)> {
    if text.starts_with('"') {
        let (segment, tail) = quoted(text)?;
        return Some((segment, tail.strip_prefix(']')?));
    }
    let (digits, tail) = text.split_once(']')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let index = digits.parse().ok().filter(|index| is_number && *index <= QUERY_INDEX_MAX)?;
    Some((Segment::Index(index), tail))
}
