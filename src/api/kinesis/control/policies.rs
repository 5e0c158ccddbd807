//! Resource policies: kept and shown.

use super::super::address::Resource;
use super::super::document::Document;
use super::{Call, Said, streams, told};

impl Call<'_> {
    /// PutResourcePolicy, DeleteResourcePolicy.
    pub(super) async fn set_policy(&self, input: &Document) -> Said {
        let policy = input.text("Policy").map(str::to_owned);
        match streams::resource(self, input)? {
            Resource::Stream(name) => {
                self.change(&name, move |definition, _, _| definition.set_policy(policy)).await?;
            }
            Resource::Consumer { stream, which } => {
                let changed = self.change(&stream, move |definition, settings, _| {
                    definition.set_consumer_policy(&which, policy, settings)
                });
                changed.await?;
            }
        }
        Ok(None)
    }

    /// Without a policy it is `{}`, as AWS has it.
    pub(super) fn get_policy(&self, input: &Document) -> Said {
        let policy = match streams::resource(self, input)? {
            Resource::Stream(name) => self.definition(&name)?.policy.clone(),
            Resource::Consumer { stream, which } => {
                let definition = self.definition(&stream)?;
                definition.consumer(&which, self.settings()).map_err(told)?.policy.clone()
            }
        };
        Ok(Some(Document::map([("Policy", policy.as_deref().unwrap_or("{}").into())])))
    }
}
