//! Shards: listed, split, merged, rescaled.

use std::sync::Arc;

use super::super::document::Document;
use super::{Call, Said, limit, not_a_token, number, show, told};
use crate::api::ApiError;
use crate::stream::data::{Definition, Reshard, ShardFilter, Status, Token, shard_index};

/// The most that one ListShards brings, and what it brings unasked.
const SHARDS_LISTED_MAX: usize = 1_000;

/// What a ListShards asks for.
struct Page {
    definition: Arc<Definition>,
    after: Option<u32>,
    filter: ShardFilter,
}

impl Call<'_> {
    pub(super) fn list_shards(&self, input: &Document) -> Said {
        let Page { definition, after, filter } = match self.opened(input)? {
            Some(token) => self.next_page(input, &token)?,
            None => self.first_page(input)?,
        };
        let status = definition.status(self.now_ms);
        if matches!(status, Status::Creating | Status::Deleting) {
            return Err(ApiError::resource_in_use(format!(
                "Stream {} under account {} not ACTIVE, instead in state {}",
                definition.name,
                self.context.account.id,
                status.name()
            )));
        }
        let horizon_ms = definition.horizon_ms(self.now_ms);
        let wanted = |index: u32| after.is_none_or(|after| index > after);
        let mut shown = definition.shards.iter().filter(|shard| wanted(shard.index) && filter.shows(shard, horizon_ms));
        let page: Vec<_> = shown.by_ref().take(limit(input, "MaxResults", SHARDS_LISTED_MAX)).collect();
        let more = shown.next().is_some();
        let last = page.last().filter(|_| more);
        let token = last.map(|last| Token::Shards { stream: definition.id, after: last.index, filter });
        let shards: Vec<Document> = page.into_iter().map(show::shard).collect();
        let answer = Document::map([("Shards", shards.into())]);
        Ok(Some(answer.with_some("NextToken", token.map(|token| self.seal(&token)))))
    }

    /// A token says all; beside it the stream must not be named again, and is asked for all the same.
    fn next_page(&self, input: &Document, token: &Token) -> Result<Page, ApiError> {
        let Token::Shards { stream, after, filter } = *token else { return Err(not_a_token()) };
        for member in ["StreamName", "StreamARN", "StreamCreationTimestamp", "ExclusiveStartShardId"] {
            if input.get(member).is_some() {
                return Err(ApiError::invalid_argument(format!("NextToken and {member} cannot be provided together.")));
            }
        }
        let stream = self.context.data_streams.by_id(stream).ok_or_else(not_a_token)?;
        let definition = stream.definition().map_err(told)?;
        self.gate.check("kinesis:ListShards", &self.context.account.data_stream_arn(&definition.name))?;
        Ok(Page { definition, after: Some(after), filter })
    }

    fn first_page(&self, input: &Document) -> Result<Page, ApiError> {
        if input.get("StreamName").is_none() && input.get("StreamARN").is_none() {
            return Err(ApiError::invalid_argument("Either NextToken or StreamName should be provided."));
        }
        let name = self.stream(input)?;
        let definition = self.definition(&name)?;
        check_creation(input, &definition, self)?;
        let after = input.text("ExclusiveStartShardId").map(|shard| self.index_of(&name, shard)).transpose()?;
        let filter = input.get("ShardFilter").map(|filter| self.filter(&name, filter)).transpose()?;
        Ok(Page { definition, after, filter: filter.unwrap_or(ShardFilter::FromTrimHorizon) })
    }

    fn filter(&self, stream: &str, filter: &Document) -> Result<ShardFilter, ApiError> {
        let kind = filter.text("Type").unwrap_or("");
        let (shard, time) = (filter.text("ShardId"), filter.time("Timestamp"));
        let needs = |what: &str, given: bool| {
            let verb = if given { "must be" } else { "must not be" };
            ApiError::invalid_argument(format!("{what} {verb} provided when ShardFilter Type is {kind}."))
        };
        match kind {
            "AFTER_SHARD_ID" => {
                let shard = shard.ok_or_else(|| needs("ShardId", true))?;
                return self.index_of(stream, shard).map(ShardFilter::After);
            }
            "AT_TIMESTAMP" => return time.map(ShardFilter::At).ok_or_else(|| needs("Timestamp", true)),
            "FROM_TIMESTAMP" => return time.map(ShardFilter::From).ok_or_else(|| needs("Timestamp", true)),
            _ => {}
        }
        match kind {
            _ if shard.is_some() => Err(needs("ShardId", false)),
            _ if time.is_some() => Err(needs("Timestamp", false)),
            "AT_TRIM_HORIZON" => Ok(ShardFilter::AtTrimHorizon),
            "AT_LATEST" => Ok(ShardFilter::AtLatest),
            _ => Ok(ShardFilter::FromTrimHorizon),
        }
    }

    fn index_of(&self, stream: &str, shard: &str) -> Result<u32, ApiError> {
        shard_index(shard).map_err(|_| told(self.settings().shard_not_found(stream, shard)))
    }

    pub(super) async fn split_shard(&self, input: &Document) -> Said {
        let name = self.stream(input)?;
        let key = input.text("NewStartingHashKey").expect("the model requires the key");
        let new_start = key.parse().map_err(|_| {
            ApiError::invalid_argument(format!(
                "Invalid NewStartingHashKey. NewStartingHashKey must be in the range: [0, 2^128-1]. Specified value \
                 was {key}"
            ))
        })?;
        let shard = input.text("ShardToSplit").expect("the model requires the shard").to_owned();
        self.reshard(&name, Reshard::Split { shard, new_start }).await?;
        Ok(None)
    }

    pub(super) async fn merge_shards(&self, input: &Document) -> Said {
        let name = self.stream(input)?;
        let shard = input.text("ShardToMerge").expect("the model requires the shard").to_owned();
        let adjacent = input.text("AdjacentShardToMerge").expect("the model requires the shard").to_owned();
        self.reshard(&name, Reshard::Merge { shard, adjacent }).await?;
        Ok(None)
    }

    pub(super) async fn update_shard_count(&self, input: &Document) -> Said {
        let name = self.stream(input)?;
        let target = number(input, "TargetShardCount").expect("the model requires the count");
        let before = self.definition(&name)?.open_shards().count();
        self.reshard(&name, Reshard::Uniform { target }).await?;
        Ok(Some(Document::map([
            ("StreamName", name.as_str().into()),
            ("CurrentShardCount", before.into()),
            ("TargetShardCount", target.into()),
            ("StreamARN", self.context.account.data_stream_arn(&name).into()),
        ])))
    }

    async fn reshard(&self, stream: &str, reshard: Reshard) -> Result<(), ApiError> {
        self.context.data_streams.reshard(stream, reshard).await.map_err(told)
    }
}

/// `StreamCreationTimestamp` tells two lives of one name apart; clients may have lost its fraction.
pub(super) fn check_creation(input: &Document, definition: &Definition, call: &Call<'_>) -> Result<(), ApiError> {
    match input.time("StreamCreationTimestamp") {
        Some(time_ms) if time_ms / 1000 != definition.created_ms / 1000 => {
            Err(told(call.settings().not_found(&definition.name)))
        }
        _ => Ok(()),
    }
}
