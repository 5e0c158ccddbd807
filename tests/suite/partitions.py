"""What partitions cost: the memory of many open ones and of many keys, the objects of a hot one among cold ones, and the CPU of
routing by jq. Not part of the suite: use a release build (STANDPIPE_BIN).

    partitions.py [--open MB] [--keys COUNT] [--hot RECORDS] [--cpu MB]

- `open`: so many MB of records over 500 partitions whose size is 128 MiB, so that none is full: the peak of the process.
- `keys`: so many distinct keys, four records each, in the order in which they come: the peak at a tenth of them and at the end.
- `hot`: half of the records go to one partition, the rest to 499: the objects of each, and what size and interval ask for.
- `cpu`: web logs with a prefix of two keys by jq and without any: CPU seconds of delivery, in turns.
"""

import argparse
import collections
import json
import math
import random
import statistics
import tempfile
import time
from pathlib import Path

import service
from poison import cpu_seconds

PAD = "the quick brown fox jumps over the lazy dog " * 5


def stream(name, lake, keys=("k",), size="128 MiB", interval="900s", compression="none", source='"direct"'):
    """A delivery stream partitioned by fields of these names; none without any."""
    query = ", ".join(f"{key}: .{key}" for key in keys)
    extract = f'[[delivery_stream.{name}.process]]\ntype = "extract"\nquery = "{{{query}}}"\n' if keys else ""
    folders = "".join(f"{key}=!{{partitionKeyFromQuery:{key}}}/" for key in keys)
    return f"""
[delivery_stream.{name}]
source = {source}
buffer = {{ size = "{size}", interval = "{interval}" }}
{extract}
[delivery_stream.{name}.destination]
{service.local_destination(lake)}
prefix = "{name}/{folders}"
error_prefix = "errors/{name}/"
compression = "{compression}"
delimiter = "always"
"""


def write(path, records, pad=PAD):
    with path.open("w") as out:
        for fields in records:
            out.write(json.dumps(fields | {"pad": pad} if pad else fields, separators=(",", ":")) + "\n")
    return path


AGENTS = [f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
          for system in ("X11; Linux x86_64", "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7")
          for version in range(118, 132)]


def web_log(rng, number):
    """Fields of about 300 bytes, half of which no other record has."""
    return {
        "k": f"p{number % 20}", "h": f"{number // 1000 % 4}", "time": f"2026-11-21T09:{number // 60_000 % 60:02}:{number // 1000 % 60:02}.{number % 1000:03}Z",
        "ip": ".".join(str(rng.randrange(256)) for _ in range(4)), "method": rng.choice(("GET", "GET", "GET", "POST", "PUT")),
        "path": f"/shop/{rng.randrange(400)}/items/{rng.randrange(1 << 24):x}", "status": rng.choice((200, 200, 200, 200, 304, 404, 500)),
        "bytes": rng.randrange(1 << 18), "us": rng.randrange(1 << 20), "agent": rng.choice(AGENTS), "request": f"{rng.getrandbits(96):024x}",
    }


def put(standpipe, name, path, *options):
    standpipe.run("put", name, str(path), "--endpoint", standpipe.endpoint, *options)
    path.unlink()


def peak_mib(standpipe):
    """Bytes of memory that were the process's own at most, files of the page cache left out: MiB."""
    status = Path(f"/proc/{standpipe.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def routed(standpipe, name, records, timeout=600):
    """Waits until so many records have found their partition, or are in an object."""
    deadline = time.monotonic() + timeout
    while standpipe.stream_status(name)["accepted"] < records:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # What is read last is routed within the time of a call or two.
    time.sleep(2)


def many_open(folder, megabytes):
    records = megabytes * 1_000_000 // 260
    with service.Service(folder, [stream("web", folder / "lake")]) as standpipe:
        before = peak_mib(standpipe)
        put(standpipe, "web", write(folder / "in", ({"k": f"p{n % 500}", "n": n} for n in range(records))))
        routed(standpipe, "web", records)
        facts = {"records": records, "open": 500, "started with MiB": before, "peak MiB": peak_mib(standpipe)}
        facts["objects before any was full"] = standpipe.stream_status("web")["objects"]
        assert standpipe.terminate(timeout=300) == 0
    return facts


def many_keys(folder, count):
    peaks = []
    with service.Service(folder, [stream("web", folder / "lake", interval="60s")]) as standpipe:
        done = 0
        for upto in (count // 10, count):
            made = ({"k": f"key-{n // 4}", "n": n} for n in range(done * 4, upto * 4))
            put(standpipe, "web", write(folder / "in", made))
            status = {"accepted": 0, "delivered": 0}
            while status["delivered"] < upto * 4 * 0.95:
                status = standpipe.stream_status("web")
                time.sleep(0.2)
            peaks.append(peak_mib(standpipe))
            done = upto
        standpipe.drained("web", timeout=300)
        objects = standpipe.stream_status("web")["objects"]
    return {"keys": count, "peak MiB at a tenth": peaks[0], "at the end": peaks[1], "objects": objects}


def one_hot(folder, records):
    size = 1 << 20
    with service.Service(folder, [stream("web", folder / "lake", size="1 MiB", interval="30s")]) as standpipe:
        keys = (("hot" if n % 2 else f"cold-{n // 2 % 499}") for n in range(records))
        began = time.monotonic()
        put(standpipe, "web", write(folder / "in", ({"k": key, "n": n} for n, key in enumerate(keys))))
        took = time.monotonic() - began
        standpipe.drained("web", timeout=300)
    found = collections.Counter()
    for path in (folder / "lake" / "web").rglob("*"):
        if path.is_file():
            found[path.parent.name] += 1
    hot = found.pop("k=hot")
    # By size the hot one, by time all of them, with one more for the interval in which putting ended.
    intervals = math.ceil(took / 30) + 1
    return {
        "records": records, "seconds of putting": round(took, 1), "hot objects": hot,
        "full ones of it": records // 2 * 260 // size, "cold objects": sum(found.values()), "cold partitions": len(found),
        "most that triggers ask for": 499 * intervals, "most of one cold": max(found.values()),
    }


def cost_of_keys(folder, megabytes, rounds=5):
    records, rng = megabytes * 1_000_000 // 320, random.Random(1)
    lake, took = folder / "lake", collections.defaultdict(list)
    feed = "[data_stream.feed]\nshards = 1\n"
    with service.Service(folder, [feed]) as standpipe:
        made = (web_log(rng, number) for number in range(records))
        put(standpipe, "feed", write(folder / "in", made, pad=None), "--data-stream")
    for turn in range(rounds):
        for kind, keys in (("plain", ()), ("by two keys", ("k", "h"))):
            name = f"{kind.split()[0]}{turn}"
            text = stream(name, lake, keys, size="1 MiB", interval="5s", compression="gzip", source='{ data_stream = "feed", start = "horizon" }')
            standpipe = service.Service(folder, [feed, text])
            with standpipe:
                began = cpu_seconds(standpipe.process)
                standpipe.drained(name, timeout=300)
                while standpipe.stream_status(name)["delivered"] < records:
                    time.sleep(0.1)
                took[kind].append(cpu_seconds(standpipe.process) - began)
    shares = [(keyed - plain) / keyed for keyed, plain in zip(took["by two keys"], took["plain"])]
    medians = {kind: round(statistics.median(each), 2) for kind, each in took.items()}
    return {"records": records, "CPU seconds": medians, "share of keys": round(statistics.median(shares), 3)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measures = {"open": (many_open, 1_500), "keys": (many_keys, 100_000), "hot": (one_hot, 1_000_000), "cpu": (cost_of_keys, 200)}
    for name, (_, usual) in measures.items():
        parser.add_argument(f"--{name}", type=int, metavar="COUNT", help=f"usually {usual}")
    args = vars(parser.parse_args())
    wanted = {name: value for name, value in args.items() if value} or {name: usual for name, (_, usual) in measures.items()}
    for name, count in wanted.items():
        with tempfile.TemporaryDirectory(prefix="standpipe-partitions-") as folder:
            print(json.dumps({"measure": name} | measures[name][0](Path(folder), count)), flush=True)


if __name__ == "__main__":
    main()
