//! A schema from rows: the same rows in the same order make the same one.
//!
//! Every column may be null. Keys become columns in the order in which they are first seen, under the names that the rules of keys
//! give them. Integers of 64 bits are `bigint`; with fractions among them, or beside exponents, `double`. Objects have the fields
//! of all of them, lists items of one type. What is null or empty wherever it is seen is text. Values of one column that have
//! nothing in common (text and numbers, truth values, objects, lists) make it text. Integers beyond 64 bits, numbers beyond
//! doubles, and what lies too deep are text. Records that are no objects say nothing.
//! Keys beyond the bound of [`INFER_TYPES_MAX`], and those that cannot name a column, make none; they are counted.
//! Then there is one more column at the end, `_rest`: of each row an object of the pairs that hold any such key, as they are
//! written, or null where there is none.
//! In ORC, which cannot hold them, objects and lists are text.

use std::collections::{HashMap, HashSet};

use super::object::plain_key;
use super::rules::{Rules, double};
use crate::config::{Column, ColumnType, Columnar, Json, TableSchema};
use crate::error::Result;
use crate::json::{Broken, Scan};
use crate::limits::{COLUMN_NAME_BYTES_MAX, INFER_DEPTH_MAX, INFER_TYPES_MAX};

/// Sees rows and says which table would hold them.
pub struct Inferrer {
    rules: Rules,
    /// Columns by their keys, where they are called otherwise.
    names: HashMap<String, String>,
    /// Names of those columns.
    taken: HashSet<String>,
    root: Shape,
    /// Columns and fields so far.
    types: usize,
    left_out: u64,
}

/// What values of one column were.
enum Seen {
    /// Null or nothing.
    Nothing,
    Truth,
    Whole,
    Fraction,
    Text,
    /// Values of several kinds.
    Mixed,
    List(Box<Seen>),
    Object(Shape),
}

#[derive(Default)]
struct Shape {
    fields: Vec<(String, Seen)>,
    places: HashMap<String, usize>,
}

impl Inferrer {
    /// Of `settings` the policy and the rules of keys count.
    pub fn new(settings: &Columnar) -> Result<Self> {
        let rules = Rules::new(settings)?;
        let names: HashMap<String, String> = match &settings.json {
            Json::Openx { keys, .. } => {
                keys.keys().map(|column| (settings.json.key_of(column), column.clone())).collect()
            }
            Json::Hive { .. } => HashMap::new(),
        };
        let taken = names.values().cloned().collect();
        Ok(Inferrer { rules, names, taken, root: Shape::default(), types: 0, left_out: 0 })
    }

    /// Sees one record.
    pub fn see(&mut self, record: &[u8]) {
        if std::str::from_utf8(record).is_ok() && is_objects(record) {
            let mut root = std::mem::take(&mut self.root);
            let mut scan = Scan::new(record);
            while scan.peek() == b'{' {
                // It was passed over without a fault before.
                let _ = self.object(&mut root, &mut scan, 0);
            }
            self.root = root;
        }
    }

    /// Keys that were seen and became no column.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What the last column is called, if it takes what has no other. No other column has that name or that key.
    pub fn rest(&self) -> Option<String> {
        (self.left_out > 0).then(|| self.rest_beside(&self.columns(&self.root)))
    }

    fn rest_beside(&self, columns: &[Column]) -> String {
        let key_of = |column: &str| self.rules.json.key_of(column);
        let mut taken: HashSet<String> = self.taken.iter().map(|name| name.to_lowercase()).collect();
        taken.extend(
            columns.iter().flat_map(|column| [column.name.to_lowercase(), key_of(&column.name).to_lowercase()]),
        );
        let mut name = "_rest".to_owned();
        while taken.contains(&name) {
            name.insert(0, '_');
        }
        name
    }

    /// The table that holds what was seen. Where there was no key at all it has one column `_`, which is always null.
    pub fn table(&self) -> Result<TableSchema> {
        let mut columns = self.columns(&self.root);
        if self.rules.orc {
            for column in &mut columns {
                if matches!(column.kind, ColumnType::Array(_) | ColumnType::Struct(_)) {
                    column.kind = ColumnType::String;
                }
            }
        }
        if self.left_out > 0 {
            columns.push(Column { name: self.rest_beside(&columns), kind: ColumnType::String });
        }
        if columns.is_empty() {
            columns.push(Column { name: "_".to_owned(), kind: ColumnType::String });
        }
        TableSchema::new(columns)
    }

    fn columns(&self, shape: &Shape) -> Vec<Column> {
        let name = |key: &String| self.names.get(key).unwrap_or(key).clone();
        shape.fields.iter().map(|(key, seen)| Column { name: name(key), kind: self.kind(seen) }).collect()
    }

    fn kind(&self, seen: &Seen) -> ColumnType {
        match seen {
            Seen::Truth => ColumnType::Boolean,
            Seen::Whole => ColumnType::BigInt,
            Seen::Fraction => ColumnType::Double,
            Seen::List(items) => ColumnType::Array(Box::new(self.kind(items))),
            Seen::Object(shape) if !shape.fields.is_empty() => ColumnType::Struct(self.columns(shape)),
            Seen::Nothing | Seen::Text | Seen::Mixed | Seen::Object(_) => ColumnType::String,
        }
    }

    fn object(&mut self, shape: &mut Shape, scan: &mut Scan<'_>, depth: usize) -> Result<(), Broken> {
        scan.at += 1;
        if scan.take(b'}') {
            return Ok(());
        }
        loop {
            scan.peek();
            let start = scan.at;
            let key = plain_key(&self.rules, scan.string()?, start + 1)?;
            scan.expect(b':', "expected ':'")?;
            match self.place(shape, &key) {
                Some(place) => self.value(&mut shape.fields[place].1, scan, depth + 1)?,
                None => scan.skip(depth + 1)?,
            }
            if !scan.take(b',') {
                return scan.expect(b'}', "expected ',' or '}'");
            }
        }
    }

    /// Where the values of `key` are noted, unless there is no room for them.
    fn place(&mut self, shape: &mut Shape, key: &str) -> Option<usize> {
        if let Some(place) = shape.places.get(key) {
            return Some(*place);
        }
        let nameable = (1..=COLUMN_NAME_BYTES_MAX).contains(&key.len()) && !key.contains('\0');
        // A column of that name has another key.
        let is_taken = self.taken.contains(key) && !self.names.contains_key(key);
        if !nameable || is_taken || self.types >= INFER_TYPES_MAX {
            self.left_out += 1;
            return None;
        }
        self.types += 1;
        shape.places.insert(key.to_owned(), shape.fields.len());
        shape.fields.push((key.to_owned(), Seen::Nothing));
        Some(shape.fields.len() - 1)
    }

    fn value(&mut self, seen: &mut Seen, scan: &mut Scan<'_>, depth: usize) -> Result<(), Broken> {
        match scan.peek() {
            b'{' | b'[' if depth >= INFER_DEPTH_MAX => Self::scalar(seen, Seen::Text),
            b'[' if matches!(seen, Seen::Nothing) && self.types >= INFER_TYPES_MAX => Self::scalar(seen, Seen::Text),
            b'{' => {
                if matches!(seen, Seen::Nothing) {
                    *seen = Seen::Object(Shape::default());
                }
                if let Seen::Object(shape) = seen {
                    return self.object(shape, scan, depth);
                }
                *seen = Seen::Mixed;
            }
            b'[' => {
                if matches!(seen, Seen::Nothing) {
                    *seen = Seen::List(Box::new(Seen::Nothing));
                    self.types += 1;
                }
                if let Seen::List(items) = seen {
                    return self.list(items, scan, depth);
                }
                *seen = Seen::Mixed;
            }
            b'"' => Self::scalar(seen, Seen::Text),
            b't' | b'f' => Self::scalar(seen, Seen::Truth),
            b'-' | b'0'..=b'9' => {
                let number = scan.number()?;
                let whole = number.text.iter().all(|byte| !matches!(byte, b'.' | b'e' | b'E'));
                let fits = number.exact && i64::try_from(number.mantissa).is_ok();
                let kind = match (whole, fits) {
                    (true, true) => Seen::Whole,
                    (false, _) if double(&number).is_some() => Seen::Fraction,
                    _ => Seen::Text,
                };
                Self::scalar(seen, kind);
                return Ok(());
            }
            _ => {}
        }
        scan.skip(depth)
    }

    fn list(&mut self, items: &mut Seen, scan: &mut Scan<'_>, depth: usize) -> Result<(), Broken> {
        scan.at += 1;
        if scan.take(b']') {
            return Ok(());
        }
        loop {
            self.value(items, scan, depth + 1)?;
            if !scan.take(b',') {
                return scan.expect(b']', "expected ',' or ']'");
            }
        }
    }

    fn scalar(seen: &mut Seen, kind: Seen) {
        match (&*seen, &kind) {
            (Seen::Nothing, _) | (Seen::Whole, Seen::Fraction) => *seen = kind,
            (Seen::Fraction, Seen::Whole) | (Seen::Mixed, _) => {}
            (one, other) if std::mem::discriminant(one) == std::mem::discriminant(other) => {}
            _ => *seen = Seen::Mixed,
        }
    }
}

/// Whether a record is one object or several.
fn is_objects(record: &[u8]) -> bool {
    let mut scan = Scan::new(record);
    while scan.peek() == b'{' {
        if scan.skip(0).is_err() {
            return false;
        }
    }
    scan.peek() == 0
}
