//! Schemas of tables: columns with types as Hive and AWS Glue spell them, from wherever they are written down.
//!
//! A schema is part of what a plan pins, so it is serialized as text that says the same for ever: `{"columns":[{"name":
//! "id","type":"bigint"}, …]}`.

mod avro;
mod json_schema;
mod kind;
mod parse;
mod sql;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

pub use kind::ColumnType;

use crate::error::{Error, Result};
use crate::limits::{COLUMN_NAME_BYTES_MAX, TABLE_TYPES_MAX, TYPE_DEPTH_MAX};

/// The columns of a table, in order: at least one, names unlike one another, within the bounds of `limits`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct TableSchema {
    columns: Vec<Column>,
}

/// A column of a table, or a field of a struct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its values are; all may be null.
    #[serde(rename = "type")]
    pub kind: ColumnType,
}

#[derive(Serialize, Deserialize)]
struct Written {
    columns: Vec<Column>,
}

impl TableSchema {
    /// A table of `columns`.
    pub fn new(columns: Vec<Column>) -> Result<Self> {
        if columns.is_empty() {
            return Err(Error::invalid("a table must have columns"));
        }
        let mut types = 0;
        check(&columns, "the table", 1, &mut types)?;
        Ok(TableSchema { columns })
    }

    /// A table of columns named beside their types, as `[("id", "bigint"), …]`.
    pub fn of_texts<'a>(columns: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let column = |(name, kind): (&str, &str)| {
            let kind = kind.parse().map_err(|error: Error| in_column(name, &error))?;
            Ok(Column { name: name.to_owned(), kind })
        };
        TableSchema::new(columns.into_iter().map(column).collect::<Result<_>>()?)
    }

    /// What a file holds: an Avro schema (`.avsc`), a JSON schema (other JSON), or a `CREATE TABLE` statement. `name` is the
    /// file's.
    pub fn from_file(name: &str, text: &str) -> Result<Self> {
        let text = text.trim_start_matches('\u{feff}');
        if !text.trim_start().starts_with(['{', '[', '"']) {
            return sql::read(text);
        }
        let document = serde_json::from_str(text).map_err(|error| Error::invalid(format!("is not JSON: {error}")))?;
        let named_avro = name.rsplit('.').next().is_some_and(|extension| extension.eq_ignore_ascii_case("avsc"));
        if named_avro || avro::looks_like(&document) { avro::read(&document) } else { json_schema::read(&document) }
    }

    /// The columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }
}

impl TryFrom<Written> for TableSchema {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        TableSchema::new(written.columns)
    }
}

impl From<TableSchema> for Written {
    fn from(schema: TableSchema) -> Written {
        Written { columns: schema.columns }
    }
}

/// The error of a column's type, with the column's name.
fn in_column(name: &str, error: &Error) -> Error {
    Error::invalid(format!("column {name:?}: {}", error.message()))
}

/// Names and numbers of the columns of a table or fields of a struct, which `place` names.
fn check(columns: &[Column], place: &str, depth: usize, types: &mut usize) -> Result<()> {
    let mut names = HashSet::new();
    for column in columns {
        let name = &column.name;
        if !(1..=COLUMN_NAME_BYTES_MAX).contains(&name.len()) || name.contains('\0') {
            return Err(Error::invalid(format!(
                "the name {name:?} in {place} must have 1 to {COLUMN_NAME_BYTES_MAX} bytes and no NUL"
            )));
        }
        if !names.insert(name) {
            return Err(Error::invalid(format!("{place} has two columns {name:?}")));
        }
        check_type(&column.kind, name, depth, types)?;
    }
    Ok(())
}

fn check_type(kind: &ColumnType, column: &str, depth: usize, types: &mut usize) -> Result<()> {
    *types += 1;
    if *types > TABLE_TYPES_MAX {
        return Err(Error::invalid(format!("a table may have {TABLE_TYPES_MAX} columns and fields")));
    }
    if depth > TYPE_DEPTH_MAX {
        return Err(Error::invalid(format!("column {column:?}: more than {TYPE_DEPTH_MAX} types within each other")));
    }
    match kind {
        ColumnType::Array(item) => check_type(item, column, depth + 1, types),
        ColumnType::Map(key, value) => {
            if matches!(**key, ColumnType::Array(_) | ColumnType::Map(..) | ColumnType::Struct(_)) {
                return Err(Error::invalid(format!("column {column:?}: the keys of a map cannot be {key}")));
            }
            check_type(key, column, depth + 1, types)?;
            check_type(value, column, depth + 1, types)
        }
        ColumnType::Struct(fields) if fields.is_empty() => {
            Err(Error::invalid(format!("column {column:?}: a struct must have fields")))
        }
        ColumnType::Struct(fields) => check(fields, &format!("column {column:?}"), depth + 1, types),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
