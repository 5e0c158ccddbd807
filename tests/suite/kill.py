"""SIGKILL under load, again and again; then the oracle counts.

    kill.py --cycles 200 --destination s3 --faults
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import faults
import oracle
import s3
import service

STREAM = "killed"


def run(folder, cycles, destination, with_faults, tools, seed=1):
    """The verdict over `cycles` kills; the folder holds everything that is needed to look into a failure."""
    folder, store, proxy = Path(folder), None, None
    rng = random.Random(seed)
    lake = folder / "lake"
    try:
        if destination == "s3":
            store = s3.Store(folder / "store", tools)
            bucket = store.bucket("killed")
            proxy = faults.Proxy(store.endpoint, seed=seed) if with_faults else None
            where = service.s3_destination(bucket, proxy.endpoint if proxy else store.endpoint, s3.KEY, s3.SECRET)
        else:
            where = service.local_destination(lake)
        standpipe = service.Service(folder, [service.stream(STREAM, where)])
        ledger = oracle.Ledger()
        producers = kill_under_load(standpipe, ledger, cycles, rng)
        standpipe.start()
        time.sleep(0.5)
        producers.stop()
        if proxy:
            proxy.share = 0.1
        counts = standpipe.drained(STREAM)[STREAM]
        code = standpipe.terminate()
        assert code == 0, f"SIGTERM ended it with {code}: {standpipe.last_lines()}"
        objects = oracle.s3_objects(store.client(), bucket, f"{STREAM}/") if store else oracle.local_objects(lake / STREAM)
        objects = list(objects)
        verdict = oracle.judge(ledger, objects)
        verdict.delivered = counts["delivered"]
        if not verdict.right:
            print(f"  evidence: {standpipe.evidence(verdict, ledger, objects)}", file=sys.stderr, flush=True)
        assert verdict.acknowledged > 0, f"nothing was ever acknowledged: {getattr(ledger, 'last_error', None)}"
        return verdict, dict(proxy.done) if proxy else {}
    finally:
        if proxy:
            proxy.stop()
        if store:
            store.stop()


def kill_under_load(standpipe, ledger, cycles, rng, put=None):
    """The producers, which still run; the service has just been killed."""
    standpipe.start()
    producers = oracle.Producers(standpipe.client, STREAM, ledger, put=put).start()
    for cycle in range(cycles):
        time.sleep(rng.uniform(0.05, 1.5))
        standpipe.kill()
        if cycle + 1 < cycles:
            standpipe.start()
        if (cycle + 1) % 20 == 0:
            print(f"  {cycle + 1} kills, {ledger.counts()[0]} records acknowledged", file=sys.stderr, flush=True)
    return producers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--destination", choices=["s3", "local"], default="local")
    parser.add_argument("--faults", action="store_true", help="the store answers late, twice, wrongly or not at all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tools", default=os.environ.get("STANDPIPE_SUITE_TOOLS", service.ROOT / "target/suite"))
    parser.add_argument("--dir", help="work here and keep it; otherwise a temporary folder")
    args = parser.parse_args()
    if args.faults and args.destination != "s3":
        parser.error("--faults needs --destination s3")
    with tempfile.TemporaryDirectory(prefix="standpipe-kill-") as temporary:
        folder = args.dir or temporary
        verdict, suffered = run(folder, args.cycles, args.destination, args.faults, args.tools, args.seed)
    print(json.dumps({"kills": args.cycles, "destination": args.destination} | verdict.summary() | {"faults": suffered}))
    if not verdict.right:
        sys.exit(f"WRONG: {verdict.examples()}")


if __name__ == "__main__":
    main()
