// Keyed records as fast as asked, and shards that are split and merged under them.

import static java.util.stream.Collectors.toList;

import java.math.BigInteger;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.Shard;

final class Load {
    static final int KEYS = 40;

    private final KinesisClient kinesis;
    private final String stream;
    /** How many records of each key were acknowledged. */
    final AtomicInteger rounds = new AtomicInteger();

    Load(KinesisClient kinesis, String stream) {
        this.kinesis = kinesis;
        this.stream = stream;
    }

    /** One record of each key: "k7 123" is the 124th of key k7. */
    void round() {
        int number = rounds.get();
        var entries = IntStream.range(0, KEYS).mapToObj(key -> PutRecordsRequestEntry.builder()
                .partitionKey("k" + key).data(Streams.bytes("k" + key + " " + number)).build()).collect(toList());
        Streams.same(kinesis.putRecords(request -> request.streamName(stream).records(entries)).failedRecordCount(), 0, "failed records");
        rounds.incrementAndGet();
    }

    private List<Shard> open() {
        return Streams.shards(kinesis, stream).stream()
                .filter(shard -> shard.sequenceNumberRange().endingSequenceNumber() == null)
                .sorted(Comparator.comparing(Load::first)).collect(toList());
    }

    private static BigInteger first(Shard shard) {
        return new BigInteger(shard.hashKeyRange().startingHashKey());
    }

    private static BigInteger width(Shard shard) {
        return new BigInteger(shard.hashKeyRange().endingHashKey()).subtract(first(shard));
    }

    /** Splits the widest shard in the middle. */
    void split() throws Exception {
        Shard widest = open().stream().max(Comparator.comparing(Load::width)).orElseThrow();
        String middle = first(widest).add(width(widest).shiftRight(1)).toString();
        kinesis.splitShard(request -> request.streamName(stream).shardToSplit(widest.shardId()).newStartingHashKey(middle));
        Streams.active(kinesis, stream);
    }

    /** Merges the first two shards. */
    void merge() throws Exception {
        List<Shard> shards = open();
        kinesis.mergeShards(request -> request.streamName(stream)
                .shardToMerge(shards.get(0).shardId()).adjacentShardToMerge(shards.get(1).shardId()));
        Streams.active(kinesis, stream);
    }

    /** How many shards have been closed. */
    int closed() {
        return Streams.shards(kinesis, stream).size() - open().size();
    }
}
