//! Objects into the columns of a table or the fields of a struct: which key belongs to which column.
//!
//! Records of a stream resemble each other. So the keys are remembered in the order in which they were first seen, spelled as they
//! were, and a key is first compared with those that are likely to come next; only where that fails it is looked up.

use std::borrow::Cow;
use std::collections::HashMap;

use arrow::array::ArrayRef;
use arrow::datatypes::Fields;
use arrow::error::ArrowError;

use super::column::{Column, Values};
use super::fault::Fault;
use super::read::Reader;
use super::rules::Rules;
use crate::config;
use crate::json::{Broken, Scan, Text, unescape};
use crate::limits::{CONVERT_DEPTH_MAX, KEY_SHAPE_BYTES_MAX, KEY_SHAPE_MAX};

/// How many remembered keys a key is compared with before it is looked up: a few optional ones may be missing.
const NEAR: usize = 3;

/// Columns side by side.
pub(super) struct Object<'t> {
    names: &'t [config::Column],
    columns: Vec<Column<'t>>,
    /// Columns by their keys.
    keys: HashMap<String, usize>,
    /// Keys as they are spelled in the records, quotes included, and the columns that they belong to.
    seen: Vec<(Box<[u8]>, Option<usize>)>,
    /// Where each of them is in `seen`.
    places: HashMap<Box<[u8]>, usize>,
    /// Whether the last column takes what has no other.
    has_rest: bool,
}

impl<'t> Object<'t> {
    pub(super) fn new(names: &'t [config::Column], rules: &Rules) -> Self {
        Object {
            names,
            columns: names.iter().map(|column| Column::new(&column.kind, rules)).collect(),
            keys: names.iter().enumerate().map(|(at, column)| (rules.json.key_of(&column.name), at)).collect(),
            seen: Vec::new(),
            places: HashMap::new(),
            has_rest: false,
        }
    }

    /// The same, whose last column, a text, belongs to no key: of each row it is an object of those pairs in which anything, however
    /// deep, has no column.
    pub(super) fn with_rest(mut self) -> Self {
        let last = self.columns.len() - 1;
        self.keys.retain(|_, column| *column != last);
        self.has_rest = true;
        self
    }

    /// How many values a row has that has none.
    pub(super) fn width(&self) -> usize {
        self.columns.iter().map(|column| column.width).sum()
    }

    pub(super) fn push_null(&mut self) {
        self.columns.iter_mut().for_each(Column::push_null);
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.columns.iter_mut().for_each(|column| column.truncate(length));
    }

    pub(super) fn finish(self, fields: &Fields) -> Result<Vec<ArrayRef>, ArrowError> {
        self.columns.into_iter().zip(fields).map(|(column, field)| column.finish(field.data_type())).collect()
    }

    /// Reads an object, whose brace is next, as row `row`. What is half read when it fails is the caller's to take back.
    pub(super) fn read(
        &mut self,
        reader: &mut Reader<'_>,
        scan: &mut Scan<'_>,
        row: usize,
        depth: usize,
    ) -> Result<(), Fault> {
        if depth >= CONVERT_DEPTH_MAX {
            return Err(scan.too_deep().into());
        }
        reader.count(self.columns.len(), scan.at)?;
        let start = scan.at;
        scan.at += 1;
        let (mut next, mut filled) = (0, 0);
        if self.has_rest {
            reader.rest.begin();
        }
        if !scan.take(b'}') {
            loop {
                scan.peek();
                let pair = scan.at;
                let column = self.key(reader, scan, &mut next)?;
                scan.expect(b':', "expected ':'")?;
                if let Some(at) = column {
                    filled += self.value(at, reader, scan, row, depth)?;
                } else {
                    reader.rest.passed_over = true;
                    scan.skip(depth + 1)?;
                }
                if self.has_rest {
                    reader.rest.end_pair(&scan.text[pair..scan.at]);
                }
                if !scan.take(b',') {
                    break;
                }
            }
            scan.expect(b'}', "expected ',' or '}'")?;
        }
        if self.has_rest && !reader.rest.pairs.is_empty() {
            filled += usize::from(self.push_rest(&reader.rest.pairs));
        }
        if filled < self.columns.len() {
            for column in self.columns.iter_mut().filter(|column| column.len() == row) {
                reader.count(column.width - 1, start)?;
                column.push_null();
            }
        }
        Ok(())
    }

    /// Adds the value of the last column; whether it did.
    fn push_rest(&mut self, pairs: &[u8]) -> bool {
        let Some(Column { values: Values::Text(bytes), valid, .. }) = self.columns.last_mut() else { return false };
        for part in [b"{", pairs, b"}"] {
            bytes.data.extend_from_slice(part);
        }
        bytes.end();
        valid.push(true);
        true
    }

    /// Reads the value of column `at`; gives back how many more columns have one now. Of values with the same key the last one
    /// holds.
    #[inline]
    fn value(
        &mut self,
        at: usize,
        reader: &mut Reader<'_>,
        scan: &mut Scan<'_>,
        row: usize,
        depth: usize,
    ) -> Result<usize, Fault> {
        let column = &mut self.columns[at];
        let again = column.len() > row;
        if again {
            column.truncate(row);
            if scan.peek() == b'n' {
                // The value that it takes the place of was counted, and was no fewer values than a null is.
                scan.word(b"null")?;
                column.push_null();
                return Ok(0);
            }
        }
        match column.read(reader, scan, depth + 1) {
            Ok(()) => Ok(usize::from(!again)),
            Err(fault) => Err(fault.within(&self.names[at].name)),
        }
    }

    /// Passes a key; the column that it belongs to.
    #[inline]
    fn key(&mut self, reader: &mut Reader<'_>, scan: &mut Scan<'_>, next: &mut usize) -> Result<Option<usize>, Broken> {
        if scan.peek() != b'"' {
            return Err(scan.broken("expected a key"));
        }
        for (place, (spelled, column)) in (*next..).zip(self.seen.iter().skip(*next).take(NEAR)) {
            if scan.take_all(spelled) {
                *next = place + 1;
                return Ok(*column);
            }
        }
        self.look_up(reader, scan, next)
    }

    fn look_up(
        &mut self,
        reader: &mut Reader<'_>,
        scan: &mut Scan<'_>,
        next: &mut usize,
    ) -> Result<Option<usize>, Broken> {
        let start = scan.at;
        let key = scan.string()?;
        let spelled = &scan.text[start..scan.at];
        if let Some(place) = self.places.get(spelled) {
            *next = place + 1;
            return Ok(self.seen[*place].1);
        }
        let column = self.keys.get(&*plain_key(reader.rules, key, start + 1)?).copied();
        if !key.escaped && self.seen.len() < KEY_SHAPE_MAX && spelled.len() <= KEY_SHAPE_BYTES_MAX {
            self.places.insert(spelled.into(), self.seen.len());
            self.seen.push((spelled.into(), column));
            *next = self.seen.len();
        }
        Ok(column)
    }
}

/// A key in the form in which keys are compared; its text begins at byte `start`.
pub(super) fn plain_key<'k>(rules: &Rules, key: Text<'k>, start: usize) -> Result<Cow<'k, str>, Broken> {
    // The record is UTF-8, and so is each of its keys.
    if !key.escaped
        && let Ok(text) = std::str::from_utf8(key.raw)
    {
        return Ok(rules.json.plain(text));
    }
    let mut bytes = Vec::with_capacity(key.raw.len());
    unescape(key.raw, start, &mut |piece| bytes.extend_from_slice(piece))?;
    Ok(rules.json.plain(&String::from_utf8_lossy(&bytes)).into_owned().into())
}
