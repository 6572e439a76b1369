"""gunicorn's event-loop worker with what it lacks: limits on connections and slow headers, and fair shares."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from gunicorn.asgi import protocol
from gunicorn.config import Backlog
from gunicorn.workers import gasgi

from service.headers import dressed, name_request
from service.problems import MEDIA_TYPE, Problem

MAX_CONNECTIONS: Final = 1000  # of one worker; each takes a file descriptor and some kilobytes
UNREAD_S: Final = 30.0  # how long a client may leave an answer unread that does not fit into the system's buffers
BUSY_SHARE: Final = 32  # connections that a busy worker takes at a time
KINDS: Final = {
    400: "bad_request",
    414: "address_too_long",
    431: "headers_too_large",
    500: "internal",
    501: "not_implemented",
    503: "too_many_connections",
}


class Protocol(protocol.ASGIProtocol):
    """A connection that is refused if there are too many, and closed if its client sends or reads too slowly."""

    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take a connection."""
        super().connection_made(transport)
        if self.worker.nr_conns > MAX_CONNECTIONS:
            self._send_error_response(503, f"More than {MAX_CONNECTIONS} connections are open.", [("Retry-After", "1")])
            self._close_transport()
        else:
            # gunicorn cancels this timer when the headers are complete, and sets it anew for the requests that follow.
            self._arm_keepalive_timer()

    def pause_writing(self) -> None:
        """Give the client some time to read."""
        super().pause_writing()
        self._unread = self.worker.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that it has read."""
        super().resume_writing()
        if self._unread:
            self._unread.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget about it."""
        super().connection_lost(exc)
        if self._unread:
            self._unread.cancel()

    def _send_error_response(self, status: int, message: str, extra_headers: Any = ()) -> None:
        """Refuse what is no proper HTTP, as a problem; gunicorn calls this before there is a request."""
        problem = Problem(KINDS.get(status, "bad_request"), message)
        fields = [*((name.encode(), value.encode()) for name, value in extra_headers), (b"connection", b"close")]
        body, request_id = problem.encoded(), name_request("")
        framed = [*fields, (b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        head = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}".encode()]
        head += [name + b": " + value for name, value in dressed(framed, request_id)]
        self._safe_write(b"\r\n".join([*head, b"", body]))
        self.app.count("", problem.status)

    async def _serve_http_request(self, request: Any, sockname: Any, peername: Any) -> bool:
        """Answer a request in the connection's own task.

        gunicorn makes one for each request, for applications that go on after their answer; ours does not, and the
        task would take about a tenth of an answer's time.
        """
        keep_alive: bool = await self._handle_http_request(request, sockname, peername)
        return keep_alive


class FairLoop(asyncio.SelectorEventLoop):
    """An event loop that takes few connections at a time, so that those that come together are shared by the workers.

    `busy` says whether requests wait here. If none do, one connection is taken in each turn of the loop, which is short
    then; a busy loop turns slowly, and would keep connections waiting.
    """

    busy: Callable[[], bool] = staticmethod(lambda: False)

    def _accept_connection(
        self, factory: Any, sock: Any, context: Any = None, server: Any = None, backlog: int = 1, *timeouts: Any
    ) -> None:
        """Take some where asyncio would take as many as wait; `backlog` is how many that may be."""
        count = min(backlog, BUSY_SHARE if self.busy() else 1)
        super()._accept_connection(factory, sock, context, server, count, *timeouts)  # type: ignore[misc]

    async def create_server(self, *arguments: Any, **options: Any) -> Any:
        """Listen with as long a queue as gunicorn gave the socket, where asyncio would cut it to 100."""
        return await super().create_server(*arguments, **{"backlog": Backlog.default, **options})


class Worker(gasgi.ASGIWorker):
    """gunicorn's worker with our connections and our event loop, and without a banner in its answers."""

    def _setup_event_loop(self) -> None:
        self.loop = FairLoop()
        asyncio.set_event_loop(self.loop)

    def init_process(self) -> None:
        """Put our connections in the place of gunicorn's, which offers no setting for that."""
        gasgi.ASGIProtocol = Protocol
        protocol._CACHED_SERVER_HEADER = b""
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application, and let the loop ask it whether it is busy."""
        super().load_wsgi()
        self.loop.busy = self.asgi.busy
