"""gunicorn's event-loop worker with what it lacks: limits on connections and slow headers, and a fair distribution.

gunicorn and asyncio offer no settings for these, so this module overrides or calls the parts of them in `PRIVATE`. A
test fails if one of them is gone, or if the versions differ from those in which they were read.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from gunicorn.asgi import protocol
from gunicorn.config import Backlog
from gunicorn.workers import gasgi

from service.headers import name_request, with_default_headers
from service.problems import MEDIA_TYPE, Problem

GUNICORN: Final = "27.0.1"  # the versions in which the parts below were read
PYTHON: Final = ("3.11", "3.12")
MAX_CONNECTIONS: Final = 1000  # per worker; each takes a file descriptor and some kilobytes
UNREAD_S: Final = 30.0  # how long a client may leave an answer unread that does not fit into the system's buffers
BUSY_SHARE: Final = 32  # connections that a busy worker accepts at a time
KIND_BY_STATUS: Final = {
    400: "bad_request",
    414: "address_too_long",
    431: "headers_too_large",
    500: "internal",
    501: "not_implemented",
    503: "too_many_connections",
}


@dataclass(frozen=True)
class Private:
    """A private part of a library: the object that has it, its name, and what it is used for."""

    owner: object
    name: str
    reason: str


PRIVATE: Final = (
    Private(protocol, "_CACHED_SERVER_HEADER", "emptied, because answers should not name the server"),
    Private(protocol.ASGIProtocol, "_arm_keepalive_timer", "called, to limit the time for the first headers"),
    Private(protocol.ASGIProtocol, "_close_transport", "called, to close a connection that is one too many"),
    Private(protocol.ASGIProtocol, "_safe_write", "called, to send a problem before there is a request"),
    Private(protocol.ASGIProtocol, "_send_error_response", "overridden, so that errors of the parser are problems"),
    Private(protocol.ASGIProtocol, "_serve_http_request", "overridden, to save a task per request"),
    Private(protocol.ASGIProtocol, "_handle_http_request", "called by the override of _serve_http_request"),
    Private(gasgi.ASGIWorker, "_setup_event_loop", "overridden, to use FairLoop"),
    Private(asyncio.SelectorEventLoop, "_accept_connection", "overridden, to accept few connections at a time"),
)


class Protocol(protocol.ASGIProtocol):
    """A connection that is rejected if there are too many, and closed if its client sends or reads too slowly."""

    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Accept or reject a connection."""
        super().connection_made(transport)
        if self.worker.nr_conns > MAX_CONNECTIONS:
            self._send_error_response(503, f"More than {MAX_CONNECTIONS} connections are open.", [("Retry-After", "1")])
            self._close_transport()
        else:
            # gunicorn cancels this timer when the headers are complete, and arms it again before later requests.
            self._arm_keepalive_timer()

    def pause_writing(self) -> None:
        """Limit the time until the client reads."""
        super().pause_writing()
        self._unread = self.worker.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel the time limit: the client has read."""
        super().resume_writing()
        if self._unread:
            self._unread.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the time limit."""
        super().connection_lost(exc)
        if self._unread:
            self._unread.cancel()

    def _send_error_response(self, status: int, message: str, extra_headers: Any = ()) -> None:
        """Answer invalid HTTP with a problem; gunicorn calls this when it could not parse a request."""
        problem = Problem(KIND_BY_STATUS.get(status, "bad_request"), message)
        fields = [*((name.encode(), value.encode()) for name, value in extra_headers), (b"connection", b"close")]
        body, request_id = problem.encoded(), name_request("")
        framed = [*fields, (b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        head = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}".encode()]
        head += [name + b": " + value for name, value in with_default_headers(framed, request_id)]
        self._safe_write(b"\r\n".join([*head, b"", body]))
        self.app.count("", problem.status)

    async def _serve_http_request(self, request: Any, sockname: Any, peername: Any) -> bool:
        """Answer a request in the task of its connection.

        gunicorn creates another task per request for applications that go on after their answer. Ours does not, and
        the task would add about a tenth to the CPU time of an answer.
        """
        keep_alive: bool = await self._handle_http_request(request, sockname, peername)
        return keep_alive


class FairLoop(asyncio.SelectorEventLoop):
    """An event loop that accepts few connections at a time, so that the workers share those that arrive together.

    `busy` says whether requests are waiting in this worker. If not, the loop accepts one connection per turn; a turn is
    short then. A busy loop turns more slowly, and would leave connections waiting.
    """

    busy: Callable[[], bool] = staticmethod(lambda: False)

    def _accept_connection(
        self, factory: Any, sock: Any, context: Any = None, server: Any = None, backlog: int = 1, *timeouts: Any
    ) -> None:
        """Accept some connections where asyncio would accept up to `backlog`."""
        count = min(backlog, BUSY_SHARE if self.busy() else 1)
        super()._accept_connection(factory, sock, context, server, count, *timeouts)  # type: ignore[misc]

    async def create_server(self, *arguments: Any, **options: Any) -> Any:
        """Keep the backlog that gunicorn gave the socket, which asyncio would reduce to 100."""
        return await super().create_server(*arguments, **{"backlog": Backlog.default, **options})


class Worker(gasgi.ASGIWorker):
    """gunicorn's worker with our protocol and event loop, and without the header Server in its answers."""

    def _setup_event_loop(self) -> None:
        self.loop = FairLoop()
        asyncio.set_event_loop(self.loop)

    def init_process(self) -> None:
        """Replace gunicorn's protocol, for which there is no setting."""
        gasgi.ASGIProtocol = Protocol
        protocol._CACHED_SERVER_HEADER = b""
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application and let the event loop ask it whether it is busy."""
        super().load_wsgi()
        self.loop.busy = self.asgi.busy
