//! Which constraints a request breaks, each in AWS's words.

use std::fmt::Write;

use super::super::document::Document;
use super::{Member, Shape, Text};
use crate::api::ApiError;

/// AWS lists no more; it also bounds the answer.
const ERRORS_MAX: usize = 10;
/// Characters of a value that a message repeats.
const VALUE_CHARS_MAX: usize = 1_024;

/// # Errors
/// `ValidationException` that lists what is broken.
pub(super) fn check(members: &'static [Member], input: &Document) -> Result<(), ApiError> {
    let mut walk = Walk::default();
    walk.structure(members, input);
    let count = walk.broken.len();
    if count == 0 {
        return Ok(());
    }
    let errors = if count == 1 { "error" } else { "errors" };
    Err(ApiError::validation(format!("{count} validation {errors} detected: {}", walk.broken.join("; "))))
}

#[derive(Default)]
struct Walk {
    /// Where we are: `records.1.member`.
    path: String,
    broken: Vec<String>,
}

impl Walk {
    fn structure(&mut self, members: &'static [Member], input: &Document) {
        for member in members {
            match input.get(member.name) {
                Some(value) => self.below(&camel(member.name), |walk| walk.value(&member.shape, value)),
                None if member.required => {
                    self.below(&camel(member.name), |walk| walk.broken(None, "Member must not be null"));
                }
                None => {}
            }
        }
    }

    fn value(&mut self, shape: &'static Shape, value: &Document) {
        match (shape, value) {
            (Shape::Text(of), Document::Text(text)) => self.each(value, &text_faults(of, text)),
            (Shape::Choice(words), Document::Text(text)) => self.each(value, &choice_faults(words, text)),
            (Shape::Integer { min, max }, Document::Int(number)) => {
                self.least(value, "value", *number < *min, min);
                self.most(value, "value", *number > *max, max);
            }
            (Shape::Blob { max }, Document::Blob(blob)) => self.most(value, "length", blob.len() > *max, max),
            (Shape::List { min, max, of }, Document::List(items)) => {
                self.least(value, "length", items.len() < *min, min);
                self.most(value, "length", items.len() > *max, max);
                self.items(of, value, items);
            }
            (Shape::Map { min, max, key, value: of }, Document::Map(members)) => {
                self.least(value, "length", members.len() < *min, min);
                self.most(value, "length", members.len() > *max, max);
                let keys = members.iter().any(|(name, _)| !text_faults(key, name).is_empty());
                self.all(value, keys, "Map keys", key);
                let texts = members.iter().filter_map(|(_, text)| text.as_text());
                let values = texts.into_iter().any(|text| !text_faults(of, text).is_empty());
                self.all(value, values, "Map value", of);
            }
            (Shape::Structure(members), given) => self.structure(members, given),
            _ => {}
        }
    }

    /// Structures are looked into; of plain values the list says at once what they must be.
    fn items(&mut self, of: &'static Shape, list: &Document, items: &[Document]) {
        match of {
            Shape::Text(text) => {
                let broken = items.iter().filter_map(Document::as_text).any(|item| !text_faults(text, item).is_empty());
                self.all(list, broken, "Member", text);
            }
            Shape::Choice(words) => {
                let broken = items.iter().filter_map(Document::as_text).any(|item| !words.contains(&item));
                if broken {
                    self.broken(Some(list), &format!("Member must satisfy constraint: [{}]", one_of(words)));
                }
            }
            _ => {
                for (at, item) in items.iter().enumerate() {
                    if self.broken.len() >= ERRORS_MAX {
                        return;
                    }
                    self.below(&format!("{}.member", at + 1), |walk| walk.value(of, item));
                }
            }
        }
    }

    fn each(&mut self, value: &Document, faults: &[String]) {
        for fault in faults {
            self.broken(Some(value), fault);
        }
    }

    fn least(&mut self, value: &Document, what: &str, broken: bool, min: impl std::fmt::Display) {
        if broken {
            self.broken(Some(value), &format!("Member must have {what} greater than or equal to {min}"));
        }
    }

    fn most(&mut self, value: &Document, what: &str, broken: bool, max: impl std::fmt::Display) {
        if broken {
            self.broken(Some(value), &format!("Member must have {what} less than or equal to {max}"));
        }
    }

    fn all(&mut self, value: &Document, broken: bool, who: &str, of: &Text) {
        if broken {
            let Text { min, max, pattern } = of;
            let mut faults = format!(
                "Member must have length less than or equal to {max}, Member must have length greater than or equal \
                 to {min}"
            );
            if let Some(pattern) = pattern {
                let spelled = pattern.spelled();
                let _ = write!(faults, ", Member must satisfy regular expression pattern: {spelled}");
            }
            self.broken(Some(value), &format!("{who} must satisfy constraint: [{faults}]"));
        }
    }

    fn broken(&mut self, value: Option<&Document>, constraint: &str) {
        if self.broken.len() < ERRORS_MAX {
            let value = value.map_or("null".to_owned(), |value| format!("'{}'", spelled(value)));
            self.broken.push(format!("Value {value} at '{}' failed to satisfy constraint: {constraint}", self.path));
        }
    }

    /// Goes on below member `name`.
    fn below(&mut self, name: &str, step: impl FnOnce(&mut Self)) {
        let len = self.path.len();
        if len > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        step(self);
        self.path.truncate(len);
    }
}

fn text_faults(of: &Text, text: &str) -> Vec<String> {
    let chars = text.chars().count();
    let mut faults = Vec::new();
    if let Some(pattern) = of.pattern.filter(|pattern| !pattern.matches(text)) {
        faults.push(format!("Member must satisfy regular expression pattern: {}", pattern.spelled()));
    }
    if chars < of.min {
        faults.push(format!("Member must have length greater than or equal to {}", of.min));
    }
    if chars > of.max {
        faults.push(format!("Member must have length less than or equal to {}", of.max));
    }
    faults
}

fn choice_faults(words: &[&str], text: &str) -> Vec<String> {
    if words.contains(&text) { Vec::new() } else { vec![one_of(words)] }
}

fn one_of(words: &[&str]) -> String {
    format!("Member must satisfy enum value set: [{}]", words.join(", "))
}

/// `StreamName` as messages write it.
fn camel(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// A value as Java prints it.
fn spelled(value: &Document) -> String {
    let mut out = String::new();
    spell(value, &mut out);
    if let Some((end, _)) = out.char_indices().nth(VALUE_CHARS_MAX) {
        out.truncate(end);
    }
    out
}

fn spell(value: &Document, out: &mut String) {
    if out.len() > 4 * VALUE_CHARS_MAX {
        return;
    }
    match value {
        Document::Text(text) => out.extend(text.chars().take(VALUE_CHARS_MAX)),
        Document::Blob(blob) => {
            let _ = write!(out, "java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]", blob.len());
        }
        Document::Int(number) => out.push_str(&number.to_string()),
        Document::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                spell(item, out);
            }
            out.push(']');
        }
        Document::Map(members) => {
            out.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                out.extend(name.chars().take(VALUE_CHARS_MAX));
                out.push('=');
                spell(value, out);
            }
            out.push('}');
        }
        Document::Null | Document::Bool(_) | Document::Float(_) | Document::Time(_) => {}
    }
}
