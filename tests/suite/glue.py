"""AWS Glue as moto serves it: tables with schemas, by boto3, and conversions that follow them."""

import json
import os
import subprocess
import sys
import time
import urllib.request

import boto3
import duckdb
from botocore.exceptions import ClientError

import service

ROLE = "arn:aws:iam::123456789012:role/firehose"


class Glue:
    """A running server, and how the service is told of it."""

    def __init__(self, place):
        port = service.free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.environment = {
            "AWS_ENDPOINT_URL_GLUE": self.endpoint, "AWS_ACCESS_KEY_ID": "AKIDGLUE", "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": service.REGION,
        }
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with (place.folder / "glue.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"AWS_REGION": service.REGION})
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.endpoint}/moto-api/", timeout=5).close()
                break
            except OSError as error:
                assert self.process.poll() is None, (place.folder / "glue.log").read_text()
                assert time.monotonic() < deadline, f"moto does not answer: {error}"
                time.sleep(0.1)
        self.client = boto3.session.Session().client(
            "glue", endpoint_url=self.endpoint, region_name=service.REGION, aws_access_key_id="AKIDGLUE",
            aws_secret_access_key="any",
        )
        self.databases = set()

    def table(self, database, name, columns, new_version=False):
        """Makes a table with these columns, or its next version."""
        if database not in self.databases:
            self.databases.add(database)
            self.client.create_database(DatabaseInput={"Name": database})
        said = [{"Name": column, "Type": kind} for column, kind in columns.items()]
        table = {"Name": name, "StorageDescriptor": {"Columns": said}, "PartitionKeys": [{"Name": "day", "Type": "string"}]}
        (self.client.update_table if new_version else self.client.create_table)(DatabaseName=database, TableInput=table)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


# ---- checks ----

SCHEMA = {"tenant": "string", "n": "bigint"}


def destination(prefix, table, **schema):
    """An S3 destination whose records become Parquet by a table."""
    return {
        "RoleARN": ROLE, "BucketARN": "arn:aws:s3:::glued", "Prefix": prefix,
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 1},
        "DataFormatConversionConfiguration": {
            "SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": "lake", "TableName": table, **schema},
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
            "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
        },
    }


def put(client, name, numbers):
    lines = [json.dumps({"tenant": f"t{n % 3}", "n": n, "extra": n / 2, "noise": "x"}).encode() for n in numbers]
    answer = client.put_record_batch(DeliveryStreamName=name, Records=[{"Data": line} for line in lines])
    assert answer["FailedPutCount"] == 0, answer


def rows(folder):
    """Columns with their types, and rows, of the Parquet files below a folder; the files of each set of columns apart."""
    found = {}
    for path in sorted(folder.rglob("*.parquet")):
        relation = duckdb.sql(f"select * from read_parquet('{path}') order by n")
        columns = tuple(zip(relation.columns, map(str, relation.types), strict=True))
        found.setdefault(columns, []).extend(relation.fetchall())
    return found


def glue_schema(place):
    """A table of AWS Glue (moto) is the schema of a conversion; its next version is followed, a version that is named is kept."""
    with Glue(place) as glue:
        glue.table("lake", "events", SCHEMA)
        standpipe = service.Service(place.folder, [], f'[buckets]\ntype = "local"\npath = "{place.lake}"\n')
        standpipe.environment = glue.environment
        with standpipe:
            client = standpipe.client()
            for name, schema in (("latest", {}), ("pinned", {"VersionId": "1"})):
                client.create_delivery_stream(
                    DeliveryStreamName=name, ExtendedS3DestinationConfiguration=destination(f"{name}/", "events", **schema)
                )
                put(client, name, range(100))
            standpipe.drained("latest", "pinned")
            glue.table("lake", "events", SCHEMA | {"extra": "double"}, new_version=True)
            # It is asked again every five minutes, and at a start.
            assert standpipe.terminate() == 0, standpipe.last_lines()
            standpipe.start()
            client = standpipe.client()
            for name in ("latest", "pinned"):
                put(client, name, range(100, 200))
            standpipe.drained("latest", "pinned")
    old = (("tenant", "VARCHAR"), ("n", "BIGINT"))
    new = (*old, ("extra", "DOUBLE"))
    both = [(f"t{n % 3}", n) for n in range(200)]
    assert rows(place.lake / "glued/pinned") == {old: both}, rows(place.lake / "glued/pinned")
    latest = {old: both[:100], new: [(*row, row[1] / 2) for row in both[100:]]}
    assert rows(place.lake / "glued/latest") == latest, rows(place.lake / "glued/latest")


def glue_missing(place):
    """A table that is not in AWS Glue: no stream is made with it; one of the file says so, keeps its records, and goes on later."""
    with Glue(place) as glue:
        glue.table("lake", "events", SCHEMA)
        stream = service.stream("filed", service.local_destination(place.lake), compression="none") + (
            '[delivery_stream.filed.destination.format]\nparquet = {}\n'
            'schema = { glue = { database = "lake", table = "later" } }\n'
        )
        standpipe = service.Service(place.folder, [stream], f'[buckets]\ntype = "local"\npath = "{place.lake}"\n')
        standpipe.environment = glue.environment
        with standpipe:
            client = standpipe.client()
            for table, schema, words in [
                ("none", {}, "SchemaConfiguration names a schema that is not there: AWS Glue does not give the table lake.none: "),
                ("events", {"VersionId": "9"}, "SchemaConfiguration names a schema that is not there: "),
            ]:
                try:
                    given = destination("x/", table, **schema)
                    client.create_delivery_stream(DeliveryStreamName="none", ExtendedS3DestinationConfiguration=given)
                    raise AssertionError(f"a stream was made with the table {table} {schema}")
                except ClientError as error:
                    said = error.response["Error"]
                    assert said["Code"] == "InvalidArgumentException" and said["Message"].startswith(words), said
            assert client.list_delivery_streams()["DeliveryStreamNames"] == ["filed"]
            put(client, "filed", range(50))
            deadline = time.monotonic() + 30
            while "lake.later" not in str(standpipe.stream_status("filed").get("last_error")):
                assert time.monotonic() < deadline, standpipe.stream_status("filed")
                time.sleep(0.1)
            told = standpipe.stream_status("filed")
            assert told["backlog_records"] == 50 and told["delivered"] == 0, told
            said = standpipe.run("status", "--admin", standpipe.admin).decode()
            assert "lake.later" in said, said
            probe = ["check", "--config", str(standpipe.config), "--probe"]
            refused = standpipe.run(*probe, ok=False, environment=glue.environment)
            assert refused.returncode == 1 and b"the table lake.later" in refused.stdout, refused.stdout.decode()
            glue.table("lake", "later", SCHEMA)
            found = standpipe.run(*probe, environment=glue.environment)
            assert b"the Glue table lake.later has 2 columns" in found, found.decode()
            standpipe.drained("filed")
    assert rows(place.lake / "filed") == {(("tenant", "VARCHAR"), ("n", "BIGINT")): [(f"t{n % 3}", n) for n in range(50)]}
    return {"said": told["last_error"]}


CHECKS = [glue_schema, glue_missing]
