// The main route by the AWS SDK for Java v2, which speaks CBOR: Sdk ENDPOINT STREAM. Once by the synchronous client
// (HTTP/1.1), once by the asynchronous one (HTTP/2 by prior knowledge), which alone can subscribe.

import static java.util.stream.Collectors.toList;

import java.math.BigInteger;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.*;

final class Sdk {
    private static final String HALF = BigInteger.TWO.pow(127).toString();
    private static final String QUARTER = BigInteger.TWO.pow(126).toString();

    public static void main(String[] arguments) {
        Streams.run(() -> {
            String endpoint = arguments[0], stream = arguments[1];
            try (var kinesis = Streams.sync(endpoint); var async = Streams.async(endpoint)) {
                String first = putAndRead(kinesis, stream);
                reshard(kinesis, stream);
                refusals(kinesis, stream);
                int events = subscribe(kinesis, async, stream, first);
                int read = asynchronous(async, stream + "-async");
                kinesis.deleteStream(request -> request.streamName(stream).enforceConsumerDeletion(true));
                Streams.check(Streams.CONTENT_TYPES.contains("application/x-amz-cbor-1.1"), "no CBOR: " + Streams.CONTENT_TYPES);
                Streams.end(String.format("{\"operations\": %d, \"content_types\": \"%s\", \"events\": %d, \"read_async\": %d}",
                        Streams.CALLED.size(), Streams.CONTENT_TYPES, events, read));
            }
        });
    }

    private static List<String> read(KinesisClient kinesis, String stream, String shard, Consumer<GetShardIteratorRequest.Builder> from) {
        String iterator = kinesis.getShardIterator(request -> from.accept(request.streamName(stream).shardId(shard))).shardIterator();
        return kinesis.getRecords(request -> request.shardIterator(iterator)).records().stream()
                .map(record -> Streams.text(record.data())).collect(toList());
    }

    /** The sequence number of the first record. */
    private static String putAndRead(KinesisClient kinesis, String stream) throws Exception {
        kinesis.createStream(request -> request.streamName(stream).shardCount(2));
        Streams.active(kinesis, stream);
        Instant before = Instant.now();
        var first = kinesis.putRecord(request -> request.streamName(stream).data(Streams.bytes("zero")).partitionKey("k").explicitHashKey("0"));
        var entries = IntStream.range(0, 6).mapToObj(n -> PutRecordsRequestEntry.builder()
                .data(Streams.bytes("n" + n)).partitionKey("k").explicitHashKey(n % 2 == 0 ? "0" : HALF).build()).collect(toList());
        var batch = kinesis.putRecords(request -> request.streamName(stream).records(entries));
        Streams.same(batch.failedRecordCount(), 0, "failed records");
        Streams.same(batch.records().stream().map(entry -> entry.shardId().substring(19)).collect(toList()), List.of("0", "1", "0", "1", "0", "1"), "shards");
        var all = List.of("zero", "n0", "n2", "n4");
        String shard = first.shardId(), number = first.sequenceNumber();
        Streams.same(read(kinesis, stream, shard, from -> from.shardIteratorType(ShardIteratorType.TRIM_HORIZON)), all, "from the horizon");
        Streams.same(read(kinesis, stream, shard, from -> from.shardIteratorType(ShardIteratorType.AT_SEQUENCE_NUMBER).startingSequenceNumber(number)), all, "at the first");
        Streams.same(read(kinesis, stream, shard, from -> from.shardIteratorType(ShardIteratorType.AFTER_SEQUENCE_NUMBER).startingSequenceNumber(number)), all.subList(1, 4), "after the first");
        Streams.same(read(kinesis, stream, shard, from -> from.shardIteratorType(ShardIteratorType.LATEST)), List.of(), "latest");
        String iterator = kinesis.getShardIterator(request -> request.streamName(stream).shardId(shard).shardIteratorType(ShardIteratorType.TRIM_HORIZON)).shardIterator();
        Instant arrived = kinesis.getRecords(request -> request.shardIterator(iterator)).records().get(0).approximateArrivalTimestamp();
        Streams.check(Duration.between(before, arrived).abs().toSeconds() < 5, "a timestamp in CBOR is in milliseconds: " + arrived);
        Streams.same(read(kinesis, stream, shard, from -> from.shardIteratorType(ShardIteratorType.AT_TIMESTAMP).timestamp(arrived)).get(0), "zero", "at its time");
        return number;
    }

    private static void reshard(KinesisClient kinesis, String stream) throws Exception {
        kinesis.splitShard(request -> request.streamName(stream).shardToSplit("shardId-000000000000").newStartingHashKey(QUARTER));
        Streams.active(kinesis, stream);
        kinesis.mergeShards(request -> request.streamName(stream).shardToMerge("shardId-000000000003").adjacentShardToMerge("shardId-000000000001"));
        Streams.active(kinesis, stream);
        var updated = kinesis.updateShardCount(request -> request.streamName(stream).targetShardCount(1).scalingType(ScalingType.UNIFORM_SCALING));
        Streams.same(updated.currentShardCount(), 2, "current shards");
        Streams.active(kinesis, stream);
        var lineage = Streams.shards(kinesis, stream).stream().map(shard -> last(shard.parentShardId()) + last(shard.adjacentParentShardId())).collect(toList());
        Streams.same(lineage, List.of("--", "--", "0-", "0-", "31", "24"), "lineage");
        String iterator = kinesis.getShardIterator(request -> request.streamName(stream).shardId("shardId-000000000003").shardIteratorType(ShardIteratorType.TRIM_HORIZON)).shardIterator();
        var end = kinesis.getRecords(request -> request.shardIterator(iterator));
        Streams.check(end.nextShardIterator() == null, "a closed shard has no next iterator");
        Streams.same(end.childShards().stream().map(ChildShard::shardId).collect(toList()), List.of("shardId-000000000004"), "children");
        kinesis.addTagsToStream(request -> request.streamName(stream).tags(Map.of("team", "suite")));
        Streams.same(kinesis.listTagsForStream(request -> request.streamName(stream)).tags(), List.of(Tag.builder().key("team").value("suite").build()), "tags");
    }

    private static String last(String shard) {
        return shard == null ? "-" : shard.substring(19);
    }

    /** Errors in CBOR are what the SDK's own exceptions are made from. */
    private static void refusals(KinesisClient kinesis, String stream) {
        try {
            kinesis.describeStreamSummary(request -> request.streamName("none"));
            throw new AssertionError("there is no such stream");
        } catch (ResourceNotFoundException error) {
            Streams.check(error.awsErrorDetails().errorMessage().contains("not found"), "message: " + error);
            Streams.check(error.requestId() != null, "request id: " + error);
        }
        try {
            kinesis.getRecords(request -> request.shardIterator("nonsense"));
            throw new AssertionError("a forged iterator");
        } catch (InvalidArgumentException error) {
            Streams.check(error.statusCode() == 400, "status: " + error);
        }
    }

    /** From the first shard's first record, over its end; how many events there were. */
    private static int subscribe(KinesisClient kinesis, KinesisAsyncClient async, String stream, String first) throws Exception {
        String arn = kinesis.describeStreamSummary(request -> request.streamName(stream)).streamDescriptionSummary().streamARN();
        String consumer = kinesis.registerStreamConsumer(request -> request.streamARN(arn).consumerName("reader")).consumer().consumerARN();
        Streams.until("the consumer is ACTIVE", Duration.ofSeconds(60), () -> kinesis.describeStreamConsumer(request -> request.consumerARN(consumer))
                .consumerDescription().consumerStatus() == ConsumerStatus.ACTIVE);
        var closed = follow(async, consumer, "shardId-000000000000",
                StartingPosition.builder().type(ShardIteratorType.AFTER_SEQUENCE_NUMBER).sequenceNumber(first).build(), () -> {});
        Streams.same(texts(closed), List.of("n0", "n2", "n4"), "records of a closed shard");
        var children = closed.get(closed.size() - 1).childShards().stream().map(child -> last(child.shardId())).collect(toList());
        Streams.same(children, List.of("2", "3"), "children");
        var open = follow(async, consumer, "shardId-000000000005", StartingPosition.builder().type(ShardIteratorType.LATEST).build(), () -> {
            kinesis.putRecord(request -> request.streamName(stream).data(Streams.bytes("live")).partitionKey("k"));
            kinesis.splitShard(request -> request.streamName(stream).shardToSplit("shardId-000000000005").newStartingHashKey(HALF));
        });
        Streams.same(texts(open), List.of("live"), "what was put during a subscription");
        return closed.size() + open.size();
    }

    private static List<String> texts(List<SubscribeToShardEvent> events) {
        return events.stream().flatMap(event -> event.records().stream()).map(record -> Streams.text(record.data())).collect(toList());
    }

    /** All events until the shard ends; `then` is done when the subscription stands. */
    private static List<SubscribeToShardEvent> follow(KinesisAsyncClient async, String consumer, String shard, StartingPosition from, Runnable then) throws Exception {
        List<SubscribeToShardEvent> events = Collections.synchronizedList(new ArrayList<>());
        var stands = new CompletableFuture<Void>();
        var handler = SubscribeToShardResponseHandler.builder()
                .onResponse(response -> stands.complete(null)).onError(stands::completeExceptionally)
                .subscriber(event -> {
                    if (event instanceof SubscribeToShardEvent) {
                        events.add((SubscribeToShardEvent) event);
                    }
                }).build();
        var done = async.subscribeToShard(request -> request.consumerARN(consumer).shardId(shard).startingPosition(from), handler);
        stands.get(20, TimeUnit.SECONDS);
        Thread.sleep(300);
        then.run();
        done.get(60, TimeUnit.SECONDS);
        return events;
    }

    /** Many calls at once over HTTP/2; how many records came back. */
    private static int asynchronous(KinesisAsyncClient async, String stream) throws Exception {
        async.createStream(request -> request.streamName(stream).shardCount(1)).get();
        Streams.until("ACTIVE", Duration.ofSeconds(60), () -> async.describeStreamSummary(request -> request.streamName(stream)).join()
                .streamDescriptionSummary().streamStatus() == StreamStatus.ACTIVE);
        var puts = IntStream.range(0, 200).mapToObj(n -> async.putRecord(request -> request.streamName(stream)
                .data(Streams.bytes("a" + n)).partitionKey("" + n))).collect(toList());
        CompletableFuture.allOf(puts.toArray(CompletableFuture[]::new)).get(60, TimeUnit.SECONDS);
        String iterator = async.getShardIterator(request -> request.streamName(stream).shardId("shardId-000000000000")
                .shardIteratorType(ShardIteratorType.TRIM_HORIZON)).get().shardIterator();
        int read = async.getRecords(request -> request.shardIterator(iterator)).get().records().size();
        Streams.same(read, 200, "records");
        async.deleteStream(request -> request.streamName(stream)).get();
        return read;
    }
}
