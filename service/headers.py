"""Headers of every answer: the request ID, security headers for browsers, and CORS."""

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
    """Return the ID of a request: the one it sent, if valid, else a new one."""
    return sent if _ID.fullmatch(sent) else os.urandom(16).hex()


def with_default_headers(fields: Fields, request_id: str) -> Fields:
    """Return headers with those that every answer has; existing ones are not replaced."""
    there = {name for name, _ in fields}
    safe = [(name, value) for name, value in _SAFE.items() if name not in there]
    return [*fields, *safe, (REQUEST_ID.lower().encode(), request_id.encode())]


def cors_headers(origin: str, origins: Collection[str]) -> Fields:
    """Return the CORS headers that let a page of this origin read the answer, if the origin is allowed."""
    if origin not in origins:
        return [(b"vary", b"Origin")] if origins else []
    return [
        (b"access-control-allow-origin", origin.encode()),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    ]


def preflight() -> Fields:
    """Return the headers of the answer to a CORS preflight request."""
    return list(_PREFLIGHT.items())
