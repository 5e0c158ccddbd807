"""An S3 server that others wrote: versitygw, which checks signatures, checksums and conditions; moto where there is no
Go to build it, which says so loudly, for moto checks no signature."""

import subprocess
import sys
import time
from pathlib import Path

import boto3
from botocore.config import Config

from service import REGION, free_port

KEY, SECRET = "AKIDSTORE", "the-store's-secret"


def config_of(endpoint, secret=SECRET):
    return {
        "endpoint_url": endpoint, "region_name": REGION,
        "aws_access_key_id": KEY, "aws_secret_access_key": secret,
        "config": Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 5}),
    }


class Store:
    """A running server with an empty bucket for each name asked for."""

    def __init__(self, folder, tools):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        gateway = Path(tools) / "bin" / "versitygw"
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        if gateway.exists():
            self.name = "versitygw"
            (self.folder / "buckets").mkdir()
            (self.folder / "sidecar").mkdir()
            # The sidecar keeps what the file system's extended attributes would: not every one has them.
            command = [
                gateway, "--access", KEY, "--secret", SECRET, "--region", REGION, "--port", f"127.0.0.1:{port}",
                "--quiet", "posix", "--sidecar", self.folder / "sidecar", self.folder / "buckets",
            ]
        else:
            self.name = "moto"
            print("ATTENTION: no versitygw; moto takes its place, which checks no signature", file=sys.stderr)
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with (self.folder / "store.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait()

    def _wait(self):
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.client().list_buckets()
            except Exception as error:  # noqa: BLE001  (whatever it is, it is not ready)
                assert self.process.poll() is None, (self.folder / "store.log").read_text()
                assert time.monotonic() < deadline, f"{self.name} does not answer: {error}"
                time.sleep(0.1)

    def client(self, endpoint=None):
        return boto3.session.Session().client("s3", **config_of(endpoint or self.endpoint))

    def bucket(self, name):
        self.client().create_bucket(Bucket=name)
        return name

    def stop(self):
        self.process.kill()
        self.process.wait()


def self_test(store):
    """What the suite relies on: conditions are honoured and signatures checked."""
    from botocore.exceptions import ClientError

    bucket = store.bucket("self-test")
    client = store.client()
    client.put_object(Bucket=bucket, Key="a/b", Body=b"1", IfNoneMatch="*")
    try:
        client.put_object(Bucket=bucket, Key="a/b", Body=b"2", IfNoneMatch="*")
        raise AssertionError("the store ignores If-None-Match")
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 412, error
    assert client.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"1"
    if store.name != "versitygw":
        return
    try:
        boto3.session.Session().client("s3", **config_of(store.endpoint, "wrong")).list_buckets()
        raise AssertionError("the store checks no signature")
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error
