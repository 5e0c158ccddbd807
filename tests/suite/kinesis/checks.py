"""The checks of data streams: functions of a Place, as those of suite.py; their first line is what they say.

The long forms: STANDPIPE_SUITE_RESHARDS (of the KCL; default 4) and STANDPIPE_SUITE_KILLS (of the kills).
"""

import json
import os
import subprocess
from pathlib import Path

import oracle
import service
from kinesis import boto, chaos, commands, java, own, streams
from service import Skipped

HERE = Path(__file__).parent
RESHARDS = os.environ.get("STANDPIPE_SUITE_RESHARDS", "4")
KILLS = int(os.environ.get("STANDPIPE_SUITE_KILLS", "5"))
# Of 32 bytes, for streams whose encryption is on.
ENCRYPTION = f'encryption_key = "{"A" * 43}="'


def alone(place, top=""):
    """A service whose streams the check makes itself."""
    return service.Service(place.folder, [], top)


def external(command, **more):
    """A client's own process; what it proved."""
    done = subprocess.run(command, env=commands.environment() | more, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout.decode()[-2000:] + done.stderr.decode()[-4000:]
    return json.loads(done.stdout.decode().splitlines()[-1])


def certificate(folder):
    """A certificate of this machine's own that is its own authority, and its key."""
    names = ["-nodes", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", key, "-out", cert, *names]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def data_boto3(place):
    """boto3: every operation of the model that concerns streams, and what they refuse."""
    with alone(place, ENCRYPTION) as standpipe:
        return boto.everything(standpipe.endpoint)


def data_cli(place):
    """The AWS CLI: create, put, read, reshard, list, consumers, tags, delete, with its waiters."""
    with alone(place) as standpipe:
        return commands.route(standpipe.endpoint)


def data_javascript(place):
    """The JavaScript SDK, HTTP/2 by prior knowledge: put, read, subscribe over a split, reshard, delete."""
    with alone(place) as standpipe:
        return javascript(standpipe)


def data_javascript_tls(place):
    """The same over TLS, where HTTP/2 is agreed on by ALPN."""
    cert, key = certificate(place.folder)
    standpipe = alone(place)
    standpipe.secure(cert, key)
    with standpipe:
        return javascript(standpipe, NODE_EXTRA_CA_CERTS=str(cert))


def javascript(standpipe, **more):
    more |= {"STANDPIPE_SUITE_TOOLS": str(java.TOOLS.parent), "NODE_NO_WARNINGS": "1"}
    return external(["node", HERE / "client.mjs", standpipe.endpoint, "js"], **more)


def data_rust(place):
    """The Rust SDK: put, read, subscribe over a split, reshard, delete."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", service.ROOT / "target"))
    built = [folder / "examples/kinesis_sdk" for folder in (service.binary().parent, target / "release", target / "debug")]
    program = next((path for path in built if path.exists()), None)
    if not program:
        raise Skipped("it is not built: cargo build --example kinesis_sdk")
    with alone(place) as standpipe:
        return external([program, standpipe.endpoint, "rust"])


def with_java():
    if reason := java.why_not():
        raise Skipped(reason)


def data_java(place):
    """The Java SDK v2, synchronous and asynchronous, in CBOR: put, read, reshard, subscribe, delete."""
    with_java()
    with alone(place) as standpipe:
        return java.run("Sdk", standpipe.endpoint, "java")


def kcl_polling(place):
    """The KCL 3 polls a stream that is split and merged: every record, in order by key, every shard's end."""
    return kcl(place, "polling")


def kcl_fanout(place):
    """The KCL 3 subscribes to a stream that is split and merged: every record, in order by key, every shard's end."""
    return kcl(place, "fanout")


def kcl(place, how):
    with_java()
    with alone(place) as standpipe, java.dynamodb(place.folder) as tables:
        return java.run("Kcl", standpipe.endpoint, tables, f"kcl-{how}", how, RESHARDS, timeout=300 + 10 * int(RESHARDS))


def kpl(place):
    """The KPL, over TLS: its aggregates arrive unpacked in the lake, each user record once."""
    with_java()
    cert, key = certificate(place.folder)
    count, ledger = 5_000, oracle.Ledger()
    lake = place.folder / "lake"
    standpipe = chaos.configured(place.folder, lake, shards=3)
    standpipe.secure(cert, key)
    with standpipe:
        lines = b"".join(oracle.record("kpl", number) for number in range(count))
        said = json.loads(java.run("Kpl", standpipe.endpoint.rsplit(":", 1)[1], chaos.DATA, place.folder, stdin=lines))
        assert said["user_records"] == count, said
        ledger.take("kpl", range(count), True)
        chaos.delivered(standpipe, ledger, lake, timeout=60)
        packed = streams.client(standpipe.endpoint, authority=str(cert))
        found = [
            record for shard in streams.shards(packed, chaos.DATA)
            for record in streams.read(packed, streams.iterator(packed, chaos.DATA, shard, "TRIM_HORIZON"))[0]
        ]
        aggregates = [record for record in found if record["Data"].startswith(b"\xf3\x89\x9a\xc2")]
        assert len(aggregates) * 5 < count, "readers of the stream itself get the aggregates as they are"
    # The KPL keeps no order, so the oracle's is not asked.
    verdict = oracle.judge(ledger, oracle.local_objects(lake / chaos.DELIVERY))
    assert not (verdict.lost or verdict.twice or verdict.foreign), f"{verdict.summary()} {verdict.examples()}"
    return said | {"aggregates": len(aggregates), "found": verdict.found, "objects": verdict.objects}


def kills_resharding(place):
    """SIGKILL under load, a delivery stream over a data stream that is split and merged all the time."""
    verdict, reshards = chaos.run(place.folder, KILLS)
    assert verdict.right, verdict.examples()
    return verdict.summary() | reshards


CHECKS = [
    data_boto3, data_cli, data_javascript, data_javascript_tls, data_rust, data_java, *own.CHECKS, kcl_polling, kcl_fanout, kpl, kills_resharding,
]
