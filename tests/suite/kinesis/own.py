"""What clients see of what is ours to set or to do: kills, throughput limits, delays of states, our own commands."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import service
from kinesis import streams
from kinesis.boto import registered
from kinesis.streams import active, iterator, open_shards, read, refused, shards, until

STREAM = "own"
FIRST = "shardId-000000000000"


def data_restart(place):
    """A kill changes nothing that clients hold: iterators, tokens, consumers, tags, shards, sequence numbers."""
    with service.Service(place.folder, []) as standpipe:
        kinesis = streams.client(standpipe.endpoint)
        kinesis.create_stream(StreamName=STREAM, ShardCount=3, Tags={"team": "suite"})
        arn = active(kinesis, STREAM)["StreamARN"]
        registered(kinesis, arn, "reader")
        numbers = [put(kinesis, b"%d" % number)["SequenceNumber"] for number in range(10)]
        kinesis.split_shard(StreamName=STREAM, ShardToSplit="shardId-000000000002", NewStartingHashKey=str(2**128 - 2**64))
        kinesis.increase_stream_retention_period(StreamName=STREAM, RetentionPeriodHours=48)
        position = kinesis.get_records(ShardIterator=iterator(kinesis, STREAM, FIRST, "TRIM_HORIZON"), Limit=4)["NextShardIterator"]
        token = kinesis.list_shards(StreamName=STREAM, MaxResults=2)["NextToken"]
        before = seen(kinesis, arn)
        for end in (standpipe.kill, standpipe.terminate):
            end()
            standpipe.start()
            assert seen(kinesis, arn) == before, f"{seen(kinesis, arn)} is not {before}"
            assert [record["Data"] for record in read(kinesis, position, 6)[0]] == [b"%d" % number for number in range(4, 10)]
            assert [shard["ShardId"][-1] for shard in kinesis.list_shards(NextToken=token)["Shards"]] == ["2", "3", "4"]
        following = put(kinesis, b"10", SequenceNumberForOrdering=numbers[-1])["SequenceNumber"]
        assert int(following) > int(numbers[-1]), (following, numbers)
        kinesis.delete_stream(StreamName=STREAM, EnforceConsumerDeletion=True)
        until(lambda: STREAM not in kinesis.list_streams()["StreamNames"], "it is deleted")
        standpipe.kill()
        standpipe.start()
        refused("ResourceNotFoundException", kinesis.describe_stream_summary, StreamName=STREAM)
        time.sleep(1)
        kinesis.create_stream(StreamName=STREAM, ShardCount=3)
        active(kinesis, STREAM)
        number = {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": numbers[0]}
        refused("InvalidArgumentException", kinesis.get_shard_iterator, StreamName=STREAM, ShardId=FIRST, **number)
        assert read(kinesis, iterator(kinesis, STREAM, FIRST, "TRIM_HORIZON"))[0] == [], "the old one's records"


def put(kinesis, data, **more):
    return kinesis.put_record(StreamName=STREAM, Data=data, PartitionKey="k", ExplicitHashKey="0", **more)


def seen(kinesis, arn):
    """All that is described of the stream."""
    return (
        kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"], shards(kinesis, STREAM),
        kinesis.list_stream_consumers(StreamARN=arn)["Consumers"], kinesis.list_tags_for_stream(StreamName=STREAM)["Tags"],
    )


def data_limits(place):
    """AWS's limits, where they are switched on: a shard takes 1 MiB a second and 5 reads; SDKs wait and succeed."""
    configured = f'[data_stream.{STREAM}]\nshards = 1\nlimits = "aws"\n[data_stream.free]\nshards = 1\n'
    with service.Service(place.folder, [configured]) as standpipe:
        eager, patient = streams.client(standpipe.endpoint, attempts=1), streams.client(standpipe.endpoint, attempts=8)
        # Of each call at most half can be taken, however slow this machine is.
        entries = [{"Data": bytes(4_200), "PartitionKey": "k"}] * 500
        answer = eager.put_records(StreamName=STREAM, Records=entries)
        lacking = [entry for entry in answer["Records"] if "ErrorCode" in entry]
        assert answer["FailedRecordCount"] == len(lacking) and 250 <= len(lacking) < 500, f"{len(lacking)} were refused"
        said = {(entry["ErrorCode"], entry["ErrorMessage"].split(" under account")[0]) for entry in lacking}
        assert said == {("ProvisionedThroughputExceededException", f"Rate exceeded for shard {FIRST} in stream {STREAM}")}, said
        assert all("SequenceNumber" not in entry for entry in lacking)
        # The SDK tries again until the second is over.
        patient.put_record(StreamName=STREAM, Data=bytes(1_000_000), PartitionKey="k")
        let_through = at_once(eager, iterator(patient, STREAM, FIRST, "LATEST"))
        assert 5 <= let_through < 30, f"{let_through} of 30 reads at once"
        patient.get_records(ShardIterator=iterator(patient, STREAM, FIRST, "LATEST"))
        assert eager.put_records(StreamName="free", Records=entries)["FailedRecordCount"] == 0
        assert at_once(eager, iterator(eager, "free", FIRST, "LATEST")) == 30
    return {"refused": len(lacking), "read": let_through}


def at_once(kinesis, position):
    """How many of thirty reads are let through."""

    def read_once(_):
        try:
            kinesis.get_records(ShardIterator=position)
            return True
        except kinesis.exceptions.ProvisionedThroughputExceededException:
            return False

    with ThreadPoolExecutor(30) as pool:
        return sum(pool.map(read_once, range(30)))


def data_states(place):
    """With a delay as AWS has it streams are seen CREATING, UPDATING and DELETING, and refuse what they cannot do then."""
    with service.Service(place.folder, [], '[kinesis]\nstate_delay = "1500ms"\nshard_limit = 6\n') as standpipe:
        kinesis = streams.client(standpipe.endpoint, attempts=1)
        kinesis.create_stream(StreamName=STREAM, ShardCount=2)
        described = kinesis.describe_stream(StreamName=STREAM)["StreamDescription"]
        assert (described["StreamStatus"], described["Shards"]) == ("CREATING", []), described
        refused("ResourceNotFoundException", kinesis.put_record, StreamName=STREAM, Data=b"x", PartitionKey="k")
        active(kinesis, STREAM)
        split = {"StreamName": STREAM, "ShardToSplit": FIRST, "NewStartingHashKey": str(2**126)}
        kinesis.split_shard(**split)
        assert status(kinesis) == "UPDATING"
        refused("ResourceInUseException", kinesis.merge_shards, StreamName=STREAM, ShardToMerge=FIRST, AdjacentShardToMerge="shardId-000000000001")
        assert put(kinesis, b"during")["ShardId"]
        active(kinesis, STREAM)
        assert len(open_shards(kinesis, STREAM)) == 3
        refused("LimitExceededException", kinesis.create_stream, StreamName="another", ShardCount=4)
        kinesis.delete_stream(StreamName=STREAM)
        assert status(kinesis) == "DELETING"
        kinesis.get_waiter("stream_not_exists").wait(StreamName=STREAM, WaiterConfig={"Delay": 1})
        kinesis.create_stream(StreamName="another", ShardCount=4)


def status(kinesis):
    return kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]["StreamStatus"]


def data_takeover(place):
    """After five seconds a consumer may subscribe again: the new subscription gets the records, the old one is told."""
    with service.Service(place.folder, []) as standpipe:
        kinesis = streams.client(standpipe.endpoint)
        kinesis.create_stream(StreamName=STREAM, ShardCount=1)
        consumer = registered(kinesis, active(kinesis, STREAM)["StreamARN"], "reader")
        start = {"ConsumerARN": consumer, "ShardId": FIRST, "StartingPosition": {"Type": "TRIM_HORIZON"}}
        old, told = kinesis.subscribe_to_shard(**start)["EventStream"], []

        def follow():
            try:
                told.extend(record["Data"] for event in old for record in event["SubscribeToShardEvent"]["Records"])
            except Exception as error:  # noqa: BLE001  (it is looked at below)
                told.append(error)

        following = threading.Thread(target=follow)
        following.start()
        time.sleep(5.2)
        new = kinesis.subscribe_to_shard(**start)["EventStream"]
        following.join(timeout=10)
        assert not following.is_alive() and "ResourceInUseException" in str(told[-1]), told
        put(kinesis, b"for the new one")
        first = next(event for event in new if event["SubscribeToShardEvent"]["Records"])
        assert first["SubscribeToShardEvent"]["Records"][0]["Data"] == b"for the new one", first
        new.close()


def data_commands(place):
    """`put` and `tail` of a data stream; `status` shows its shards."""
    with service.Service(place.folder, [f"[data_stream.{STREAM}]\nshards = 2\n"]) as standpipe:
        lines = b"".join(b"line %d\n" % number for number in range(1_000))
        standpipe.run("put", STREAM, "-", "--data-stream", "--endpoint", standpipe.endpoint, stdin=lines)
        tail = ["tail", STREAM, "--data-stream", "--endpoint", standpipe.endpoint]
        found = standpipe.run(*tail, "--from", "horizon", "--no-follow")
        assert sorted(found.splitlines()) == sorted(lines.splitlines()), found[:300]
        said = standpipe.run("status", "--admin", standpipe.admin).decode()
        assert STREAM in said and "1,000" in said, said


CHECKS = [data_restart, data_limits, data_states, data_takeover, data_commands]
