//! Tags of streams and consumers.

use super::super::address::Resource;
use super::super::document::Document;
use super::{Call, Said, limit, pairs, show, streams, texts, told};
use crate::api::ApiError;

impl Call<'_> {
    /// AddTagsToStream, RemoveTagsFromStream, TagResource, UntagResource.
    pub(super) async fn tag(&self, mut input: Document) -> Said {
        let resource = self.tagged(&input)?;
        let (tags, keys) = (pairs(&mut input, "Tags"), texts(&input, "TagKeys"));
        let add = input.get("TagKeys").is_none();
        match resource {
            Resource::Stream(name) => {
                let changed = self.change(&name, move |definition, settings, _| {
                    if add {
                        return definition.add_tags(tags, settings);
                    }
                    definition.remove_tags(&keys);
                    Ok(())
                });
                changed.await?;
            }
            Resource::Consumer { stream, which } => {
                let changed = self.change(&stream, move |definition, settings, _| {
                    if add {
                        return definition.add_consumer_tags(&which, tags, settings);
                    }
                    definition.remove_consumer_tags(&which, &keys, settings)
                });
                changed.await?;
            }
        }
        Ok(None)
    }

    fn tagged(&self, input: &Document) -> Result<Resource, ApiError> {
        match input.get("ResourceARN") {
            Some(_) => streams::resource(self, input),
            None => self.stream(input).map(Resource::Stream),
        }
    }

    pub(super) fn list_stream_tags(&self, input: &Document) -> Said {
        const TAGS_LISTED_MAX: usize = 50;
        let definition = self.definition(&self.stream(input)?)?;
        let after = input.text("ExclusiveStartTagKey");
        let rest = definition.tags.partition_point(|(key, _)| after.is_some_and(|after| key.as_str() <= after));
        let rest = &definition.tags[rest..];
        let page = &rest[..rest.len().min(limit(input, "Limit", TAGS_LISTED_MAX))];
        let more = page.len() < rest.len();
        Ok(Some(Document::map([("Tags", show::tags(page)), ("HasMoreTags", more.into())])))
    }

    pub(super) fn list_resource_tags(&self, input: &Document) -> Said {
        let tags = match streams::resource(self, input)? {
            Resource::Stream(name) => show::tags(&self.definition(&name)?.tags),
            Resource::Consumer { stream, which } => {
                let definition = self.definition(&stream)?;
                show::tags(&definition.consumer(&which, self.settings()).map_err(told)?.tags)
            }
        };
        Ok(Some(Document::map([("Tags", tags)])))
    }
}
