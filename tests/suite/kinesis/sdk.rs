//! The main route of data streams by the AWS SDK for Rust: `cargo run --example kinesis_sdk -- ENDPOINT STREAM`. Keys and
//! region come from the environment, as for any AWS client. Prints what was proved, as JSON.

use std::io::Write as _;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::operation::describe_stream_summary::DescribeStreamSummaryError;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::operation::get_shard_iterator::builders::GetShardIteratorFluentBuilder;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    ChildShard, ConsumerStatus, PutRecordsRequestEntry, Record, ScalingType, ShardIteratorType, StartingPosition,
    StreamStatus, SubscribeToShardEventStream,
};
use standpipe::clock::Clock;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const FIRST: &str = "shardId-000000000000";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(endpoint), Some(stream)) = (arguments.next(), arguments.next()) else {
        return Err("usage: kinesis_sdk ENDPOINT STREAM".into());
    };
    let route = Route { client: client(&endpoint)?, stream, clock: Clock::real() };
    route.put_and_read().await?;
    let events = route.subscribe().await?;
    route.reshard().await?;
    route.tags_and_delete().await?;
    writeln!(std::io::stdout(), "{{\"events\": {events}}}")?;
    Ok(())
}

fn client(endpoint: &str) -> Result<Client, Failure> {
    let (id, secret) = (std::env::var("AWS_ACCESS_KEY_ID")?, std::env::var("AWS_SECRET_ACCESS_KEY")?);
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new(std::env::var("AWS_REGION")?))
        .credentials_provider(Credentials::new(id, secret, None, None, "environment"));
    Ok(Client::from_conf(config.build()))
}

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8_lossy(record.data().as_ref()).into_owned()).collect()
}

/// The last digits of shard ids.
fn ends(children: &[ChildShard]) -> Vec<&str> {
    children.iter().map(|child| &child.shard_id()[19..]).collect()
}

fn hash_key(bit: u32) -> String {
    (1_u128 << bit).to_string()
}

/// One stream and the client that does everything to it.
struct Route {
    client: Client,
    stream: String,
    clock: Clock,
}

impl Route {
    async fn active(&self) -> Result<String, Failure> {
        loop {
            let answer = self.client.describe_stream_summary().stream_name(&self.stream).send().await?;
            let summary = answer.stream_description_summary.ok_or("a summary")?;
            if summary.stream_status == StreamStatus::Active {
                return Ok(summary.stream_arn);
            }
            self.clock.sleep(Duration::from_millis(50)).await;
        }
    }

    fn at(&self, shard: &str, kind: ShardIteratorType) -> GetShardIteratorFluentBuilder {
        self.client.get_shard_iterator().stream_name(&self.stream).shard_id(shard).shard_iterator_type(kind)
    }

    async fn read(&self, from: GetShardIteratorFluentBuilder) -> Result<GetRecordsOutput, Failure> {
        let iterator = from.send().await?.shard_iterator.ok_or("an iterator")?;
        Ok(self.client.get_records().shard_iterator(iterator).send().await?)
    }

    async fn put(&self, text: &str, hash_key: &str) -> Result<String, Failure> {
        let put = self.client.put_record().stream_name(&self.stream).data(Blob::new(text)).partition_key("k");
        Ok(put.explicit_hash_key(hash_key).send().await?.sequence_number)
    }

    async fn put_and_read(&self) -> Result<(), Failure> {
        self.client.create_stream().stream_name(&self.stream).shard_count(2).send().await?;
        self.active().await?;
        let first = self.put("zero", "0").await?;
        let entries = (0..6).map(|n| {
            let key = if n % 2 == 0 { "0".to_owned() } else { hash_key(127) };
            let entry = PutRecordsRequestEntry::builder().data(Blob::new(format!("n{n}"))).partition_key("k");
            entry.explicit_hash_key(key).build()
        });
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        let batch = self.client.put_records().stream_name(&self.stream).set_records(Some(entries)).send().await?;
        assert_eq!(batch.failed_record_count, Some(0));
        let shards: Vec<_> = batch.records.iter().filter_map(|entry| entry.shard_id()).map(|id| &id[19..]).collect();
        assert_eq!(shards, ["0", "1", "0", "1", "0", "1"]);
        self.five_iterators(first).await
    }

    async fn five_iterators(&self, first: String) -> Result<(), Failure> {
        let all = ["zero", "n0", "n2", "n4"];
        let horizon = self.read(self.at(FIRST, ShardIteratorType::TrimHorizon)).await?;
        assert_eq!(texts(&horizon.records), all);
        let at = self.at(FIRST, ShardIteratorType::AtSequenceNumber).starting_sequence_number(&first);
        assert_eq!(texts(&self.read(at).await?.records), all);
        let after = self.at(FIRST, ShardIteratorType::AfterSequenceNumber).starting_sequence_number(first);
        assert_eq!(texts(&self.read(after).await?.records), all[1..]);
        assert_eq!(texts(&self.read(self.at(FIRST, ShardIteratorType::Latest)).await?.records), [""; 0]);
        let arrived = *horizon.records[0].approximate_arrival_timestamp().ok_or("an arrival")?;
        let age = i64::try_from(self.clock.now_ms() / 1_000)? - arrived.secs();
        assert!((-5..60).contains(&age), "it arrived {age} s ago");
        let timed = self.read(self.at(FIRST, ShardIteratorType::AtTimestamp).timestamp(arrived)).await?;
        assert_eq!(texts(&timed.records)[0], "zero");
        let error = self.client.get_records().shard_iterator("nonsense").send().await.expect_err("it is forged");
        assert!(error.into_service_error().is_invalid_argument_exception());
        Ok(())
    }

    /// A subscription that sees what is there, what comes, and the end of its shard; how many events it got.
    async fn subscribe(&self) -> Result<usize, Failure> {
        let arn = self.active().await?;
        let answer = self.client.register_stream_consumer().stream_arn(&arn).consumer_name("reader").send().await?;
        let consumer = answer.consumer.ok_or("a consumer")?.consumer_arn;
        loop {
            let answer = self.client.describe_stream_consumer().consumer_arn(&consumer).send().await?;
            if answer.consumer_description.ok_or("a consumer")?.consumer_status == ConsumerStatus::Active {
                break;
            }
        }
        let from = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build()?;
        let subscribe = self.client.subscribe_to_shard().consumer_arn(consumer).shard_id(FIRST);
        let mut events = subscribe.starting_position(from).send().await?.event_stream;
        let (mut seen, mut count, mut children) = (Vec::new(), 0, Vec::new());
        while let Some(event) = events.recv().await? {
            let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event else { continue };
            seen.extend(texts(&event.records));
            count += 1;
            children = event.child_shards.unwrap_or_default();
            if count == 1 {
                self.put("live", "0").await?;
                let split = self.client.split_shard().stream_name(&self.stream).shard_to_split(FIRST);
                split.new_starting_hash_key(hash_key(126)).send().await?;
            }
        }
        assert_eq!(seen, ["zero", "n0", "n2", "n4", "live"]);
        assert_eq!(ends(&children), ["2", "3"]);
        Ok(count)
    }

    async fn reshard(&self) -> Result<(), Failure> {
        self.active().await?;
        let end = self.read(self.at(FIRST, ShardIteratorType::Latest)).await?;
        assert_eq!((end.next_shard_iterator(), ends(end.child_shards())), (None, vec!["2", "3"]));
        let merge = self.client.merge_shards().stream_name(&self.stream);
        let merge = merge.shard_to_merge("shardId-000000000003").adjacent_shard_to_merge("shardId-000000000001");
        merge.send().await?;
        self.active().await?;
        let update = self.client.update_shard_count().stream_name(&self.stream).target_shard_count(1);
        let updated = update.scaling_type(ScalingType::UniformScaling).send().await?;
        assert_eq!((updated.current_shard_count, updated.target_shard_count), (Some(2), Some(1)));
        self.active().await?;
        let shards = self.client.list_shards().stream_name(&self.stream).send().await?.shards.unwrap_or_default();
        let digit = |id: Option<&str>| id.map_or("-".to_owned(), |id| id[19..].to_owned());
        let lineage =
            shards.iter().map(|shard| digit(shard.parent_shard_id()) + &digit(shard.adjacent_parent_shard_id()));
        assert_eq!(lineage.collect::<Vec<_>>(), ["--", "--", "0-", "0-", "31", "24"]);
        Ok(())
    }

    async fn tags_and_delete(&self) -> Result<(), Failure> {
        self.client.add_tags_to_stream().stream_name(&self.stream).tags("team", "suite").send().await?;
        let tags = self.client.list_tags_for_stream().stream_name(&self.stream).send().await?.tags;
        assert_eq!(tags.iter().map(|tag| (tag.key(), tag.value())).collect::<Vec<_>>(), [("team", Some("suite"))]);
        let delete = self.client.delete_stream().stream_name(&self.stream);
        delete.enforce_consumer_deletion(true).send().await?;
        loop {
            match self.client.describe_stream_summary().stream_name(&self.stream).send().await {
                Ok(_) => self.clock.sleep(Duration::from_millis(50)).await,
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(DescribeStreamSummaryError::is_resource_not_found_exception) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
