"""Plugins in delivery streams, end to end: every example of transforms/examples, one poison record among many, and kills."""

import base64
import json
import os
from pathlib import Path

import duckdb

import oracle
import service
import split
from poison import poison_record, whole_record
from service import Skipped

EXAMPLES = service.ROOT / "transforms/examples"
# Where tests/suite/run puts the modules that are not committed.
BUILT = Path(os.environ.get("STANDPIPE_SUITE_TOOLS", service.ROOT / "target/suite")) / "plugins"
KILLS = int(os.environ.get("STANDPIPE_SUITE_KILLS", "5"))
COMMITTED = ("access-log", "cloudwatch", "csv", "enrich", "mask", "mask-c", "partition", "sample")
# The keys that these give to every row become folders.
PARTITIONED = {"access-log": ["status"], "partition": ["tenant", "hour"]}
FAILED = "Wasm.ProcessingFailedStatus"


class Example:
    """An example with its input and what it must make of it."""

    def __init__(self, name):
        self.name, folder = name, EXAMPLES / name
        built = folder / f"{name}.wasm"
        self.module = built if built.exists() else BUILT / f"{name}.wasm"
        source, = folder.glob("input.*")
        lines = source.read_bytes().removesuffix(b"\n").split(b"\n")
        self.records = [base64.b64decode(line) for line in lines] if source.suffix == ".base64" else lines
        self.expected = json.loads((folder / "expected.json").read_text())
        assert len(self.records) == len(self.expected) > 0, name
        values = folder / "config"
        pairs = [line.split("=", 1) for line in values.read_text().splitlines()] if values.exists() else []
        self.config = "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in pairs) + " }"
        self.keys = PARTITIONED.get(name, [])

    def plugin(self):
        return service.plugin(self.name, self.module, self.config)

    def stream(self, lake):
        folders = "".join(f"{key}=!{{partitionKeyFromLambda:{key}}}/" for key in self.keys)
        where = service.local_destination(lake) + '\ndelimiter = "if-missing"'
        return service.stream(self.name, where, prefix=f"{self.name}/{folders}", plugins=[self.name])

    def verify(self, lake, status):
        """Rows, failures and counts are what expected.json says, all of them; how many rows there are."""
        rows = [row for became in self.expected for row in became.get("rows", [])]
        self._rows_are(lake, rows)
        failed = [(record, became["failed"]) for record, became in zip(self.records, self.expected) if "failed" in became]
        self._failures_are(lake, failed)
        dropped = sum("dropped" in became for became in self.expected)
        counted = [status[name] for name in ("accepted", "delivered", "failed", "dropped")]
        delivered = sum(bool(became.get("rows")) for became in self.expected)
        assert counted == [len(self.records), delivered, len(failed), dropped], f"{self.name}: {status}"
        return len(rows)

    def _rows_are(self, lake, rows):
        # As text, byte for byte, in order; and with the keys that DuckDB finds in the paths, as texts.
        columns = "".join(f', "{key}"' for key in self.keys)
        types = "".join(f", '{key}': VARCHAR" for key in self.keys).lstrip(", ")
        partitions = f", hive_partitioning = true, hive_types = {{{types}}}" if self.keys else ""
        files = f"'{lake}/{self.name}/**/*.gz'"
        found = duckdb.sql(f"select json{columns} from read_ndjson_objects({files}{partitions})").fetchall()
        expected = [(row["data"].removesuffix("\n"), *(row["keys"][key] for key in self.keys)) for row in rows]
        # Files of different partitions have no order.
        order = sorted if self.keys else list
        assert order(found) == order(expected), f"{self.name}: {found} instead of {expected}"
        # As a user reads them: fields of rows, each once.
        names = {name for row in rows for name in json.loads(row["data"])} | set(self.keys)
        told = duckdb.sql(f"describe select * from read_json({files}{partitions}, sample_size = -1)").fetchall()
        assert {column[0] for column in told} == names, f"{self.name}: {told}"
        objects = list(oracle.local_objects(lake / self.name))
        partitions = {tuple(row["keys"][key] for key in self.keys) for row in rows}
        assert len(objects) == len(partitions), f"{self.name}: {[key for key, _ in objects]}"

    def _failures_are(self, lake, failed):
        texts = [data for _, data in oracle.local_objects(lake / "errors" / self.name)]
        lines = [json.loads(line) for text in texts for line in text.splitlines()]
        found = [(base64.b64decode(line["rawData"]), line["errorMessage"]) for line in lines]
        assert found == failed, f"{self.name}: {found} instead of {failed}"
        arn = f"arn:aws:lambda:{service.REGION}:000000000000:function:{self.name}"
        assert all((line["errorCode"], line["lambdaARN"]) == (FAILED, arn) for line in lines), lines


def examples_work(place, names):
    """Each in a stream of its own of one service, its input put by boto3."""
    examples = [Example(name) for name in names]
    streams = [example.stream(place.lake) for example in examples]
    standpipe = service.Service(place.folder, streams, "".join(example.plugin() for example in examples))
    with standpipe:
        client = standpipe.client()
        for example in examples:
            entries = [{"Data": record} for record in example.records]
            answer = client.put_record_batch(DeliveryStreamName=example.name, Records=entries)
            assert answer["FailedPutCount"] == 0, answer
        # A debug build compiles an interpreter for most of a minute.
        status = standpipe.drained(*names, timeout=400)
    return {example.name: example.verify(place.lake, status[example.name]) for example in examples}


def transform_examples(place):
    """Every example in Rust and C in a delivery stream, from boto3 to what DuckDB reads: exactly its expected rows."""
    missing = {path.name for path in EXAMPLES.iterdir()} - {*COMMITTED, "mask-js", "mask-python"}
    assert not missing, f"examples that nobody runs: {missing}"
    return examples_work(place, COMMITTED)


def transform_javascript(place):
    """The example in JavaScript, the same."""
    return built_works(place, "mask-js", "Node.js with npm")


def transform_python(place):
    """The example in Python, the same."""
    return built_works(place, "mask-python", "Python with venv")


def built_works(place, name, toolchain):
    if not Example(name).module.exists():
        raise Skipped(f"{name} could not be built: transforms/build {name} wants {toolchain}")
    return examples_work(place, [name])


def transform_poison(place):
    """One record among 100,000 that traps ends in the error output, alone; all others are delivered."""
    count, poisoned = 100_000, 70_421
    stream = service.stream("logs", service.local_destination(place.lake), size="1 MiB", plugins=["split"])
    standpipe = service.Service(place.folder, [stream], service.plugin("split", split.MODULE))
    poison = poison_record(poisoned, "trap")
    source = place.folder / "input.ndjson"
    source.write_bytes(b"".join(poison if n == poisoned else whole_record(n) for n in range(count)))
    with standpipe:
        standpipe.run("put", "logs", str(source), "--endpoint", standpipe.endpoint)
        status = standpipe.drained("logs", timeout=300)["logs"]
    assert [status[name] for name in ("accepted", "delivered", "failed", "dropped")] == [count, count - 1, 1, 0], status
    query = f"select count(*), count(distinct n), sum(n) from read_json('{place.lake}/logs/**/*.gz')"
    expected = (count - 1, count - 1, 10 * (sum(range(count)) - poisoned))
    assert duckdb.sql(query).fetchall() == [expected], duckdb.sql(query).fetchall()
    failed, = [json.loads(line) for _, text in oracle.local_objects(place.lake / "errors") for line in text.splitlines()]
    assert base64.b64decode(failed["rawData"]) == poison and failed["errorCode"] == "Wasm.Trap", failed
    return {"attempts": failed["attemptsMade"], "message": failed["errorMessage"]}


def kills_transform(place):
    """SIGKILL under load, also at starts and stops, with a plugin that splits, drops, fails, traps and routes by key."""
    verdicts, killed = split.run(place.folder, KILLS)
    wrong = {name: verdict.examples() for name, (verdict, _) in verdicts.items() if not verdict.right}
    assert not wrong, wrong
    return {name: facts for name, (_, facts) in verdicts.items()} | killed


CHECKS = [transform_examples, transform_javascript, transform_python, transform_poison, kills_transform]
