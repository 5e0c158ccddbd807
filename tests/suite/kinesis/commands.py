"""The main route by the AWS CLI: create, put, read, reshard, list, consumers, tags, delete. It has no command that
subscribes (awscli/customizations/removals.py)."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import service

HALF = str(2**127)


def environment():
    """What an AWS client reads, and nothing of the machine's own."""
    return os.environ | {
        "AWS_ACCESS_KEY_ID": service.KEY, "AWS_SECRET_ACCESS_KEY": service.SECRET, "AWS_REGION": service.REGION,
        "AWS_DEFAULT_REGION": service.REGION, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def route(endpoint, stream="cli"):
    """Runs it; how many commands there were."""
    commands = []

    def run(operation, *arguments):
        command = [sys.executable, Path(sys.executable).parent / "aws", "kinesis", operation, *arguments]
        done = subprocess.run(
            [*command, "--endpoint-url", endpoint, "--output", "json"], env=environment(), capture_output=True, timeout=60
        )
        assert done.returncode == 0, f"{operation} {arguments}: {done.stderr.decode()}"
        commands.append(operation)
        return json.loads(done.stdout or b"null")

    named = ["--stream-name", stream]
    run("create-stream", *named, "--shard-count", "2")
    run("wait", "stream-exists", *named)
    # Version 1 of the CLI takes blobs as they are; version 2 would want base64.
    first = run("put-record", *named, "--partition-key", "k", "--data", "zero", "--explicit-hash-key", "0")
    entries = [{"Data": f"n{n}", "PartitionKey": "k", "ExplicitHashKey": HALF if n % 2 else "0"} for n in range(6)]
    batch = run("put-records", *named, "--records", json.dumps(entries))
    assert batch["FailedRecordCount"] == 0, batch
    assert [entry["ShardId"][-1] for entry in batch["Records"]] == list("010101"), batch

    def read(shard, kind, *more):
        position = run("get-shard-iterator", *named, "--shard-id", shard, "--shard-iterator-type", kind, *more)["ShardIterator"]
        answer = run("get-records", "--shard-iterator", position)
        return [base64.b64decode(record["Data"]).decode() for record in answer["Records"]]

    number = ["--starting-sequence-number", first["SequenceNumber"]]
    assert read(first["ShardId"], "TRIM_HORIZON") == ["zero", "n0", "n2", "n4"]
    assert read(first["ShardId"], "AT_SEQUENCE_NUMBER", *number) == ["zero", "n0", "n2", "n4"]
    assert read(first["ShardId"], "AFTER_SEQUENCE_NUMBER", *number) == ["n0", "n2", "n4"]
    assert read(first["ShardId"], "AT_TIMESTAMP", "--timestamp", "2026-01-01T00:00:00Z") == ["zero", "n0", "n2", "n4"]
    assert read(first["ShardId"], "LATEST") == []
    run("split-shard", *named, "--shard-to-split", "shardId-000000000000", "--new-starting-hash-key", str(2**126))
    run("wait", "stream-exists", *named)
    run("merge-shards", *named, "--shard-to-merge", "shardId-000000000003", "--adjacent-shard-to-merge", "shardId-000000000001")
    run("wait", "stream-exists", *named)
    run("update-shard-count", *named, "--target-shard-count", "1", "--scaling-type", "UNIFORM_SCALING")
    run("wait", "stream-exists", *named)
    shards = run("list-shards", *named, "--max-items", "100")["Shards"]
    lineage = [(shard.get("ParentShardId", "-")[-1], shard.get("AdjacentParentShardId", "-")[-1]) for shard in shards]
    assert lineage == [("-", "-"), ("-", "-"), ("0", "-"), ("0", "-"), ("3", "1"), ("2", "4")], lineage
    arn = run("describe-stream-summary", *named)["StreamDescriptionSummary"]["StreamARN"]
    consumer = run("register-stream-consumer", "--stream-arn", arn, "--consumer-name", "reader")["Consumer"]
    assert consumer["ConsumerARN"].startswith(f"{arn}/consumer/reader:"), consumer
    listed = run("list-stream-consumers", "--stream-arn", arn)["Consumers"]
    assert [found["ConsumerName"] for found in listed] == ["reader"], listed
    run("add-tags-to-stream", *named, "--tags", "team=suite")
    assert run("list-tags-for-stream", *named)["Tags"] == [{"Key": "team", "Value": "suite"}]
    assert stream in run("list-streams")["StreamNames"]
    run("delete-stream", *named, "--enforce-consumer-deletion")
    run("wait", "stream-not-exists", *named)
    return {"commands": len(commands)}
