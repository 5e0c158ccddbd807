//! Values into columns: one function for each kind of column.

use std::collections::HashMap;

use super::column::{Bytes, Column, Values, last, offset};
use super::fault::{Fault, shortened};
use super::object::plain_key;
use super::rules::{Rounding, Rules, day, double, number, scaled};
use crate::config::ColumnType;
use crate::json::{Number, Scan, Text, unescape};
use crate::limits::{CONVERT_DEPTH_MAX, CONVERT_VALUES_MAX, CONVERT_VALUES_MIN, CONVERT_VALUES_PER_BYTE};

/// What reading needs beside the columns.
pub(super) struct Reader<'r> {
    pub(super) rules: &'r Rules,
    /// For texts with escapes.
    scratch: Vec<u8>,
    /// Values of columns that the record has made, and may make.
    values: usize,
    values_max: usize,
    /// Whether the table was found in the rows: then no record may make more for being longer.
    is_found: bool,
    pub(super) rest: Rest,
}

/// What has no column of its own, of one row.
#[derive(Default)]
pub(super) struct Rest {
    /// Whether there was any since the last pair of the row ended.
    pub(super) passed_over: bool,
    /// Pairs as they are written, by commas.
    pub(super) pairs: Vec<u8>,
}

impl Rest {
    pub(super) fn begin(&mut self) {
        self.passed_over = false;
        self.pairs.clear();
    }

    /// A pair of the row ends; it is kept if anything in it was passed over.
    pub(super) fn end_pair(&mut self, pair: &[u8]) {
        if std::mem::take(&mut self.passed_over) {
            if !self.pairs.is_empty() {
                self.pairs.push(b',');
            }
            self.pairs.extend_from_slice(pair);
        }
    }
}

impl<'r> Reader<'r> {
    /// `is_found` if the table was found in the rows.
    pub(super) fn new(rules: &'r Rules, is_found: bool) -> Self {
        Reader { rules, scratch: Vec::new(), values: 0, values_max: 0, is_found, rest: Rest::default() }
    }

    /// Begins with a record of so many bytes.
    pub(super) fn begin(&mut self, bytes: usize) {
        let most = bytes.saturating_mul(CONVERT_VALUES_PER_BYTE);
        let least = if self.is_found { CONVERT_VALUES_MAX } else { CONVERT_VALUES_MIN };
        (self.values, self.values_max) = (0, most.clamp(least, CONVERT_VALUES_MAX));
    }

    /// Values of columns that the record has made.
    pub(super) fn values(&self) -> usize {
        self.values
    }

    /// Notes that what begins at byte `start` makes so many more. A few bytes may make a value in each of thousands of columns.
    #[inline]
    pub(super) fn count(&mut self, values: usize, start: usize) -> Result<(), Fault> {
        self.values += values;
        if self.values <= self.values_max {
            return Ok(());
        }
        let most = self.values_max;
        Err(Fault::unfit(
            start,
            format!(
                "makes, with what stands before it, more than the {most} values that a record of its size may make"
            ),
        ))
    }

    /// A string whose inside begins at byte `start`, escapes resolved.
    fn text<'s>(&'s mut self, text: Text<'s>, start: usize) -> Result<&'s str, Fault> {
        let bytes = if text.escaped {
            let scratch = &mut self.scratch;
            scratch.clear();
            unescape(text.raw, start, &mut |piece| scratch.extend_from_slice(piece))?;
            scratch
        } else {
            text.raw
        };
        // The record is UTF-8, and so is each of its strings.
        std::str::from_utf8(bytes).map_err(|_| Fault::unfit(start, "is not UTF-8"))
    }
}

/// What a value is, by its first character.
enum Token<'a> {
    Truth(bool),
    Number(Number<'a>),
    /// And the byte of the record at which its inside begins.
    Text(Text<'a>, usize),
    /// An array or an object, which has not been passed.
    Nested,
}

#[inline]
fn token<'a>(scan: &mut Scan<'a>) -> Result<Token<'a>, Fault> {
    Ok(match scan.peek() {
        b'-' | b'0'..=b'9' => Token::Number(scan.number()?),
        b'"' => {
            let start = scan.at + 1;
            Token::Text(scan.string()?, start)
        }
        b't' => {
            scan.word(b"true")?;
            Token::Truth(true)
        }
        b'f' => {
            scan.word(b"false")?;
            Token::Truth(false)
        }
        b'{' | b'[' => Token::Nested,
        _ => return Err(scan.broken("expected a value").into()),
    })
}

impl Column<'_> {
    /// Reads the next value, of which `depth` others are around it. What is half read when it fails is the caller's to take
    /// back.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, scan: &mut Scan<'_>, depth: usize) -> Result<(), Fault> {
        let first = scan.peek();
        if first == b'n' {
            reader.count(self.width - 1, scan.at)?;
            scan.word(b"null")?;
            self.push_null();
            return Ok(());
        }
        let start = scan.at;
        let row = self.valid.len();
        let read = match &mut self.values {
            Values::BigInt(values) => whole(reader, scan).map(|value| push(values, value)),
            Values::Int(values) => whole(reader, scan).map(|value| push(values, narrow(value))),
            Values::SmallInt(values) => whole(reader, scan).map(|value| push(values, narrow(value))),
            Values::TinyInt(values) => whole(reader, scan).map(|value| push(values, narrow(value))),
            Values::Double(values) => fraction(reader, scan, double).map(|value| push(values, value)),
            Values::Float(values) => {
                fraction(reader, scan, single).map(|value| push(values, value.map(|value| value as f32)))
            }
            Values::Boolean(values) => truth(reader, scan).map(|value| push(values, value)),
            Values::Text(bytes) => text(bytes, self.kind, reader, scan, depth),
            Values::Timestamp(values) => time(reader, scan).map(|value| push(values, value)),
            Values::Date(values) => date(reader, scan).map(|value| push(values, value)),
            Values::Decimal(values) => decimal(self.kind, reader, scan).map(|value| push(values, value)),
            Values::Binary(bytes) => binary(bytes, reader, scan),
            Values::Struct(object) if first == b'{' => object.read(reader, scan, row, depth).map(|()| true),
            Values::Array { ends, items } if first == b'[' => array(ends, items, reader, scan, depth).map(|()| true),
            Values::Map { ends, keys, values } if first == b'{' => {
                map(ends, (keys, values), reader, scan, depth).map(|()| true)
            }
            Values::Struct(_) | Values::Array { .. } | Values::Map { .. } => token(scan).map(|_| false),
        };
        if read? {
            self.valid.push(true);
            return Ok(());
        }
        Err(self.unfit(start))
    }

    #[cold]
    fn unfit(&self, start: usize) -> Fault {
        let kind = self.kind.to_string();
        Fault::unfit(start, format!("is not {} {}", article(&kind), shortened(kind.as_bytes())))
    }
}

fn article(kind: &str) -> &'static str {
    if kind.starts_with(['a', 'i']) { "an" } else { "a" }
}

/// Whether there was a value that could be added.
#[inline]
fn push<T>(values: &mut Vec<T>, value: Option<T>) -> bool {
    let there = value.is_some();
    values.extend(value);
    there
}

fn narrow<T: TryFrom<i64>>(value: Option<i64>) -> Option<T> {
    value.and_then(|value| T::try_from(value).ok())
}

/// The nearest 32-bit fraction, unless the number is beyond all of them.
fn single(number: &Number<'_>) -> Option<f64> {
    let nearest: f32 = std::str::from_utf8(number.text).ok()?.parse().ok()?;
    nearest.is_finite().then_some(f64::from(nearest))
}

#[inline]
fn whole(reader: &mut Reader<'_>, scan: &mut Scan<'_>) -> Result<Option<i64>, Fault> {
    Ok(match token(scan)? {
        Token::Number(number) => integer(&number),
        Token::Text(text, start) if reader.rules.lenient() => {
            number(reader.text(text, start)?).and_then(|number| integer(&number))
        }
        _ => None,
    })
}

#[inline]
fn integer(number: &Number<'_>) -> Option<i64> {
    if number.exact
        && number.exponent == 0
        && let Ok(value) = i64::try_from(number.mantissa)
    {
        return Some(if number.negative { -value } else { value });
    }
    i64::try_from(scaled(number, 0, Rounding::Exact)?).ok()
}

#[inline]
fn fraction(
    reader: &mut Reader<'_>,
    scan: &mut Scan<'_>,
    nearest: fn(&Number<'_>) -> Option<f64>,
) -> Result<Option<f64>, Fault> {
    Ok(match token(scan)? {
        Token::Number(number) => nearest(&number),
        Token::Text(text, start) if reader.rules.lenient() => match reader.text(text, start)? {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => number(text).and_then(|number| nearest(&number)),
        },
        _ => None,
    })
}

fn truth(reader: &mut Reader<'_>, scan: &mut Scan<'_>) -> Result<Option<bool>, Fault> {
    Ok(match token(scan)? {
        Token::Truth(truth) => Some(truth),
        Token::Text(text, start) if reader.rules.lenient() => match reader.text(text, start)? {
            text if text.eq_ignore_ascii_case("true") => Some(true),
            text if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        },
        _ => None,
    })
}

fn time(reader: &mut Reader<'_>, scan: &mut Scan<'_>) -> Result<Option<i64>, Fault> {
    let rules = reader.rules;
    let micros = match token(scan)? {
        Token::Number(number) => rules.time_of_number(&number),
        Token::Text(text, start) => rules.time_of_text(reader.text(text, start)?),
        _ => None,
    };
    Ok(micros.filter(|micros| !rules.orc || !(-999_000..0).contains(micros)))
}

fn date(reader: &mut Reader<'_>, scan: &mut Scan<'_>) -> Result<Option<i32>, Fault> {
    Ok(match token(scan)? {
        Token::Text(text, start) => day(reader.text(text, start)?).and_then(|day| i32::try_from(day).ok()),
        _ => None,
    })
}

fn decimal(kind: &ColumnType, reader: &mut Reader<'_>, scan: &mut Scan<'_>) -> Result<Option<i128>, Fault> {
    let &ColumnType::Decimal { precision, scale } = kind else { return Ok(None) };
    let of = |number: &Number<'_>| scaled(number, i64::from(scale), Rounding::HalfUp);
    let value = match token(scan)? {
        Token::Number(number) => of(&number),
        Token::Text(text, start) if reader.rules.lenient() => {
            number(reader.text(text, start)?).and_then(|number| of(&number))
        }
        _ => None,
    };
    Ok(value.filter(|value| value.unsigned_abs() < 10u128.pow(u32::from(precision))))
}

fn binary(bytes: &mut Bytes, reader: &mut Reader<'_>, scan: &mut Scan<'_>) -> Result<bool, Fault> {
    let Token::Text(text, start) = token(scan)? else { return Ok(false) };
    let decoded = base64_simd::STANDARD.decode_to_vec(reader.text(text, start)?.as_bytes());
    Ok(decoded.is_ok_and(|decoded| {
        bytes.data.extend_from_slice(&decoded);
        bytes.end();
        true
    }))
}

#[inline]
fn text(
    bytes: &mut Bytes,
    kind: &ColumnType,
    reader: &mut Reader<'_>,
    scan: &mut Scan<'_>,
    depth: usize,
) -> Result<bool, Fault> {
    let before = bytes.data.len();
    let start = scan.at;
    match token(scan)? {
        Token::Text(text, _) if !text.escaped => bytes.data.extend_from_slice(text.raw),
        Token::Text(text, start) => {
            unescape(text.raw, start, &mut |piece| bytes.data.extend_from_slice(piece))?;
        }
        Token::Nested if reader.rules.lenient() => {
            scan.skip(depth)?;
            bytes.data.extend_from_slice(&scan.text[start..scan.at]);
        }
        Token::Nested => return Ok(false),
        Token::Number(_) | Token::Truth(_) => bytes.data.extend_from_slice(&scan.text[start..scan.at]),
    }
    bytes.end();
    Ok(match kind {
        ColumnType::Varchar(chars) | ColumnType::Char(chars) => {
            let added = &bytes.data[before..];
            added.len() <= *chars as usize || characters(added) <= *chars as usize
        }
        _ => true,
    })
}

/// How many characters a text has: bytes that do not continue one.
fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}

fn array(
    ends: &mut Vec<i32>,
    items: &mut Column<'_>,
    reader: &mut Reader<'_>,
    scan: &mut Scan<'_>,
    depth: usize,
) -> Result<(), Fault> {
    if depth >= CONVERT_DEPTH_MAX {
        return Err(scan.too_deep().into());
    }
    let (start, before) = (scan.at, items.len());
    scan.at += 1;
    if !scan.take(b']') {
        loop {
            items.read(reader, scan, depth + 1).map_err(|fault| fault.within("[]"))?;
            if !scan.take(b',') {
                break;
            }
        }
        scan.expect(b']', "expected ',' or ']'")?;
    }
    // Each has a byte at least, so there are not too many of them yet.
    reader.count(items.len() - before, start)?;
    ends.push(offset(items.len()));
    Ok(())
}

/// Reads an object as a map. Of entries with the same key the last one holds, which is seen only at the end: then it is read
/// again without the others.
fn map(
    ends: &mut Vec<i32>,
    (keys, values): (&mut Column<'_>, &mut Column<'_>),
    reader: &mut Reader<'_>,
    scan: &mut Scan<'_>,
    depth: usize,
) -> Result<(), Fault> {
    if depth >= CONVERT_DEPTH_MAX {
        return Err(scan.too_deep().into());
    }
    let (start, before) = (scan.at, last(ends));
    let mut found = Vec::new();
    // Keys that are texts are in their column, as they are compared.
    let is_text = matches!(keys.values, Values::Text(_));
    let mut note = |key: &str| {
        if !is_text {
            found.push(key.to_owned());
        }
    };
    entries((keys, values), reader, scan, depth, &|_| true, &mut note)?;
    let has_twins = match &keys.values {
        Values::Text(bytes) => bytes.has_twins(before),
        _ => true,
    };
    if has_twins {
        if is_text {
            again((keys, values), scan, (start, before));
            entries((keys, values), reader, scan, depth, &|_| true, &mut |key| found.push(key.to_owned()))?;
        }
        let newest: HashMap<&str, usize> = found.iter().enumerate().map(|(at, key)| (key.as_str(), at)).collect();
        if newest.len() < found.len() {
            again((keys, values), scan, (start, before));
            entries((keys, values), reader, scan, depth, &|at| newest[found[at].as_str()] == at, &mut |_| {})?;
        }
    }
    reader.count(2 * (values.len() - before), start)?;
    ends.push(offset(values.len()));
    Ok(())
}

/// Goes back to where a map began.
fn again((keys, values): (&mut Column<'_>, &mut Column<'_>), scan: &mut Scan<'_>, (start, before): (usize, usize)) {
    keys.truncate(before);
    values.truncate(before);
    scan.at = start;
}

/// Reads those entries of a map whose number `wanted` takes; `note` is told the keys of all.
fn entries(
    (keys, values): (&mut Column<'_>, &mut Column<'_>),
    reader: &mut Reader<'_>,
    scan: &mut Scan<'_>,
    depth: usize,
    wanted: &dyn Fn(usize) -> bool,
    note: &mut dyn FnMut(&str),
) -> Result<(), Fault> {
    scan.at += 1;
    if scan.take(b'}') {
        return Ok(());
    }
    for number in 0.. {
        if scan.peek() != b'"' {
            return Err(scan.broken("expected a key").into());
        }
        let start = scan.at;
        let key = plain_key(reader.rules, scan.string()?, start + 1)?;
        scan.expect(b':', "expected ':'")?;
        if wanted(number) {
            map_key(keys, reader, &key).map_err(|fault| fault.at(start))?;
            values.read(reader, scan, depth + 1).map_err(|fault| fault.within(&shortened(key.as_bytes())))?;
        } else {
            scan.skip(depth + 1)?;
        }
        note(&key);
        if !scan.take(b',') {
            break;
        }
    }
    scan.expect(b'}', "expected ',' or '}'")?;
    Ok(())
}

/// Adds a key to the column of a map's keys: as text, or read as a value would be that stands in a text.
fn map_key(keys: &mut Column<'_>, reader: &mut Reader<'_>, key: &str) -> Result<(), Fault> {
    if let (Values::Text(bytes), ColumnType::String) = (&mut keys.values, keys.kind) {
        bytes.data.extend_from_slice(key.as_bytes());
        bytes.end();
        keys.valid.push(true);
        return Ok(());
    }
    let quoted = serde_json::Value::from(key).to_string();
    keys.read(reader, &mut Scan::new(quoted.as_bytes()), 0)
}
