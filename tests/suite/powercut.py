"""Power cuts under load: the file system under the data directory stops at once, and what was not synced is gone.

    powercut.py --cycles 100 --file-system ext4

The file system lives in a file. FS_IOC_SHUTDOWN without a flush of its log is what a power cut is to it; mounted anew
it replays its log. Needs root, loop devices and the file system's mkfs.
"""

import argparse
import fcntl
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import oracle
import service

STREAM = "cut"
FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
IMAGE_BYTES = 4 << 30
MKFS = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}
PACKAGES = {"ext4": "e2fsprogs", "xfs": "xfsprogs"}


class Volume:
    """A file system in a file, which can lose its power."""

    def __init__(self, folder, kind):
        self.image = Path(folder) / f"{kind}.img"
        self.mount_point = Path(folder) / kind
        self.mount_point.mkdir(parents=True)
        self.kind = kind
        self.mounted = False
        with self.image.open("wb") as image:
            image.truncate(IMAGE_BYTES)
        subprocess.run([*MKFS[kind], self.image], check=True, capture_output=True)
        self.mount()

    def mount(self):
        subprocess.run(["mount", "-t", self.kind, "-o", "loop", self.image, self.mount_point], check=True)
        self.mounted = True

    def cut(self):
        """From here on nothing reaches the disk any more."""
        handle = os.open(self.mount_point, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(handle, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(handle)

    def unmount(self):
        for _ in range(100):
            if subprocess.run(["umount", self.mount_point], capture_output=True).returncode == 0:
                self.mounted = False
                return
            time.sleep(0.05)
        subprocess.run(["umount", "-l", self.mount_point], check=False)
        raise AssertionError(f"{self.mount_point} stays busy")

    def revive(self):
        self.unmount()
        self.mount()

    def remove(self):
        if self.mounted:
            self.unmount()
        self.image.unlink()


def why_not(kind):
    """Why no power can be cut here; None if it can."""
    if os.geteuid() != 0:
        return "not root"
    if kind not in {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()}:
        return f"the kernel has no {kind}"
    if not shutil.which(MKFS[kind][0]):
        install = ["apt-get", "install", "-y", "-q", PACKAGES[kind]]
        if not shutil.which("apt-get") or subprocess.run(install, capture_output=True).returncode != 0:
            return f"{MKFS[kind][0]} is missing: apt-get install {PACKAGES[kind]}"
    try:
        with tempfile.TemporaryDirectory(prefix="standpipe-cut-") as folder:
            prove(folder, kind)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"{kind} in a loop file cannot be mounted and cut here: {error}"
    return None


def prove(folder, kind):
    """The injector does what it should: what was synced stays, what was not is gone."""
    volume = Volume(folder, kind)
    try:
        synced, unsynced = volume.mount_point / "synced", volume.mount_point / "unsynced"
        with synced.open("wb") as file:
            file.write(b"s" * 4096)
            file.flush()
            os.fsync(file.fileno())
        handle = os.open(volume.mount_point, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
        with synced.open("ab") as file:
            file.write(b"u" * 4096)
        unsynced.write_bytes(b"u" * 4096)
        volume.cut()
        volume.revive()
        assert synced.read_bytes() == b"s" * 4096, "what was synced is not as it was"
        assert not unsynced.exists() or unsynced.stat().st_size == 0, "what was not synced is there"
    finally:
        volume.remove()


def run(folder, cycles, kind, seed=1):
    """The verdict over `cycles` power cuts, with data directory and lake on the volume."""
    rng = random.Random(seed)
    volume = Volume(folder, kind)
    lake = volume.mount_point / "lake"
    where = service.local_destination(lake)
    standpipe = service.Service(folder, [service.stream(STREAM, where)], data_dir=volume.mount_point / "data")
    ledger = oracle.Ledger()
    try:
        standpipe.start()
        producers = oracle.Producers(standpipe.client, STREAM, ledger).start()
        for cycle in range(cycles):
            time.sleep(rng.uniform(0.05, 1.5))
            # A power cut stops processor and disk at once. Cut alone, the kernel lets some of the syncs that are under
            # way return success although their data are gone (traced: fdatasync begun 1.5 ms before the cut, 0 at its
            # end): answers that no client of a machine without power would see.
            standpipe.freeze()
            volume.cut()
            standpipe.kill()
            volume.revive()
            standpipe.start()
            if (cycle + 1) % 20 == 0:
                print(f"  {cycle + 1} cuts, {ledger.counts()[0]} records acknowledged", file=sys.stderr, flush=True)
        producers.stop()
        counts = standpipe.drained(STREAM)[STREAM]
        code = standpipe.terminate()
        assert code == 0, f"SIGTERM ended it with {code}: {standpipe.last_lines()}"
        objects = list(oracle.local_objects(lake / STREAM))
        verdict = oracle.judge(ledger, objects)
        verdict.delivered = counts["delivered"]
        if not verdict.right:
            print(f"  evidence: {standpipe.evidence(verdict, ledger, objects)}", file=sys.stderr, flush=True)
        assert verdict.acknowledged > 0, f"nothing was ever acknowledged: {getattr(ledger, 'last_error', None)}"
        return verdict
    finally:
        if standpipe.process and standpipe.process.poll() is None:
            standpipe.kill()
        volume.remove()


def dead_disk(folder, kind):
    """The disk dies and the process lives on: not ready, no record taken; after a restart, all that was is there."""
    volume = Volume(folder, kind)
    lake = volume.mount_point / "lake"
    where = service.local_destination(lake)
    standpipe = service.Service(folder, [service.stream(STREAM, where)], data_dir=volume.mount_point / "data")
    ledger = oracle.Ledger()
    try:
        standpipe.start()
        client = standpipe.client(1)
        for call in range(20):
            assert oracle.put(client, STREAM, "a", range(call * 10, call * 10 + 10), ledger), ledger.last_error
        volume.cut()
        for call in range(20, 40):
            assert not oracle.put(client, STREAM, "a", range(call * 10, call * 10 + 10), ledger), "taken on a dead disk"
        assert not standpipe.ready(), "ready on a dead disk"
        standpipe.kill()
        volume.revive()
        standpipe.start()
        standpipe.drained(STREAM)
        return oracle.judge(ledger, oracle.local_objects(lake / STREAM))
    finally:
        if standpipe.process and standpipe.process.poll() is None:
            standpipe.kill()
        volume.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--file-system", choices=sorted(MKFS), default="ext4")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if reason := why_not(args.file_system):
        print(f"SKIPPED: no power cut on {args.file_system}: {reason}", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="standpipe-cut-") as folder:
        verdict = run(folder, args.cycles, args.file_system, args.seed)
    print(json.dumps({"cuts": args.cycles, "file_system": args.file_system} | verdict.summary()))
    if not verdict.right:
        sys.exit(f"WRONG: {verdict.examples()}")


if __name__ == "__main__":
    main()
