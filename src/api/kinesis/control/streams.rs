//! Streams: made, deleted, described, listed.

use super::super::address;
use super::super::document::Document;
use super::{Call, Said, limit, not_a_token, number, pairs, show, told};
use crate::api::ApiError;
use crate::limits;
use crate::stream::data::{Distribution, Mode, NewDataStream, Status, Token, shard_index};

impl Call<'_> {
    pub(super) async fn create_stream(&self, mut input: Document) -> Said {
        let name = input.text("StreamName").expect("the model requires the name").to_owned();
        let arn = self.context.account.data_stream_arn(&name);
        self.gate.check("kinesis:CreateStream", &arn)?;
        let tags = pairs(&mut input, "Tags");
        if !tags.is_empty() {
            // As AWS has it: who may make streams may not thereby tag them.
            self.gate.check("kinesis:AddTagsToStream", &arn)?;
        }
        let mode = input.get("StreamModeDetails").map_or(Mode::Provisioned, mode);
        let shards = number(&input, "ShardCount").filter(|_| mode == Mode::Provisioned);
        if mode == Mode::Provisioned && shards.is_none() {
            return Err(ApiError::validation(
                "1 validation error detected: Value null at 'shardCount' failed to satisfy constraint: Member must \
                 not be null",
            ));
        }
        let record_kib_max = number(&input, "MaxRecordSizeInKiB");
        let new = NewDataStream {
            name,
            mode,
            shards,
            record_bytes_max: record_kib_max.map_or(limits::DATA_RECORD_BYTES_DEFAULT, |kib| kib as usize * 1024),
            distribution: input.text("RecordDistributionStrategy").map(distribution).unwrap_or_default(),
            warm_mibps: number(&input, "WarmThroughputMiBps"),
            tags,
        };
        self.context.data_streams.create(new).await.map_err(told)?;
        Ok(None)
    }

    pub(super) async fn delete_stream(&self, input: &Document) -> Said {
        let name = self.stream(input)?;
        let even_with_consumers = input.flag("EnforceConsumerDeletion");
        self.context.data_streams.delete(&name, even_with_consumers).await.map_err(told)?;
        Ok(None)
    }

    /// Of a stream that is being made no shard is shown, as AWS does.
    pub(super) fn describe_stream(&self, input: &Document) -> Said {
        const SHARDS_MAX: usize = 100;
        let name = self.stream(input)?;
        let definition = self.definition(&name)?;
        let after = input.text("ExclusiveStartShardId").map(shard_index).transpose().map_err(|_| {
            let asked = input.text("ExclusiveStartShardId").unwrap_or("");
            told(self.settings().shard_not_found(&name, asked))
        })?;
        let filter = crate::stream::data::ShardFilter::FromTrimHorizon;
        let horizon_ms = definition.horizon_ms(self.now_ms);
        let made = definition.status(self.now_ms) != Status::Creating;
        let mut shown = definition
            .shards
            .iter()
            .filter(|shard| made && after.is_none_or(|after| shard.index > after) && filter.shows(shard, horizon_ms));
        let limit = limit(input, "Limit", SHARDS_MAX);
        let shards: Vec<Document> = shown.by_ref().take(limit).map(show::shard).collect();
        let description = show::described(&self.context.account, &definition, self.now_ms)
            .with("Shards", shards)
            .with("HasMoreShards", shown.next().is_some());
        Ok(Some(Document::map([("StreamDescription", description)])))
    }

    pub(super) fn describe_stream_summary(&self, input: &Document) -> Said {
        let definition = self.definition(&self.stream(input)?)?;
        let summary = show::described_summary(&self.context.account, &definition, self.now_ms);
        Ok(Some(Document::map([("StreamDescriptionSummary", summary)])))
    }

    /// A token goes before `ExclusiveStartStreamName`: paginators of SDKs send the first request's members again.
    pub(super) fn list_streams(&self, input: &Document) -> Said {
        const STREAMS_MAX: usize = 100;
        self.allowed_on_all()?;
        let after = match self.opened(input)? {
            Some(Token::Streams { after }) => Some(after),
            Some(_) => return Err(not_a_token()),
            None => input.text("ExclusiveStartStreamName").map(str::to_owned),
        };
        let from = after.as_ref().map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let snapshot = self.context.data_streams.snapshot();
        let mut rest = snapshot.range::<String, _>((from, std::ops::Bound::Unbounded));
        let page: Vec<_> = rest.by_ref().take(limit(input, "Limit", STREAMS_MAX)).collect();
        let more = rest.next().is_some();
        let last = page.last().filter(|_| more).map(|(name, _)| Token::Streams { after: (*name).clone() });
        let account = &self.context.account;
        let names: Vec<Document> = page.iter().map(|(name, _)| name.as_str().into()).collect();
        let summaries: Vec<Document> =
            page.iter().map(|(_, definition)| show::summary(account, definition, self.now_ms)).collect();
        let answer = Document::map([("StreamNames", names.into()), ("HasMoreStreams", more.into())])
            .with_some("NextToken", last.map(|token| self.seal(&token)))
            .with("StreamSummaries", summaries);
        Ok(Some(answer))
    }
}

/// StreamModeDetails.
pub(super) fn mode(details: &Document) -> Mode {
    if details.text("StreamMode") == Some("ON_DEMAND") { Mode::OnDemand } else { Mode::Provisioned }
}

/// RecordDistributionStrategy.
pub(super) fn distribution(strategy: &str) -> Distribution {
    if strategy == "AUTO" { Distribution::Auto } else { Distribution::PartitionKey }
}

/// Whom a call about a resource means, and that the caller may do it to that.
pub(super) fn resource(call: &Call<'_>, input: &Document) -> Result<address::Resource, ApiError> {
    let arn = input.text("ResourceARN").expect("the model requires the ARN");
    let resource = address::Resource::of_arn(&call.context.account, arn)?;
    call.gate.check(&address::action(call.operation), &resource.arn(&call.context.account))?;
    Ok(resource)
}
