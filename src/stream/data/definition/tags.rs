//! Tags of streams and consumers.

use super::Definition;
use crate::error::{Error, Result};
use crate::limits::{DATA_TAG_KEY_CHARS_MAX, DATA_TAG_VALUE_CHARS_MAX, TAGS_MAX};
use crate::stream::data::Settings;

impl Definition {
    /// AddTagsToStream, TagResource: adds tags, and replaces the values of those that are there.
    pub fn add_tags(&mut self, tags: Vec<(String, String)>, settings: &Settings) -> Result<()> {
        let merged = merged(&self.tags, tags, &format!("stream {}", self.name), settings)?;
        self.tags = merged;
        Ok(())
    }

    /// RemoveTagsFromStream, UntagResource; those that are not there are no error.
    pub fn remove_tags(&mut self, keys: &[String]) {
        self.tags.retain(|(key, _)| !keys.contains(key));
    }
}

/// `tags` put over `known`, by key; `Invalid` for what AWS does not take.
pub(super) fn merged(
    known: &[(String, String)],
    tags: Vec<(String, String)>,
    whose: &str,
    settings: &Settings,
) -> Result<Vec<(String, String)>> {
    tags.iter().try_for_each(check)?;
    let mut all: std::collections::BTreeMap<_, _> = known.iter().cloned().collect();
    all.extend(tags);
    if all.len() > TAGS_MAX {
        return Err(Error::invalid(format!(
            "Failed to add tags to {whose} under account {} because a given stream cannot have more than {TAGS_MAX} \
             tags associated with it.",
            settings.account_id
        )));
    }
    Ok(all.into_iter().collect())
}

fn check((key, value): &(String, String)) -> Result<()> {
    let (key_chars, value_chars) = (key.chars().count(), value.chars().count());
    if key_chars == 0 || key_chars > DATA_TAG_KEY_CHARS_MAX {
        return Err(Error::invalid(format!(
            "the key of a tag has {key_chars} characters, 1 to {DATA_TAG_KEY_CHARS_MAX} are taken"
        )));
    }
    if value_chars > DATA_TAG_VALUE_CHARS_MAX {
        return Err(Error::invalid(format!(
            "the value of a tag has {value_chars} characters, at most {DATA_TAG_VALUE_CHARS_MAX} are taken"
        )));
    }
    let allowed = |char: char| char.is_alphanumeric() || char.is_whitespace() || "_.:/=+-@".contains(char);
    if key.chars().chain(value.chars()).all(allowed) {
        return Ok(());
    }
    Err(Error::invalid(
        "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @ :.",
    ))
}
