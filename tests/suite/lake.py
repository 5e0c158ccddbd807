"""The lake: the same records as gzip JSON, Parquet and ORC, partitioned by tenant and event hour; what does not fit; and kills.

    lake.py --records 1000000        the three formats, read by DuckDB and pyarrow
    lake.py --kills 100              SIGKILL under load into partitions of Parquet
"""

import argparse
import collections
import datetime
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import pyarrow.dataset

import kill
import oracle
import service

RECORDS = 20_000
KILLS = int(os.environ.get("STANDPIPE_SUITE_KILLS", "5"))
START = datetime.datetime(2026, 11, 20, 22, tzinfo=datetime.timezone.utc)
# Columns by their types, as the configuration spells them.
COLUMNS = 'tenant = "string", at = "timestamp", n = "bigint", price = "double", ok = "boolean"'
FORMATS = {
    "json": "",
    "parquet": 'parquet = { compression = "zstd" }',
    "orc": 'orc = { compression = "snappy" }',
}


def record(number):
    at = START + datetime.timedelta(milliseconds=number * 10_800)
    fields = {
        "tenant": f"tenant-{number * 7 % 5}",
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "n": number,
        "price": number / 4,
        "ok": number % 3 == 0,
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def expected(count):
    """By tenant and hour: how many records, and the sums of their numbers and prices."""
    sums = collections.defaultdict(lambda: [0, 0, 0.0])
    for number in range(count):
        fields = json.loads(record(number))
        entry = sums[fields["tenant"], fields["at"][:13].replace("T", "-")]
        entry[0] += 1
        entry[1] += number
        entry[2] += fields["price"]
    return {key: tuple(entry) for key, entry in sums.items()}


def stream(name, form, lake, size="64 MiB", interval="5s", columns=COLUMNS, keys=("tenant", "at")):
    """A delivery stream into partitions by tenant and event hour."""
    tenant, at = keys
    table = f"[delivery_stream.{name}.destination.format]\n{form}\nschema = {{ columns = {{ {columns} }} }}\n" if form else ""
    compression = "" if form else 'compression = "gzip"\ndelimiter = "always"'
    return f"""
[delivery_stream.{name}]
buffer = {{ size = "{size}", interval = "{interval}" }}
event_time = {{ from = ".{at}" }}
[[delivery_stream.{name}.process]]
type = "extract"
query = "{{tenant: .{tenant}}}"
[delivery_stream.{name}.destination]
{service.local_destination(lake)}
prefix = "{name}/tenant=!{{partitionKeyFromQuery:tenant}}/!{{eventTime:'hour='yyyy-MM-dd-HH}}/"
error_prefix = "errors/{name}/!{{firehose:error-output-type}}/"
{compression}
{table}"""


def put_all(client, names, count):
    for first in range(0, count, 500):
        entries = [{"Data": record(number)} for number in range(first, min(first + 500, count))]
        for name in names:
            answer = client.put_record_batch(DeliveryStreamName=name, Records=entries)
            assert answer["FailedPutCount"] == 0, answer


def sums_by_duckdb(lake, name):
    reader = "read_json" if name == "json" else "read_parquet"
    extension = "gz" if name == "json" else "parquet"
    files = f"{reader}('{lake}/{name}/**/*.{extension}', hive_partitioning = true, hive_types = {{'hour': VARCHAR, 'tenant': VARCHAR}})"
    rows = duckdb.sql(f"select tenant, hour, count(*), sum(n), sum(price) from {files} group by all").fetchall()
    return {(tenant, hour): (count, int(numbers), prices) for tenant, hour, count, numbers, prices in rows}


def sums_by_pyarrow(lake, name):
    parts = pyarrow.dataset.partitioning(
        pyarrow.schema([("tenant", pyarrow.string()), ("hour", pyarrow.string())]), flavor="hive"
    )
    data = pyarrow.dataset.dataset(lake / name, format=name, partitioning=parts, exclude_invalid_files=False)
    groups = data.to_table(columns=["tenant", "hour", "n", "price"]).group_by(["tenant", "hour"])
    rows = groups.aggregate([("n", "count"), ("n", "sum"), ("price", "sum")]).to_pylist()
    return {(row["tenant"], row["hour"]): (row["n_count"], row["n_sum"], row["price_sum"]) for row in rows}


def formats_agree(folder, count):
    """What each reader finds of the same records in each format is what came."""
    lake = Path(folder) / "lake"
    standpipe = service.Service(folder, [stream(name, form, lake) for name, form in FORMATS.items()])
    with standpipe:
        began = time.monotonic()
        put_all(standpipe.client(), FORMATS, count)
        status = standpipe.drained(*FORMATS, timeout=900)
        seconds = time.monotonic() - began
        for name in FORMATS:
            assert (status[name]["delivered"], status[name]["failed"]) == (count, 0), status[name]
    wanted = expected(count)
    for name, read in [("json", sums_by_duckdb), ("parquet", sums_by_duckdb), ("parquet", sums_by_pyarrow), ("orc", sums_by_pyarrow)]:
        found = read(lake, name)
        assert found == wanted, f"{name} by {read.__name__}: {len(found)} partitions, wanted {len(wanted)}"
    sizes = {name: sum(path.stat().st_size for path in (lake / name).rglob("*.*")) for name in FORMATS}
    return {"records": count, "partitions": len(wanted), "seconds": round(seconds, 1), "bytes": sizes}


def misfit_costs_one_object(folder, count):
    """One record that does not fit among many: one error object with its reason; mended and sent again it is delivered."""
    folder = Path(folder)
    lake = folder / "lake"
    standpipe = service.Service(folder, [stream("parquet", FORMATS["parquet"], lake)])
    with standpipe:
        client = standpipe.client()
        bad = record(count).replace(b'"n":%d' % count, b'"n":"many"')
        for first in range(0, count, 500):
            entries = [{"Data": record(number)} for number in range(first, min(first + 500, count))]
            if first == count // 1000 * 500:
                entries[7:7] = [{"Data": bad}]
                client.put_record_batch(DeliveryStreamName="parquet", Records=entries[500:])
                del entries[500:]
            client.put_record_batch(DeliveryStreamName="parquet", Records=entries)
        status = standpipe.drained("parquet", timeout=600)["parquet"]
        assert (status["delivered"], status["failed"]) == (count, 1), status
        errors = list(oracle.local_objects(lake / "errors/parquet"))
        assert len(errors) == 1, [key for key, _ in errors]
        line, = errors[0][1].decode().splitlines()
        fields = json.loads(line)
        assert "format-conversion-failed" in errors[0][0] and fields["lastErrorCode"] == "DataFormatConversion.MalformedData" and '"many"' in fields["lastErrorMessage"], fields
        config = standpipe.folder / "standpipe.toml"
        edit = f"sed 's/\"many\"/{count}/'"
        standpipe.run("errors", "redrive", "parquet", "--config", config, "--edit", edit)
        standpipe.run("errors", "redrive", "parquet", "--config", config, "--edit", edit)
        status = standpipe.drained("parquet", timeout=600)["parquet"]
        assert status["delivered"] == count + 1, f"once, however often it is redriven: {status}"
    assert sums_by_duckdb(lake, "parquet") == expected(count + 1)
    return {"records": count, "error objects": 1, "message": fields["lastErrorMessage"]}


# ---- kills ----

KILLED = 'producer = "string", n = "bigint", size = "bigint", pad = "string", at = "timestamp"'


def timed(producer, number, size):
    """A record of the oracle with a time, which says its partition."""
    fields = json.loads(oracle.record(producer, number, size))
    at = START + datetime.timedelta(minutes=number % 300)
    return json.dumps(fields | {"at": at.isoformat().replace("+00:00", "Z")}, separators=(",", ":")).encode() + b"\n"


def put_timed(client, name, producer, numbers, ledger):
    return oracle.put(client, name, producer, numbers, ledger, make=timed)


def rows_of(lake, name):
    """Each object's rows as the lines of the oracle; a row in a wrong partition is none."""
    for path in sorted((lake / name).rglob("*.parquet")):
        key = str(path.relative_to(lake / name))
        lines = []
        rows = duckdb.sql(f"select producer, n, size, pad, epoch_ms(\"at\") from read_parquet('{path}')").fetchall()
        for producer, number, size, pad, ms in rows:
            at = datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc)
            here = f"tenant={producer}/hour={at:%Y-%m-%d-%H}/"
            fields = {"producer": producer if key.startswith(here) else "astray", "n": number, "size": size, "pad": pad}
            lines.append(json.dumps(fields, separators=(",", ":")).encode() + b"\n")
        yield key, b"".join(lines)


def kills_parquet(folder, cycles, seed=1):
    """SIGKILL under load: every acknowledged record is a row once, in its partition."""
    folder, rng = Path(folder), random.Random(seed)
    lake = folder / "lake"
    settings = {"size": "64 KiB", "interval": "1s", "columns": KILLED, "keys": ("producer", "at")}
    standpipe = service.Service(folder, [stream(kill.STREAM, FORMATS["parquet"], lake, **settings)])
    ledger = oracle.Ledger()
    try:
        producers = kill.kill_under_load(standpipe, ledger, cycles, rng, put=put_timed)
        standpipe.start()
        time.sleep(0.5)
        producers.stop()
        counts = standpipe.drained(kill.STREAM)[kill.STREAM]
        assert standpipe.terminate() == 0, standpipe.last_lines()
    finally:
        if standpipe.process and standpipe.process.poll() is None:
            standpipe.kill()
    verdict = oracle.judge(ledger, list(rows_of(lake, kill.STREAM)), lanes=True)
    verdict.delivered = counts["delivered"]
    assert verdict.acknowledged > 0, "nothing was ever acknowledged"
    return verdict


def lake_formats(place):
    """The same records as gzip JSON, Parquet and ORC by tenant and event hour: DuckDB and pyarrow find what came."""
    return formats_agree(place.folder, RECORDS)


def lake_misfit(place):
    """One record of the wrong type among many: one error object with its reason, and `errors redrive` delivers the mended one."""
    return misfit_costs_one_object(place.folder, RECORDS)


def kills_lake(place):
    """SIGKILL under load into partitions of Parquet: lost 0, twice 0."""
    verdict = kills_parquet(place.folder, KILLS)
    assert verdict.right, verdict.examples()
    return verdict.summary()


CHECKS = [lake_formats, lake_misfit, kills_lake]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int)
    parser.add_argument("--misfit", type=int, metavar="RECORDS")
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="standpipe-lake-") as folder:
        if args.records:
            print(json.dumps(formats_agree(Path(folder) / "formats", args.records)))
        if args.misfit:
            print(json.dumps(misfit_costs_one_object(Path(folder) / "misfit", args.misfit)))
        if args.kills:
            verdict = kills_parquet(Path(folder) / "kills", args.kills, args.seed)
            print(json.dumps({"kills": args.kills} | verdict.summary()))
            if not verdict.right:
                sys.exit(f"WRONG: {verdict.examples()}")


if __name__ == "__main__":
    main()
