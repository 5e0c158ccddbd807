"""What one poison record in 100,000 costs a delivery stream: the same records with and without, in turns, in one run.

    poison.py [--records 1000000] [--rounds 5] [--deed trap]...

Data streams are filled once, with records of about 330 bytes. Then each turn is a new delivery stream with the plugin
tests/support/plugins/split (its limits those by default) that reads one of them from the horizon into a local lake. It
counts until 95 % of the records are delivered, so that waiting for the last buffer's interval does not count. Printed are
medians, and the medians of the rounds' ratios, poisoned to clean. Use a release build: STANDPIPE_BIN.
"""

import argparse
import json
import os
import random
import re
import shutil
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

import oracle
import service
import split

EVERY = 100_000
DEEDS = ("trap", "memory", "loop")
CLEAN = "clean"


def whole_record(number):
    """A record of about 330 bytes that the plugin makes one row of."""
    return oracle.record("whole", number * 10)


def poison_record(number, deed):
    """The same, but it traps, asks for all memory, or loops."""
    return b'{"poison":"%s",' % deed.encode() + whole_record(number)[1:]


def fill(standpipe, folder, stream, records, deed):
    """Puts the records; of each 100,000 one is poison, somewhere."""
    rng, source = random.Random(1), folder / "input.ndjson"
    block = [whole_record(number) for number in range(EVERY)]
    with source.open("wb") as out:
        for _ in range(records // EVERY):
            at = rng.randrange(EVERY)
            out.writelines(block[:at])
            out.write(poison_record(at, deed) if deed else block[at])
            out.writelines(block[at + 1:])
    command = ["put", stream, str(source), "--data-stream", "--endpoint", standpipe.endpoint]
    standpipe.run(*command)
    source.unlink()


def configured(folder, streams, turn=None):
    """The service with its data streams and, of a turn, the one delivery stream."""
    texts = [f"[data_stream.{name}]\nshards = 1\n" for name in streams]
    if turn:
        name, source = turn
        where = service.local_destination(folder / "lake")
        texts.append(service.stream(name, where, size="1 MiB", source=f'{{ data_stream = "{source}" }}', plugins=["split"]))
    return service.Service(folder, texts, service.plugin("split", split.MODULE))


def cpu_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def turn(folder, streams, name, source, records):
    """Seconds, CPU seconds and the plugin's seconds that one turn takes."""
    poisoned = records // EVERY if source != CLEAN else 0
    standpipe = configured(folder, streams, (name, source))
    began = time.monotonic()
    with standpipe:
        began_cpu = cpu_seconds(standpipe.process)
        while True:
            status = standpipe.stream_status(name)
            if status["delivered"] + status["failed"] >= records * 0.95:
                break
            assert time.monotonic() - began < 900, status
            time.sleep(0.01)
        measured = {"seconds": time.monotonic() - began, "cpu": cpu_seconds(standpipe.process) - began_cpu}
        status = standpipe.drained(name)[name]
        assert (status["delivered"], status["failed"]) == (records - poisoned, poisoned), status
        with urllib.request.urlopen(f"{standpipe.admin}/metrics", timeout=10) as answer:
            found = re.search(rf'standpipe_transform_microseconds_total\{{stream="{name}"\}} (\d+)', answer.read().decode())
        measured["plugin"] = int(found[1]) / 1e6
    shutil.rmtree(folder / "lake")
    return measured


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000, help="of each turn; a multiple of 100,000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--deed", choices=DEEDS, action="append", help="what the poison does; all three without")
    args = parser.parse_args()
    records, deeds = max(args.records // EVERY, 1) * EVERY, args.deed or DEEDS
    streams, took = [CLEAN, *deeds], {}
    with tempfile.TemporaryDirectory(prefix="standpipe-poison-") as folder:
        folder = Path(folder)
        with configured(folder, streams) as standpipe:
            for name in streams:
                fill(standpipe, folder, name, records, None if name == CLEAN else name)
        # The first one also compiles the plugin, and is not counted.
        turn(folder, streams, "warm", CLEAN, records)
        for round_ in range(args.rounds):
            # Whoever goes first meets another page cache.
            for source in streams if round_ % 2 else streams[::-1]:
                took.setdefault(source, []).append(turn(folder, streams, f"{source}-{round_}", source, records))
    print(json.dumps({"records": records, "rounds": args.rounds, "program": str(service.binary())}))
    for source in streams:
        facts = {name: round(statistics.median(one[name] for one in took[source]), 3) for name in took[source][0]}
        if source != CLEAN:
            for name in took[source][0]:
                ratios = [poisoned[name] / clean[name] for poisoned, clean in zip(took[source], took[CLEAN])]
                facts[f"{name} ratio"] = [round(number, 3) for number in (statistics.median(ratios), min(ratios), max(ratios))]
        print(json.dumps({"stream": source} | facts))


if __name__ == "__main__":
    main()
