"""A local Runtime API of AWS Lambda: runs a function in the real runtime client, `awslambdaric`, and invokes it.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple

from tests.conftest import ROOT, START_TIMEOUT_S

VERSION: Final = "/2018-06-01/runtime"
HANDLER: Final = "service.aws_lambda.handler"
CONTENT: Final = "application/json"


class Report(NamedTuple):
    """What a function reports: `next`, `response`, `error` or `init/error`, the JSON of the body, and when."""

    kind: str
    body: Any
    at: float


class FunctionError(Exception):
    """A function failed; the message is what it reported."""


class RuntimeApi(ThreadingHTTPServer):
    """The API; it listens on a free port of the loopback interface."""

    daemon_threads = True  # one of them waits for the next event when the server stops

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.events: SimpleQueue[bytes | None] = SimpleQueue()
        self.reports: SimpleQueue[Report] = SimpleQueue()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_port}"


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RuntimeApi
    wbufsize = -1  # headers and body in one packet

    def do_GET(self) -> None:
        self._report("next", None)
        event = self.server.events.get()
        if event is None:  # the server stops
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": "invocation-1",
            "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 30_000),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:000000000000:function:signs",
        }
        self._answer(200, event, headers)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = "init/error" if self.path == f"{VERSION}/init/error" else self.path.rpartition("/")[2]
        self._answer(202, b"{}", {})
        self._report(kind, body)

    def _report(self, kind: str, body: Any) -> None:
        self.server.reports.put(Report(kind, body, time.perf_counter()))

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": CONTENT, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Function:
    """A running function.

    Attributes:
        process: of the runtime client.
        init_s: seconds from its start until it asked for the first event.
    """

    process: "subprocess.Popen[bytes]"
    init_s: float
    api: RuntimeApi

    def invoke(self, event: object) -> Any:
        """Return the result for an event.

        Raises:
            FunctionError: the function raised an exception.
        """
        self.api.events.put(json.dumps(event).encode())
        report = _await_report(self.api, self.process)
        if report.kind != "response":
            raise FunctionError(json.dumps(report.body))
        assert _await_report(self.api, self.process).kind == "next"
        return report.body


@contextmanager
def start_function(
    environment: Mapping[str, str], handler: str = HANDLER, cores: Sequence[int] = ()
) -> Iterator[Function]:
    """Run a function for the duration of the block.

    Args:
        environment: variables besides those of this process.
        handler: module and name.
        cores: processor cores that it may use; by default all.

    Raises:
        FunctionError: its initialisation failed.
    """
    limit = ["taskset", "--cpu-list", ",".join(map(str, cores))] if cores else []
    command = [*limit, sys.executable, "-m", "awslambdaric", handler]
    with RuntimeApi() as api:
        thread = threading.Thread(target=api.serve_forever)
        thread.start()
        variables = {**os.environ, "AWS_LAMBDA_RUNTIME_API": api.address, **environment}
        began = time.perf_counter()
        try:
            with subprocess.Popen(command, cwd=ROOT, env=variables) as process:
                try:
                    report = _await_report(api, process)
                    if report.kind != "next":
                        raise FunctionError(json.dumps(report.body))
                    yield Function(process, report.at - began, api)
                finally:
                    process.terminate()
        finally:
            api.events.put(None)
            api.shutdown()
            thread.join()


def _await_report(api: RuntimeApi, process: "subprocess.Popen[bytes]") -> Report:
    """Return the next report; it is an error if the process ends without one."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            return api.reports.get(timeout=0.2)
        except Empty:
            if process.poll() is not None and api.reports.empty():
                raise FunctionError(f"the process exited with status {process.returncode}") from None
    raise FunctionError("timed out")
