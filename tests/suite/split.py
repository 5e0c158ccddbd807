"""SIGKILL under load with a plugin that splits, drops, fails and traps, and prefixes made of the partition keys that it
gives; of two delivery streams at once, one of direct puts and one that reads a data stream. Then the oracle counts rows.

    split.py --cycles 100

The plugin is tests/support/plugins/split. What it makes of a record the record's number says; the table is here too.
"""

import argparse
import base64
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import oracle
import service
from kinesis import chaos, streams

MODULE = service.ROOT / "tests/support/plugins/split.wasm"
DIRECT, KEYED = "direct", "keyed"
# Of so many numbers one makes the plugin panic.
TRAP = 1000
PREFIX = "{}/lane=!{{partitionKeyFromLambda:lane}}/kind=!{{partitionKeyFromLambda:kind}}/"


def fate(producer, number):
    """What must become of a record: the folder of each row and its bytes; "dropped"; or the code of its failure."""
    if number % TRAP == 421:
        return "Wasm.Trap"
    parts = {3: 0, 5: 3, 7: None, 9: 2}.get(number % 10, 1)
    if parts is None:
        return "Wasm.ProcessingFailedStatus"
    if parts == 0:
        return "dropped"
    text, kind = oracle.record(producer, number), "split" if number % 10 in (5, 9) else "whole"
    lanes = ["abcde"[(number // 10 + part) % 5] for part in range(parts)]
    return [(f"lane={lane}/kind={kind}", b'{"part":%d,' % part + text[1:]) for part, lane in enumerate(lanes)]


class Rows:
    """What the objects and the error output of one stream hold, against what its producers were told."""

    def __init__(self, ledger):
        self.ledger, self.verdict = ledger, oracle.Verdict(*ledger.counts())
        self.seen, self.failed, self.fates = {}, {}, {}
        self.last, self.spans = {}, {}

    def fate(self, name):
        if name not in self.fates:
            is_known = name in self.ledger.acknowledged or name in self.ledger.open
            self.fates[name] = fate(*name) if is_known else None
        return self.fates[name]

    def take(self, key, data):
        """An object; its key begins with the folder of its partition."""
        self.verdict.objects += 1
        folder = key.rsplit("/", 1)[0]
        for line in data.splitlines(keepends=True):
            self.verdict.found += 1
            name, part = _name_of(line)
            rows = self.fate(name) if name else None
            if not isinstance(rows, list) or part >= len(rows) or rows[part] != (folder, line):
                self.verdict.foreign.append((key, line[:120].decode(errors="replace")))
            elif (name, part) in self.seen:
                self.verdict.twice.append((name, part, self.seen[name, part], key))
            else:
                self.seen[name, part] = key
                if name in self.ledger.acknowledged:
                    self._order(key, folder, name, part)

    def _order(self, key, folder, name, part):
        place, lane = (name[1], part), (name[0], folder)
        if self.last.get((key, name[0]), (-1, -1)) > place:
            self.verdict.disorder.append((name, part, key))
        self.last[key, name[0]] = place
        low, high = self.spans.setdefault(lane, {}).get(key, (place, place))
        self.spans[lane][key] = (min(low, place), max(high, place))

    def take_error(self, key, line):
        """A line of the error output."""
        fields = json.loads(line)
        record = base64.b64decode(fields["rawData"])
        name = oracle.name_of(record)
        if name is None or self.fate(name) != fields["errorCode"] or not fields["lambdaARN"].endswith(":function:split"):
            self.verdict.foreign.append((key, line[:300]))
        elif name in self.failed:
            self.verdict.twice.append((name, "failed", self.failed[name], key))
        else:
            self.failed[name] = key

    def judge(self):
        """The verdict, once everything was taken."""
        for name in self.ledger.acknowledged | self.ledger.open:
            became = self.fate(name)
            if became == "dropped":
                continue
            if isinstance(became, list):
                found = sum((name, part) in self.seen for part in range(len(became)))
                missing = found < len(became)
            else:
                found, missing = 0, name not in self.failed
            # What was never acknowledged is there whole or not at all.
            if missing and (name in self.ledger.acknowledged or found):
                self.verdict.lost.append((name, found))
        for (producer, _), ranges in self.spans.items():
            self.verdict.disorder += oracle.interleaved(producer, ranges)
        return self.verdict

    def counts_add_up(self, status):
        """The service's own counts are those of what is there."""
        delivered = {name for name, _ in self.seen}
        dropped = {name for name in self.ledger.acknowledged if self.fate(name) == "dropped"}
        maybe = {name for name in self.ledger.open if self.fate(name) == "dropped"}
        told = {name: status[name] for name in ("accepted", "delivered", "failed", "dropped", "unpacked")}
        assert status["delivered"] == len(delivered), f"{told}, but {len(delivered)} records have rows"
        assert status["delivered"] + status["unpacked"] == len(self.seen), f"{told}, but there are {len(self.seen)} rows"
        assert status["failed"] == len(self.failed), f"{told}, but {len(self.failed)} are in the error output"
        assert len(dropped) <= status["dropped"] <= len(dropped | maybe), f"{told}, but {len(dropped)} were to be dropped"
        return told


def _name_of(line):
    """Producer and number of a row, and which row of the record it is."""
    try:
        head, rest = line.split(b",", 1)
        return oracle.name_of(b"{" + rest), int(head.removeprefix(b'{"part":'))
    except ValueError:
        return None, 0


def self_test():
    """The oracle of rows sees each kind of fault."""
    ledger = oracle.Ledger()
    ledger.take("a", range(10), True)
    ledger.take("a", range(10, 20), None)

    def verdict(change=lambda objects, errors: None):
        objects, errors = {}, []
        for number in range(10):
            became = fate("a", number)
            for folder, row in became if isinstance(became, list) else []:
                objects.setdefault(folder, []).append(row)
            if isinstance(became, str) and became != "dropped":
                raw = base64.b64encode(oracle.record("a", number)).decode()
                errors.append({"rawData": raw, "errorCode": became, "lambdaARN": "arn:function:split"})
        change(objects, errors)
        rows = Rows(ledger)
        for folder, lines in objects.items():
            rows.take(f"{folder}/object", b"".join(lines))
        for error in errors:
            rows.take_error("errors/object", json.dumps(error))
        return {name: count for name, count in rows.judge().summary().items() if count and name in ("lost", "twice", "foreign", "disorder")}

    split, whole = "lane=a/kind=split", "lane=a/kind=whole"
    assert verdict() == {}
    assert verdict(lambda objects, errors: objects[split].pop(0)) == {"lost": 1}
    assert verdict(lambda objects, errors: objects[split].append(objects[split][-1])) == {"twice": 1}
    assert verdict(lambda objects, errors: objects[whole].append(objects[split].pop())) == {"lost": 1, "foreign": 1}
    assert verdict(lambda objects, errors: objects[whole].reverse()).keys() == {"disorder"}
    assert verdict(lambda objects, errors: objects[whole].append(b'{"part":0,' + oracle.record("a", 3)[1:])) == {"foreign": 1}
    assert verdict(lambda objects, errors: objects[whole].append(b'{"part":0,' + oracle.record("a", 20)[1:])) == {"foreign": 1}
    assert verdict(lambda objects, errors: objects[whole].append(fate("a", 10)[0][1])) == {"foreign": 1}, "another's lane"
    assert verdict(lambda objects, errors: errors.pop()) == {"lost": 1}
    assert verdict(lambda objects, errors: errors.append(errors[0])) == {"twice": 1}
    assert verdict(lambda objects, errors: objects[fate("a", 15)[0][0]].append(fate("a", 15)[0][1])) == {"lost": 1}, "not in part"


def configured(folder, lake):
    """A service with both streams."""
    where, settings = service.local_destination(lake), {"plugins": ["split"], "size": "8 KiB", "interval": "1s"}
    texts = [
        f"[data_stream.{chaos.DATA}]\nshards = 3\n",
        service.stream(DIRECT, where, prefix=PREFIX.format(DIRECT), **settings),
        service.stream(KEYED, where, prefix=PREFIX.format(KEYED), source=f'{{ data_stream = "{chaos.DATA}" }}', **settings),
    ]
    return service.Service(folder, texts, service.plugin("split", MODULE, config=f'{{ trap = "{TRAP}" }}'))


def put_keyed(kinesis, _, producer, numbers, ledger):
    return chaos.put(kinesis, producer, numbers, ledger)


def run(folder, cycles, seed=1):
    """The verdicts over `cycles` kills, by stream, with the service's own counts; and how it was killed."""
    self_test()
    folder, rng = Path(folder), random.Random(seed)
    lake = folder / "lake"
    standpipe, ledgers = configured(folder, lake), {DIRECT: oracle.Ledger(), KEYED: oracle.Ledger()}
    kinesis_of = lambda attempts: streams.client(standpipe.endpoint, attempts)  # noqa: E731
    try:
        standpipe.start()
        producers = [
            oracle.Producers(standpipe.client, DIRECT, ledgers[DIRECT], count=3).start(),
            oracle.Producers(kinesis_of, KEYED, ledgers[KEYED], count=3, put=put_keyed).start(),
        ]
        killed = kill_in_every_state(standpipe, cycles, rng, lambda: sum(ledger.counts()[0] for ledger in ledgers.values()))
        for part in producers:
            part.stop()
        counts = standpipe.drained(DIRECT, KEYED)
        code = standpipe.terminate()
        assert code == 0, f"SIGTERM ended it with {code}: {standpipe.last_lines()}"
        verdicts = {name: judged(standpipe, name, ledgers[name], lake, counts[name]) for name in ledgers}
        return verdicts, killed
    finally:
        if standpipe.process and standpipe.process.poll() is None:
            standpipe.kill()


def kill_in_every_state(standpipe, cycles, rng, acknowledged):
    """Kills it while it works, starts and stops; how often in each. It runs when this returns."""
    killed = {"at work": 0, "at start": 0, "at stop": 0}
    for cycle in range(cycles):
        state = ["at work", "at start", "at work", "at stop", "at start"][cycle % 5]
        time.sleep(rng.uniform(0.05, 1.5))
        if state == "at stop":
            standpipe.process.terminate()
            time.sleep(rng.uniform(0, 0.3))
        standpipe.kill()
        if state == "at start":
            standpipe.launch()
            # Somewhere in its recovery, or soon after.
            time.sleep(rng.uniform(0, 0.4))
            standpipe.kill()
        killed[state] += 1
        standpipe.start()
        if (cycle + 1) % 20 == 0:
            print(f"  {cycle + 1} kills, {acknowledged()} records acknowledged", file=sys.stderr, flush=True)
    return killed


def judged(standpipe, name, ledger, lake, status):
    """One stream's verdict and counts."""
    objects, rows = list(oracle.local_objects(lake / name)), Rows(ledger)
    for key, data in objects:
        rows.take(key, data)
    for key, data in oracle.local_objects(lake / "errors" / name):
        for line in data.decode().splitlines():
            rows.take_error(key, line)
    verdict = rows.judge()
    verdict.delivered = status["delivered"]
    if not verdict.right:
        print(f"  evidence: {standpipe.evidence(verdict, ledger, objects)}", file=sys.stderr, flush=True)
    assert verdict.acknowledged > 0, f"nothing was ever acknowledged: {getattr(ledger, 'last_error', None)}"
    if verdict.right:
        told = rows.counts_add_up(status)
        folders = {key.rsplit("/", 1)[0] for key, _ in objects}
        return verdict, verdict.summary() | {"partitions": len(folders)} | told
    return verdict, verdict.summary()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", help="work here and keep it; otherwise a temporary folder")
    args = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="standpipe-split-") as temporary:
        verdicts, killed = run(args.dir or temporary, args.cycles, args.seed)
    print(json.dumps({"kills": args.cycles, "seconds": round(time.monotonic() - began)} | killed))
    for name, (_, facts) in verdicts.items():
        print(json.dumps({"stream": name} | facts))
    wrong = {name: verdict.examples() for name, (verdict, _) in verdicts.items() if not verdict.right}
    if wrong:
        sys.exit(f"WRONG: {wrong}")


if __name__ == "__main__":
    main()
