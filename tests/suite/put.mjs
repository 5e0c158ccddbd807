// Puts records by the AWS SDK for JavaScript: node put.mjs ENDPOINT STREAM < records, one a line.
// The SDK stands in $STANDPIPE_SUITE_TOOLS/js. Prints how many records were acknowledged.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(`${process.env.STANDPIPE_SUITE_TOOLS}/js/`);
const { FirehoseClient, PutRecordBatchCommand, PutRecordCommand } = require("@aws-sdk/client-firehose");

const [endpoint, stream] = process.argv.slice(2);
const client = new FirehoseClient({ endpoint, region: process.env.AWS_REGION });
const records = (await text(process.stdin)).split(/(?<=\n)/).map((line) => ({ Data: Buffer.from(line) }));

let acknowledged = 0;
const [first, ...rest] = records;
const single = await client.send(new PutRecordCommand({ DeliveryStreamName: stream, Record: first }));
acknowledged += single.RecordId ? 1 : 0;
for (let start = 0; start < rest.length; start += 500) {
  const batch = rest.slice(start, start + 500);
  const answer = await client.send(new PutRecordBatchCommand({ DeliveryStreamName: stream, Records: batch }));
  acknowledged += answer.RequestResponses.filter((entry) => entry.RecordId).length;
}
console.log(acknowledged);
