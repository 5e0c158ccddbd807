"""Every operation of the Kinesis model that concerns streams, by boto3."""

import threading
import time
import traceback
from datetime import timedelta

import botocore.session

from kinesis import streams
from kinesis.streams import active, iterator, open_shards, read, refused, shards

# Channels and queues are AWS's ways out of a stream; here delivery streams are.
ABSENT = ("Channel", "Queue")


def everything(endpoint, can_encrypt=True):
    """Calls them all; what was proved, as counts."""
    kinesis, called = streams.client(endpoint, attempts=2), set()
    kinesis.meta.events.register("before-call.kinesis", lambda model, **_: called.add(model.name))
    parts = [lifecycle, puts, iterators, sequence_errors, reshard, update_count, monitoring, retention, tags, policies, modes, consumers, subscribe, subscribe_end]
    parts += [encryption] if can_encrypt else []
    faults = []
    for part in parts:
        stream = f"boto-{part.__name__}".replace("_", "-")
        try:
            part(kinesis, stream)
        except Exception as fault:  # noqa: BLE001  (the other parts are run all the same)
            lines = [frame.lineno for frame in traceback.extract_tb(fault.__traceback__) if frame.filename == __file__]
            faults.append(f"{part.__name__} (line {lines[-1]}): {type(fault).__name__}: {fault}")
    model = botocore.session.get_session().get_service_model("kinesis")
    wanted = {name for name in model.operation_names if not any(word in name for word in ABSENT)}
    missing = wanted - called
    if missing and not faults:
        faults.append(f"never called: {sorted(missing)}")
    assert not faults, "\n  ".join([f"{len(faults)} of {len(parts)} parts failed", *faults])
    return {"operations": len(wanted & called), "parts": len(parts)}


def made(kinesis, stream, count=2):
    """A new stream; its ARN."""
    kinesis.create_stream(StreamName=stream, ShardCount=count)
    arn = active(kinesis, stream)["StreamARN"]
    assert arn.endswith(f":stream/{stream}"), arn
    return arn


# ---- the parts: functions of a client and the name of a stream of their own ----


def lifecycle(kinesis, stream):
    kinesis.create_stream(StreamName=stream, ShardCount=3, Tags={"made": "with"})
    summary = active(kinesis, stream)
    arn = summary["StreamARN"]
    assert summary["OpenShardCount"] == 3 and summary["RetentionPeriodHours"] == 24, summary
    assert summary["StreamModeDetails"]["StreamMode"] == "PROVISIONED", summary
    assert "already exists" in refused("ResourceInUseException", kinesis.create_stream, StreamName=stream, ShardCount=1)
    for address in ({"StreamName": stream}, {"StreamARN": arn}):
        described = kinesis.describe_stream(**address)["StreamDescription"]
        assert [shard["ShardId"] for shard in described["Shards"]] == [f"shardId-{n:012}" for n in range(3)], described
        assert described["EnhancedMonitoring"] == [{"ShardLevelMetrics": []}] and not described["HasMoreShards"], described
    page = kinesis.describe_stream(StreamName=stream, Limit=2, ExclusiveStartShardId="shardId-000000000000")
    assert [shard["ShardId"][-1] for shard in page["StreamDescription"]["Shards"]] == ["1", "2"], page
    page = kinesis.describe_stream(StreamName=stream, Limit=2)["StreamDescription"]
    assert page["HasMoreShards"] and len(page["Shards"]) == 2, page
    listed = [name for page in kinesis.get_paginator("list_streams").paginate(Limit=1) for name in page["StreamNames"]]
    assert stream in listed and listed == sorted(listed), listed
    assert kinesis.list_tags_for_stream(StreamName=stream)["Tags"] == [{"Key": "made", "Value": "with"}]
    limits = kinesis.describe_limits()
    assert limits["OpenShardCount"] >= 3 and limits["ShardLimit"] >= limits["OpenShardCount"], limits
    assert "MinimumThroughputBillingCommitment" in kinesis.describe_account_settings()
    try:
        kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "DISABLED"})
    except kinesis.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] in ("ValidationException", "InvalidArgumentException"), error
    kinesis.get_waiter("stream_exists").wait(StreamName=stream)
    kinesis.delete_stream(StreamName=stream)
    kinesis.get_waiter("stream_not_exists").wait(StreamName=stream)
    for operation in (kinesis.describe_stream, kinesis.describe_stream_summary, kinesis.list_shards, kinesis.delete_stream):
        assert "not found" in refused("ResourceNotFoundException", operation, StreamName=stream)
    refused("ResourceNotFoundException", kinesis.put_record, StreamName=stream, Data=b"x", PartitionKey="k")


def puts(kinesis, stream):
    arn = made(kinesis, stream)
    first = kinesis.put_record(StreamName=stream, Data=b"one", PartitionKey="a")
    assert len(first["SequenceNumber"]) == 56 and "EncryptionType" not in first, first
    second = kinesis.put_record(
        StreamARN=arn, Data=b"two", PartitionKey="a", SequenceNumberForOrdering=first["SequenceNumber"]
    )
    assert second["ShardId"] == first["ShardId"] and int(second["SequenceNumber"]) > int(first["SequenceNumber"])
    edges = {0: 0, 2**127 - 1: 0, 2**127: 1, 2**128 - 1: 1}
    for key, shard in edges.items():
        answer = kinesis.put_record(StreamName=stream, Data=b"edge", PartitionKey="any", ExplicitHashKey=str(key))
        assert answer["ShardId"] == f"shardId-{shard:012}", (key, answer)
    batch = [{"Data": b"%d" % n, "PartitionKey": "é" * 256, "ExplicitHashKey": str(n % 2 * 2**127)} for n in range(500)]
    answer = kinesis.put_records(StreamName=stream, Records=batch)
    assert answer["FailedRecordCount"] == 0 and len(answer["Records"]) == 500, answer
    for number, entry in enumerate(answer["Records"]):
        assert entry["ShardId"] == f"shardId-{number % 2:012}" and "ErrorCode" not in entry, entry
    for number in range(2):
        numbers = [int(entry["SequenceNumber"]) for entry in answer["Records"][number::2]]
        assert numbers == sorted(set(numbers)), "sequence numbers rise within a shard"
    large = kinesis.put_record(StreamName=stream, Data=bytes(2**20 - 1), PartitionKey="L", ExplicitHashKey="0")
    record, = read(kinesis, iterator(kinesis, stream, large["ShardId"], "AT_SEQUENCE_NUMBER", StartingSequenceNumber=large["SequenceNumber"]), 1)[0]
    assert record["Data"] == bytes(2**20 - 1) and record["PartitionKey"] == "L", record["PartitionKey"]
    for bad in ({"Data": bytes(2**20), "PartitionKey": "L"}, {"Data": b"x", "PartitionKey": ""}, {"Data": b"x", "PartitionKey": "k" * 257}):
        try:
            kinesis.put_record(StreamName=stream, **bad)
            raise AssertionError(f"taken: {len(bad['Data'])} bytes under {bad['PartitionKey']!r}")
        except (kinesis.exceptions.ClientError, botocore.exceptions.ParamValidationError) as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code", "ValidationException")
            assert code in ("ValidationException", "InvalidArgumentException"), error
    message = refused("InvalidArgumentException", kinesis.put_record, StreamName=stream, Data=b"x", PartitionKey="k", ExplicitHashKey=str(2**128))
    assert "2^128-1" in message, message
    refused("ResourceNotFoundException", kinesis.put_records, StreamName="none", Records=batch[:1])


def iterators(kinesis, stream):
    made(kinesis, stream, 1)
    shard = "shardId-000000000000"
    numbers = [kinesis.put_record(StreamName=stream, Data=b"%d" % n, PartitionKey=f"k{n}")["SequenceNumber"] for n in range(5)]

    def data(kind, enough=None, **more):
        return [int(record["Data"]) for record in read(kinesis, iterator(kinesis, stream, shard, kind, **more), enough)[0]]

    records, _ = read(kinesis, iterator(kinesis, stream, shard, "TRIM_HORIZON"), 5)
    assert [record["SequenceNumber"] for record in records] == numbers, records
    assert [record["PartitionKey"] for record in records] == [f"k{n}" for n in range(5)], records
    assert data("AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[2]) == [2, 3, 4]
    assert data("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[2]) == [3, 4]
    assert data("AT_SEQUENCE_NUMBER", StartingSequenceNumber="0") == [0, 1, 2, 3, 4], "0 is the horizon"
    latest = iterator(kinesis, stream, shard, "LATEST")
    assert read(kinesis, latest)[0] == []
    time.sleep(0.01)
    numbers.append(kinesis.put_record(StreamName=stream, Data=b"5", PartitionKey="k5")["SequenceNumber"])
    assert [record["Data"] for record in read(kinesis, latest, 1)[0]] == [b"5"]
    arrived = read(kinesis, latest, 1)[0][0]["ApproximateArrivalTimestamp"]
    assert data("AT_TIMESTAMP", Timestamp=arrived) == [5]
    assert data("AT_TIMESTAMP", Timestamp=arrived - timedelta(days=3)) == [0, 1, 2, 3, 4, 5]
    refused("InvalidArgumentException", kinesis.get_shard_iterator, StreamName=stream, ShardId=shard, ShardIteratorType="AT_TIMESTAMP", Timestamp=arrived + timedelta(hours=1))
    position, paged = iterator(kinesis, stream, "0", "TRIM_HORIZON"), []
    while len(paged) < 6:
        answer = kinesis.get_records(ShardIterator=position, Limit=4)
        assert len(answer["Records"]) in (2, 4), answer
        paged += [int(record["Data"]) for record in answer["Records"]]
        position = answer["NextShardIterator"]
    assert paged == list(range(6)), paged


def sequence_errors(kinesis, stream):
    made(kinesis, stream)
    zero, one = "shardId-000000000000", "shardId-000000000001"
    foreign = kinesis.put_record(StreamName=stream, Data=b"x", PartitionKey="k", ExplicitHashKey="0")["SequenceNumber"]
    ask = {"StreamName": stream, "ShardId": one}
    wrong = [
        {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": foreign},
        {"ShardIteratorType": "AT_SEQUENCE_NUMBER"}, {"ShardIteratorType": "AT_TIMESTAMP"},
        {"ShardIteratorType": "LATEST", "StartingSequenceNumber": foreign},
        {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "9" * 57},
    ]
    for arguments in wrong:
        refused("InvalidArgumentException", kinesis.get_shard_iterator, **ask, **arguments)
    refused("ResourceNotFoundException", kinesis.get_shard_iterator, StreamName=stream, ShardId="shardId-000000000099", ShardIteratorType="LATEST")
    good = iterator(kinesis, stream, zero, "TRIM_HORIZON")
    assert kinesis.get_records(ShardIterator=f'"{good}"')["Records"], "an iterator within quotes is taken"
    for forged in ("nonsense", good[:-8] + "AAAAAAA=", "A" * 512):
        refused("InvalidArgumentException", kinesis.get_records, ShardIterator=forged)
    refused("InvalidArgumentException", kinesis.put_record, StreamName=stream, Data=b"x", PartitionKey="k", SequenceNumberForOrdering="9" * 57)
    refused("ValidationException", kinesis.get_records, ShardIterator=good, Limit=10_001)


def reshard(kinesis, stream):
    made(kinesis, stream)
    numbers = range(40)
    for number in numbers:
        kinesis.put_record(StreamName=stream, Data=b"%d" % number, PartitionKey=f"k{number}")
    zero, one = (shard["ShardId"] for shard in open_shards(kinesis, stream))
    refused("InvalidArgumentException", kinesis.split_shard, StreamName=stream, ShardToSplit=zero, NewStartingHashKey=str(2**127 + 5))
    refused("ResourceNotFoundException", kinesis.split_shard, StreamName=stream, ShardToSplit="shardId-000000000077", NewStartingHashKey="7")
    refused("InvalidArgumentException", kinesis.merge_shards, StreamName=stream, ShardToMerge=one, AdjacentShardToMerge=zero)
    before_split = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamCreationTimestamp"]
    kinesis.split_shard(StreamName=stream, ShardToSplit=zero, NewStartingHashKey=str(2**126))
    active(kinesis, stream)
    now = shards(kinesis, stream)
    two, three = "shardId-000000000002", "shardId-000000000003"
    assert list(now) == [zero, one, two, three] and not streams.is_open(now[zero]), now
    assert streams.parents(now[two]) == streams.parents(now[three]) == [zero], now
    assert streams.span(now[two]) == (0, 2**126 - 1) and streams.span(now[three]) == (2**126, 2**127 - 1), now
    refused("InvalidArgumentException", kinesis.merge_shards, StreamName=stream, ShardToMerge=two, AdjacentShardToMerge=one)
    kinesis.merge_shards(StreamName=stream, ShardToMerge=three, AdjacentShardToMerge=one)
    active(kinesis, stream)
    now = shards(kinesis, stream)
    four = "shardId-000000000004"
    assert streams.parents(now[four]) == [three, one] and streams.span(now[four]) == (2**126, 2**128 - 1), now[four]
    assert [shard["ShardId"] for shard in open_shards(kinesis, stream)] == [two, four]
    for number in range(40, 60):
        assert kinesis.put_record(StreamName=stream, Data=b"%d" % number, PartitionKey=f"k{number}")["ShardId"] in (two, four)
    found = []
    for name, shard in now.items():
        records, last = read(kinesis, iterator(kinesis, stream, name, "TRIM_HORIZON"))
        found += [int(record["Data"]) for record in records]
        children = [other for other in now.values() if name in streams.parents(other)]
        assert sorted(child["ShardId"] for child in last.get("ChildShards", [])) == sorted(child["ShardId"] for child in children), last
        for child in last.get("ChildShards", []):
            assert child["ParentShards"] == streams.parents(now[child["ShardId"]]), child
            assert child["HashKeyRange"] == now[child["ShardId"]]["HashKeyRange"], child
        if not streams.is_open(shard):
            ending = int(shard["SequenceNumberRange"]["EndingSequenceNumber"])
            assert all(int(record["SequenceNumber"]) <= ending for record in records)
            assert all(int(child["SequenceNumberRange"]["StartingSequenceNumber"]) > ending for child in children)
            assert read(kinesis, iterator(kinesis, stream, name, "LATEST"))[0] == []
    assert sorted(found) == list(range(60)), "every record once, over parents and children"
    listing(kinesis, stream, before_split)


def listing(kinesis, stream, created):
    """The filters and pages of ListShards over the five shards of `reshard`."""
    filters = {
        "AT_LATEST": [2, 4], "FROM_TRIM_HORIZON": [0, 1, 2, 3, 4], "AT_TRIM_HORIZON": [0, 1],
        "AFTER_SHARD_ID": [3, 4],
    }
    for kind, expected in filters.items():
        more = {"ShardId": "shardId-000000000002"} if kind == "AFTER_SHARD_ID" else {}
        found = shards(kinesis, stream, ShardFilter={"Type": kind} | more)
        assert [int(name[-1]) for name in found] == expected, (kind, list(found))
    for kind in ("FROM_TIMESTAMP", "AT_TIMESTAMP"):
        found = shards(kinesis, stream, ShardFilter={"Type": kind, "Timestamp": time.time()})
        assert [int(name[-1]) for name in found] == [2, 4], (kind, list(found))
    assert len(shards(kinesis, stream, MaxResults=2)) == 5
    assert len(shards(kinesis, stream, StreamCreationTimestamp=created)) == 5
    assert list(shards(kinesis, stream, ExclusiveStartShardId="shardId-000000000003")) == ["shardId-000000000004"]
    token = kinesis.list_shards(StreamName=stream, MaxResults=1)["NextToken"]
    refused("InvalidArgumentException", kinesis.list_shards, StreamName=stream, NextToken=token)
    refused("InvalidArgumentException", kinesis.list_shards)
    refused("InvalidArgumentException", kinesis.list_shards, NextToken=token[:-3] + "AAA")


def update_count(kinesis, stream):
    made(kinesis, stream)
    for target, current in ((4, 2), (3, 4), (2, 3)):
        answer = kinesis.update_shard_count(StreamName=stream, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
        assert (answer["CurrentShardCount"], answer["TargetShardCount"]) == (current, target), answer
        active(kinesis, stream)
        spans = [streams.span(shard) for shard in open_shards(kinesis, stream)]
        assert len(spans) == target, spans
        widths = [last - first + 1 for first, last in spans]
        assert max(widths) - min(widths) <= target, f"uniform: {widths}"
    refused("InvalidArgumentException", kinesis.update_shard_count, StreamName=stream, TargetShardCount=5, ScalingType="UNIFORM_SCALING")


def monitoring(kinesis, stream):
    made(kinesis, stream, 1)
    answer = kinesis.enable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["IncomingBytes", "OutgoingBytes"])
    assert sorted(answer["DesiredShardLevelMetrics"]) == ["IncomingBytes", "OutgoingBytes"], answer
    active(kinesis, stream)
    answer = kinesis.disable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["OutgoingBytes"])
    assert sorted(answer["CurrentShardLevelMetrics"]) == ["IncomingBytes", "OutgoingBytes"], answer
    assert active(kinesis, stream)["EnhancedMonitoring"] == [{"ShardLevelMetrics": ["IncomingBytes"]}]


def retention(kinesis, stream):
    made(kinesis, stream, 1)
    kinesis.increase_stream_retention_period(StreamName=stream, RetentionPeriodHours=8760)
    assert active(kinesis, stream)["RetentionPeriodHours"] == 8760
    kinesis.decrease_stream_retention_period(StreamName=stream, RetentionPeriodHours=48)
    assert active(kinesis, stream)["RetentionPeriodHours"] == 48
    refused("InvalidArgumentException", kinesis.increase_stream_retention_period, StreamName=stream, RetentionPeriodHours=47)
    refused("InvalidArgumentException", kinesis.increase_stream_retention_period, StreamName=stream, RetentionPeriodHours=8761)
    refused("InvalidArgumentException", kinesis.decrease_stream_retention_period, StreamName=stream, RetentionPeriodHours=23)
    refused("InvalidArgumentException", kinesis.decrease_stream_retention_period, StreamName=stream, RetentionPeriodHours=49)


def tags(kinesis, stream):
    arn = made(kinesis, stream, 1)
    kinesis.add_tags_to_stream(StreamName=stream, Tags={f"key{n:02}": "v" for n in range(49)})
    kinesis.tag_resource(ResourceARN=arn, Tags={"owner": "the suite"})
    page = kinesis.list_tags_for_stream(StreamName=stream, Limit=20, ExclusiveStartTagKey="key09")
    assert [tag["Key"] for tag in page["Tags"]] == [f"key{n:02}" for n in range(10, 30)] and page["HasMoreTags"], page
    refused("InvalidArgumentException", kinesis.add_tags_to_stream, StreamName=stream, Tags={"one too many": "v"})
    kinesis.remove_tags_from_stream(StreamName=stream, TagKeys=[f"key{n:02}" for n in range(49)])
    assert kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "owner", "Value": "the suite"}]
    kinesis.untag_resource(ResourceARN=arn, TagKeys=["owner"])
    assert kinesis.list_tags_for_stream(StreamName=stream)["Tags"] == []


def policies(kinesis, stream):
    arn = made(kinesis, stream, 1)
    assert kinesis.get_resource_policy(ResourceARN=arn)["Policy"] == "{}"
    policy = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kinesis:GetRecords","Resource":"%s"}]}' % arn
    )
    kinesis.put_resource_policy(ResourceARN=arn, Policy=policy)
    assert kinesis.get_resource_policy(ResourceARN=arn)["Policy"] == policy
    kinesis.delete_resource_policy(ResourceARN=arn)
    assert kinesis.get_resource_policy(ResourceARN=arn)["Policy"] == "{}"


def modes(kinesis, stream):
    arn = made(kinesis, stream, 1)
    kinesis.update_max_record_size(StreamARN=arn, MaxRecordSizeInKiB=2048)
    assert active(kinesis, stream)["MaxRecordSizeInKiB"] == 2048
    kinesis.put_record(StreamName=stream, Data=bytes(2**21 - 1), PartitionKey="k")
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert active(kinesis, stream)["StreamModeDetails"]["StreamMode"] == "ON_DEMAND"
    refused("ValidationException", kinesis.update_shard_count, StreamName=stream, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    for operation, arguments in (
        (kinesis.update_stream_warm_throughput, {"WarmThroughputMiBps": 10}),
        (kinesis.update_stream_record_distribution_strategy, {"RecordDistributionStrategy": "USER_PARTITION_KEY"}),
    ):
        try:
            operation(StreamARN=arn, **arguments)
        except kinesis.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            assert code in ("ValidationException", "InvalidArgumentException"), error
        active(kinesis, stream)
    kinesis.create_stream(StreamName=f"{stream}-made", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert active(kinesis, f"{stream}-made")["OpenShardCount"] == 4


def registered(kinesis, arn, name):
    """A new consumer that is ACTIVE; its ARN."""
    kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=name)

    def description():
        found = kinesis.describe_stream_consumer(StreamARN=arn, ConsumerName=name)["ConsumerDescription"]
        return found if found["ConsumerStatus"] == "ACTIVE" else None

    return streams.until(description, f"{name} is ACTIVE")["ConsumerARN"]


def consumers(kinesis, stream):
    arn = made(kinesis, stream, 1)
    consumer = registered(kinesis, arn, "reader")
    assert consumer.startswith(f"{arn}/consumer/reader:"), consumer
    refused("ResourceInUseException", kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="reader")
    registered(kinesis, arn, "another")
    pages = kinesis.get_paginator("list_stream_consumers").paginate(StreamARN=arn, PaginationConfig={"PageSize": 1})
    assert sorted(found["ConsumerName"] for page in pages for found in page["Consumers"]) == ["another", "reader"]
    assert active(kinesis, stream)["ConsumerCount"] == 2
    by_arn = kinesis.describe_stream_consumer(ConsumerARN=consumer)["ConsumerDescription"]
    assert by_arn["ConsumerName"] == "reader" and by_arn["StreamARN"] == arn, by_arn
    refused("ResourceInUseException", kinesis.delete_stream, StreamName=stream)
    kinesis.deregister_stream_consumer(StreamARN=arn, ConsumerName="another")
    streams.until(lambda: active(kinesis, stream)["ConsumerCount"] == 1, "it is deregistered")
    refused("ResourceNotFoundException", kinesis.describe_stream_consumer, StreamARN=arn, ConsumerName="another")
    kinesis.delete_stream(StreamName=stream, EnforceConsumerDeletion=True)
    kinesis.get_waiter("stream_not_exists").wait(StreamName=stream)


def subscribe(kinesis, stream):
    """A subscription gets what is there, then what comes; a second one too soon is refused."""
    arn = made(kinesis, stream, 1)
    consumer = registered(kinesis, arn, "reader")
    for number in range(10):
        kinesis.put_record(StreamName=stream, Data=b"%d" % number, PartitionKey="k")
    start = {"ConsumerARN": consumer, "ShardId": "shardId-000000000000", "StartingPosition": {"Type": "TRIM_HORIZON"}}
    events = kinesis.subscribe_to_shard(**start)["EventStream"]
    refused("ResourceInUseException", kinesis.subscribe_to_shard, **start)
    putting = threading.Timer(0.5, lambda: kinesis.put_record(StreamName=stream, Data=b"10", PartitionKey="k"))
    putting.start()
    found, continuation = [], None
    for event in events:
        event = event["SubscribeToShardEvent"]
        found += [int(record["Data"]) for record in event["Records"]]
        continuation = event["ContinuationSequenceNumber"]
        if len(found) >= 11:
            break
    events.close()
    putting.join()
    assert found == list(range(11)), found
    kinesis.put_record(StreamName=stream, Data=b"11", PartitionKey="k")
    again = start | {"StartingPosition": {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": continuation}}
    events = streams.until(lambda: subscribed(kinesis, again), "the consumer may subscribe again", timeout=15, pause=1)
    first = next(event["SubscribeToShardEvent"] for event in events if event["SubscribeToShardEvent"]["Records"])
    assert [record["Data"] for record in first["Records"]] == [b"11"], first
    events.close()


def subscribed(kinesis, arguments):
    try:
        return kinesis.subscribe_to_shard(**arguments)["EventStream"]
    except kinesis.exceptions.ResourceInUseException:
        return None


def subscribe_end(kinesis, stream):
    """A subscription to a shard that is split under it ends with its children."""
    arn = made(kinesis, stream, 1)
    consumer = registered(kinesis, arn, "reader")
    kinesis.put_record(StreamName=stream, Data=b"before", PartitionKey="k")
    events = kinesis.subscribe_to_shard(
        ConsumerARN=consumer, ShardId="shardId-000000000000", StartingPosition={"Type": "TRIM_HORIZON"}
    )["EventStream"]
    kinesis.split_shard(StreamName=stream, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    events = [event["SubscribeToShardEvent"] for event in events]
    assert [record["Data"] for event in events for record in event["Records"]] == [b"before"], events
    children = events[-1]["ChildShards"]
    assert [child["ShardId"] for child in children] == ["shardId-000000000001", "shardId-000000000002"], events[-1]
    assert all(child["ParentShards"] == ["shardId-000000000000"] for child in children), children


def encryption(kinesis, stream):
    made(kinesis, stream, 1)
    key = {"StreamName": stream, "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    kinesis.start_stream_encryption(**key)
    summary = active(kinesis, stream)
    assert summary["EncryptionType"] == "KMS" and summary["KeyId"] == "alias/aws/kinesis", summary
    answer = kinesis.put_record(StreamName=stream, Data=b"secret", PartitionKey="k")
    assert answer["EncryptionType"] == "KMS", answer
    record, = read(kinesis, iterator(kinesis, stream, answer["ShardId"], "TRIM_HORIZON"), 1)[0]
    assert record["Data"] == b"secret" and record["EncryptionType"] == "KMS", record
    kinesis.stop_stream_encryption(**key)
    assert active(kinesis, stream).get("EncryptionType", "NONE") == "NONE"
