//! The JSON schema of the file, made from the types in `raw`.

use serde_json::{Map, Value, json};

use super::raw;

/// What marks names that come with a later version; only `shape` reads it.
pub(super) const LATER: &str = "x-later";

/// The schema for editors and other tools, as `standpipe check --schema` prints it.
pub fn schema() -> Value {
    let mut schema = full();
    walk(&mut schema, &mut |object| {
        object.remove(LATER);
    });
    schema
}

/// The schema with the names of later versions.
pub(super) fn full() -> Value {
    let mut schema = schemars::schema_for!(raw::File).to_value();
    walk(&mut schema, &mut without_null);
    schema
}

/// Applies `change` to every object, inner ones first.
fn walk(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(|inner| walk(inner, change));
            change(object);
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| walk(inner, change)),
        _ => {}
    }
}

/// An optional key is left out; TOML has no null. `anyOf` of one alternative or of nested ones is made flat.
fn without_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(kinds)) = object.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            object.insert("type".to_owned(), kind);
        }
    }
    if object
        .get("default")
        .is_some_and(|default| *default == Value::Null || *default == json!({}) || *default == json!([]))
    {
        object.remove("default");
    }
    let Some(Value::Array(mut alternatives)) = object.remove("anyOf") else {
        return;
    };
    alternatives.retain(|alternative| alternative.get("type") != Some(&json!("null")));
    match alternatives.as_mut_slice() {
        [Value::Object(only)] => only.iter().for_each(|(key, value)| {
            object.entry(key.clone()).or_insert_with(|| value.clone());
        }),
        _ => {
            object.insert("anyOf".to_owned(), Value::Array(alternatives));
        }
    }
}
