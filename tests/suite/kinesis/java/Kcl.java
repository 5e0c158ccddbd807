// The Kinesis Client Library 3 consumes a stream that is split and merged while records keep coming:
// Kcl ENDPOINT DYNAMODB STREAM polling|fanout RESHARDS. Every record is seen, in order for each partition key, and the
// end of every closed shard; prints what was proved, as JSON.

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.lifecycle.events.*;
import software.amazon.kinesis.metrics.MetricsLevel;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.RetrievalSpecificConfig;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

final class Kcl {
    /** The next number of each key; what comes again (a consumer is told at least once) is counted, what is missing is a fault. */
    private static final Map<String, Integer> NEXT = new ConcurrentHashMap<>();
    private static final AtomicInteger SEEN = new AtomicInteger();
    private static final AtomicInteger AGAIN = new AtomicInteger();
    private static final Map<String, String> ENDED = new ConcurrentHashMap<>();
    private static final AtomicReference<String> FAULT = new AtomicReference<>();

    private static final class Processor implements ShardRecordProcessor {
        private String shard;

        @Override
        public void initialize(InitializationInput input) {
            shard = input.shardId();
        }

        @Override
        public void processRecords(ProcessRecordsInput input) {
            input.records().forEach(this::take);
            checkpoint(() -> input.checkpointer().checkpoint());
        }

        private void take(KinesisClientRecord record) {
            String text = StandardCharsets.UTF_8.decode(record.data()).toString();
            String key = text.split(" ")[0];
            int number = Integer.parseInt(text.split(" ")[1]);
            NEXT.compute(key, (name, next) -> {
                int expected = next == null ? 0 : next;
                if (number > expected) {
                    FAULT.compareAndSet(null, "after " + key + " " + (expected - 1) + " came " + text + " in " + shard + " at " + record.sequenceNumber());
                }
                (number < expected ? AGAIN : SEEN).incrementAndGet();
                return Math.max(expected, number + 1);
            });
            if (!key.equals(record.partitionKey())) {
                FAULT.compareAndSet(null, text + " came under " + record.partitionKey());
            }
        }

        @Override
        public void leaseLost(LeaseLostInput input) {}

        @Override
        public void shardEnded(ShardEndedInput input) {
            ENDED.put(shard, "");
            checkpoint(() -> input.checkpointer().checkpoint());
        }

        @Override
        public void shutdownRequested(ShutdownRequestedInput input) {
            checkpoint(() -> input.checkpointer().checkpoint());
        }

        private void checkpoint(Streams.Body body) {
            try {
                body.run();
            } catch (Exception fault) {
                FAULT.compareAndSet(null, shard + ": checkpoint: " + fault);
            }
        }
    }

    private static Scheduler scheduler(String stream, KinesisAsyncClient kinesis, String dynamodb, boolean fanout) {
        var tables = Streams.of(DynamoDbAsyncClient.builder(), dynamodb).build();
        // Never called: metrics are off.
        var metrics = Streams.of(CloudWatchAsyncClient.builder(), "http://127.0.0.1:9").build();
        var start = InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);
        String application = "kcl-" + stream;
        var config = new ConfigsBuilder(new SingleStreamTracker(stream, start), application, kinesis, tables, metrics,
                UUID.randomUUID().toString(), Processor::new);
        RetrievalSpecificConfig retrieval = fanout
                ? new FanOutConfig(kinesis).streamName(stream).applicationName(application).retryBackoffMillis(200)
                : new PollingConfig(stream, kinesis).idleTimeBetweenReadsInMillis(200).usePollingConfigIdleTimeValue(true);
        var leases = config.leaseManagementConfig().failoverTimeMillis(2000).shardSyncIntervalMillis(2000)
                .leaseAssignmentIntervalMillis(500L);
        leases.workerUtilizationAwareAssignmentConfig().disableWorkerMetrics(true);
        var coordinator = config.coordinatorConfig().parentShardPollIntervalMillis(200).shardConsumerDispatchPollIntervalMillis(100);
        return new Scheduler(config.checkpointConfig(), coordinator, leases, config.lifecycleConfig(),
                config.metricsConfig().metricsLevel(MetricsLevel.NONE), config.processorConfig(),
                config.retrievalConfig().retrievalSpecificConfig(retrieval));
    }

    public static void main(String[] arguments) {
        Streams.run(() -> {
            String endpoint = arguments[0], stream = arguments[2];
            long begun = System.nanoTime();
            boolean fanout = arguments[3].equals("fanout");
            int reshards = Integer.parseInt(arguments[4]);
            var kinesis = Streams.sync(endpoint);
            kinesis.createStream(request -> request.streamName(stream).shardCount(2));
            Streams.active(kinesis, stream);
            var load = new Load(kinesis, stream);
            var scheduler = scheduler(stream, Streams.async(endpoint), arguments[1], fanout);
            var worker = new Thread(scheduler);
            worker.setDaemon(true);
            worker.start();
            load.round();
            Streams.until("the first records", Duration.ofSeconds(90), () -> SEEN.get() > 0);
            long first = System.nanoTime();
            underLoad(load, reshards);
            long put = System.nanoTime();
            int wanted = load.rounds.get() * Load.KEYS, closed = load.closed();
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(120);
            while ((SEEN.get() < wanted || ENDED.size() < closed) && FAULT.get() == null && System.nanoTime() < deadline) {
                Thread.sleep(100);
            }
            Streams.check(FAULT.get() == null, "" + FAULT.get());
            Streams.same(SEEN.get(), wanted, "records seen (next of each key: " + NEXT + ", put of each: " + load.rounds + ")");
            Streams.same(ENDED.size(), closed, "shards whose end was seen, " + ENDED.keySet());
            long all = System.nanoTime();
            Streams.check(scheduler.startGracefulShutdown().get(60, TimeUnit.SECONDS), "a graceful end");
            kinesis.deleteStream(request -> request.streamName(stream).enforceConsumerDeletion(true));
            Streams.end(String.format("{\"by\": \"%s\", \"seen\": %d, \"again\": %d, \"shards_ended\": %d, \"first_ms\": %d, \"load_ms\": %d, \"rest_ms\": %d}",
                    arguments[3], SEEN.get(), AGAIN.get(), ENDED.size(), millis(begun, first), millis(first, put), millis(put, all)));
        });
    }

    private static long millis(long from, long to) {
        return TimeUnit.NANOSECONDS.toMillis(to - from);
    }

    /** Puts go on while a shard is split or two are merged, in turn. */
    private static void underLoad(Load load, int reshards) throws Exception {
        var resharder = new Thread(() -> Streams.run(() -> {
            for (int step = 0; step < reshards; step++) {
                Thread.sleep(1500);
                if (step % 2 == 0) {
                    load.split();
                } else {
                    load.merge();
                }
            }
        }));
        resharder.start();
        while (resharder.isAlive()) {
            load.round();
            Thread.sleep(20);
        }
        for (int more = 0; more < 10; more++) {
            load.round();
        }
    }
}
