//! The grammar of types: `bigint`, `decimal(10,2)`, `array<struct<a:int,b:map<string,double>>>`, in any case, with
//! blanks anywhere; names of fields may stand in backquotes.

use std::str::FromStr;

use super::kind::is_plain;
use super::{Column, ColumnType};
use crate::error::{Error, Result};
use crate::limits::{CHAR_MAX, DECIMAL_PRECISION_MAX, TYPE_DEPTH_MAX, TYPE_TEXT_MAX, VARCHAR_MAX};

/// Every type name that a column may have, for error messages.
const KNOWN: &str = "boolean, tinyint, smallint, int, bigint, float, double, decimal(p,s), string, varchar(n), char(n), binary, \
                     date, timestamp, array<…>, map<…,…> and struct<name:…>";

impl FromStr for ColumnType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > TYPE_TEXT_MAX {
            return Err(Error::invalid(format!("a type may have {TYPE_TEXT_MAX} characters, not {}", text.len())));
        }
        let mut parser = Parser { text, at: 0 };
        let kind = parser.kind(1)?;
        parser.blanks();
        if parser.at < text.len() { Err(parser.fault("the end")) } else { Ok(kind) }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn kind(&mut self, depth: usize) -> Result<ColumnType> {
        if depth > TYPE_DEPTH_MAX {
            return Err(Error::invalid(format!("more than {TYPE_DEPTH_MAX} types within each other")));
        }
        self.blanks();
        let word = self.word();
        Ok(match word.as_str() {
            "boolean" => ColumnType::Boolean,
            "tinyint" => ColumnType::TinyInt,
            "smallint" => ColumnType::SmallInt,
            "int" | "integer" => ColumnType::Int,
            "bigint" => ColumnType::BigInt,
            "float" => ColumnType::Float,
            "double" => ColumnType::Double,
            "string" => ColumnType::String,
            "binary" => ColumnType::Binary,
            "date" => ColumnType::Date,
            "timestamp" => ColumnType::Timestamp,
            "decimal" | "numeric" => self.decimal()?,
            "varchar" => ColumnType::Varchar(self.length(VARCHAR_MAX)?),
            "char" => ColumnType::Char(self.length(CHAR_MAX)?),
            "array" => self.array(depth)?,
            "map" => self.map(depth)?,
            "struct" => self.fields(depth)?,
            "" => return Err(self.fault("a type")),
            "uniontype" => return Err(Error::invalid("uniontype cannot be written")),
            _ => return Err(Error::invalid(format!("unknown type {word:?}: known are {KNOWN}"))),
        })
    }

    fn array(&mut self, depth: usize) -> Result<ColumnType> {
        self.expect('<')?;
        let item = self.kind(depth + 1)?;
        self.expect('>')?;
        Ok(ColumnType::Array(Box::new(item)))
    }

    fn map(&mut self, depth: usize) -> Result<ColumnType> {
        self.expect('<')?;
        let key = self.kind(depth + 1)?;
        self.expect(',')?;
        let value = self.kind(depth + 1)?;
        self.expect('>')?;
        Ok(ColumnType::Map(Box::new(key), Box::new(value)))
    }

    fn fields(&mut self, depth: usize) -> Result<ColumnType> {
        self.expect('<')?;
        let mut fields = Vec::new();
        loop {
            let name = self.name()?;
            self.expect(':')?;
            fields.push(Column { name, kind: self.kind(depth + 1)? });
            if !self.take(',') {
                break;
            }
        }
        self.expect('>')?;
        Ok(ColumnType::Struct(fields))
    }

    /// `(precision,scale)`; Hive's default is `(10,0)`.
    fn decimal(&mut self) -> Result<ColumnType> {
        let (mut precision, mut scale) = (10, 0);
        if self.take('(') {
            precision = self.number()?;
            scale = if self.take(',') { self.number()? } else { 0 };
            self.expect(')')?;
        }
        if !(1..=u32::from(DECIMAL_PRECISION_MAX)).contains(&precision) || scale > precision {
            return Err(Error::invalid(format!(
                "decimal({precision},{scale}) must have 1 to {DECIMAL_PRECISION_MAX} digits, and no more after the point"
            )));
        }
        Ok(ColumnType::Decimal { precision: precision as u8, scale: scale as u8 })
    }

    fn length(&mut self, most: u32) -> Result<u32> {
        self.expect('(')?;
        let chars = self.number()?;
        self.expect(')')?;
        if (1..=most).contains(&chars) {
            return Ok(chars);
        }
        Err(Error::invalid(format!("a length must be 1 to {most}, not {chars}")))
    }

    /// A field's name, quoted or not.
    fn name(&mut self) -> Result<String> {
        self.blanks();
        let rest = &self.text[self.at..];
        if let Some(quoted) = rest.strip_prefix('`') {
            let mut end = 0;
            while let Some(next) = quoted[end..].find('`') {
                end += next + 1;
                if quoted[end..].starts_with('`') {
                    end += 1;
                    continue;
                }
                self.at += 1 + end;
                return Ok(quoted[..end - 1].replace("``", "`"));
            }
            return Err(self.fault("a backquote that closes the name"));
        }
        let end = rest.find(|c: char| !is_plain(c)).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.fault("a field's name"));
        }
        self.at += end;
        Ok(rest[..end].to_owned())
    }

    fn number(&mut self) -> Result<u32> {
        self.blanks();
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number = rest[..end].parse().map_err(|_| self.fault("a number"))?;
        self.at += end;
        Ok(number)
    }

    fn word(&mut self) -> String {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.at += end;
        rest[..end].to_ascii_lowercase()
    }

    fn take(&mut self, what: char) -> bool {
        self.blanks();
        let there = self.text[self.at..].starts_with(what);
        self.at += if there { what.len_utf8() } else { 0 };
        there
    }

    fn expect(&mut self, what: char) -> Result<()> {
        if self.take(what) { Ok(()) } else { Err(self.fault(&format!("{what:?}"))) }
    }

    fn blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn fault(&self, wanted: &str) -> Error {
        let found: String = self.text[self.at..].chars().take(20).collect();
        let found = if found.is_empty() { "the end of the type".to_owned() } else { format!("{found:?}") };
        Error::invalid(format!("expected {wanted} at character {}, found {found}", self.at + 1))
    }
}
