"""Real Lambda handlers behind a small runtime interface server: it takes calls at Lambda's invoke endpoint and hands them
to processes that run an unmodified handler file over Lambda's runtime API."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import oracle
import service
from service import Skipped

HERE = Path(__file__).parent / "function"
ARN = f"arn:aws:lambda:{service.REGION}:000000000000:function:handler"
INVOKE = "/2015-03-31/functions/function/invocations"
RUNTIME = "/2018-06-01/runtime/invocation/"
TIMEOUT = 60


class Runtime:
    """One function: an endpoint, and processes that run its handler, each one call at a time."""

    def __init__(self, command, processes=2):
        self.waiting, self.answers, self.invocations = queue.Queue(), {}, 0
        self.slow = 0
        runtime = self

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                assert self.path == RUNTIME + "next", self.path
                request, event = runtime.waiting.get()
                deadline = int((time.time() + TIMEOUT) * 1000)
                self.answer(200, event, {
                    "Lambda-Runtime-Aws-Request-Id": request, "Lambda-Runtime-Deadline-Ms": str(deadline),
                    "Lambda-Runtime-Invoked-Function-Arn": ARN,
                })

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == INVOKE:
                    self.invoke(body)
                    return
                request, what = self.path.removeprefix(RUNTIME).split("/")
                runtime.answers[request].put((what, body))
                self.answer(202, b'{"status":"OK"}')

            def invoke(self, event):
                request, runtime.invocations = str(uuid.uuid4()), runtime.invocations + 1
                runtime.answers[request] = queue.Queue()
                time.sleep(runtime.slow)
                runtime.waiting.put((request, event))
                what, body = runtime.answers[request].get(timeout=TIMEOUT)
                del runtime.answers[request]
                self.answer(200, body, {"X-Amz-Function-Error": "Unhandled"} if what == "error" else {})

            def answer(self, status, body, headers=None):
                try:
                    self.send_response(status)
                    for name, value in (headers or {}).items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # Who called was killed.

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{self.server.server_address[1]}"
        self.url = f"http://{host}{INVOKE}"
        environment = os.environ | {"AWS_LAMBDA_RUNTIME_API": host}
        self.processes = [
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(processes)
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()
        self.server.shutdown()


def works(place, command):
    """The handler's records are delivered once, over kills; what it refuses or explodes at is in the error output."""
    ledger, count = oracle.Ledger(), 3_000
    with Runtime(command) as runtime:
        stream = service.stream("logs", service.local_destination(place.lake), size="64 KiB", plugins=["handler"])
        top = f'[plugin.handler]\nurl = "{runtime.url}"\nretries = 1\n'
        standpipe = service.Service(place.folder, [stream], top)
        with standpipe:
            client = standpipe.client()
            runtime.slow = 0.2
            for call in range(count // 100):
                assert oracle.put(client, "logs", "p", range(call * 100, call * 100 + 100), ledger), ledger.last_error
                if call % 10 == 5:
                    calls = runtime.invocations
                    while runtime.invocations == calls:
                        time.sleep(0.01)
                    standpipe.kill()
                    standpipe.start()
                    client = standpipe.client()
            runtime.slow = 0
            standpipe.drained("logs")
            bad = json.dumps({"explode": True, "n": 1}).encode()
            client.put_record(DeliveryStreamName="logs", Record={"Data": bad})
            counted = standpipe.drained("logs")["logs"]
            assert (counted["delivered"], counted["failed"], counted["dropped"]) == (
                count * 8 // 10, count // 10 + 1, count // 10), counted
            assert counted["functions"][0]["failed_calls"] == 2, counted
            assert not list((standpipe.data_dir / "staged").iterdir())
    rows = [json.loads(line) for _, data in place.local_objects() for line in data.splitlines()]
    numbers = sorted(row["n"] for row in rows)
    assert numbers == [n for n in range(count) if n % 10 not in (3, 7)], f"{len(numbers)} rows"
    failed = [json.loads(line) for file in (place.lake / "errors").rglob("*") if file.is_file() for line in file.open()]
    assert {line["lambdaARN"] for line in failed} == {ARN}, failed[0]
    codes = [line["errorCode"] for line in failed]
    assert codes.count("Lambda.ProcessingFailedStatus") == count // 10, len(codes)
    assert codes.count("Lambda.FunctionError") == 1 and len(codes) == count // 10 + 1, codes[-3:]
    return {"invocations": runtime.invocations, "rows": len(rows)}


def python_handler(place):
    """A Lambda handler in Python, unmodified, as a function over HTTP: once, also when killed while it is called."""
    return works(place, [sys.executable, HERE / "bootstrap.py", HERE / "handler.py", "lambda_handler"])


def node_handler(place):
    """A Lambda handler in JavaScript, unmodified, the same."""
    version = subprocess.run(["node", "--version"], capture_output=True).stdout.decode()
    if int(version.strip("v\n").split(".")[0]) < 18:
        raise Skipped(f"node {version} has no fetch")
    return works(place, ["node", HERE / "bootstrap.js", HERE / "handler.js", "handler"])


CHECKS = [python_handler, node_handler]
