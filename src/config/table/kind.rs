//! Types of columns and their spelling.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Column;
use crate::error::Error;

/// The type of a column, as Hive has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ColumnType {
    /// `boolean`.
    Boolean,
    /// `tinyint`: 8 bits.
    TinyInt,
    /// `smallint`: 16 bits.
    SmallInt,
    /// `int`: 32 bits.
    Int,
    /// `bigint`: 64 bits.
    BigInt,
    /// `float`: 32 bits.
    Float,
    /// `double`: 64 bits.
    Double,
    /// `decimal(precision,scale)`.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, at most as many.
        scale: u8,
    },
    /// `string`.
    String,
    /// `varchar(n)`: at most so many characters.
    Varchar(u32),
    /// `char(n)`: at most so many characters.
    Char(u32),
    /// `binary`.
    Binary,
    /// `date`.
    Date,
    /// `timestamp`.
    Timestamp,
    /// `array<item>`.
    Array(Box<ColumnType>),
    /// `map<key,value>`.
    Map(Box<ColumnType>, Box<ColumnType>),
    /// `struct<name:type,…>`.
    Struct(Vec<Column>),
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::Boolean => f.write_str("boolean"),
            ColumnType::TinyInt => f.write_str("tinyint"),
            ColumnType::SmallInt => f.write_str("smallint"),
            ColumnType::Int => f.write_str("int"),
            ColumnType::BigInt => f.write_str("bigint"),
            ColumnType::Float => f.write_str("float"),
            ColumnType::Double => f.write_str("double"),
            ColumnType::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            ColumnType::String => f.write_str("string"),
            ColumnType::Varchar(chars) => write!(f, "varchar({chars})"),
            ColumnType::Char(chars) => write!(f, "char({chars})"),
            ColumnType::Binary => f.write_str("binary"),
            ColumnType::Date => f.write_str("date"),
            ColumnType::Timestamp => f.write_str("timestamp"),
            ColumnType::Array(item) => write!(f, "array<{item}>"),
            ColumnType::Map(key, value) => write!(f, "map<{key},{value}>"),
            ColumnType::Struct(fields) => fields_of(fields, f),
        }
    }
}

fn fields_of(fields: &[Column], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("struct<")?;
    for (index, Column { name, kind }) in fields.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        if name.chars().all(is_plain) {
            write!(f, "{comma}{name}:{kind}")?;
        } else {
            write!(f, "{comma}`{}`:{kind}", name.replace('`', "``"))?;
        }
    }
    f.write_str(">")
}

/// Whether a character can stand in a field's name without quotes.
pub(super) fn is_plain(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !matches!(c, ':' | ',' | '<' | '>' | '(' | ')' | '`')
}

impl TryFrom<String> for ColumnType {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<ColumnType> for String {
    fn from(kind: ColumnType) -> String {
        kind.to_string()
    }
}
