// What the Java clients share: clients of both kinds, waiting, counting what was called.

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.function.BooleanSupplier;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.interceptor.SdkExecutionAttribute;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.StreamStatus;

final class Streams {
    private Streams() {}

    /** Names of operations, and content types of requests and answers. */
    static final Set<String> CALLED = new ConcurrentSkipListSet<>();
    static final Set<String> CONTENT_TYPES = new ConcurrentSkipListSet<>();

    private static final class Watch implements ExecutionInterceptor {
        @Override
        public void afterTransmission(Context.AfterTransmission context, ExecutionAttributes attributes) {
            CALLED.add(attributes.getAttribute(SdkExecutionAttribute.OPERATION_NAME));
            context.httpRequest().firstMatchingHeader("Content-Type").ifPresent(CONTENT_TYPES::add);
            context.httpResponse().firstMatchingHeader("Content-Type").ifPresent(CONTENT_TYPES::add);
        }
    }

    static StaticCredentialsProvider credentials() {
        return StaticCredentialsProvider.create(
                AwsBasicCredentials.create(System.getenv("AWS_ACCESS_KEY_ID"), System.getenv("AWS_SECRET_ACCESS_KEY")));
    }

    static Region region() {
        return Region.of(System.getenv("AWS_REGION"));
    }

    static <B extends AwsClientBuilder<B, C>, C> B of(B builder, String endpoint) {
        return builder.endpointOverride(URI.create(endpoint)).region(region()).credentialsProvider(credentials());
    }

    static KinesisClient sync(String endpoint) {
        return of(KinesisClient.builder(), endpoint)
                .overrideConfiguration(config -> config.addExecutionInterceptor(new Watch()))
                .build();
    }

    static KinesisAsyncClient async(String endpoint) {
        return of(KinesisAsyncClient.builder(), endpoint)
                .overrideConfiguration(config -> config.addExecutionInterceptor(new Watch()))
                .build();
    }

    static void until(String what, Duration limit, BooleanSupplier condition) throws InterruptedException {
        long deadline = System.nanoTime() + limit.toNanos();
        while (!condition.getAsBoolean()) {
            check(System.nanoTime() < deadline, "not within " + limit + ": " + what);
            Thread.sleep(50);
        }
    }

    static void active(KinesisClient kinesis, String stream) throws InterruptedException {
        until(stream + " is ACTIVE", Duration.ofSeconds(60), () -> kinesis
                .describeStreamSummary(request -> request.streamName(stream))
                .streamDescriptionSummary().streamStatus() == StreamStatus.ACTIVE);
    }

    /** Every shard that ListShards has, in the order of their ids. */
    static List<Shard> shards(KinesisClient kinesis, String stream) {
        var found = new java.util.ArrayList<Shard>();
        var answer = kinesis.listShards(request -> request.streamName(stream));
        found.addAll(answer.shards());
        while (answer.nextToken() != null) {
            String token = answer.nextToken();
            answer = kinesis.listShards(request -> request.nextToken(token));
            found.addAll(answer.shards());
        }
        return found;
    }

    static SdkBytes bytes(String text) {
        return SdkBytes.fromUtf8String(text);
    }

    static String text(SdkBytes data) {
        return data.asString(StandardCharsets.UTF_8);
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static void same(Object found, Object wanted, String what) {
        check(wanted.equals(found), what + ": " + found + " instead of " + wanted);
    }

    /** Ends the program; threads of clients would keep it. */
    static void end(String proved) {
        System.out.println(proved);
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    static void run(Body body) {
        try {
            body.run();
        } catch (Throwable fault) {
            fault.printStackTrace();
            System.err.flush();
            Runtime.getRuntime().halt(1);
        }
    }

    interface Body {
        void run() throws Exception;
    }

    static Set<String> sorted(Set<String> names) {
        return new TreeSet<>(names);
    }
}
