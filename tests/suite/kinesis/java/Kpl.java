// The Kinesis Producer Library puts the lines of its standard input as user records: Kpl PORT STREAM FOLDER < LINES. It
// packs many into one record, under eight partition keys. The folder is for its native daemon. Prints what was proved, as JSON.

import com.google.common.util.concurrent.FutureCallback;
import com.google.common.util.concurrent.Futures;
import com.google.common.util.concurrent.MoreExecutors;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.time.Duration;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordFailedException;
import software.amazon.kinesis.producer.UserRecordResult;

final class Kpl {
    public static void main(String[] arguments) {
        Streams.run(() -> {
            int port = Integer.parseInt(arguments[0]);
            var producer = new KinesisProducer(new KinesisProducerConfiguration()
                    .setCredentialsProvider(Streams.credentials()).setRegion(Streams.region().id())
                    .setKinesisEndpoint("127.0.0.1").setKinesisPort(port)
                    .setStsEndpoint("127.0.0.1").setStsPort(port)
                    .setVerifyCertificate(false).setMetricsLevel("none").setTempDirectory(arguments[2])
                    .setAggregationEnabled(true).setRecordMaxBufferedTime(100).setLogLevel("warning"));
            var done = new AtomicInteger();
            var fault = new AtomicReference<String>();
            Set<String> stored = new ConcurrentSkipListSet<>();
            var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            int count = 0;
            for (String line; (line = lines.readLine()) != null; count++) {
                var data = ByteBuffer.wrap((line + "\n").getBytes(StandardCharsets.UTF_8));
                Futures.addCallback(producer.addUserRecord(arguments[1], "key" + count % 8, data), new FutureCallback<UserRecordResult>() {
                    @Override
                    public void onSuccess(UserRecordResult result) {
                        stored.add(result.getSequenceNumber());
                        done.incrementAndGet();
                    }

                    @Override
                    public void onFailure(Throwable failure) {
                        boolean said = failure instanceof UserRecordFailedException;
                        fault.compareAndSet(null, failure + (said ? attempts((UserRecordFailedException) failure) : ""));
                        done.incrementAndGet();
                    }
                }, MoreExecutors.directExecutor());
                if (count == 0) {
                    // Until it knows the shards it packs nothing; it asks for them with the first record of a stream.
                    producer.flush();
                    Streams.until("the first is answered", Duration.ofSeconds(30), () -> done.get() == 1);
                    Thread.sleep(1000);
                }
            }
            int wanted = count;
            producer.flush();
            Streams.until("all are answered", Duration.ofSeconds(60), () -> done.get() == wanted);
            Streams.check(fault.get() == null, "" + fault.get());
            producer.destroy();
            Streams.check(stored.size() * 5 < count, "it packed next to nothing: " + stored.size() + " records of " + count);
            Streams.end(String.format("{\"user_records\": %d, \"records\": %d}", count, stored.size()));
        });
    }

    private static String attempts(UserRecordFailedException failure) {
        var said = new StringBuilder();
        failure.getResult().getAttempts().forEach(attempt -> said.append("; ").append(attempt.getErrorCode()).append(": ").append(attempt.getErrorMessage()));
        return said.toString();
    }
}
