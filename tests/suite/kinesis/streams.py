"""What the checks of data streams share: clients, waiting, reading whole streams, lineage."""

import time

import boto3
from botocore.config import Config

import service

HASH_END = 2**128


def client(endpoint, attempts=5, read_timeout=20, authority=None):
    """A Kinesis client; each thread needs its own session. `authority`: the file of the certificate to trust."""
    config = Config(
        retries={"mode": "standard", "total_max_attempts": attempts}, connect_timeout=3, read_timeout=read_timeout
    )
    return boto3.session.Session().client(
        "kinesis", endpoint_url=endpoint, region_name=service.REGION, config=config, verify=authority,
        aws_access_key_id=service.KEY, aws_secret_access_key=service.SECRET,
    )


def until(condition, what, timeout=60, pause=0.05):
    """The first true answer of `condition`."""
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(pause)
    return answer


def active(kinesis, stream):
    """Waits until the stream is ACTIVE; its summary."""

    def summary():
        found = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
        return found if found["StreamStatus"] == "ACTIVE" else None

    return until(summary, f"{stream} is ACTIVE")


def shards(kinesis, stream, **filters):
    """Every shard that ListShards has, by id, over all its pages."""
    answer = kinesis.list_shards(StreamName=stream, **filters)
    found = answer["Shards"]
    while token := answer.get("NextToken"):
        answer = kinesis.list_shards(NextToken=token)
        found += answer["Shards"]
    return {shard["ShardId"]: shard for shard in found}


def is_open(shard):
    return "EndingSequenceNumber" not in shard["SequenceNumberRange"]


def span(shard):
    """First and last hash key."""
    keys = shard["HashKeyRange"]
    return int(keys["StartingHashKey"]), int(keys["EndingHashKey"])


def parents(shard):
    named = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
    return [parent for parent in named if parent]


def open_shards(kinesis, stream):
    """The open shards in the order of their hash keys; they cover every key once."""
    found = sorted(filter(is_open, shards(kinesis, stream).values()), key=span)
    expected = 0
    for shard in found:
        first, last = span(shard)
        assert first == expected, f"a hole or an overlap at {expected}: {found}"
        expected = last + 1
    assert expected == HASH_END, f"the shards end at {expected}: {found}"
    return found


def iterator(kinesis, stream, shard, kind, **more):
    return kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType=kind, **more)["ShardIterator"]


def read(kinesis, position, enough=None, timeout=20):
    """Records from an iterator on: all of a closed shard; of an open one until `enough`, or until nothing is behind.
    Also the last answer."""
    records, deadline = [], time.monotonic() + timeout
    while True:
        answer = kinesis.get_records(ShardIterator=position)
        records += answer["Records"]
        following, children = answer.get("NextShardIterator"), answer.get("ChildShards")
        assert bool(following) != bool(children), f"the KCL wants an iterator or children, not both or neither: {answer}"
        tip = not answer["Records"] and answer["MillisBehindLatest"] == 0
        if following is None or (len(records) >= enough if enough is not None else tip):
            return records, answer
        assert time.monotonic() < deadline, f"{len(records)} records after {timeout} s, wanted {enough}"
        position = following
        time.sleep(0.02)


def refused(code, call, **arguments):
    """The call fails with this code; its message."""
    try:
        call(**arguments)
    except call.__self__.exceptions.ClientError as error:
        said = error.response["Error"]
        assert said["Code"] == code, f"{said} instead of {code}, for {arguments}"
        assert said.get("Message") or code == "SerializationException", f"no message: {error.response}"
        return said.get("Message", "")
    raise AssertionError(f"{call.__name__} took {arguments} instead of saying {code}")
