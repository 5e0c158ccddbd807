"""An HTTP endpoint destination made through the API: a receiver over TLS, and the backup of all data."""

import base64
import gzip
import json
import ssl
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import oracle
import service
from glue import ROLE

COUNT = 500
# Not that of an authority: such a one is not taken for a server's own.
CERTIFICATE = """[req]
prompt = no
distinguished_name = name
x509_extensions = more
[name]
CN = localhost
[more]
subjectAltName = DNS:localhost
basicConstraints = critical, CA:FALSE
"""


def certificate(folder):
    """A certificate of this machine's own, and its key."""
    settings, cert, key = folder / "openssl.cnf", folder / "cert.pem", folder / "key.pem"
    settings.write_text(CERTIFICATE)
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", settings]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


class Receiver:
    """Takes the requests of Firehose, but none at its first attempt; `taken` has their records by request."""

    def __init__(self, cert, key):
        receiver, self.taken, self.attempts = self, {}, {}

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = json.loads(gzip.decompress(body))
                assert self.headers["X-Amz-Firehose-Access-Key"] == "hush" and self.headers["Content-Encoding"] == "gzip"
                id, records = request["requestId"], request["records"]
                receiver.attempts.setdefault(id, []).append(len(records))
                is_first = len(receiver.attempts[id]) == 1
                if not is_first:
                    receiver.taken[id] = [base64.b64decode(record["data"]) for record in records]
                said = {"requestId": id, "timestamp": int(time.time() * 1000)} | ({"errorMessage": "not yet"} if is_first else {})
                data = json.dumps(said).encode()
                self.send_response(503 if is_first else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"https://localhost:{self.server.server_address[1]}/firehose"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()


def counts(standpipe):
    """The metrics of streams: values by name and stream."""
    with urllib.request.urlopen(f"{standpipe.admin}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    named = (line.split('{stream="') for line in lines if '{stream="' in line)
    return {(name, rest.split('"')[0]): float(rest.rsplit(" ", 1)[1]) for name, rest in named}


def endpoint_all_data(place):
    """An HTTP endpoint made by boto3 with AllData: what it refuses at first comes again, and all is in the bucket as well."""
    cert, key = certificate(place.folder)
    standpipe = service.Service(place.folder, [], f'[buckets]\ntype = "local"\npath = "{place.lake}"\n')
    standpipe.environment = {"SSL_CERT_FILE": str(cert)}
    records = [oracle.record("p", number) for number in range(COUNT)]
    with Receiver(cert, key) as receiver, standpipe:
        client = standpipe.client()
        client.create_delivery_stream(
            DeliveryStreamName="made",
            HttpEndpointDestinationConfiguration={
                "EndpointConfiguration": {"Url": receiver.url, "AccessKey": "hush"},
                "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1},
                "RequestConfiguration": {"ContentEncoding": "GZIP"},
                "S3BackupMode": "AllData",
                "S3Configuration": {
                    "RoleARN": ROLE, "BucketARN": "arn:aws:s3:::copies", "Prefix": "all/", "CompressionFormat": "GZIP",
                    "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
                    "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1},
                },
            },
        )
        answer = client.put_record_batch(DeliveryStreamName="made", Records=[{"Data": record} for record in records])
        assert answer["FailedPutCount"] == 0, answer
        standpipe.drained("made", "made (backup)")
        counted = counts(standpipe)
    assert [record for taken in receiver.taken.values() for record in taken] == records
    copies = [data for key, data in sorted(oracle.local_objects(place.lake / "copies/all"))]
    assert b"".join(copies) == b"".join(records), "the backup is not all that came"
    assert not (place.lake / "copies/errors").exists()
    sent = sum(sum(each) for each in receiver.attempts.values())
    for name, stream, value in [
        ("standpipe_endpoint_success_total", "made", len(receiver.taken)),
        ("standpipe_endpoint_processed_records_total", "made", sent),
        ("standpipe_delivered_records_total", "made", COUNT),
        ("standpipe_backup_delivered_records_total", "made", COUNT),
    ]:
        assert counted[name, stream] == value, f"{name} of {stream}: {counted[name, stream]}, not {value}"
    return {"requests": len(receiver.taken), "records sent": sent, "objects": len(copies)}


CHECKS = [endpoint_all_data]
