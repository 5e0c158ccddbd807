"""Stores of other clouds, by emulators that others wrote: Azurite (npm) for Azure Blob Storage, fake-gcs-server (Go) for Google
Cloud Storage. Objects are read back by the store's own protocol, without our code."""

import base64
import hashlib
import hmac
import http.client
import json
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as xml
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import oracle
import service
from service import Skipped, free_port

ACCOUNT = "devstoreaccount1"
# Every emulator of Azure has this one.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Emulator:
    """A process that is asked until it answers."""

    def __init__(self, place, command, port):
        self.endpoint = f"http://127.0.0.1:{port}"
        with (place.folder / "emulator.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=place.folder)
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(self.endpoint, timeout=5)
                return
            except urllib.error.HTTPError:
                return
            except OSError as error:
                assert self.process.poll() is None, (place.folder / "emulator.log").read_text()
                assert time.monotonic() < deadline, f"the emulator does not answer: {error}"
                time.sleep(0.1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Azure(Emulator):
    def __init__(self, place, tools):
        main = tools / "azurite/node_modules/azurite/dist/src/blob/main.js"
        if not main.exists():
            raise Skipped("Azurite could not be installed")
        port = free_port()
        super().__init__(place, ["node", main, "--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck"], port)

    def call(self, method, path, query=None, headers=None):
        """A request with Shared Key authorization."""
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2023-11-03"} | (headers or {})
        path, query = f"/{ACCOUNT}/{urllib.parse.quote(path)}", query or {}
        canonical = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        resource = f"/{ACCOUNT}{path}" + "".join(f"\n{name}:{query[name]}" for name in sorted(query))
        signed = hmac.new(base64.b64decode(KEY), f"{method}{12 * chr(10)}{canonical}{resource}".encode(), hashlib.sha256)
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(signed.digest()).decode()}"
        url = f"{self.endpoint}{path}?{urllib.parse.urlencode(query)}"
        # No content type: it would be signed.
        request = urllib.request.Request(url, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read(), answer.headers

    def make(self, name):
        self.call("PUT", name, {"restype": "container"})

    def destination(self, name):
        return (
            f'type = "azure"\naccount = "{ACCOUNT}"\ncontainer = "{name}"\nendpoint = "{self.endpoint}/{ACCOUNT}"\n'
            f'account_key = "{KEY}"\nstorage_class = "Cool"\ntags = {{ team = "suite" }}'
        )

    def objects(self, name):
        listed, _ = self.call("GET", name, {"restype": "container", "comp": "list"})
        for blob in xml.fromstring(listed.decode("utf-8-sig")).iter("Name"):
            data, headers = self.call("GET", f"{name}/{blob.text}")
            if not blob.text.endswith(".standpipe-probe"):
                assert headers["Content-Encoding"] == "gzip", headers
                yield blob.text, oracle.decompress(blob.text, data)


class Gcs(Emulator):
    """fake-gcs-server behind a door. The server has Google's XML API for reads alone, without its conditions; its JSON API has
    all. So the door hands each write of the XML API on as the same write of the JSON API, with its condition, and all else as it
    is; and objects that must not be transformed are not, where the server would take gzip off. Every third write is done and its
    answer lost: what comes again must find the object in its place."""

    def __init__(self, place, tools):
        program = tools / "bin/fake-gcs-server"
        if not program.exists():
            raise Skipped("Go is missing, so fake-gcs-server cannot be built")
        port, self.writes, self.found, self.untouched = free_port(), 0, 0, set()
        where = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
        super().__init__(place, [program, *where, "-public-host", f"127.0.0.1:{port}", "-log-level", "warn"], port)
        cloud, host = self, f"127.0.0.1:{port}"

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.hand_on("GET", self.path)

            def do_HEAD(self):
                self.hand_on("HEAD", self.path)

            def do_DELETE(self):
                bucket, key = self.object()
                self.hand_on("DELETE", f"/storage/v1/b/{bucket}/o/{urllib.parse.quote(key, safe='')}")

            def do_PUT(self):
                bucket, key = self.object()
                query = {"uploadType": "media", "name": key}
                if condition := self.headers["x-goog-if-generation-match"]:
                    query["ifGenerationMatch"] = condition
                if encoding := self.headers["Content-Encoding"]:
                    query["contentEncoding"] = encoding
                if self.headers["Cache-Control"] == "no-transform":
                    cloud.untouched.add(self.path)
                data = self.rfile.read(int(self.headers["Content-Length"]))
                self.hand_on("POST", f"/upload/storage/v1/b/{bucket}/o?{urllib.parse.urlencode(query)}", data)

            def object(self):
                bucket, key = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).removeprefix("/").split("/", 1)
                return bucket, key

            def hand_on(self, method, path, data=None):
                names = ("Range", "Accept-Encoding", "Content-Type")
                headers = {name: self.headers[name] for name in names if self.headers[name]}
                if path in cloud.untouched:
                    headers["Accept-Encoding"] = "gzip"
                connection = http.client.HTTPConnection(host, timeout=20)
                connection.request(method, path, data, headers)
                answer = connection.getresponse()
                body = answer.read()
                shown = {name: value for name, value in answer.getheaders() if name not in ("Content-Length", "Transfer-Encoding")}
                if data is not None:
                    cloud.found += answer.status == 412
                    if answer.status == 404:
                        body = b"<Error><Code>NoSuchBucket</Code></Error>"
                    if answer.status == 200:
                        cloud.writes += 1
                        made = json.loads(body)
                        shown |= {"ETag": made["etag"], "x-goog-generation": made["generation"]}
                        if cloud.writes % 3 == 0:
                            self.close_connection = True
                            return
                self.answer(answer.status, shown, b"" if method == "HEAD" else body, answer.getheader("Content-Length"))
                connection.close()

            def answer(self, status, headers, body, length):
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)) if body else length or "0")
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # Who called was killed.

            def log_message(self, *_):
                pass

        self.door = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.door.daemon_threads = True
        threading.Thread(target=self.door.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.door.shutdown()
        super().__exit__()

    def call(self, method, path, data=None, headers=None):
        request = urllib.request.Request(f"{self.endpoint}{path}", data, headers or {}, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read(), answer.headers

    def make(self, name):
        self.call("POST", "/storage/v1/b?project=suite", json.dumps({"name": name}).encode())

    def destination(self, name):
        endpoint = f"http://127.0.0.1:{self.door.server_address[1]}"
        return f'type = "gcs"\nbucket = "{name}"\nendpoint = "{endpoint}"\nanonymous = true'

    def objects(self, name):
        listed, _ = self.call("GET", f"/storage/v1/b/{name}/o?maxResults=1000")
        for item in json.loads(listed)["items"]:
            key = item["name"]
            if key.endswith(".standpipe-probe"):
                continue
            assert item["contentEncoding"] == "gzip", item
            place = f"/storage/v1/b/{name}/o/{urllib.parse.quote(key, safe='')}?alt=media"
            data, _ = self.call("GET", place, headers={"Accept-Encoding": "gzip"})
            assert base64.b64encode(hashlib.md5(data).digest()).decode() == item["md5Hash"], "not the bytes that were put"
            yield key, oracle.decompress(key, data)
        assert self.writes >= 3 and self.found > 0, f"no answer was lost: {self.writes} writes, {self.found} found in place"


def delivers(place, cloud, tools):
    """What was put is there once, after a kill too; a store that comes later than its stream is waited for."""
    ledger = oracle.Ledger()
    with cloud(place, tools) as emulator:
        where = emulator.destination("lake")
        standpipe = service.Service(place.folder, [service.stream("logs", where)])
        with standpipe:
            client = standpipe.client()
            assert oracle.put(client, "logs", "early", range(50), ledger), "a store that is not there fails no put"
            probe = ["check", "--config", str(standpipe.config), "--probe"]
            refused = standpipe.run(*probe, ok=False)
            assert refused.returncode == 1 and b"create " in refused.stdout, refused.stdout.decode()
            emulator.make("lake")
            assert b"replaces none" in standpipe.run(*probe)
            for call in range(10):
                assert oracle.put(client, "logs", "p", range(call * 100, call * 100 + 100), ledger)
            standpipe.kill()
            standpipe.start()
            assert oracle.put(standpipe.client(), "logs", "late", range(50), ledger)
            standpipe.drained("logs")
        verdict = oracle.judge(ledger, list(emulator.objects("lake")))
    assert verdict.right and verdict.acknowledged == 1_100, f"{verdict.summary()} {verdict.examples()}"
    return verdict.summary()
