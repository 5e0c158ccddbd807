"""A proxy before the S3 server that does to writes what networks and stores do to them.

late        the answer comes after 0.5 to 2 s
twice       the request reaches the store twice; the second answer is given
500 503 409 that answer, and nothing stored
412-stored  stored, and answered with 412, as when an earlier attempt of the same request had got through
500-stored  stored, and answered with 500
cut-stored  stored, and the connection is cut without an answer
half        half of the body reaches the store, then both connections are cut
"""

import http.client
import random
import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = ("late", "twice", "500", "503", "409", "412-stored", "500-stored", "cut-stored", "half")
CODES = {
    "500": "InternalError", "503": "SlowDown", "409": "ConditionalRequestConflict", "412": "PreconditionFailed",
}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A client that went away is daily bread here."""


class Proxy:
    """Forwards to `target`; a write suffers a fault with probability `share`. The Host header goes on as it came, so
    that signatures stay right."""

    def __init__(self, target, share=0.5, seed=1):
        self.target = urlsplit(target).netloc
        self.share = share
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.done = Counter()
        self.server = Server(("127.0.0.1", 0), self._handler())
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def choose(self, method):
        """What happens to a request, and how late it is if it is late."""
        with self.lock:
            fault = "none"
            if method in ("PUT", "POST") and self.random.random() < self.share:
                fault = self.random.choice(FAULTS)
            self.done[fault] += 1
            return fault, self.random.uniform(0.5, 2)

    def forward(self, method, path, headers, body, cut_at=None):
        """The store's answer: status, headers, body. With `cut_at` only so many bytes of the body are sent: no answer."""
        connection = http.client.HTTPConnection(self.target, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders(body if cut_at is None else body[:cut_at])
            if cut_at is not None:
                return None
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _handler(proxy):  # noqa: N805  (`self` is the handler's, below)
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                body = self.read_body()
                # The body has been asked for already: the store need not ask again.
                headers = [(name, value) for name, value in self.headers.items() if name.lower() != "expect"]
                request = (self.command, self.path, headers, body)
                fault, delay = proxy.choose(self.command)
                if fault in ("500", "503", "409"):
                    return self.refuse(fault)
                if fault == "half":
                    proxy.forward(*request, cut_at=len(body) // 2)
                    return self.cut()
                answer = proxy.forward(*request)
                if fault == "twice":
                    answer = proxy.forward(*request)
                elif fault == "late":
                    time.sleep(delay)
                stored = answer[0] < 300
                if fault.endswith("-stored") and stored:
                    return self.cut() if fault == "cut-stored" else self.refuse(fault[:3])
                self.answer(*answer)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve

            def read_body(self):
                if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
                    raise AssertionError("a chunked body: its length cannot be signed")
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def refuse(self, status):
                code = CODES[status]
                text = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>by the fault proxy</Message></Error>'
                self.answer(int(status), [("Content-Type", "application/xml")], text.encode())

            def answer(self, status, headers, body):
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                length = next((v for n, v in headers if n.lower() == "content-length"), str(len(body)))
                self.send_header("Content-Length", length if self.command == "HEAD" else str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def cut(self):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            def log_message(self, *_):
                pass

        return Handler


def self_test(store):
    """Every fault does what it says, against a real store."""
    from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError

    bucket = store.bucket("fault-test")
    direct = store.client()
    for fault in FAULTS:
        proxy = Proxy(store.endpoint, share=1)
        proxy.choose = lambda method, fault=fault: (fault if method == "PUT" else "none", 0.1)
        client = store.client(proxy.endpoint)
        client.meta.config.retries["total_max_attempts"] = 1
        client.meta.events.register("needs-retry.*", lambda **_: None)
        outcome = "200"
        try:
            client.put_object(Bucket=bucket, Key=fault, Body=b"x" * 100_000)
        except ClientError as error:
            outcome = str(error.response["ResponseMetadata"]["HTTPStatusCode"])
        except (ConnectionClosedError, HTTPClientError):
            outcome = "cut"
        listed = direct.list_objects_v2(Bucket=bucket, Prefix=fault)
        stored = any(entry["Key"] == fault for entry in listed.get("Contents", []))
        proxy.stop()
        expected = {
            "late": ("200", True), "twice": ("200", True), "500": ("500", False), "503": ("503", False),
            "409": ("409", False), "412-stored": ("412", True), "500-stored": ("500", True),
            "cut-stored": ("cut", True), "half": ("cut", False),
        }[fault]
        assert (outcome, stored) == expected, f"{fault}: {(outcome, stored)}, expected {expected}"
