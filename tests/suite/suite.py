"""The integration suite: the built program, clients and stores that others wrote, and what an operator does to it.

    suite.py [NAME...]     all checks, or those whose names contain one of the words

STANDPIPE_SUITE_KILLS and STANDPIPE_SUITE_CUTS say how often the service is killed and the power cut (default 5 and 3).
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from datetime import datetime, timezone
from pathlib import Path

import duckdb
from botocore.exceptions import ClientError

import clouds
import endpoint
import faults
import functions
import glue
import kill
import lake
import oracle
import powercut
import roundtrip
import s3
import service
import transforms
from kinesis import checks as data_streams
from service import Skipped

TOOLS = Path(os.environ.get("STANDPIPE_SUITE_TOOLS", service.ROOT / "target/suite"))
HERE = Path(__file__).parent
KILLS = int(os.environ.get("STANDPIPE_SUITE_KILLS", "5"))
CUTS = int(os.environ.get("STANDPIPE_SUITE_CUTS", "3"))
KEY_PATTERN = r"{stream}/\d{{4}}/\d\d/\d\d/\d\d/{stream}-1-\d{{4}}(-\d\d){{5}}-[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}\.gz"


class Place:
    """What every check gets: a folder of its own, and the store."""

    def __init__(self, folder, store):
        self.folder, self.store = folder, store
        self.lake = folder / "lake"

    def local(self, name="logs", top="", **settings):
        where = service.local_destination(self.lake)
        return service.Service(self.folder, [service.stream(name, where, **settings)], top)

    def s3(self, bucket, name="logs", endpoint=None, **settings):
        self.store.bucket(bucket)
        where = service.s3_destination(bucket, endpoint or self.store.endpoint, s3.KEY, s3.SECRET)
        return service.Service(self.folder, [service.stream(name, where, **settings)])

    def local_objects(self, name="logs"):
        return list(oracle.local_objects(self.lake / name))

    def s3_objects(self, bucket, name="logs"):
        return list(oracle.s3_objects(self.store.client(), bucket, f"{name}/"))


def right(ledger, objects):
    verdict = oracle.judge(ledger, objects)
    assert verdict.right and verdict.acknowledged > 0, f"{verdict.summary()} {verdict.examples()}"
    return verdict


def load(standpipe, name, ledger, calls=20, producers=3):
    """Several producers, one after the other in each call, all acknowledged."""
    client = standpipe.client()
    for call in range(calls):
        for producer in range(producers):
            numbers = range(call * 100, call * 100 + 100)
            assert oracle.put(client, name, f"p{producer}", numbers, ledger), getattr(ledger, "last_error", "refused")


# ---- checks: functions of a Place; their first line is what they say ----


def boto3_to_local(place):
    """boto3 to a local lake: once, in order, gzip, under hour prefixes; DuckDB reads it."""
    ledger = oracle.Ledger()
    with place.local() as standpipe:
        load(standpipe, "logs", ledger)
        standpipe.drained("logs")
    verdict = right(ledger, place.local_objects())
    keys = [str(path.relative_to(place.lake)) for path in place.lake.rglob("*") if path.is_file()]
    assert len(keys) == verdict.objects > 1, keys
    for key in keys:
        assert re.fullmatch(KEY_PATTERN.format(stream="logs"), key), key
    hour = datetime.now(timezone.utc).strftime("logs/%Y/%m/%d/")
    assert all(key.startswith(hour) for key in keys) or datetime.now(timezone.utc).hour == 0, keys
    query = f"select count(*), count(distinct (producer, n)) from read_json('{place.lake}/**/*.gz')"
    assert duckdb.sql(query).fetchall() == [(verdict.acknowledged, verdict.acknowledged)]


def boto3_to_s3(place):
    """boto3 to S3: once, in order, with the content encoding of gzip."""
    ledger = oracle.Ledger()
    with place.s3("boto3") as standpipe:
        load(standpipe, "logs", ledger)
        standpipe.drained("logs")
    objects = place.s3_objects("boto3")
    right(ledger, objects)
    for key, _ in objects:
        assert re.fullmatch(KEY_PATTERN.format(stream="logs"), key), key
    head = place.store.client().head_object(Bucket="boto3", Key=objects[0][0])
    assert head.get("ContentEncoding") == "gzip", head


def aws_cli(place):
    """The AWS CLI: put-record, put-record-batch, describe, list."""
    aws = Path(sys.executable).parent / "aws"
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": service.KEY, "AWS_SECRET_ACCESS_KEY": service.SECRET, "AWS_DEFAULT_REGION": service.REGION,
        "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    ledger = oracle.Ledger()
    with place.local() as standpipe:

        def run(*arguments):
            command = [sys.executable, aws, "firehose", *arguments, "--endpoint-url", standpipe.endpoint, "--output", "json"]
            done = subprocess.run(command, env=environment, capture_output=True, timeout=60)
            assert done.returncode == 0, done.stderr.decode()
            return json.loads(done.stdout or b"{}")

        def entry(number):
            # Version 1 of the CLI takes blobs as they are; version 2 would want base64.
            return {"Data": oracle.record("cli", number).decode()}

        stream = ["--delivery-stream-name", "logs"]
        assert run("put-record", *stream, "--record", json.dumps(entry(0)))["RecordId"]
        batch = run("put-record-batch", *stream, "--records", json.dumps([entry(number) for number in range(1, 50)]))
        assert batch["FailedPutCount"] == 0 and len(batch["RequestResponses"]) == 49
        ledger.take("cli", range(50), True)
        described = run("describe-delivery-stream", *stream)["DeliveryStreamDescription"]
        assert described["DeliveryStreamStatus"] == "ACTIVE"
        assert "logs" in run("list-delivery-streams")["DeliveryStreamNames"]
        standpipe.drained("logs")
    right(ledger, place.local_objects())


def javascript_sdk(place):
    """The JavaScript SDK: PutRecord and PutRecordBatch."""
    ledger = oracle.Ledger()
    with place.local() as standpipe:
        records = b"".join(oracle.record("js", number) for number in range(1_201))
        environment = os.environ | {
            "AWS_ACCESS_KEY_ID": service.KEY, "AWS_SECRET_ACCESS_KEY": service.SECRET, "AWS_REGION": service.REGION,
            "STANDPIPE_SUITE_TOOLS": str(TOOLS),
        }
        command = ["node", HERE / "put.mjs", standpipe.endpoint, "logs"]
        done = subprocess.run(command, input=records, env=environment, capture_output=True, timeout=120)
        assert done.stdout.strip() == b"1201", done.stderr.decode()
        ledger.take("js", range(1_201), True)
        standpipe.drained("logs")
    right(ledger, place.local_objects())


def fluent_bit(place):
    """Fluent Bit's own Firehose client, the plugin that AWS ships with it."""
    if not (TOOLS / "bin/fluentbit").exists():
        raise Skipped("Go is missing, so the plugin cannot be built")
    with place.local(size="1 MiB") as standpipe:
        lines = [oracle.record("fb", number) for number in range(1_300)]
        environment = os.environ | {"AWS_ACCESS_KEY_ID": service.KEY, "AWS_SECRET_ACCESS_KEY": service.SECRET}
        command = [TOOLS / "bin/fluentbit", standpipe.endpoint, "logs"]
        done = subprocess.run(command, input=b"".join(lines), env=environment, capture_output=True, timeout=120)
        assert done.stdout.strip() == b"1300", done.stderr.decode()
        standpipe.drained("logs")
    ledger = oracle.Ledger()
    ledger.take("fb", range(1_300), True)
    right(ledger, place.local_objects())


def signatures(place):
    """A wrong secret, an unknown key, no signature at all: refused, and nothing is stored."""
    with place.local() as standpipe:
        import urllib.error
        import urllib.request

        for client in (standpipe.client(attempts=1, secret="wrong"),):
            try:
                client.put_record(DeliveryStreamName="logs", Record={"Data": b"x"})
                raise AssertionError("a wrong secret was taken")
            except ClientError as error:
                assert error.response["Error"]["Code"] == "InvalidSignatureException", error
        headers = {"X-Amz-Target": "Firehose_20150804.PutRecord", "Content-Type": "application/x-amz-json-1.1"}
        body = json.dumps({"DeliveryStreamName": "logs", "Record": {"Data": "eA=="}}).encode()
        try:
            urllib.request.urlopen(urllib.request.Request(standpipe.endpoint, body, headers), timeout=10)
            raise AssertionError("a call without a signature was taken")
        except urllib.error.HTTPError as error:
            assert error.code in (400, 403), error
        assert standpipe.stream_status("logs")["accepted"] == 0


def own_commands(place):
    """`put` sends the machine's own logs byte for byte; `status` and `check` say what is."""
    candidates = ["/var/log/dpkg.log", "/var/log/apt/history.log", "/var/log/alternatives.log", "/var/log/bootstrap.log"]
    logs = [Path(path).read_bytes() for path in candidates if Path(path).is_file()] + [b"the last line has no feed"]
    text = b"".join(logs)
    with place.local() as standpipe:
        source = place.folder / "machine.log"
        source.write_bytes(text)
        said = standpipe.run("put", "logs", str(source), "--endpoint", standpipe.endpoint).decode()
        lines = len(text.splitlines())
        assert said.startswith(f"{lines:,} records, {len(text):,} bytes"), said
        standpipe.drained("logs")
        assert "logs" in standpipe.run("status", "--admin", standpipe.admin).decode()
        assert standpipe.run("check", "--config", str(standpipe.config), "--probe")
        assert standpipe.run("put", "none", "-", "--endpoint", standpipe.endpoint, stdin=b"x\n", ok=False).returncode == 1
        ledger = standpipe.run("status", "--ledger", "--data-dir", str(standpipe.data_dir)).decode()
        assert "PLAN" in ledger and "COMMIT" in ledger, ledger
    keys = standpipe.planned_keys("logs")
    assert b"".join(oracle.decompress(key, (place.lake / key).read_bytes()) for key in keys) == text


def demo(place):
    """`demo` shows the main job, and every record once."""
    said = subprocess.run(
        [service.binary(), "demo", "--dir", place.folder / "demo", "--seconds", "3"], capture_output=True, timeout=120
    )
    assert said.returncode == 0, said.stdout.decode() + said.stderr.decode()
    assert "every record is there exactly once" in said.stdout.decode(), said.stdout.decode()


def api_streams(place):
    """A stream made through the API outlives a restart and a kill, and delivers before and after."""
    place.store.bucket("made")
    buckets = (
        f'[buckets]\ntype = "s3"\nendpoint = "{place.store.endpoint}"\nregion = "{service.REGION}"\npath_style = true\n'
        f'credentials = {{ access_key_id = "{s3.KEY}", secret_access_key = "{s3.SECRET}" }}\n'
    )
    ledger = oracle.Ledger()
    standpipe = place.local(top=buckets)
    with standpipe:
        client = standpipe.client()
        client.create_delivery_stream(
            DeliveryStreamName="made", DeliveryStreamType="DirectPut", Tags=[{"Key": "team", "Value": "suite"}],
            ExtendedS3DestinationConfiguration={
                "RoleARN": "arn:aws:iam::000000000000:role/any", "BucketARN": "arn:aws:s3:::made", "Prefix": "made/",
                "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1}, "CompressionFormat": "GZIP",
            },
        )
        deadline = time.monotonic() + 30
        while describe(client)["DeliveryStreamStatus"] != "ACTIVE":
            assert time.monotonic() < deadline, describe(client)
            time.sleep(0.1)
        before = describe(client)
        oracle.put(client, "made", "a", range(100), ledger)
        assert standpipe.terminate() == 0
        standpipe.start()
        assert describe(client) == before, "a restart changed it"
        oracle.put(client, "made", "a", range(100, 200), ledger)
        standpipe.kill()
        standpipe.start()
        assert describe(client) == before, "a kill changed it"
        oracle.put(client, "made", "a", range(200, 300), ledger)
        standpipe.drained("made")
        client.delete_delivery_stream(DeliveryStreamName="made")
    assert right(ledger, place.s3_objects("made", "made")).acknowledged == 300


def describe(client):
    return client.describe_delivery_stream(DeliveryStreamName="made")["DeliveryStreamDescription"]


def sigterm(place):
    """SIGTERM delivers what is buffered, long before its interval."""
    ledger = oracle.Ledger()
    with place.local(size="64 MiB", interval="900s") as standpipe:
        load(standpipe, "logs", ledger)
        assert not place.local_objects()
        assert standpipe.terminate() == 0, standpipe.last_lines()
    right(ledger, place.local_objects())


def store_away(place):
    """A store that is down fails no put; what waited is delivered when it is back, also over a restart."""
    ledger = oracle.Ledger()
    proxy = faults.Proxy(place.store.endpoint, share=0)
    proxy.choose = lambda method: ("503", 0)
    standpipe = place.s3("away", endpoint=proxy.endpoint)
    try:
        with standpipe:
            load(standpipe, "logs", ledger)
            assert standpipe.stream_status("logs")["backlog_records"] == ledger.counts()[0]
            standpipe.kill()
            standpipe.start()
            load(standpipe, "logs", ledger, producers=0)
            proxy.choose = lambda method: ("none", 0)
            standpipe.drained("logs")
    finally:
        proxy.stop()
    right(ledger, place.s3_objects("away"))


def kills_local(place):
    """SIGKILL under load, local lake."""
    verdict, _ = kill.run(place.folder, KILLS, "local", False, TOOLS)
    assert verdict.right, verdict.examples()
    return verdict.summary()


def kills_s3(place):
    """SIGKILL under load, S3 whose answers come late, twice, wrong or not at all."""
    verdict, suffered = kill.run(place.folder, KILLS, "s3", True, TOOLS)
    assert verdict.right, verdict.examples()
    return verdict.summary() | {"faults": suffered}


def power_cuts_ext4(place):
    """Power cuts under load, ext4."""
    return power_cuts(place, "ext4")


def power_cuts_xfs(place):
    """Power cuts under load, xfs."""
    return power_cuts(place, "xfs")


def azure(place):
    """boto3 to Azure Blob Storage (Azurite): once, over a kill, with the content encoding of gzip."""
    return clouds.delivers(place, clouds.Azure, TOOLS)


def gcs(place):
    """boto3 to Google Cloud Storage (fake-gcs-server): once, over a kill and lost answers, replacing no object."""
    return clouds.delivers(place, clouds.Gcs, TOOLS)


def dead_disk(place):
    """A disk that dies under the running service: nothing more is taken, nothing that was taken is lost."""
    if reason := powercut.why_not("ext4"):
        raise Skipped(reason)
    verdict = powercut.dead_disk(place.folder, "ext4")
    assert verdict.right, verdict.examples()
    return verdict.summary()


def power_cuts(place, kind):
    if reason := powercut.why_not(kind):
        raise Skipped(reason)
    verdict = powercut.run(place.folder, CUTS, kind)
    assert verdict.right, verdict.examples()
    return verdict.summary()


CHECKS = [
    boto3_to_local, boto3_to_s3, aws_cli, javascript_sdk, fluent_bit, signatures, own_commands, demo, api_streams, sigterm,
    store_away, kills_local, kills_s3, power_cuts_ext4, power_cuts_xfs,
    dead_disk, azure, gcs, *functions.CHECKS, *transforms.CHECKS, *lake.CHECKS, *roundtrip.CHECKS, *glue.CHECKS, *endpoint.CHECKS,
    *data_streams.CHECKS,
]


def run_one(check, folder, store):
    """What became of it: ok, SKIPPED or FAILED; says so."""
    started = time.monotonic()
    what = check.__doc__.splitlines()[0]
    folder.mkdir()
    try:
        facts = check(Place(folder, store))
        print(f"ok       {check.__name__} ({time.monotonic() - started:.1f} s): {what}" + (f" {facts}" if facts else ""), flush=True)
        return "ok"
    except Skipped as reason:
        print(f"SKIPPED  {check.__name__}: {what} REASON: {reason}", flush=True)
        return "SKIPPED"
    except Exception:  # noqa: BLE001  (the next check is run all the same)
        print(f"FAILED   {check.__name__} ({time.monotonic() - started:.1f} s): {what}", flush=True)
        traceback.print_exc()
        log = folder / "service.log"
        if log.exists():
            print(f"--- the end of its log\n{log.read_text(errors='replace')[-4000:]}\n---", flush=True)
        return "FAILED"


def main(words):
    oracle.self_test()
    chosen = [check for check in CHECKS if not words or any(word in check.__name__ for word in words)]
    with tempfile.TemporaryDirectory(prefix="standpipe-suite-") as folder:
        store = s3.Store(Path(folder) / "store", TOOLS)
        try:
            print(f"program {service.binary()}, store {store.name}", flush=True)
            s3.self_test(store)
            faults.self_test(store)
            became = {check.__name__: run_one(check, Path(folder) / check.__name__, store) for check in chosen}
        finally:
            store.stop()
    skipped, failed = ([name for name, what in became.items() if what == word] for word in ("SKIPPED", "FAILED"))
    if skipped:
        print(f"ATTENTION: NOT CHECKED, for the reasons above: {', '.join(skipped)}", file=sys.stderr, flush=True)
    if failed:
        sys.exit(f"{len(failed)} of {len(became)} checks failed: {', '.join(failed)}")
    print(f"all {len(became) - len(skipped)} checks that could run passed, {len(skipped)} were skipped")


if __name__ == "__main__":
    main(sys.argv[1:])
