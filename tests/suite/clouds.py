"""Stores of other clouds, by emulators that others wrote: Azurite (npm) for Azure Blob Storage. Objects are read back by the
store's own protocol, without our code. (fake-gcs-server and gcp-storage-emulator speak the JSON API of Google alone, we the XML API.)"""

import base64
import hashlib
import hmac
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as xml
from email.utils import formatdate

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
            assert refused.returncode == 1 and b"create " in refused.stdout, refused
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
