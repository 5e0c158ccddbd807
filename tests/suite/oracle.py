"""The oracle: what producers were told against what objects hold.

A producer writes numbered records. What the service acknowledged must be in exactly one object, unaltered and in the
producer's order; what a call left open (no answer, an error) may be there once; anything else is foreign.
"""

import gzip
import json
import threading
import zlib
from dataclasses import dataclass, field
from pathlib import Path


def record(producer, number, size=320):
    """The record: a function of its name, so that an altered one is seen. It ends with a line feed."""
    pad, seed = [], f"{producer}/{number}"
    while sum(map(len, pad)) < size:
        seed = f"{zlib.crc32(seed.encode()):08x}"
        pad.append(seed)
    text = {"producer": producer, "n": number, "size": size, "pad": "".join(pad)[: max(0, size - 64)]}
    return json.dumps(text, separators=(",", ":")).encode() + b"\n"


class Ledger:
    """What producers were told. Safe to share between threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self.acknowledged = set()
        self.open = set()

    def take(self, producer, numbers, outcome):
        """`outcome`: True for acknowledged; otherwise it is not known whether they were stored."""
        ids = {(producer, number) for number in numbers}
        with self._lock:
            (self.acknowledged if outcome else self.open).update(ids)

    def counts(self):
        with self._lock:
            return len(self.acknowledged), len(self.open)


@dataclass
class Verdict:
    acknowledged: int = 0
    open: int = 0
    objects: int = 0
    found: int = 0
    # What the service itself says: more than was found means that objects are missing, not acknowledged records.
    delivered: int | None = None
    lost: list = field(default_factory=list)
    twice: list = field(default_factory=list)
    foreign: list = field(default_factory=list)
    disorder: list = field(default_factory=list)

    @property
    def right(self):
        return not (self.lost or self.twice or self.foreign or self.disorder)

    def summary(self):
        facts = {name: getattr(self, name) for name in ("acknowledged", "open", "objects", "found", "delivered")}
        faults = {name: len(getattr(self, name)) for name in ("lost", "twice", "foreign", "disorder")}
        return facts | faults

    def examples(self, most=5):
        """A few of each fault, for a person."""
        return {name: getattr(self, name)[:most] for name in ("lost", "twice", "foreign", "disorder") if getattr(self, name)}


def judge(ledger, objects, lanes=False):
    """`objects`: pairs of key and decompressed bytes, of delivered objects alone. With `lanes` each folder has an order of its own."""
    verdict = Verdict(*ledger.counts())
    seen = {}
    spans = {}
    for key, data in objects:
        verdict.objects += 1
        last = {}
        for line in data.splitlines(keepends=True):
            verdict.found += 1
            name = name_of(line)
            if name is None or name not in ledger.acknowledged and name not in ledger.open:
                verdict.foreign.append((key, line[:120].decode(errors="replace")))
                continue
            if name in seen:
                verdict.twice.append((name, seen[name], key))
                continue
            seen[name] = key
            if name not in ledger.acknowledged:
                continue
            producer, number = name
            if last.get(producer, -1) > number:
                verdict.disorder.append((name, key))
            last[producer] = number
            lane = (producer, key.rsplit("/", 1)[0]) if lanes else producer
            low, high = spans.setdefault(lane, {}).get(key, (number, number))
            spans[lane][key] = (min(low, number), max(high, number))
    verdict.lost = sorted(ledger.acknowledged - seen.keys())
    for producer, ranges in spans.items():
        verdict.disorder += interleaved(producer, ranges)
    return verdict


def name_of(line):
    """Producer and number of a record that is one of ours, byte for byte."""
    try:
        fields = json.loads(line)
        name = (fields["producer"], fields["n"])
        return name if record(*name, fields["size"]) == line else None
    except (ValueError, KeyError, TypeError):
        return None


def interleaved(producer, ranges):
    """Objects of one producer whose ranges of numbers overlap: then one of them is not in order."""
    faults = []
    before = None
    for key, (low, high) in sorted(ranges.items(), key=lambda item: item[1]):
        if before is not None and low < before[1]:
            faults.append((producer, before[0], key))
        before = (key, high)
    return faults


# ---- reading what was delivered ----


def decompress(key, data):
    return gzip.decompress(data) if key.endswith(".gz") else data


def _hidden(key):
    """Readers of lakes pass over names that begin with a dot; a probe may leave one."""
    return key.rsplit("/", 1)[-1].startswith(".")


def local_objects(root):
    """Every file under `root`: what a reader of the lake would see."""
    for path in sorted(Path(root).rglob("*")):
        if path.is_file() and not _hidden(path.name):
            key = str(path.relative_to(root))
            yield key, decompress(key, path.read_bytes())


def s3_objects(client, bucket, prefix=""):
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            if _hidden(entry["Key"]):
                continue
            body = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            yield entry["Key"], decompress(entry["Key"], body)


# ---- producers ----


class Producers:
    """Threads that put records as fast as they are answered, and keep the ledger.

    Every other one never tries a call twice, so that calls stay open; the others' SDK bridges a restart by its retries,
    which the service must know again.
    """

    def __init__(self, client_of, stream, ledger, count=4, batch=40, put=None):
        self._stop = threading.Event()
        self.ledger = ledger
        self._put = put or globals()["put"]
        self._threads = [
            threading.Thread(target=self._run, args=(client_of, 5 if index % 2 else 1, stream, f"p{index}", batch), daemon=True)
            for index in range(count)
        ]

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, client_of, attempts, stream, producer, batch):
        client, number = client_of(attempts), 0
        while not self._stop.is_set():
            numbers = range(number, number + batch)
            number += batch
            if not self._put(client, stream, producer, numbers, self.ledger):
                self._stop.wait(0.05)


def put(client, stream, producer, numbers, ledger, size=320, make=record):
    """One call; what is not known to be stored is never sent again under its number. Whether all went in."""
    numbers = list(numbers)
    try:
        answer = client.put_record_batch(
            DeliveryStreamName=stream, Records=[{"Data": make(producer, number, size)} for number in numbers]
        )
    except Exception as error:  # noqa: BLE001  (no answer, or a refusal: either way nothing is known)
        ledger.take(producer, numbers, None)
        ledger.last_error = error
        return False
    entries = answer["RequestResponses"]
    assert len(entries) == len(numbers), "an answer for each record"
    stored = [number for number, entry in zip(numbers, entries) if "RecordId" in entry]
    ledger.take(producer, stored, True)
    ledger.take(producer, set(numbers) - set(stored), None)
    return len(stored) == len(numbers)


def self_test():
    """The oracle sees each kind of fault."""
    ledger = Ledger()
    ledger.take("a", range(6), True)
    ledger.take("a", [6], None)
    lines = [record("a", number) for number in range(8)]
    whole = [("1", b"".join(lines[:3])), ("2", b"".join(lines[3:6]))]
    assert judge(ledger, whole).right
    assert judge(ledger, whole + [("3", lines[6])]).right, "an open record may be there once"
    assert judge(ledger, whole[:1]).lost == [("a", 3), ("a", 4), ("a", 5)]
    assert len(judge(ledger, whole + [("3", lines[0])]).twice) == 1
    assert len(judge(ledger, whole + [("3", lines[6] + lines[6])]).twice) == 1, "but not twice"
    assert len(judge(ledger, whole + [("3", lines[7])]).foreign) == 1
    assert len(judge(ledger, whole + [("3", b"torn")]).foreign) == 1
    altered = lines[2].replace(b'"pad":"', b'"pad":"0', 1)
    assert {*judge(ledger, [("1", lines[0] + lines[1] + altered), whole[1]]).summary().items()} >= {("lost", 1), ("foreign", 1)}
    assert judge(ledger, [("1", lines[1] + lines[0] + lines[2]), whole[1]]).disorder
    assert judge(ledger, [("1", lines[0] + lines[2] + lines[4]), ("2", lines[1] + lines[3] + lines[5])]).disorder


if __name__ == "__main__":
    self_test()
    print("the oracle sees what it should")
