//! Registered consumers.

use super::super::address::{self, Resource};
use super::super::document::Document;
use super::shards::check_creation;
use super::{Call, Said, limit, not_a_token, pairs, show, told};
use crate::stream::data::Token;

impl Call<'_> {
    pub(super) async fn register_consumer(&self, mut input: Document) -> Said {
        let stream = self.stream(&input)?;
        let name = input.text("ConsumerName").expect("the model requires the name").to_owned();
        let tags = pairs(&mut input, "Tags");
        if !tags.is_empty() {
            // As AWS has it: who may register consumers may not thereby tag them.
            let which = format!("{name}:{}", self.now_ms / 1000);
            let consumer = Resource::Consumer { stream: stream.clone(), which };
            self.gate.check("kinesis:TagResource", &consumer.arn(&self.context.account))?;
        }
        let made = self.change(&stream, move |definition, settings, now_ms| {
            definition.register_consumer(&name, tags, settings, now_ms)
        });
        let consumer = show::consumer(&made.await?, &stream, self.settings(), self.now_ms);
        Ok(Some(Document::map([("Consumer", consumer)])))
    }

    pub(super) async fn deregister_consumer(&self, input: &Document) -> Said {
        let (stream, which) = address::consumer(self.context, self.gate, self.operation, input)?;
        self.change(&stream, move |definition, settings, _| definition.deregister_consumer(&which, settings)).await?;
        Ok(None)
    }

    pub(super) fn describe_consumer(&self, input: &Document) -> Said {
        let (stream, which) = address::consumer(self.context, self.gate, self.operation, input)?;
        let definition = self.definition(&stream)?;
        let consumer = definition.consumer(&which, self.settings()).map_err(told)?;
        let description = show::consumer(consumer, &stream, self.settings(), self.now_ms)
            .with("StreamARN", self.context.account.data_stream_arn(&stream));
        Ok(Some(Document::map([("ConsumerDescription", description)])))
    }

    pub(super) fn list_consumers(&self, input: &Document) -> Said {
        const CONSUMERS_LISTED_MAX: usize = 100;
        let stream = self.stream(input)?;
        let definition = self.definition(&stream)?;
        check_creation(input, &definition, self)?;
        let after = match self.opened(input)? {
            Some(Token::Consumers { stream, after }) if stream == definition.id => Some(after),
            Some(_) => return Err(not_a_token()),
            None => None,
        };
        let wanted = |name: &String| after.as_ref().is_none_or(|after| name > after);
        let mut rest = definition.consumers.iter().filter(|consumer| wanted(&consumer.name));
        let page: Vec<_> = rest.by_ref().take(limit(input, "MaxResults", CONSUMERS_LISTED_MAX)).collect();
        let more = rest.next().is_some();
        let last = page.last().filter(|_| more);
        let token = last.map(|last| Token::Consumers { stream: definition.id, after: last.name.clone() });
        let show = |consumer| show::consumer(consumer, &stream, self.settings(), self.now_ms);
        let consumers: Vec<Document> = page.into_iter().map(show).collect();
        let answer = Document::map([("Consumers", consumers.into())]);
        Ok(Some(answer.with_some("NextToken", token.map(|token| self.seal(&token)))))
    }
}
