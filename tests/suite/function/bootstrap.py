"""Runs a handler over Lambda's runtime API: bootstrap.py FILE FUNCTION, with AWS_LAMBDA_RUNTIME_API in the environment."""

import importlib.util
import json
import os
import sys
import time
import urllib.request

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime"


class Context:
    def __init__(self, headers):
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.deadline_ms = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self):
        return max(0, self.deadline_ms - int(time.time() * 1000))


def post(path, body):
    urllib.request.urlopen(urllib.request.Request(f"{API}/{path}", json.dumps(body).encode(), method="POST")).close()


spec = importlib.util.spec_from_file_location("handler", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
handler = getattr(module, sys.argv[2])
while True:
    with urllib.request.urlopen(f"{API}/invocation/next") as next_one:
        context, event = Context(next_one.headers), json.load(next_one)
    invocation = f"invocation/{context.aws_request_id}"
    try:
        answer = handler(event, context)
    except Exception as error:  # noqa: BLE001  (Lambda says of any what it was)
        post(f"{invocation}/error", {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []})
    else:
        post(f"{invocation}/response", answer)
