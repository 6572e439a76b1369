"""The service as gunicorn's event loop runs it.

Every valid HTTP request goes through the same steps (`Service._serve`): it gets an ID, access is checked, the whole
body is received within limits of size and time, it takes one of a limited number of slots, it is answered and counted.
Raw pictures, and pictures that a request names by URL, are answered here, in about two thirds of the CPU time that
Flask needs. The Flask application answers everything else in threads, which receive whole requests and return whole
answers, so that no slow client can occupy a thread.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import orjson
from flask import Flask
from werkzeug.datastructures import MultiDict

from data.images import Picture
from model.artifact import Card
from service import bridge
from service.access import Access
from service.answers import Options, open_picture
from service.catalogue import Served
from service.components import components
from service.fetch import Fetcher
from service.gate import MAX_FETCHES, Gate, Held
from service.headers import KEY, REQUEST_ID, Fields, cors_headers, name_request, preflight, with_default_headers
from service.inference import WarmRecogniser
from service.inquiry import Body, Inquiry
from service.logs import log_request
from service.paths import is_guarded, routes_of
from service.payloads import BATCH_TOO_LARGE, JSON, MAX_BATCH_BYTES, MAX_BODY_BYTES, RAW_TYPES, url_in
from service.problems import BUG, MEDIA_TYPE, TOO_LARGE, Problem
from service.stages import HEADER

DOCS: Final = "/docs/"  # whose pages have addresses relative to it
DATA: Final = "/data"  # and the paths below it
TASKS: Final = "/tasks"
BATCH: Final = "/batch"  # the end of paths
BODY_S: Final = 30.0  # to receive a whole body
MAX_OTHER_BYTES: Final = 64 * 1024  # of a body on routes that need none
MAX_DISCARDED: Final = 256 * 1024**2  # bodies that are too large are read up to here, so that the client sees the error
# Larger pictures are decoded in threads of their own, so that they do not delay small ones.
INLINE_PIXELS: Final = 100_000
INLINE_BYTES: Final = 64 * 1024

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger(__name__)
_REQUEST_ID: Final = REQUEST_ID.lower().encode()
_KEY: Final = KEY.lower().encode()
_JSON_TYPE: Final = JSON.encode()
_RAW_TYPES: Final = {name.encode() for name in RAW_TYPES}
_JSON: Final = (b"content-type", _JSON_TYPE)
_TIMING: Final = HEADER.lower().encode()
_PREFLIGHT: Final = b"access-control-request-method"


class DisconnectedError(Exception):
    """The client closed the connection before its request was complete."""


class Request(NamedTuple):
    """A request without its body: the scope of ASGI, the headers, its ID, method and path."""

    scope: Message
    headers: dict[bytes, bytes]
    id: str
    method: str
    path: str

    @classmethod
    def of(cls, scope: Message) -> "Request":
        """Read the scope of a request, which may have a whole URL as its path, as requests to proxies do."""
        headers, path = dict(scope["headers"]), scope["path"]
        if not path.startswith("/"):
            with suppress(ValueError):  # `_check_form` rejects what is not a URL
                path = urlsplit(path).path or "/"
                scope = {**scope, "path": path}
        if path.endswith("/") and len(path) > 1 and not path.endswith("//") and not path.startswith(DOCS):
            path = path[:-1]
            scope = {**scope, "path": path}
        request_id = name_request(headers.get(_REQUEST_ID, b"").decode("latin-1"))
        return cls(scope, headers, request_id, scope["method"], path)

    def header(self, name: bytes) -> str:
        """Return a header, or an empty string."""
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def is_guarded(self) -> bool:
        """Whether it needs a key and a slot."""
        return is_guarded(self.path)

    @property
    def content_type(self) -> bytes:
        """The content type without its parameters, or nothing."""
        return self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int
    fields: Fields
    body: bytes

    @classmethod
    def of(cls, problem: Problem) -> "Reply":
        """Return a problem as an answer."""
        fields = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
        return cls(problem.status, [(b"content-type", MEDIA_TYPE.encode()), *fields], problem.encoded())


class Target(NamedTuple):
    """What a path asks about one picture: of which task, and whether every object in it is wanted."""

    served: Served
    every: bool


class Service:
    """An ASGI application around the Flask application.

    Args:
        app: made by `service.app.create_app`.
        fetcher: fetches pictures by URL; by default according to the settings.
    """

    def __init__(self, app: Flask, fetcher: Fetcher | None = None) -> None:
        parts = components(app)
        settings = parts.settings
        self._app, self._fetcher = app, fetcher or (Fetcher() if settings.allow_urls else None)
        self._metrics, self._log_requests, self._origins = parts.metrics, settings.log_requests, settings.origins
        self._targets = {
            path: Target(parts.catalogue[route.task], route.action == "detect")
            for path, route in routes_of(list(parts.catalogue)).items()
            if route.action in ("predict", "detect")
        }
        self._access = Access(settings.keys, settings.rate_limit, settings.rate_limit_storage)
        self._gate = Gate(settings.queue, parts.metrics)
        self._inference = parts.inference
        self._decoders = ThreadPoolExecutor(settings.threads, "decode")
        self._predictions = ThreadPoolExecutor(settings.threads, "predict")
        self._fetches = ThreadPoolExecutor(MAX_FETCHES, "fetch")
        self._others = ThreadPoolExecutor(1, "other")  # so that health checks do not wait for batches
        self._inventories = ThreadPoolExecutor(1, "data")  # nor for the tables of a data set, which take a second

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        began = time.perf_counter()
        request = Request.of(scope)
        try:
            reply = await self._serve(request, receive)
        except Problem as problem:
            reply = Reply.of(problem)
        except DisconnectedError:
            return
        except Exception:  # noqa: BLE001 — whatever it is, the client gets an answer and the log the reason
            _log.exception("unexpected error", extra={"request_id": request.id})
            reply = Reply.of(Problem("internal", BUG))
        self.count(request.path, reply.status)  # before the client can see the answer
        await self._send(request, reply, send)
        if self._log_requests or reply.status == 500:
            path = scope["raw_path"].decode("latin-1")
            log_request(request.id, request.method, path, reply.status, time.perf_counter() - began)

    def count(self, path: str, status: int) -> None:
        """Count an answer."""
        self._metrics.count_request(path, status)

    def busy(self) -> bool:
        """Say whether requests are waiting."""
        return self._gate.waiting > 0

    async def _serve(self, request: Request, receive: Receive) -> Reply:
        """Take a request through the steps that the module's docstring lists.

        Raises:
            Problem: one of the steps rejects it.
            DisconnectedError: the client closed the connection.
        """
        _check_form(request)
        if self._is_preflight(request):
            return Reply(204, preflight(), b"")
        await self._check_access(request)
        with self._gate.body() as held:
            body = await self._receive(request, receive, held)
            _check_coding(request)
            if not request.is_guarded:
                return await self._ask_flask(self._threads_for(request.path), request, body)
            target = self._targets.get(request.path)
            picture = target and await self._find_picture(target, request, body, held)
            with self._gate.slot():
                if target is None or picture is None:
                    return await self._ask_flask(self._predictions, request, body)
                return await self._predict(target, request, picture)

    def _is_preflight(self, request: Request) -> bool:
        """Say whether a browser asks what a page of another origin may do."""
        return bool(self._origins) and request.method == "OPTIONS" and _PREFLIGHT in request.headers

    async def _check_access(self, request: Request) -> None:
        """Check the key and the rate limit.

        Raises:
            Problem: no valid key, or too many requests.
        """
        client = (request.scope.get("client") or ("",))[0]
        await self._access.check(request.path, request.header(_KEY), client)

    async def _receive(self, request: Request, receive: Receive, held: Held) -> bytes:
        """Receive the whole body.

        Raises:
            Problem: it is too large, takes too long, or there is no memory for it.
            DisconnectedError: the client closed the connection.
        """
        headers = request.headers
        if b"content-length" not in headers and b"transfer-encoding" not in headers:
            return b""
        limit, reason = _body_limit(request.path)
        declared = int(headers.get(b"content-length", b"0"))
        # Reject `Expect: 100-continue` at once; otherwise drain up to a limit so that the client sees the error.
        if declared > MAX_DISCARDED or (declared > limit and b"expect" in headers):
            raise Problem("too_large", reason)
        chunks: list[bytes] = []
        count = 0
        try:
            async with asyncio.timeout(BODY_S):
                more = True
                while more and count <= MAX_DISCARDED:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise DisconnectedError
                    chunk, more = message["body"], message["more_body"]
                    count += len(chunk)
                    if count <= limit:
                        held.add(len(chunk), count)
                        chunks.append(chunk)
        except TimeoutError:
            raise Problem("timeout", f"The body was not received within {BODY_S:g} s.") from None
        if count > limit:
            raise Problem("too_large", reason)
        return b"".join(chunks)

    async def _find_picture(self, target: Target, request: Request, body: bytes, held: Held) -> bytes | None:
        """Return the picture if it was sent raw or can be fetched by its URL; None if Flask must find it.

        Raises:
            Problem: it is not fetched, or fetching it failed.
        """
        if request.method != "POST":
            return None
        kind = request.content_type
        if kind in _RAW_TYPES:
            return body
        if self._fetcher is None or kind != _JSON_TYPE or (url := url_in(body)) is None:
            return None
        fetched = await self._fetch(self._fetcher, url, target, request)
        held.add(len(fetched), len(fetched))
        return fetched

    async def _fetch(self, fetcher: Fetcher, url: str, target: Target, request: Request) -> bytes:
        """Return the picture at a URL; slow hosts do not block other requests.

        Raises:
            Problem: it is not fetched, or fetching it failed.
        """
        warm = await self._warm_recogniser(target.served)
        _inquiry(target, request, warm)  # nothing is fetched for an invalid request
        with self._gate.fetching():
            return await asyncio.get_running_loop().run_in_executor(self._fetches, fetcher.fetch, url)

    async def _predict(self, target: Target, request: Request, payload: bytes) -> Reply:
        """Answer a picture as the Flask route does.

        Raises:
            Problem: it cannot be read, a parameter is invalid, or there is no classifier.
        """
        warm = await self._warm_recogniser(target.served)
        inquiry = _inquiry(target, request, warm)
        body = await self._answer(inquiry, payload, warm)
        target.served.metrics.count_answer(inquiry.predictions, inquiry.stages)
        return Reply(200, [_JSON, (_TIMING, inquiry.stages.header().encode())], orjson.dumps(body))

    async def _answer(self, inquiry: Inquiry, payload: bytes, warm: WarmRecogniser) -> Body:
        """Run the steps of an inquiry, each where it does not delay shorter ones.

        Raises:
            Problem: the picture cannot be read, or the box is not inside it.
        """
        small = _open_small(payload)
        if small is not None and warm.recogniser.is_remote:
            await self._inference.run(lambda: inquiry.decode(small), slow=False)
            body = await inquiry.classify_async()
        elif small is not None:
            body = await self._inference.run(lambda: inquiry.look(small), slow=warm.is_slow)
        elif inquiry.may_search:
            # In one thread from decoding on: only as many decoded photos are held in memory as there are threads.
            body = await self._inference.search(lambda: inquiry.look(open_picture(payload)) or inquiry.search())
        else:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._decoders, lambda: inquiry.decode(open_picture(payload)))
            if warm.recogniser.is_remote:
                body = await inquiry.classify_async()
            else:
                body = await self._inference.run(inquiry.classify, slow=warm.is_slow)
        if body is None:
            body = await self._inference.search(inquiry.search)
        return body

    async def _warm_recogniser(self, served: Served) -> WarmRecogniser:
        """Return the recogniser of a task that is in use; the first one is loaded in a thread.

        Raises:
            Problem: there is none yet.
        """
        readiness = served.readiness
        if warm := readiness.in_use():
            return warm
        return await asyncio.get_running_loop().run_in_executor(self._decoders, readiness.warm_recogniser)

    def _threads_for(self, path: str) -> ThreadPoolExecutor:
        """Return the threads for a route that takes no slot."""
        if path == TASKS:  # which looks for data sets in the store; health checks should not wait for that either
            return self._decoders
        return self._inventories if path == DATA or path.startswith(f"{DATA}/") else self._others

    async def _ask_flask(self, threads: ThreadPoolExecutor, request: Request, body: bytes) -> Reply:
        """Let the Flask application answer in one of these threads."""
        kept = [(name, value) for name, value in request.scope["headers"] if name != _REQUEST_ID]
        # To HEAD, Flask gives no body and so no length; `_send` leaves the body out.
        method = "GET" if request.method == "HEAD" else request.method
        scope = {**request.scope, "method": method, "headers": [*kept, (_REQUEST_ID, request.id.encode())]}
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(threads, bridge.call, self._app, scope, body)
        fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        return Reply(response.status_code, [each for each in fields if each[0] != b"content-length"], response.data)

    async def _send(self, request: Request, reply: Reply, send: Send) -> None:
        fields = [*reply.fields, (b"content-length", str(len(reply.body)).encode())]
        if self._origins:
            fields += cors_headers(request.header(b"origin"), self._origins)
        await send(
            {"type": "http.response.start", "status": reply.status, "headers": with_default_headers(fields, request.id)}
        )
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else reply.body})


def _check_form(request: Request) -> None:
    """Check what HTTP and Flask require of the headers and the path.

    Raises:
        Problem: the header Host is missing, or the path is invalid.
    """
    if b"host" not in request.headers and request.scope["http_version"] == "1.1":
        raise Problem("bad_request", "HTTP/1.1 requests need the header Host (RFC 9112, section 3.2).")
    if "://" in request.path and not request.path.startswith("/"):
        raise Problem("bad_request", "The request target is not a valid URL.")
    if request.path.startswith("//"):  # Flask would treat them as one slash
        raise Problem("not_found", "No path here starts with two slashes.")


def _check_coding(request: Request) -> None:
    """Check that the body is not compressed.

    Raises:
        Problem: it is.
    """
    coding = request.header(b"content-encoding").strip().lower()
    if coding not in ("", "identity"):
        reason = f"The body has the content encoding {coding[:50]!r}; send it uncompressed."
        raise Problem("unsupported_type", reason, headers={"Accept-Encoding": "identity"})


def _body_limit(path: str) -> tuple[int, str]:
    """Return how many bytes a body may have, and the message for larger ones."""
    if not is_guarded(path):
        return MAX_OTHER_BYTES, f"The body of this request may have at most {MAX_OTHER_BYTES:,} bytes."
    return (MAX_BATCH_BYTES, BATCH_TOO_LARGE) if path.endswith(BATCH) else (MAX_BODY_BYTES, TOO_LARGE)


def _open_small(payload: bytes) -> Picture | None:
    """Open a picture if it is small enough to be decoded together with the inference, else return None.

    Raises:
        Problem: it is empty or cannot be read.
    """
    if len(payload) > INLINE_BYTES:
        return None
    picture = open_picture(payload)
    return picture if picture.height * picture.width <= INLINE_PIXELS else None


def _inquiry(target: Target, request: Request, warm: WarmRecogniser) -> Inquiry:
    """Return what a request asks about its picture.

    Raises:
        Problem: a parameter is invalid, or there is no detector that it needs.
    """
    return Inquiry(warm.recogniser, _options(request, warm.recogniser.card), every=target.every)


def _options(request: Request, card: Card) -> Options:
    """Read the options in the query; the first of several values counts, as in Flask.

    Raises:
        Problem: a value is invalid.
    """
    query = request.scope["query_string"].decode("latin-1")
    return Options.of(MultiDict(parse_qsl(query, keep_blank_values=True)) if query else {}, card)
