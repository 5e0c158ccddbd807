"""Runs `standpipe serve` as an operator would: a configuration file, a process, signals, the admin listener."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

KEY, SECRET, REGION = "AKIDSUITE", "the-suite's-secret", "us-east-1"
ROOT = Path(__file__).resolve().parents[2]
_ports_given = set()


def binary():
    """The program: STANDPIPE_BIN, or what cargo built last."""
    if named := os.environ.get("STANDPIPE_BIN"):
        return Path(named)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [target / profile / "standpipe" for profile in ("release", "debug")]
    built = sorted((path for path in built if path.exists()), key=lambda path: path.stat().st_mtime)
    assert built, f"no standpipe in {target}: run cargo build first, or set STANDPIPE_BIN"
    return built[-1]


def free_port():
    """A loopback port below the ephemeral range, so that no client's connection takes it while the service is down."""
    for port in random.sample(range(15_000, 32_000), 500):
        if port in _ports_given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _ports_given.add(port)
        return port
    raise AssertionError("no free port")


def local_destination(path):
    return f'type = "local"\npath = "{path}"'


def s3_destination(bucket, endpoint, key, secret):
    return (
        f'type = "s3"\nbucket = "{bucket}"\nendpoint = "{endpoint}"\nregion = "{REGION}"\npath_style = true\n'
        f'credentials = {{ access_key_id = "{key}", secret_access_key = "{secret}" }}'
    )


def plugin(name, module, config="{}"):
    return f'[plugin.{name}]\nmodule = "{module}"\nconfig = {config}\n'


def stream(name, destination, size="128 KiB", interval="1s", compression="gzip", source='"direct"', prefix=None, plugins=()):
    """A delivery stream; `prefix` in place of one folder for each hour, `plugins` by their names."""
    steps = (f'[[delivery_stream.{name}.process]]\ntype = "plugin"\nplugin = "{named}"\n' for named in plugins)
    prefix = prefix or f"{name}/!{{timestamp:yyyy/MM/dd/HH}}/"
    return f"""
[delivery_stream.{name}]
source = {source}
{"".join(steps)}
[delivery_stream.{name}.buffer]
size = "{size}"
interval = "{interval}"
[delivery_stream.{name}.destination]
{destination}
prefix = "{prefix}"
error_prefix = "errors/{name}/!{{firehose:error-output-type}}/!{{timestamp:yyyy/MM/dd}}/"
compression = "{compression}"
"""


class Skipped(Exception):
    """A check cannot run here; the text says why."""


class Service:
    """One service and its folder; started and stopped as often as one likes."""

    def __init__(self, folder, streams, top="", data_dir=None, grace="20s"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.endpoint = f"http://127.0.0.1:{free_port()}"
        self.admin = f"http://127.0.0.1:{free_port()}"
        self.config = self.folder / "standpipe.toml"
        self.data_dir = Path(data_dir or self.folder / "data")
        self.log = self.folder / "service.log"
        self.process = None
        # Variables beside those that the suite has.
        self.environment = {}
        self.config.write_text(
            f'data_dir = "{self.data_dir}"\nregion = "{REGION}"\n{top}\n'
            f'[server]\nlisten = "{self.endpoint[7:]}"\nadmin_listen = "{self.admin[7:]}"\ngrace = "{grace}"\n'
            f'[[access_key]]\nid = "{KEY}"\nsecret = "{SECRET}"\n' + "".join(streams)
        )
        self.config.chmod(0o600)

    def secure(self, cert, key):
        """The listener of the APIs speaks TLS; to be called before the start."""
        self.endpoint = self.endpoint.replace("http:", "https:")
        text = self.config.read_text()
        tls = f'tls = {{ cert = "{cert}", key = "{key}" }}\n'
        self.config.write_text(text.replace("[server]\n", f"[server]\n{tls}", 1))

    def launch(self):
        """Starts it, and does not wait until it is ready."""
        with self.log.open("ab") as log:
            command = [binary(), "serve", "--config", self.config, "--log-format", "json"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | self.environment)

    def start(self, timeout=60):
        self.launch()
        deadline = time.monotonic() + timeout
        while not self.ready():
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.last_lines()}"
            assert time.monotonic() < deadline, f"not ready after {timeout} s: {self.last_lines()}"
            time.sleep(0.02)
        return self

    def ready(self):
        try:
            with urllib.request.urlopen(f"{self.admin}/ready", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def status(self):
        with urllib.request.urlopen(f"{self.admin}/v1/status", timeout=10) as answer:
            return json.load(answer)

    def standing(self):
        """Every stream, and behind it its backup."""
        streams = self.status()["streams"]
        return [entry for stream in streams for entry in (stream, stream.get("backup")) if entry]

    def stream_status(self, name):
        return next(entry for entry in self.standing() if entry["name"] == name)

    def kill(self):
        """SIGKILL, and the process is gone when this returns."""
        self.process.kill()
        self.process.wait()

    def freeze(self):
        """Stops every thread where it is, as a power cut does. One within a system call never comes back from it."""
        self.process.send_signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.process.pid}/task")
        deadline = time.monotonic() + 10
        while True:
            states = {(task / "stat").read_text().rsplit(")", 1)[1].split()[0] for task in tasks.iterdir()}
            # T: stopped. D: in the kernel, and stopped before it gets out.
            if states <= {"T", "D"}:
                return
            assert time.monotonic() < deadline, f"it does not stop: {states}"
            time.sleep(0.001)

    def terminate(self, timeout=60):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"SIGTERM did not end it within {timeout} s: {self.last_lines()}") from None

    def planned_keys(self, name):
        """The keys of a stream's objects in the order of their positions, from the ledger."""
        said = self.run("status", "--ledger", "--json", "--data-dir", str(self.data_dir))
        plans = [json.loads(line)["entry"].get("plan") for line in said.splitlines()]
        plans = [plan for plan in plans if plan and plan["key"].startswith(f"{name}/")]
        # Of one shard each: a stream of direct puts.
        return [plan["key"] for plan in sorted(plans, key=lambda plan: plan["spans"][0][1])]

    def drained(self, *streams, timeout=120):
        """Waits until nothing of these streams waits any more; then the identity must hold."""
        deadline = time.monotonic() + timeout
        while True:
            entries = [entry for entry in self.standing() if entry["name"] in streams]
            if len(entries) == len(streams) and all(entry["backlog_records"] == 0 for entry in entries):
                break
            assert time.monotonic() < deadline, f"not drained after {timeout} s: {entries}; {self.last_lines()}"
            time.sleep(0.1)
        for entry in entries:
            past = sum(entry[name] for name in ("delivered", "failed", "dropped", "expired", "discarded", "damaged"))
            assert entry["accepted"] == past, f"accepted is not all accounted for: {entry}"
        return {entry["name"]: entry for entry in entries}

    def client(self, attempts=5, secret=SECRET, validate=True):
        """A Firehose client; each thread needs its own session. Without `validate` it sends what its model forbids."""
        config = Config(
            retries={"mode": "standard", "total_max_attempts": attempts}, connect_timeout=3, read_timeout=20,
            parameter_validation=validate,
        )
        return boto3.session.Session().client(
            "firehose", endpoint_url=self.endpoint, region_name=REGION, config=config,
            aws_access_key_id=KEY, aws_secret_access_key=secret,
        )

    def run(self, *arguments, stdin=None, ok=True, environment=None):
        """The program with other arguments, as the suite's key or in another environment; its standard output."""
        environment = environment or {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": REGION}
        environment = os.environ | environment
        done = subprocess.run([binary(), *arguments], input=stdin, env=environment, capture_output=True, timeout=300)
        assert not ok or done.returncode == 0, f"{arguments}: {done.returncode}: {done.stderr.decode()[-2000:]}"
        return done.stdout if ok else done

    def evidence(self, verdict, ledger, objects):
        """Keeps what is needed to look into a wrong verdict, outside of what is cleared away; where it is."""
        kept = Path(tempfile.mkdtemp(prefix="standpipe-evidence-"))
        (kept / "verdict.json").write_text(json.dumps({"facts": verdict.summary(), "examples": verdict.examples(10_000)}, indent=1))
        (kept / "told.json").write_text(json.dumps({"acknowledged": sorted(ledger.acknowledged), "open": sorted(ledger.open)}))
        with (kept / "objects.txt").open("w") as listing:
            for key, data in objects:
                names = [(fields["producer"], fields["n"]) for fields in map(json.loads, data.splitlines())]
                listing.write(f"{key} {len(names)} records {names[0]} .. {names[-1]}\n" if names else f"{key} empty\n")
        shutil.copy(self.log, kept / "service.log")
        shutil.copytree(self.data_dir, kept / "data")
        for form, options in (("txt", []), ("json", ["--json"])):
            command = [binary(), "status", "--ledger", "--data-dir", self.data_dir, *options]
            (kept / f"ledger.{form}").write_bytes(subprocess.run(command, capture_output=True).stdout)
        return kept

    def last_lines(self, count=15):
        lines = self.log.read_text(errors="replace").splitlines()[-count:]
        return "its last words:\n  " + "\n  ".join(lines)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.kill()
