//! Columns from a JSON schema: the `properties` of an object, in their order.
//!
//! `integer` is a bigint, `number` a double, `boolean` and `string` are what they say (with `format` "date" and "date-time",
//! and `contentEncoding` "base64": date, timestamp, binary); `array` with `items` and `object` with `properties` are nested,
//! an object with a schema as `additionalProperties` alone is a map. `null` beside one other type says nothing, for every
//! column may be null. What can be of several types is a string, which holds any value as JSON text.

use serde_json::Value;

use super::{Column, ColumnType, TableSchema};
use crate::error::{Error, Result};
use crate::limits::{TABLE_TYPES_MAX, TYPE_DEPTH_MAX};

/// Reads a schema document.
pub(super) fn read(root: &Value) -> Result<TableSchema> {
    let mut reader = Reader { root, types: 0 };
    let schema = reader.resolve(root)?;
    let Some(properties) = schema.get("properties").and_then(Value::as_object).filter(|all| !all.is_empty()) else {
        return Err(Error::invalid("the JSON schema has no \"properties\", so a table of it would have no columns"));
    };
    TableSchema::new(reader.columns(properties, 1)?)
}

struct Reader<'a> {
    root: &'a Value,
    /// Types so far; references may repeat each other without end.
    types: usize,
}

impl<'a> Reader<'a> {
    fn columns(&mut self, properties: &'a serde_json::Map<String, Value>, depth: usize) -> Result<Vec<Column>> {
        let mut columns = Vec::new();
        for (name, schema) in properties {
            let kind = self.kind(schema, depth).map_err(|error| super::in_column(name, &error))?;
            columns.push(Column { name: name.clone(), kind });
        }
        Ok(columns)
    }

    fn kind(&mut self, schema: &'a Value, depth: usize) -> Result<ColumnType> {
        self.types += 1;
        if depth > TYPE_DEPTH_MAX || self.types > TABLE_TYPES_MAX {
            return Err(Error::invalid("the schema is too deep or too large; does it refer to itself?"));
        }
        let schema = self.resolve(schema)?;
        if let Some(only) = only_alternative(schema) {
            return self.kind(only, depth + 1);
        }
        let format = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
        Ok(match only_type(schema) {
            Some("boolean") => ColumnType::Boolean,
            Some("integer") => ColumnType::BigInt,
            Some("number") => ColumnType::Double,
            Some("string") => match (format("format"), format("contentEncoding")) {
                ("date", _) => ColumnType::Date,
                ("date-time", _) => ColumnType::Timestamp,
                (_, "base64") => ColumnType::Binary,
                _ => ColumnType::String,
            },
            Some("array") => match schema.get("items").filter(|items| items.is_object()) {
                Some(items) => ColumnType::Array(Box::new(self.kind(items, depth + 1)?)),
                None => ColumnType::String,
            },
            Some("object") => self.object(schema, depth)?,
            _ => ColumnType::String,
        })
    }

    fn object(&mut self, schema: &'a Value, depth: usize) -> Result<ColumnType> {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object).filter(|all| !all.is_empty()) {
            return Ok(ColumnType::Struct(self.columns(properties, depth + 1)?));
        }
        match schema.get("additionalProperties").filter(|all| all.is_object()) {
            Some(values) => {
                let values = self.kind(values, depth + 1)?;
                Ok(ColumnType::Map(Box::new(ColumnType::String), Box::new(values)))
            }
            None => Ok(ColumnType::String),
        }
    }

    /// Follows `$ref` within the document.
    fn resolve(&self, mut schema: &'a Value) -> Result<&'a Value> {
        for _ in 0..=TYPE_DEPTH_MAX {
            let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { return Ok(schema) };
            let found = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            schema = found.ok_or_else(|| Error::invalid(format!("\"$ref\" {reference:?} is not in the document")))?;
        }
        Err(Error::invalid("\"$ref\" leads to no end"))
    }
}

/// The one type that a schema allows beside null.
fn only_type(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => {
            let mut names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.next().filter(|_| names.next().is_none())
        }
        _ => None,
    }
}

/// The one alternative beside null of a schema that has alternatives.
fn only_alternative(schema: &Value) -> Option<&Value> {
    let all = schema.get("anyOf").or_else(|| schema.get("oneOf")).or_else(|| schema.get("allOf"))?.as_array()?;
    let mut others = all.iter().filter(|alternative| alternative.get("type") != Some(&Value::from("null")));
    others.next().filter(|_| others.next().is_none())
}
