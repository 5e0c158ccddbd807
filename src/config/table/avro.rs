//! Columns from an Avro schema: the fields of a record. Records are still JSON; the schema says what is in them.
//!
//! A union of null and one other type is that type; other unions are refused. `enum` and uuid are strings, `fixed` is binary,
//! times of day are refused, and so is a type that holds itself.

use std::collections::HashMap;

use serde_json::Value;

use super::{Column, ColumnType, TableSchema};
use crate::error::{Error, Result};
use crate::limits::{TABLE_TYPES_MAX, TYPE_DEPTH_MAX};

/// Whether a JSON document is an Avro schema and not a JSON schema.
pub(super) fn looks_like(document: &Value) -> bool {
    document.get("type") == Some(&Value::from("record")) && document.get("fields").is_some_and(Value::is_array)
}

/// Reads a schema document.
pub(super) fn read(document: &Value) -> Result<TableSchema> {
    if !looks_like(document) {
        return Err(Error::invalid("the Avro schema is not one of a record with fields"));
    }
    let mut reader = Reader { named: HashMap::new(), types: 0 };
    TableSchema::new(reader.fields(document, "", 1)?)
}

struct Reader<'a> {
    /// Types by their full names.
    named: HashMap<String, &'a Value>,
    types: usize,
}

impl<'a> Reader<'a> {
    fn fields(&mut self, record: &'a Value, space: &str, depth: usize) -> Result<Vec<Column>> {
        let space = self.remember(record, space);
        let fields = record.get("fields").and_then(Value::as_array);
        let fields = fields.ok_or_else(|| Error::invalid("a record of the Avro schema has no \"fields\""))?;
        let mut columns = Vec::new();
        for field in fields {
            let name = field.get("name").and_then(Value::as_str);
            let name = name.ok_or_else(|| Error::invalid("a field of the Avro schema has no \"name\""))?;
            let kind = field.get("type").ok_or_else(|| Error::invalid(format!("field {name:?} has no \"type\"")))?;
            let kind = self.kind(kind, &space, depth).map_err(|error| super::in_column(name, &error))?;
            columns.push(Column { name: name.to_owned(), kind });
        }
        Ok(columns)
    }

    fn kind(&mut self, schema: &'a Value, space: &str, depth: usize) -> Result<ColumnType> {
        self.types += 1;
        if depth > TYPE_DEPTH_MAX || self.types > TABLE_TYPES_MAX {
            return Err(Error::invalid("the schema is too deep or too large; does a type hold itself?"));
        }
        match schema {
            Value::String(name) => self.by_name(name, space, depth),
            Value::Array(union) => {
                let mut others = union.iter().filter(|kind| *kind != &Value::from("null"));
                match (others.next(), others.next()) {
                    (Some(only), None) => self.kind(only, space, depth + 1),
                    _ => Err(Error::invalid("a union may have null and one other type")),
                }
            }
            Value::Object(object) => match object.get("type") {
                Some(Value::String(name)) => self.complex(name, schema, space, depth),
                Some(nested) => self.kind(nested, space, depth + 1),
                None => Err(Error::invalid("a type of the Avro schema has no \"type\"")),
            },
            _ => Err(Error::invalid(format!("{schema} is not an Avro type"))),
        }
    }

    fn by_name(&mut self, name: &str, space: &str, depth: usize) -> Result<ColumnType> {
        if let Some(kind) = primitive(name) {
            return Ok(kind);
        }
        let full = full_name(name, space);
        match self.named.get(&full).or_else(|| self.named.get(name)).copied() {
            Some(schema) => self.kind(schema, space, depth + 1),
            None => Err(Error::invalid(format!("unknown Avro type {name:?}"))),
        }
    }

    fn complex(&mut self, name: &str, schema: &'a Value, space: &str, depth: usize) -> Result<ColumnType> {
        let nested =
            |key: &str| schema.get(key).ok_or_else(|| Error::invalid(format!("an Avro {name} has no {key:?}")));
        match name {
            "record" => Ok(ColumnType::Struct(self.fields(schema, space, depth + 1)?)),
            "array" => Ok(ColumnType::Array(Box::new(self.kind(nested("items")?, space, depth + 1)?))),
            "map" => {
                let values = self.kind(nested("values")?, space, depth + 1)?;
                Ok(ColumnType::Map(Box::new(ColumnType::String), Box::new(values)))
            }
            "enum" => {
                self.remember(schema, space);
                Ok(ColumnType::String)
            }
            "fixed" => {
                self.remember(schema, space);
                logical(schema)?.map_or(Ok(ColumnType::Binary), Ok)
            }
            _ => match logical(schema)? {
                Some(kind) => Ok(kind),
                None => self.by_name(name, space, depth),
            },
        }
    }

    /// Keeps a named type for references to it; gives back the namespace that holds within.
    fn remember(&mut self, schema: &'a Value, space: &str) -> String {
        let text = |key: &str| schema.get(key).and_then(Value::as_str);
        let own = text("namespace").unwrap_or(space);
        if let Some(name) = text("name") {
            self.named.insert(full_name(name, own), schema);
        }
        own.to_owned()
    }
}

fn full_name(name: &str, space: &str) -> String {
    if space.is_empty() || name.contains('.') { name.to_owned() } else { format!("{space}.{name}") }
}

fn primitive(name: &str) -> Option<ColumnType> {
    Some(match name {
        "boolean" => ColumnType::Boolean,
        "int" => ColumnType::Int,
        "long" => ColumnType::BigInt,
        "float" => ColumnType::Float,
        "double" => ColumnType::Double,
        "bytes" => ColumnType::Binary,
        // A column that is always null holds nothing, whatever its type.
        "string" | "null" => ColumnType::String,
        _ => return None,
    })
}

/// What `logicalType` makes of a type; unknown ones say nothing, as the specification wants.
fn logical(schema: &Value) -> Result<Option<ColumnType>> {
    let number = |key: &str| schema.get(key).and_then(Value::as_u64);
    let name = schema.get("logicalType").and_then(Value::as_str).unwrap_or_default();
    Ok(Some(match name {
        "date" => ColumnType::Date,
        "uuid" => ColumnType::String,
        "decimal" => {
            let (precision, scale) = (number("precision").unwrap_or_default(), number("scale").unwrap_or_default());
            return format!("decimal({precision},{scale})").parse().map(Some);
        }
        _ if name.starts_with("timestamp-") || name.starts_with("local-timestamp-") => ColumnType::Timestamp,
        _ if name.starts_with("time-") => return Err(Error::invalid(format!("{name} has no type in a table"))),
        _ => return Ok(None),
    }))
}
