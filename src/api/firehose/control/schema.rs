//! The first layer of validation: the constraints of the API's public model (version 2015-08-04).
//!
//! `model.json` holds the facts of the shapes that control operations take, also of destinations that are refused
//! later: members, what is required, lengths and ranges, patterns, enumerations. Every constraint that a request
//! breaks is reported, in one `ValidationException` with AWS's wording; a value of a wrong JSON type is a
//! `SerializationException`. Members that are null count as absent. A member that the model does not know is refused
//! too: it would be a setting that is accepted and has no effect.
//!
//! In the model, `match` and `except` stand beside patterns with look-around, which our engine does not have: the
//! value must be of the one form and not of the other.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::api::ApiError;
use crate::limits::VALIDATION_ERRORS_MAX;

static MODEL: LazyLock<HashMap<String, Shape>> =
    LazyLock::new(|| serde_json::from_str(include_str!("model.json")).expect("a test reads the whole model"));

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    r#type: Type,
    min: Option<i64>,
    max: Option<i64>,
    pattern: Option<String>,
    r#match: Option<String>,
    except: Option<String>,
    r#enum: Option<Vec<String>>,
    #[serde(default)]
    required: Vec<String>,
    #[serde(default)]
    members: Map<String, Value>,
    member: Option<String>,
    key: Option<String>,
    value: Option<String>,
    #[serde(skip)]
    compiled: OnceLock<Matcher>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Type {
    Structure,
    List,
    Map,
    String,
    Integer,
    Double,
    Boolean,
    Timestamp,
}

struct Matcher {
    of: Regex,
    except: Option<Regex>,
}

/// Reads the body of `operation` and checks it. What comes back has members of the model only, none of them null.
pub(super) fn read(operation: &str, body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::serialization(format!("The request body is not JSON: {error}")))?;
    let mut walk = Walk::default();
    let input = shape_named(&format!("{operation}Input"));
    let Value::Object(input) = walk.value(input, body)? else {
        return Err(ApiError::serialization("The request body is not a JSON object"));
    };
    walk.finish(operation)?;
    Ok(input)
}

fn shape_named(name: &str) -> &'static Shape {
    MODEL.get(name).expect("a test checks that every shape that is named is there")
}

/// One pass over a request.
#[derive(Default)]
struct Walk {
    /// Where we are: `extendedS3DestinationConfiguration.bufferingHints`.
    path: String,
    broken: Vec<String>,
    unknown: Option<String>,
}

impl Walk {
    fn finish(self, operation: &str) -> Result<(), ApiError> {
        let count = self.broken.len();
        if count > 0 {
            let errors = if count == 1 { "error" } else { "errors" };
            let list = self.broken.join("; ");
            return Err(ApiError::validation(format!("{count} validation {errors} detected: {list}")));
        }
        match self.unknown {
            None => Ok(()),
            Some(path) => Err(ApiError::invalid_argument(format!(
                "{path} is not a member of {operation} that Standpipe supports"
            ))),
        }
    }

    /// Goes on below member `name`.
    fn below<T>(&mut self, name: &str, step: impl FnOnce(&mut Self) -> T) -> T {
        let len = self.path.len();
        if len > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        let result = step(self);
        self.path.truncate(len);
        result
    }

    fn broken(&mut self, constraint: impl std::fmt::Display) {
        if self.broken.len() < VALIDATION_ERRORS_MAX {
            self.broken
                .push(format!("Value at '{}' failed to satisfy constraint: Member must {constraint}", self.path));
        }
    }

    fn wrong_type(&self, wanted: &str) -> ApiError {
        match self.path.as_str() {
            "" => ApiError::serialization(format!("The request body is not {wanted}")),
            path => ApiError::serialization(format!("The value at '{path}' is not {wanted}")),
        }
    }

    fn value(&mut self, shape: &'static Shape, value: Value) -> Result<Value, ApiError> {
        match (shape.r#type, value) {
            (Type::Structure, Value::Object(given)) => self.structure(shape, given).map(Value::Object),
            (Type::List, Value::Array(given)) => self.list(shape, given).map(Value::Array),
            (Type::Map, Value::Object(given)) => self.map(shape, given).map(Value::Object),
            (Type::String, Value::String(text)) => {
                self.string(shape, &text);
                Ok(Value::String(text))
            }
            (Type::Integer, Value::Number(number)) => {
                let number = whole(&number).ok_or_else(|| self.wrong_type("an integer"))?;
                self.range(shape, number as f64);
                Ok(number.into())
            }
            (Type::Double, Value::Number(number)) => {
                self.range(shape, number.as_f64().unwrap_or(f64::MAX));
                Ok(Value::Number(number))
            }
            (Type::Boolean, value @ Value::Bool(_)) | (Type::Timestamp, value @ Value::Number(_)) => Ok(value),
            (wanted, _) => Err(self.wrong_type(wanted.name())),
        }
    }

    fn structure(
        &mut self,
        shape: &'static Shape,
        mut given: Map<String, Value>,
    ) -> Result<Map<String, Value>, ApiError> {
        let mut checked = Map::new();
        for (name, of) in &shape.members {
            let of = shape_named(of.as_str().expect("a member names its shape"));
            match given.remove(name).filter(|value| !value.is_null()) {
                Some(value) => {
                    let value = self.below(&camel(name), |walk| walk.value(of, value))?;
                    checked.insert(name.clone(), value);
                }
                None if shape.required.contains(name) => {
                    self.below(&camel(name), |walk| walk.broken("not be null"));
                }
                None => {}
            }
        }
        if let Some(name) = given.iter().find(|(_, value)| !value.is_null()).map(|(name, _)| name)
            && self.unknown.is_none()
        {
            let dot = if self.path.is_empty() { "" } else { "." };
            self.unknown = Some(format!("{}{dot}{}", self.path, shown(name)));
        }
        Ok(checked)
    }

    fn list(&mut self, shape: &'static Shape, given: Vec<Value>) -> Result<Vec<Value>, ApiError> {
        self.length(shape, given.len());
        let of = shape_named(shape.member.as_deref().expect("a list has a member"));
        let mut checked = Vec::with_capacity(given.len());
        for (index, value) in given.into_iter().enumerate() {
            self.below(&format!("{}.member", index + 1), |walk| {
                if value.is_null() {
                    walk.broken("not be null");
                } else {
                    checked.push(walk.value(of, value)?);
                }
                Ok::<(), ApiError>(())
            })?;
        }
        Ok(checked)
    }

    fn map(&mut self, shape: &'static Shape, given: Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
        self.length(shape, given.len());
        let of_key = shape_named(shape.key.as_deref().expect("a map has a key"));
        let of_value = shape_named(shape.value.as_deref().expect("a map has a value"));
        let mut checked = Map::new();
        for (key, value) in given.into_iter().filter(|(_, value)| !value.is_null()) {
            self.below("key", |walk| walk.string(of_key, &key));
            let value = self.below(&format!("{}.value", shown(&key)), |walk| walk.value(of_value, value))?;
            checked.insert(key, value);
        }
        Ok(checked)
    }

    fn string(&mut self, shape: &'static Shape, text: &str) {
        if let Some(allowed) = &shape.r#enum
            && !allowed.iter().any(|value| value == text)
        {
            self.broken(format_args!("satisfy enum value set: [{}]", allowed.join(", ")));
        }
        self.length(shape, text.chars().count());
        if let Some(pattern) = &shape.pattern
            && !shape.matcher(pattern).matches(text)
        {
            self.broken(format_args!("satisfy regular expression pattern: {pattern}"));
        }
    }

    fn length(&mut self, shape: &'static Shape, len: usize) {
        let len = i64::try_from(len).unwrap_or(i64::MAX);
        if let Some(max) = shape.max.filter(|max| len > *max) {
            self.broken(format_args!("have length less than or equal to {max}"));
        }
        if let Some(min) = shape.min.filter(|min| len < *min) {
            self.broken(format_args!("have length greater than or equal to {min}"));
        }
    }

    fn range(&mut self, shape: &'static Shape, value: f64) {
        if let Some(max) = shape.max.filter(|max| value > *max as f64) {
            self.broken(format_args!("have value less than or equal to {max}"));
        }
        if let Some(min) = shape.min.filter(|min| value < *min as f64) {
            self.broken(format_args!("have value greater than or equal to {min}"));
        }
    }
}

impl Shape {
    fn matcher(&'static self, pattern: &str) -> &'static Matcher {
        self.compiled.get_or_init(|| Matcher {
            of: compile(self.r#match.as_deref().unwrap_or(pattern)),
            except: self.except.as_deref().map(compile),
        })
    }
}

impl Matcher {
    fn matches(&self, text: &str) -> bool {
        self.of.is_match(text) && !self.except.as_ref().is_some_and(|except| except.is_match(text))
    }
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Type::Structure | Type::Map => "a JSON object",
            Type::List => "a list",
            Type::String => "a string",
            Type::Integer => "an integer",
            Type::Double => "a number",
            Type::Boolean => "a boolean",
            Type::Timestamp => "a timestamp in seconds",
        }
    }
}

/// A pattern of the model as our engine reads it: over the whole value, and with Java's ASCII classes.
fn compile(pattern: &str) -> Regex {
    let space = r" \t\n\x0B\f\r";
    let pattern = pattern
        .replace(r"\d", "[0-9]")
        .replace(r"\w", "a-zA-Z0-9_") // Stands within a class wherever the model has it.
        .replace(r"\s", &format!("[{space}]"))
        .replace(r"\S", &format!("[^{space}]"));
    Regex::new(&format!(r"\A(?:{pattern})\z")).expect("a test compiles every pattern of the model")
}

/// An integer, also where a client writes it with a fraction of zero.
fn whole(number: &serde_json::Number) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_i64().or_else(|| number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < EXACT).map(|f| f as i64))
}

/// As much of a name that somebody else chose as a message may repeat.
fn shown(name: &str) -> &str {
    name.char_indices().nth(64).map_or(name, |(end, _)| &name[..end])
}

/// A member's name in messages.
fn camel(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATIONS: [&str; 10] = [
        "CreateDeliveryStream",
        "DeleteDeliveryStream",
        "DescribeDeliveryStream",
        "ListDeliveryStreams",
        "UpdateDestination",
        "TagDeliveryStream",
        "UntagDeliveryStream",
        "ListTagsForDeliveryStream",
        "StartDeliveryStreamEncryption",
        "StopDeliveryStreamEncryption",
    ];

    #[test]
    fn the_model_is_complete_and_every_pattern_compiles() {
        for operation in OPERATIONS {
            shape_named(&format!("{operation}Input"));
        }
        for (name, shape) in MODEL.iter() {
            let members = shape.members.values().map(|of| of.as_str().unwrap());
            for of in members.chain([&shape.member, &shape.key, &shape.value].into_iter().flatten().map(String::as_str))
            {
                shape_named(of);
            }
            for required in &shape.required {
                assert!(shape.members.contains_key(required), "{name}.{required}");
            }
            if let Some(pattern) = &shape.pattern {
                shape.matcher(pattern);
            }
        }
    }

    #[test]
    fn patterns_take_what_javas_take() {
        let table = [
            ("TagKey", "team", true),
            ("TagKey", "aws:team", false),
            ("TagKey", "Größe 1", true),
            ("TagKey", "a*b", false),
            ("BucketARN", "arn:aws:s3:::my.bucket-1_x", true),
            ("BucketARN", "arn:aws:s3:::bücket", false),
            ("BucketARN", "arn:aws:s3:::a/b", false),
            ("RoleARN", "arn:aws:iam::123456789012:role/path/x", true),
            ("RoleARN", "arn:aws:iam::12345678901:role/x", false),
            ("FileExtension", "", true),
            ("FileExtension", ".json.gz", true),
            ("FileExtension", "json", false),
            ("FileExtension", ".JSON", false),
            ("CustomTimeZone", "Europe/Berlin", true),
            ("CustomTimeZone", "Etc/GMT+1", false),
            ("NonEmptyString", " \t", false),
            ("NonEmptyString", " x ", true),
            ("NonEmptyStringWithoutWhitespace", "a b", false),
            ("DeliveryStreamName", "a\n", false),
            ("ClusterJDBCURL", "jdbc:redshift://a-1.b.us-east-1.redshift.amazonaws.com:5439/db", true),
            ("ClusterJDBCURL", "jdbc:redshift://a-.redshift.amazonaws.com:5439/db", false),
            ("TopicName", "a.b_c-d", true),
            ("TopicName", "a/b", false),
        ];
        for (name, text, fits) in table {
            let shape = shape_named(name);
            let fits_too = shape.matcher(shape.pattern.as_deref().unwrap()).matches(text);
            assert_eq!(fits_too, fits, "{name} {text:?}");
        }
    }
}
