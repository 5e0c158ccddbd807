"""A delivery stream over a data stream that is split and merged all the time and killed again and again, under a load
of keyed records. Then the oracle counts: nothing lost, nothing twice, and the records of a partition key in order,
within each object and from one to the next: a shard is read only after its parents. A consumer reads along, and the
stream is read again in the end.

    python kinesis/chaos.py --cycles 50
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import oracle
import service
from kinesis import streams
from kinesis.reader import Reader

DATA, DELIVERY = "clicks", "landed"
# A few shards more or less, whatever the seed.
SHARDS_MIN, SHARDS_MAX = 2, 12
# Records a call: enough that objects are made by their size, several between two kills.
BATCH = 40


def configured(folder, lake, shards=4, **settings):
    """A service with a data stream and a delivery stream that reads it from the horizon."""
    text = service.stream(DELIVERY, service.local_destination(lake), source=f'{{ data_stream = "{DATA}" }}', **settings)
    return service.Service(folder, [f"[data_stream.{DATA}]\nshards = {shards}\n", text])


def put(kinesis, producer, numbers, ledger):
    """Puts records one call for all; the producer's name is the partition key. Whether all went in."""
    numbers = list(numbers)
    records = [{"Data": oracle.record(producer, number), "PartitionKey": producer} for number in numbers]
    try:
        entries = kinesis.put_records(StreamName=DATA, Records=records)["Records"]
    except Exception as error:  # noqa: BLE001  (no answer, or a refusal: either way nothing is known)
        ledger.take(producer, numbers, None)
        ledger.last_error = error
        return False
    stored = [number for number, entry in zip(numbers, entries, strict=True) if "SequenceNumber" in entry]
    ledger.take(producer, stored, True)
    ledger.take(producer, set(numbers) - set(stored), None)
    return len(stored) == len(numbers)


class Workers:
    """Producers, each with keys of its own, one that reshards, one that reads; they bridge the service's absence."""

    def __init__(self, endpoint, ledger, rng, producers=3, keys=6):
        self.stopping = threading.Event()
        self.endpoint, self.ledger, self.rng = endpoint, ledger, rng
        self.splits = self.merges = 0
        self.faults = []
        self.reader = Reader(endpoint, DATA)
        work = [(self._produce, (index, keys)) for index in range(producers)] + [(self._reshard, ()), (self._read, ())]
        self._threads = [threading.Thread(target=self._run, args=part, daemon=True) for part in work]

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        self.stopping.set()
        for thread in self._threads:
            thread.join()
        assert not self.faults, self.faults

    def _run(self, work, arguments):
        try:
            work(*arguments)
        except Exception as fault:  # noqa: BLE001  (said by `stop`)
            self.faults.append(f"{type(fault).__name__}: {fault}")

    def _produce(self, index, keys):
        # Every other one never tries a call twice, so that calls stay open.
        kinesis, round_ = streams.client(self.endpoint, attempts=5 if index % 2 else 1), 0
        while not self.stopping.is_set():
            for key in range(keys):
                if not put(kinesis, f"p{index}k{key}", range(round_ * BATCH, round_ * BATCH + BATCH), self.ledger):
                    self.stopping.wait(0.05)
            round_ += 1

    def _read(self):
        while not self.stopping.is_set():
            try:
                self.reader.round()
            except AssertionError:
                raise
            except Exception as error:  # noqa: BLE001  (killed meanwhile)
                self.last_read_error = error
            self.stopping.wait(0.05)

    def _reshard(self):
        kinesis = streams.client(self.endpoint, attempts=1, read_timeout=5)
        while not self.stopping.is_set():
            try:
                self._reshard_once(kinesis)
            except AssertionError:
                raise
            except Exception as error:  # noqa: BLE001  (killed meanwhile, or not yet ACTIVE again)
                self.last_error = error
            self.stopping.wait(self.rng.uniform(0.02, 0.3))

    def _reshard_once(self, kinesis):
        shards = streams.open_shards(kinesis, DATA)
        at = self.rng.randrange(len(shards) - 1)
        if len(shards) <= SHARDS_MIN or len(shards) < SHARDS_MAX and self.rng.random() < 0.5:
            widest = max(shards, key=lambda shard: streams.span(shard)[1] - streams.span(shard)[0])
            first, last = streams.span(widest)
            middle = str((first + last) // 2)
            kinesis.split_shard(StreamName=DATA, ShardToSplit=widest["ShardId"], NewStartingHashKey=middle)
            self.splits += 1
        else:
            pair = (shards[at]["ShardId"], shards[at + 1]["ShardId"])
            kinesis.merge_shards(StreamName=DATA, ShardToMerge=pair[0], AdjacentShardToMerge=pair[1])
            self.merges += 1


def made(folder, shards=4):
    """A running service with both streams made through the API: those of the file are not split by anybody. The
    bucket is a folder."""
    top = f'[buckets]\ntype = "local"\npath = "{folder}/buckets"\n'
    (folder / "buckets" / "lake").mkdir(parents=True)
    standpipe = service.Service(folder, [], top).start()
    kinesis, firehose = streams.client(standpipe.endpoint), standpipe.client()
    kinesis.create_stream(StreamName=DATA, ShardCount=shards)
    role = "arn:aws:iam::000000000000:role/any"
    firehose.create_delivery_stream(
        DeliveryStreamName=DELIVERY, DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": streams.active(kinesis, DATA)["StreamARN"], "RoleARN": role},
        ExtendedS3DestinationConfiguration={
            "RoleARN": role, "BucketARN": "arn:aws:s3:::lake", "Prefix": f"{DELIVERY}/", "CompressionFormat": "GZIP",
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1},
        },
    )

    def ready():
        said = firehose.describe_delivery_stream(DeliveryStreamName=DELIVERY)["DeliveryStreamDescription"]
        return said["DeliveryStreamStatus"] == "ACTIVE"

    streams.until(ready, f"{DELIVERY} is ACTIVE")
    return standpipe


def run(folder, cycles, seed=1):
    """The verdict over `cycles` kills, and how often shards were split and merged."""
    folder, rng = Path(folder), random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    lake = folder / "buckets" / "lake"
    standpipe, ledger = made(folder), oracle.Ledger()
    workers = Workers(standpipe.endpoint, ledger, rng).start()
    early = 0
    try:
        for cycle in range(cycles):
            time.sleep(rng.uniform(0.2, 2))
            standpipe.kill()
            if cycle % 4 == 3:
                standpipe.launch()
                # Somewhere in its recovery.
                time.sleep(rng.uniform(0, 0.1))
                standpipe.kill()
                early += 1
            standpipe.start()
            if (cycle + 1) % 20 == 0:
                print(f"  {cycle + 1} kills, {ledger.counts()[0]} records acknowledged", file=sys.stderr, flush=True)
        time.sleep(1)
        workers.stop()
        delivered(standpipe, ledger, lake)
        standpipe.drained(DELIVERY)
        stored = read_again(streams.client(standpipe.endpoint), ledger)
        read_along = len(workers.reader.read)
        workers.reader.verify(stored)
        code = standpipe.terminate()
        assert code == 0, f"SIGTERM ended it with {code}: {standpipe.last_lines()}"
    finally:
        workers.stopping.set()
        if standpipe.process.poll() is None:
            standpipe.kill()
    objects = list(oracle.local_objects(lake / DELIVERY))
    verdict = oracle.judge(ledger, objects)
    if not verdict.right:
        print(f"  evidence: {standpipe.evidence(verdict, ledger, objects)}", file=sys.stderr, flush=True)
    assert verdict.acknowledged > 0, f"nothing was ever acknowledged: {getattr(ledger, 'last_error', None)}"
    assert workers.splits and workers.merges, f"no split or no merge: {getattr(workers, 'last_error', None)}"
    return verdict, {"splits": workers.splits, "merges": workers.merges, "kills_at_start": early, "read_along": read_along, "stored": len(stored)}


def read_again(kinesis, ledger):
    """Reads the data stream itself from the horizon, each shard after its parents: what was acknowledged is there once,
    and the records and sequence numbers of each key rise. The sequence number of each record."""
    waiting, past, seen, last = streams.shards(kinesis, DATA), set(), {}, {}
    while waiting:
        shard = next(name for name, shard in waiting.items() if not set(streams.parents(shard)) - past)
        for record in streams.read(kinesis, streams.iterator(kinesis, DATA, shard, "TRIM_HORIZON"), timeout=60)[0]:
            fields = json.loads(record["Data"])
            name = (fields["producer"], fields["n"])
            assert oracle.record(*name) == record["Data"] and record["PartitionKey"] == name[0], record
            assert name in ledger.acknowledged or name in ledger.open, f"foreign: {record}"
            assert name not in seen, f"twice: {record}"
            place = (name[1], int(record["SequenceNumber"]))
            before = last.get(name[0], (-1, -1))
            assert place[1] > before[1], f"{record} in {shard} after {before}"
            seen[name] = record["SequenceNumber"]
            if name in ledger.acknowledged:
                assert place[0] > before[0], f"{record} in {shard} after {before}"
                last[name[0]] = place
        past.add(shard)
        del waiting[shard]
    lost = ledger.acknowledged - seen.keys()
    assert not lost, f"lost: {sorted(lost)[:5]}"
    return seen


def delivered(standpipe, ledger, lake, timeout=120, stream=DELIVERY):
    """Waits until the lake holds as many records as were acknowledged, and no more come; whatever the status says."""
    deadline, before = time.monotonic() + timeout, -1
    while time.monotonic() < deadline:
        found = sum(data.count(b"\n") for _, data in oracle.local_objects(lake / stream))
        if found == before and found >= ledger.counts()[0]:
            return
        before = found
        time.sleep(2)
    print(f"  {before} of {ledger.counts()[0]} records after {timeout} s; {standpipe.last_lines()}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", help="work here and keep it; otherwise a temporary folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="standpipe-chaos-") as temporary:
        verdict, reshards = run(args.dir or temporary, args.cycles, args.seed)
    print(json.dumps({"kills": args.cycles} | reshards | verdict.summary()))
    if not verdict.right:
        sys.exit(f"WRONG: {verdict.examples()}")


if __name__ == "__main__":
    main()
