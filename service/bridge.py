"""Calls the Flask application from the event loop, with whole request and response bodies."""

import io
import sys
from collections.abc import Iterable
from typing import Any

from flask import Flask
from werkzeug.wrappers import Response


def call(app: Flask, scope: dict[str, Any], body: bytes) -> Response:
    """Let a Flask application answer a request, in the calling thread, without waiting for the client.

    Args:
        app: the application.
        scope: the ASGI scope; headers that frame the body are ignored.
        body: the whole body.
    """
    return Response.from_app(app.wsgi_app, _environ(scope, body), buffered=True)


def _environ(scope: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Return the WSGI environment (PEP 3333), whose strings are bytes decoded as Latin-1."""
    server, port = scope.get("server") or ("localhost", 0)
    return {
        **_variables(scope["headers"]),
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server,
        "SERVER_PORT": str(port or 0),
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def _variables(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for name, value in headers:
        if name in (b"content-length", b"transfer-encoding"):
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        text = value.decode("latin-1")
        variables[key] = f"{variables[key]},{text}" if key in variables else text
    return variables
