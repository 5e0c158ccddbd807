//! CBOR (RFC 8949) as AWS uses it: texts and byte strings in one piece or in chunks, lists and maps with or without a
//! stated length, tag 1 with whole *milliseconds*, or with a float of seconds.
//!
//! A stated length is a client's word: it says when a list ends, and never how much memory to take.

use minicbor::Decoder;
use minicbor::data::Type;
use minicbor::decode::Error;

use super::{Bounds, Budget, Document, map_of};

const TAG_TIME: u64 = 1;

/// The whole of `bytes` as one document.
pub(super) fn read(bytes: &[u8], bounds: Bounds) -> Result<Document, String> {
    let mut reader = Reader { decoder: Decoder::new(bytes), budget: Budget::new(bounds) };
    let document = reader.value()?;
    if reader.decoder.position() == bytes.len() { Ok(document) } else { Err("bytes follow after its end".to_owned()) }
}

struct Reader<'b> {
    decoder: Decoder<'b>,
    budget: Budget,
}

impl Reader<'_> {
    fn value(&mut self) -> Result<Document, String> {
        self.budget.value()?;
        match self.kind()? {
            Type::Null => self.decoder.null().map(|()| Document::Null).map_err(said),
            Type::Undefined => self.decoder.undefined().map(|()| Document::Null).map_err(said),
            Type::Bool => self.decoder.bool().map(Document::Bool).map_err(said),
            Type::String | Type::StringIndef => self.text().map(Document::Text),
            Type::Bytes | Type::BytesIndef => self.blob().map(Document::Blob),
            Type::Array | Type::ArrayIndef => self.list(),
            Type::Map | Type::MapIndef => self.map(),
            Type::Tag => self.tagged(),
            _ => self.number(),
        }
    }

    fn number(&mut self) -> Result<Document, String> {
        match self.kind()? {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
                let number = i128::from(self.decoder.int().map_err(said)?);
                Ok(i64::try_from(number).map_or(Document::Float(number as f64), Document::Int))
            }
            Type::F16 => self.half().map(Document::Float),
            Type::F32 => self.decoder.f32().map(|number| Document::Float(number.into())).map_err(said),
            Type::F64 => self.decoder.f64().map(Document::Float).map_err(said),
            kind => Err(format!("a value of type {kind} where none belongs")),
        }
    }

    /// IEEE 754 binary16, which is the head `f9` and two bytes.
    fn half(&mut self) -> Result<f64, String> {
        let at = self.decoder.position();
        let &[_, high, low] = self.decoder.input().get(at..at + 3).ok_or("it ends in the middle")? else {
            return Err("it ends in the middle".to_owned());
        };
        self.decoder.set_position(at + 3);
        Ok(of_half(u16::from_be_bytes([high, low])))
    }

    fn tagged(&mut self) -> Result<Document, String> {
        let tag = self.decoder.tag().map_err(said)?;
        if tag.as_u64() != TAG_TIME {
            return Err(format!("the tag {} is none that is known", tag.as_u64()));
        }
        match self.number()? {
            Document::Int(ms) => Ok(Document::Time(u64::try_from(ms).unwrap_or(0))),
            Document::Float(seconds) => Ok(Document::Time(milliseconds(seconds))),
            _ => Err("a time that is no number".to_owned()),
        }
    }

    fn text(&mut self) -> Result<String, String> {
        let mut text = String::new();
        for piece in self.decoder.str_iter().map_err(said)? {
            text.push_str(piece.map_err(said)?);
        }
        Ok(text)
    }

    fn blob(&mut self) -> Result<Vec<u8>, String> {
        let mut blob = Vec::new();
        for piece in self.decoder.bytes_iter().map_err(said)? {
            blob.extend_from_slice(piece.map_err(said)?);
        }
        Ok(blob)
    }

    fn list(&mut self) -> Result<Document, String> {
        self.budget.enter()?;
        let mut left = self.decoder.array().map_err(said)?;
        let mut items = Vec::new();
        while self.goes_on(&mut left)? {
            items.push(self.value()?);
        }
        self.budget.leave();
        Ok(Document::List(items))
    }

    fn map(&mut self) -> Result<Document, String> {
        self.budget.enter()?;
        let mut left = self.decoder.map().map_err(said)?;
        let mut members = Vec::new();
        while self.goes_on(&mut left)? {
            if !matches!(self.kind()?, Type::String | Type::StringIndef) {
                return Err("a member's name is no text".to_owned());
            }
            members.push((self.text()?, self.value()?));
        }
        self.budget.leave();
        map_of(members)
    }

    /// Whether a list or map has one more, with so many `left` if that was stated.
    fn goes_on(&mut self, left: &mut Option<u64>) -> Result<bool, String> {
        if let Some(left) = left {
            let more = *left > 0;
            *left = left.saturating_sub(1);
            return Ok(more);
        }
        let more = self.kind()? != Type::Break;
        if !more {
            self.decoder.set_position(self.decoder.position() + 1);
        }
        Ok(more)
    }

    fn kind(&self) -> Result<Type, String> {
        self.decoder.datatype().map_err(said)
    }
}

/// Seconds since 1970 as milliseconds; what is before then is 0.
pub(in super::super) fn milliseconds(seconds: f64) -> u64 {
    #[expect(clippy::cast_sign_loss, reason = "what is below zero, or no number, becomes 0")]
    let ms = (seconds * 1000.0).round() as u64;
    ms
}

fn of_half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match i32::from(bits >> 10 & 0x1f) {
        0 => fraction * 2f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        exponent => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 0 { magnitude } else { -magnitude }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn said(error: Error) -> String {
    if error.is_end_of_input() { "it ends in the middle".to_owned() } else { error.to_string() }
}

// Major types, in the upper three bits of a head (RFC 8949, 3).
const UNSIGNED: u8 = 0 << 5;
const NEGATIVE: u8 = 1 << 5;
const BYTES: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;
const LIST_OPEN: u8 = 4 << 5 | 31;
const MAP_OPEN: u8 = 5 << 5 | 31;
const TIME: u8 = 6 << 5 | 1;
const END: u8 = 0xff;

/// Appends the document.
pub(super) fn write(document: &Document, out: &mut Vec<u8>) {
    match document {
        Document::Null => out.push(0xf6),
        Document::Bool(flag) => out.push(0xf4 | u8::from(*flag)),
        Document::Int(number) => match u64::try_from(*number) {
            Ok(number) => head(UNSIGNED, number, out),
            // -1 - n is what a negative number is written as.
            Err(_) => head(NEGATIVE, number.unsigned_abs() - 1, out),
        },
        Document::Float(number) => {
            out.push(0xfb);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Document::Text(text) => string(TEXT, text.as_bytes(), out),
        Document::Blob(blob) => string(BYTES, blob, out),
        Document::Time(ms) => {
            out.push(TIME);
            head(UNSIGNED, *ms, out);
        }
        Document::List(items) => {
            out.push(LIST_OPEN);
            for item in items {
                write(item, out);
            }
            out.push(END);
        }
        Document::Map(members) => {
            out.push(MAP_OPEN);
            for (name, value) in members {
                string(TEXT, name.as_bytes(), out);
                write(value, out);
            }
            out.push(END);
        }
    }
}

fn string(major: u8, bytes: &[u8], out: &mut Vec<u8>) {
    head(major, bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// A head with its argument, as short as can be.
fn head(major: u8, argument: u64, out: &mut Vec<u8>) {
    let bytes = argument.to_be_bytes();
    let (info, tail) = match argument {
        0..24 => (argument as u8, 8),
        24..0x100 => (24, 7),
        0x100..0x1_0000 => (25, 6),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 0),
    };
    out.push(major | info);
    out.extend_from_slice(&bytes[tail..]);
}
