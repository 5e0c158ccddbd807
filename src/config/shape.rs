//! The shape of a file against the schema: unknown keys, values of the wrong kind, words that are not among the known
//! ones, missing keys. All are found at once; what is wrong is taken out of the document, so that the rest can be read.

use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::fault::Findings;
use super::schema::LATER;

/// Checks `document` against `schema` and takes out of it what does not fit.
pub(super) fn check(document: &mut Spanned<DeTable<'_>>, schema: &Value, findings: &mut Findings) {
    let place = 0..0;
    Shape { root: schema, findings }.table(document.get_mut(), schema, &place, &place);
}

/// The known name that `name` was probably meant to be.
pub(super) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let name = plain(name);
    let (distance, nearest) = known
        .map(|known| (strsim::damerau_levenshtein(&name, &plain(known)), known))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.chars().count() / 3).max(1)).then_some(nearest)
}

/// `"a", "b" or "c"`.
pub(super) fn either<'k>(known: impl Iterator<Item = &'k str>) -> String {
    let quoted: Vec<_> = known.map(|known| format!("\"{known}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

struct Shape<'s, 'f> {
    root: &'s Value,
    findings: &'f mut Findings,
}

impl<'s> Shape<'s, '_> {
    /// Checks a table. `place` is where it stands, `shown` where a missing key is reported.
    fn table(&mut self, table: &mut DeTable<'_>, schema: &'s Value, place: &Range<usize>, shown: &Range<usize>) {
        if self.is_of_a_later_type(table, schema) {
            return table.clear();
        }
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            if !table.contains_key(key)
                && !table.keys().any(|written| suggestion(written.get_ref(), schema) == Some(key))
            {
                self.findings.missing(place, shown.clone(), key, "");
            }
        }
        for (key, mut value) in std::mem::replace(table, DeTable::new()) {
            let Some(property) = property(schema, key.get_ref()) else {
                self.unknown_key(&key, schema, place);
                continue;
            };
            if self.value(&key.span(), &mut value, property) {
                table.insert(key, value);
            } else {
                self.findings.refuse(place, key.get_ref());
            }
        }
    }

    /// Checks a value; false when it cannot be read.
    fn value(&mut self, key: &Range<usize>, value: &mut Spanned<DeValue<'_>>, schema: &'s Value) -> bool {
        let alternatives = self.alternatives(schema);
        let span = value.span();
        let kind = kind(value.get_ref());
        let fitting: Vec<_> = alternatives.iter().copied().filter(|alternative| kind_of(alternative) == kind).collect();
        let Some(first) = fitting.first().copied() else {
            if !self.is_a_later_table(value, schema) {
                self.findings.add(span, format!("must be {}, not {}", expected(schema, &alternatives), article(kind)));
            }
            return false;
        };
        match value.get_mut() {
            DeValue::String(text) => self.word(&span, text, schema, &alternatives),
            DeValue::Table(table) => {
                // A table that is only implied by the tables in it has no place of its own.
                let shown = if span.is_empty() || span.start < key.start { key.clone() } else { span.clone() };
                self.table(table, first, &span, &shown);
                true
            }
            DeValue::Array(array) => {
                self.array(key, array, &first["items"]);
                true
            }
            DeValue::Integer(number) => {
                let fault = match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(0..) => return true,
                    Ok(_) if first.get("minimum").is_none() => return true,
                    Ok(_) => "must not be negative",
                    Err(_) => "must be a number of at most 63 bits",
                };
                self.findings.add(span, format!("{fault}, not {number}"));
                false
            }
            _ => true,
        }
    }

    fn array(&mut self, key: &Range<usize>, array: &mut DeArray<'_>, schema: &'s Value) {
        let items = std::mem::replace(array, DeArray::new());
        for mut item in items {
            if self.value(key, &mut item, schema) {
                array.push(item);
            }
        }
    }

    /// Checks a text against the words that are known, if only some are.
    fn word(&mut self, span: &Range<usize>, text: &str, schema: &Value, alternatives: &[&Value]) -> bool {
        let words: Vec<_> = alternatives.iter().flat_map(|alternative| words(alternative)).collect();
        if words.is_empty() || words.contains(&text) {
            return true;
        }
        let message = if is_later(schema, text) || alternatives.iter().any(|alternative| is_later(alternative, text)) {
            format!("\"{text}\" comes with a later version: this one has {}", either(words.iter().copied()))
        } else if alternatives.iter().any(|alternative| known_keys(alternative).any(|key| key == text)) {
            format!("\"{text}\" needs to be told which: write {{ {text} = … }}")
        } else if let Some(near) = nearest(text, words.iter().copied()) {
            format!("unknown value {text:?}: did you mean \"{near}\"?")
        } else {
            format!("unknown value {text:?}: must be {}", either(words.iter().copied()))
        };
        self.findings.add(span.clone(), message);
        false
    }

    fn unknown_key(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, schema: &Value, place: &Range<usize>) {
        let name = key.get_ref().as_ref();
        let message = if is_later(schema, name) {
            self.findings.refuse(place, name);
            format!("\"{name}\" comes with a later version")
        } else if let Some(near) = suggestion(name, schema) {
            self.findings.refuse(place, near);
            format!("unknown key {name:?}: did you mean \"{near}\"?")
        } else {
            format!("unknown key {name:?}: known here are {}", either(known_keys(schema)).replace(" or ", " and "))
        };
        self.findings.add(key.span(), message);
    }

    /// Whether the table's `type` is one of a later version; then nothing else in it is judged.
    fn is_of_a_later_type(&mut self, table: &DeTable<'_>, schema: &'s Value) -> bool {
        let Some((kind, property)) = table.get("type").zip(property(schema, "type")) else {
            return false;
        };
        let alternatives = self.alternatives(property);
        match kind.get_ref().as_str() {
            Some(text) if alternatives.iter().any(|alternative| is_later(alternative, text)) => {
                self.word(&kind.span(), text, property, &alternatives);
                true
            }
            _ => false,
        }
    }

    /// `source = { kafka = … }`: a table whose key names something of a later version.
    fn is_a_later_table(&mut self, value: &Spanned<DeValue<'_>>, schema: &'s Value) -> bool {
        let DeValue::Table(table) = value.get_ref() else {
            return false;
        };
        let alternatives = self.alternatives(schema);
        let later =
            table.keys().find(|key| alternatives.iter().any(|alternative| is_later(alternative, key.get_ref())));
        later.is_some_and(|key| !self.word(&key.span(), key.get_ref(), schema, &alternatives))
    }

    /// The schema's alternatives, references followed.
    fn alternatives(&self, schema: &'s Value) -> Vec<&'s Value> {
        let schema = self.resolve(schema);
        match schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
            Some(alternatives) => alternatives.iter().flat_map(|alternative| self.alternatives(alternative)).collect(),
            None => vec![schema],
        }
    }

    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
        target.and_then(|target| self.root.pointer(target)).unwrap_or(schema)
    }
}

/// The schema of `key` in a table: of its own, or that of all keys of a map.
fn property<'s>(schema: &'s Value, key: &str) -> Option<&'s Value> {
    let own = schema.get("properties").and_then(|properties| properties.get(key));
    own.or_else(|| schema.get("additionalProperties").filter(|all| all.is_object()))
}

fn known_keys(schema: &Value) -> impl Iterator<Item = &str> {
    schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys).map(String::as_str)
}

/// The known key that an unknown one is near to.
fn suggestion<'s>(name: &str, schema: &'s Value) -> Option<&'s str> {
    if property(schema, name).is_some() { None } else { nearest(name, known_keys(schema)) }
}

fn is_later(schema: &Value, name: &str) -> bool {
    schema.get(LATER).and_then(Value::as_array).is_some_and(|later| later.iter().any(|known| known == name))
}

/// The words that a schema of texts allows; none when it allows any text.
fn words(schema: &Value) -> Vec<&str> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    listed.chain(schema.get("const")).filter_map(Value::as_str).collect()
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "date",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

fn kind_of(schema: &Value) -> &str {
    schema.get("type").and_then(Value::as_str).unwrap_or("string")
}

fn article(kind: &str) -> &'static str {
    match kind {
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a fraction",
        "boolean" => "true or false",
        "date" => "a date",
        "array" => "an array",
        _ => "a table",
    }
}

/// What a value should have been, with an example where the schema has one.
fn expected(schema: &Value, alternatives: &[&Value]) -> String {
    let mut kinds: Vec<_> = alternatives.iter().map(|alternative| article(kind_of(alternative)).to_owned()).collect();
    let words: Vec<_> = alternatives.iter().flat_map(|alternative| words(alternative)).collect();
    if !words.is_empty() {
        kinds.retain(|kind| kind != "a string");
        kinds.insert(0, either(words.into_iter()));
    }
    let example = schema.get("examples").and_then(|examples| examples.get(0)).and_then(Value::as_str);
    let example = example.map(|example| format!(" such as \"{example}\"")).unwrap_or_default();
    kinds.join(" or ") + &example
}
