// The main route by the AWS SDK for JavaScript, whose KinesisClient speaks HTTP/2 by prior knowledge over plain http:
// node client.mjs ENDPOINT STREAM. The SDK stands in $STANDPIPE_SUITE_TOOLS/js. Prints what was proved, as JSON.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { setTimeout as pause } from "node:timers/promises";

const require = createRequire(`${process.env.STANDPIPE_SUITE_TOOLS}/js/`);
const sdk = require("@aws-sdk/client-kinesis");

const [endpoint, StreamName] = process.argv.slice(2);
const client = new sdk.KinesisClient({ endpoint, region: process.env.AWS_REGION });
const handler = client.config.requestHandler.constructor.name;
assert.equal(handler, "NodeHttp2Handler", "the default handler speaks HTTP/2");

const calls = new Set();
function call(name, input = {}) {
  calls.add(name);
  return client.send(new sdk[`${name}Command`](input));
}

async function active() {
  for (;;) {
    const { StreamDescriptionSummary: summary } = await call("DescribeStreamSummary", { StreamName });
    if (summary.StreamStatus === "ACTIVE") return summary;
    await pause(50);
  }
}

const text = (records) => records.map((record) => Buffer.from(record.Data).toString());
async function read(ShardId, ShardIteratorType, more = {}) {
  const { ShardIterator } = await call("GetShardIterator", { StreamName, ShardId, ShardIteratorType, ...more });
  return call("GetRecords", { ShardIterator });
}

const HALF = (2n ** 127n).toString();
await call("CreateStream", { StreamName, ShardCount: 2 });
const { StreamARN } = await active();
const first = await call("PutRecord", { StreamName, Data: Buffer.from("zero"), PartitionKey: "k", ExplicitHashKey: "0" });
const Records = Array.from({ length: 6 }, (_, n) => ({ Data: Buffer.from(`n${n}`), PartitionKey: "k", ExplicitHashKey: n % 2 ? HALF : "0" }));
const batch = await call("PutRecords", { StreamName, Records });
assert.equal(batch.FailedRecordCount, 0);
assert.deepEqual(batch.Records.map((entry) => entry.ShardId.at(-1)), [..."010101"]);

const StartingSequenceNumber = first.SequenceNumber;
const horizon = await read(first.ShardId, "TRIM_HORIZON");
assert.deepEqual(text(horizon.Records), ["zero", "n0", "n2", "n4"]);
assert(horizon.Records[0].ApproximateArrivalTimestamp instanceof Date);
assert.deepEqual(text((await read(first.ShardId, "AT_SEQUENCE_NUMBER", { StartingSequenceNumber })).Records), ["zero", "n0", "n2", "n4"]);
assert.deepEqual(text((await read(first.ShardId, "AFTER_SEQUENCE_NUMBER", { StartingSequenceNumber })).Records), ["n0", "n2", "n4"]);
const Timestamp = horizon.Records[0].ApproximateArrivalTimestamp;
assert.deepEqual(text((await read(first.ShardId, "AT_TIMESTAMP", { Timestamp })).Records)[0], "zero");
assert.deepEqual(text((await read(first.ShardId, "LATEST")).Records), []);

// Many calls at once share one connection.
await Promise.all(Array.from({ length: 50 }, (_, n) => call("PutRecord", { StreamName, Data: Buffer.from(`m${n}`), PartitionKey: `${n}` })));

const ConsumerName = "reader";
const { Consumer } = await call("RegisterStreamConsumer", { StreamARN, ConsumerName });
while ((await call("DescribeStreamConsumer", { StreamARN, ConsumerName })).ConsumerDescription.ConsumerStatus !== "ACTIVE") await pause(50);
const subscription = await call("SubscribeToShard", {
  ConsumerARN: Consumer.ConsumerARN, ShardId: first.ShardId, StartingPosition: { Type: "AFTER_SEQUENCE_NUMBER", SequenceNumber: StartingSequenceNumber },
});
const split = (async () => {
  await pause(300);
  await call("PutRecord", { StreamName, Data: Buffer.from("last"), PartitionKey: "k", ExplicitHashKey: "0" });
  await call("SplitShard", { StreamName, ShardToSplit: first.ShardId, NewStartingHashKey: (2n ** 126n).toString() });
})();
const seen = [];
let children = [];
for await (const { SubscribeToShardEvent: event } of subscription.EventStream) {
  seen.push(...text(event.Records));
  children = event.ChildShards ?? [];
}
await split;
assert.deepEqual(seen.slice(0, 3), ["n0", "n2", "n4"]);
assert.equal(seen.at(-1), "last");
assert.deepEqual(children.map((child) => child.ShardId.at(-1)), ["2", "3"], "the subscription ends with the children");
await active();
const closed = await read(first.ShardId, "LATEST");
assert.equal(closed.NextShardIterator ?? null, null);
assert.deepEqual(closed.ChildShards.map((child) => child.ShardId.at(-1)), ["2", "3"]);

await call("MergeShards", { StreamName, ShardToMerge: "shardId-000000000003", AdjacentShardToMerge: "shardId-000000000001" });
await active();
await call("UpdateShardCount", { StreamName, TargetShardCount: 1, ScalingType: "UNIFORM_SCALING" });
await active();
const { Shards } = await call("ListShards", { StreamName });
const lineage = Shards.map((shard) => `${shard.ParentShardId?.at(-1) ?? "-"}${shard.AdjacentParentShardId?.at(-1) ?? "-"}`);
assert.deepEqual(lineage, ["--", "--", "0-", "0-", "31", "24"]);
await call("AddTagsToStream", { StreamName, Tags: { team: "suite" } });
assert.deepEqual((await call("ListTagsForStream", { StreamName })).Tags, [{ Key: "team", Value: "suite" }]);
await call("DeleteStream", { StreamName, EnforceConsumerDeletion: true });
await assert.rejects(async () => {
  for (;;) await call("DescribeStreamSummary", { StreamName });
}, { name: "ResourceNotFoundException" });
client.destroy();
console.log(JSON.stringify({ handler, operations: calls.size, subscribed: seen.length }));
