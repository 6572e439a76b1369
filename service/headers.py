"""What every answer carries besides its body: an id to find it by in the log, and what keeps browsers from harm."""

import os
import re
from collections.abc import Collection
from typing import Final

REQUEST_ID: Final = "X-Request-ID"
KEY: Final = "X-API-Key"
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_SAFE: Final = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"x-content-type-options": b"nosniff",
}
_PREFLIGHT: Final = {
    b"access-control-allow-methods": b"GET, POST",
    b"access-control-allow-headers": f"Content-Type, {KEY}, {REQUEST_ID}".encode(),
    b"access-control-max-age": b"600",
}
_EXPOSED: Final = f"{REQUEST_ID}, Retry-After, Server-Timing".encode()

Fields = list[tuple[bytes, bytes]]


def name_request(sent: str) -> str:
    """Return the id of a request: what its header says if that is plain, else a new one."""
    return sent if _ID.fullmatch(sent) else os.urandom(16).hex()


def dressed(fields: Fields, request_id: str) -> Fields:
    """Return the fields of an answer with those that every answer has; what is there already stays."""
    there = {name for name, _ in fields}
    safe = [(name, value) for name, value in _SAFE.items() if name not in there]
    return [*fields, *safe, (REQUEST_ID.lower().encode(), request_id.encode())]


def shared(origin: str, origins: Collection[str]) -> Fields:
    """Return what lets a page of this origin read the answer; nothing unless the origin is one of those allowed."""
    if origin not in origins:
        return [(b"vary", b"Origin")] if origins else []
    return [
        (b"access-control-allow-origin", origin.encode()),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    ]


def preflight() -> Fields:
    """Return what a browser asks for before it sends a request from a page of another origin."""
    return list(_PREFLIGHT.items())
