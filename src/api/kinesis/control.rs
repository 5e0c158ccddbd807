//! Everything that changes or shows streams.
//!
//! What streams allow is in [`Definition`]; here is how the API asks and how it is
//! answered. Where we differ from AWS: a stream's `UPDATING` and `CREATING` last no longer than the configuration says;
//! resource policies are kept and shown, and give nobody any right; what only changes a bill is refused.

mod account;
mod consumers;
mod policies;
mod settings;
mod shards;
mod show;
mod streams;
mod tags;

use std::sync::Arc;

use super::{Document, Wire, address, answer, empty, schema, told};
use crate::api::access::Gate;
use crate::api::server::{Received, Response};
use crate::api::{ApiError, Context};
use crate::error::Result as Outcome;
use crate::stream::data::{Definition, Settings, Token, TokenFault};

/// What an operation has to say; most that change something say nothing.
type Said = Result<Option<Document>, ApiError>;

/// Runs one control operation.
///
/// # Errors
/// Those that AWS's model lists for it; `UnknownOperationException`.
pub async fn call(
    context: &Context,
    gate: &Gate<'_>,
    operation: &str,
    wire: Wire,
    body: Received,
) -> Result<Response, ApiError> {
    let Received { bytes, hold, .. } = body;
    let input = schema::read(operation, wire, &bytes)?;
    drop(bytes);
    let call = Call { context, gate, operation, now_ms: context.clock.now_ms() };
    let said = call.run(input).await?;
    drop(hold);
    Ok(said.map_or_else(|| empty(wire), |said| answer(wire, &said)))
}

/// One call on its way.
struct Call<'a> {
    context: &'a Context,
    gate: &'a Gate<'a>,
    operation: &'a str,
    now_ms: u64,
}

impl Call<'_> {
    async fn run(&self, input: Document) -> Said {
        match self.operation {
            "CreateStream" => self.create_stream(input).await,
            "DeleteStream" => self.delete_stream(&input).await,
            "DescribeStream" => self.describe_stream(&input),
            "DescribeStreamSummary" => self.describe_stream_summary(&input),
            "ListStreams" => self.list_streams(&input),
            "ListShards" => self.list_shards(&input),
            "SplitShard" => self.split_shard(&input).await,
            "MergeShards" => self.merge_shards(&input).await,
            "UpdateShardCount" => self.update_shard_count(&input).await,
            "RegisterStreamConsumer" => self.register_consumer(input).await,
            "DeregisterStreamConsumer" => self.deregister_consumer(&input).await,
            "DescribeStreamConsumer" => self.describe_consumer(&input),
            "ListStreamConsumers" => self.list_consumers(&input),
            "AddTagsToStream" | "RemoveTagsFromStream" | "TagResource" | "UntagResource" => self.tag(input).await,
            "ListTagsForStream" => self.list_stream_tags(&input),
            "ListTagsForResource" => self.list_resource_tags(&input),
            "PutResourcePolicy" | "DeleteResourcePolicy" => self.set_policy(&input).await,
            "GetResourcePolicy" => self.get_policy(&input),
            "DescribeLimits" => self.describe_limits(),
            "DescribeAccountSettings" => self.describe_account(),
            "UpdateAccountSettings" => self.update_account(&input),
            _ => self.change_setting(&input).await,
        }
    }

    fn settings(&self) -> &Settings {
        self.context.data_streams.settings()
    }

    /// The stream that the request names, the caller being allowed to do this to it.
    fn stream(&self, input: &Document) -> Result<String, ApiError> {
        address::stream(self.context, self.gate, self.operation, input)
    }

    /// Whether the caller may do this to everything.
    fn allowed_on_all(&self) -> Result<(), ApiError> {
        self.gate.check(&address::action(self.operation), "*")
    }

    /// What a stream is now.
    fn definition(&self, stream: &str) -> Result<Arc<Definition>, ApiError> {
        let known = self.context.data_streams.snapshot().get(stream).cloned();
        known.ok_or_else(|| told(self.settings().not_found(stream)))
    }

    /// Changes a stream by what its definition allows.
    async fn change<T: Send + 'static>(
        &self,
        stream: &str,
        change: impl FnOnce(&mut Definition, &Settings, u64) -> Outcome<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let settings = self.settings().clone();
        let changed =
            self.context.data_streams.change(stream, move |definition, now_ms| change(definition, &settings, now_ms));
        changed.await.map_err(told)
    }

    fn seal(&self, token: &Token) -> String {
        self.context.data_streams.tokens().seal(token, self.now_ms)
    }

    /// What the request's `NextToken` says, if it has one.
    fn opened(&self, input: &Document) -> Result<Option<Token>, ApiError> {
        let Some(text) = input.text("NextToken") else { return Ok(None) };
        self.context.data_streams.tokens().open(text, self.now_ms).map(Some).map_err(|fault| match fault {
            TokenFault::Invalid => not_a_token(),
            TokenFault::Expired { .. } => ApiError::expired_next_token("NextToken has expired."),
        })
    }
}

/// That a token is none, or of another list.
fn not_a_token() -> ApiError {
    ApiError::invalid_argument("NextToken is invalid.")
}

/// Takes a member's map of texts out.
fn pairs(input: &mut Document, name: &str) -> Vec<(String, String)> {
    match input.take(name) {
        Some(Document::Map(members)) => {
            members.into_iter().filter_map(|(key, value)| Some((key, value.as_text()?.to_owned()))).collect()
        }
        _ => Vec::new(),
    }
}

/// The texts of a member's list.
fn texts(input: &Document, name: &str) -> Vec<String> {
    input.list(name).iter().filter_map(|item| item.as_text().map(str::to_owned)).collect()
}

/// A member's number where the model bounds it to what fits.
fn number(input: &Document, name: &str) -> Option<u32> {
    input.int(name).and_then(|number| u32::try_from(number).ok())
}

/// How many items an answer may bring, if it may bring `most` at most and that by default.
fn limit(input: &Document, name: &str, most: usize) -> usize {
    number(input, name).map_or(most, |asked| most.min(asked as usize))
}
