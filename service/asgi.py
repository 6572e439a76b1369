"""The service as gunicorn's event loop runs it.

Every request that HTTP allows passes here: it gets an id, is admitted or not, is received whole within limits of bytes
and of time, waits for a place, is answered and counted. A raw picture, or one fetched by its address, is answered
here, in about two thirds of the processor time that it takes through Flask; everything else by the Flask application,
in threads that hold whole requests and whole answers, so that no slow client can keep one.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import orjson
from flask import Flask

from model.classifier import Classifier
from model.prediction import Prediction
from service import bridge
from service.access import GUARDED, Access
from service.answers import Options, answer, decode, open_picture
from service.fetch import Fetcher
from service.gate import MAX_FETCHES, Gate
from service.headers import KEY, REQUEST_ID, Fields, dressed, name_request, preflight, shared
from service.inference import InferenceQueue, WarmClassifier
from service.logs import log_request
from service.metrics import Metrics
from service.payloads import BATCH_TOO_LARGE, JSON, MAX_BATCH_BYTES, MAX_BODY_BYTES, RAW_TYPES, address_in
from service.problems import BUG, MEDIA_TYPE, TOO_LARGE, Problem
from service.readiness import Readiness
from service.settings import Settings
from service.stages import HEADER, Stages

BATCH: Final = f"{GUARDED}/batch"
DATA: Final = "/data"  # and what lies below
BODY_S: Final = 30.0  # for all of a body; then 408
MAX_OTHER_BYTES: Final = 64 * 1024  # of a body where none is needed
MAX_DISCARDED: Final = 256 * 1024**2  # up to here a body that is too large is read, so that its client hears why
# Larger pictures are opened and decoded in threads of their own, so that they do not delay the small ones.
SMALL_PIXELS: Final = 100_000
SMALL_BYTES: Final = 64 * 1024

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger(__name__)
_REQUEST_ID: Final = REQUEST_ID.lower().encode()
_KEY: Final = KEY.lower().encode()
_JSON_TYPE: Final = JSON.encode()
_RAW_TYPES: Final = {name.encode() for name in RAW_TYPES}
_JSON: Final = (b"content-type", _JSON_TYPE)


class DisconnectedError(Exception):
    """The client went away before its request was complete."""


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int
    fields: Fields
    body: bytes

    @classmethod
    def of(cls, problem: Problem) -> "Reply":
        """Return a problem as it is sent."""
        fields = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
        return cls(problem.status, [(b"content-type", MEDIA_TYPE.encode()), *fields], problem.encoded())


class Service:
    """An ASGI application around the Flask application.

    Args:
        app: as of `service.app.create_app`.
        settings: of the service.
        metrics: what counts.
        fetcher: fetches pictures by their addresses; if None, as the settings say.
    """

    def __init__(self, app: Flask, settings: Settings, metrics: Metrics, fetcher: Fetcher | None = None) -> None:
        self._app, self._fetcher = app, fetcher or (Fetcher() if settings.allow_urls else None)
        self._readiness: Readiness = app.extensions["readiness"]
        self._metrics, self._log_requests, self._origins = metrics, settings.log_requests, settings.origins
        self._access = Access(settings.keys, settings.rate_limit, settings.rate_limit_storage)
        self._gate = Gate(settings.queue, metrics)
        self._inference = InferenceQueue(settings.inference_pool)
        self._decoders = ThreadPoolExecutor(settings.threads, "decode")
        self._predictions = ThreadPoolExecutor(settings.threads, "predict")
        self._fetches = ThreadPoolExecutor(MAX_FETCHES, "fetch")
        self._others = ThreadPoolExecutor(1, "other")  # so that a probe does not wait for batches
        self._inventories = ThreadPoolExecutor(1, "data")  # nor for the tables of a data set, which take a second

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = name_request(headers.get(_REQUEST_ID, b"").decode("latin-1"))
        try:
            reply = await self._answer(scope, headers, request_id, receive)
        except Problem as problem:
            reply = Reply.of(problem)
        except DisconnectedError:
            return
        except Exception:  # noqa: BLE001 — whatever it is, the client gets an answer and the log the reason
            _log.exception("unexpected error", extra={"request_id": request_id})
            reply = Reply.of(Problem("internal", BUG))
        self.count(scope["path"], reply.status)  # before the client can see the answer
        fields = [*reply.fields, (b"content-length", str(len(reply.body)).encode())]
        if self._origins:
            fields += shared(headers.get(b"origin", b"").decode("latin-1"), self._origins)
        await send({"type": "http.response.start", "status": reply.status, "headers": dressed(fields, request_id)})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else reply.body})
        if self._log_requests or reply.status == 500:
            path = scope["raw_path"].decode("latin-1")
            log_request(request_id, scope["method"], path, reply.status, time.perf_counter() - began)

    def count(self, path: str, status: int) -> None:
        """Count an answer."""
        self._metrics.count_request(path, status)

    def busy(self) -> bool:
        """Say whether requests wait here."""
        return self._gate.waiting > 0

    async def _answer(self, scope: Message, headers: dict[bytes, bytes], request_id: str, receive: Receive) -> Reply:
        if b"host" not in headers and scope["http_version"] == "1.1":
            raise Problem("bad_request", "A request of HTTP/1.1 needs the header Host (RFC 9112, 3.2).")
        path, method = scope["path"], scope["method"]
        if not path.startswith("/"):  # a whole URL, as requests to proxies have
            path = urlsplit(path).path or "/"
            scope = {**scope, "path": path}
        if path.startswith("//"):  # which Flask would take for one slash
            raise Problem("not_found", "No address here begins with two slashes.")
        if self._origins and method == "OPTIONS" and b"access-control-request-method" in headers:
            return Reply(204, preflight(), b"")
        address = (scope.get("client") or ("",))[0]
        await self._access.check(path, headers.get(_KEY, b"").decode("latin-1"), address)
        body = await self._receive(path, headers, receive)
        try:
            if not path.startswith(GUARDED):
                of_data = path == DATA or path.startswith(f"{DATA}/")
                threads = self._inventories if of_data else self._others
                return await self._flask(threads, scope, body, request_id)
            kind = b""
            if path == GUARDED and method == "POST":
                kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            raw = kind in _RAW_TYPES
            if self._fetcher and kind == _JSON_TYPE and (url := address_in(body)) is not None:
                fetched = await self._fetch(self._fetcher, url, scope["query_string"])
                self._gate.hold(len(fetched), len(fetched))
                self._gate.release(len(body))
                body, raw = fetched, True
            with self._gate.place():
                if raw:
                    return await self._predict(scope["query_string"], body)
                return await self._flask(self._predictions, scope, body, request_id)
        finally:
            self._gate.release(len(body))

    async def _predict(self, query: bytes, payload: bytes) -> Reply:
        """Answer a raw picture as the Flask route does."""
        warm = await self._warm_classifier()
        classifier, stages = warm.classifier, Stages()
        options = _options(query, classifier)
        picture = open_picture(payload) if len(payload) <= SMALL_BYTES else None
        if picture and picture.height * picture.width <= SMALL_PIXELS:
            small = picture

            def job() -> tuple[dict[str, Any], Prediction]:
                return answer(classifier, decode(small, classifier.card, options.box, stages), options, stages)
        else:
            pixels = await asyncio.get_running_loop().run_in_executor(
                self._decoders, lambda: decode(open_picture(payload), classifier.card, options.box, stages)
            )

            def job() -> tuple[dict[str, Any], Prediction]:
                return answer(classifier, pixels, options, stages)

        body, prediction = await self._inference.run(job, slow=warm.is_slow)
        self._metrics.count_answer(prediction, stages)
        return Reply(200, [_JSON, (HEADER.lower().encode(), stages.header().encode())], orjson.dumps(body))

    async def _warm_classifier(self) -> WarmClassifier:
        """Return the classifier in use; the first one is loaded in a thread.

        Raises:
            Problem: `not_ready`.
        """
        if warm := self._readiness.in_use():
            return warm
        return await asyncio.get_running_loop().run_in_executor(self._decoders, self._readiness.warm_classifier)

    async def _fetch(self, fetcher: Fetcher, url: str, query: bytes) -> bytes:
        """Return the picture at an address; hosts that are slow keep nobody else waiting.

        Raises:
            Problem: it is not fetched, or cannot be.
        """
        _options(query, (await self._warm_classifier()).classifier)  # nothing is fetched for an invalid request
        with self._gate.fetching():
            return await asyncio.get_running_loop().run_in_executor(self._fetches, fetcher.fetch, url)

    async def _flask(self, threads: ThreadPoolExecutor, scope: Message, body: bytes, request_id: str) -> Reply:
        kept = [(name, value) for name, value in scope["headers"] if name != _REQUEST_ID]
        named = {**scope, "headers": [*kept, (_REQUEST_ID, request_id.encode())]}
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(threads, bridge.call, self._app, named, body)
        fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        return Reply(response.status_code, [each for each in fields if each[0] != b"content-length"], response.data)

    async def _receive(self, path: str, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """Return the whole body, which the gate holds until the caller releases it.

        Raises:
            Problem: it is too large, comes too slowly, or there is no memory for it.
            DisconnectedError: the client went away.
        """
        if b"content-length" not in headers and b"transfer-encoding" not in headers:
            return b""
        limit, reason = MAX_OTHER_BYTES, f"A body may have at most {MAX_OTHER_BYTES:,} bytes here."
        if path.startswith(GUARDED):
            limit, reason = (MAX_BATCH_BYTES, BATCH_TOO_LARGE) if path == BATCH else (MAX_BODY_BYTES, TOO_LARGE)
        declared = int(headers.get(b"content-length", b"0"))
        # Who asks whether to send is told no; who sends anyway is listened to, up to a bound, to hear it.
        if declared > MAX_DISCARDED or (declared > limit and b"expect" in headers):
            raise Problem("too_large", reason)
        chunks: list[bytes] = []
        count = held = 0
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
                        self._gate.hold(len(chunk), count)
                        held += len(chunk)
                        chunks.append(chunk)
            if count > limit:
                raise Problem("too_large", reason)
        except BaseException as error:
            self._gate.release(held)
            if isinstance(error, TimeoutError):
                raise Problem("timeout", f"The body did not come within {BODY_S:g} s.") from None
            raise
        return b"".join(chunks)


def _options(query: bytes, classifier: Classifier) -> Options:
    """Read what a query chooses; the first of several values counts, as with Flask."""
    pairs = dict(reversed(parse_qsl(query.decode("latin-1"), keep_blank_values=True))) if query else {}
    return Options.of(pairs, classifier.card)
