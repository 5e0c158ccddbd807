"""Runs the Java clients: their jars and DynamoDB Local come from Maven Central, by `run`, into the tools' folder."""

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import service
from kinesis.commands import environment

TOOLS = Path(os.environ.get("STANDPIPE_SUITE_TOOLS", service.ROOT / "target/suite")) / "java"


def why_not():
    """Why the Java clients cannot run here; nothing if they can."""
    if not shutil.which("java"):
        return "Java is missing"
    return None if (TOOLS / "classes").is_dir() else "Maven is missing, or could not fetch the Java clients"


def run(name, *arguments, stdin=None, timeout=300):
    """What a client prints: one line of JSON."""
    command = [
        "java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
        "-cp", f"{TOOLS}/classes:{TOOLS}/clients/*", name, *map(str, arguments),
    ]
    done = subprocess.run(command, input=stdin, env=environment(), capture_output=True, timeout=timeout)
    assert done.returncode == 0, f"{name} {arguments}: {done.stdout.decode()[-2000:]}{done.stderr.decode()[-6000:]}"
    return done.stdout.decode().strip().splitlines()[-1]


@contextmanager
def dynamodb(folder):
    """A DynamoDB Local in memory; its endpoint."""
    port, jars = service.free_port(), TOOLS / "dynamodb"
    command = [
        "java", "-Xmx256m", f"-Dsqlite4java.library.path={jars}", "-cp", f"{jars}/*",
        "com.amazonaws.services.dynamodbv2.local.main.ServerRunner", "-inMemory", "-port", str(port), "-disableTelemetry",
    ]
    with (folder / "dynamodb.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not listens(port):
            assert process.poll() is None, (folder / "dynamodb.log").read_text()
            assert time.monotonic() < deadline, "DynamoDB Local does not listen"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
