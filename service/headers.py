"""What every answer carries besides its body: an id to find it by in the log, and what keeps browsers from harm."""

import re
import uuid

from flask import Flask, Response, g, request

REQUEST_ID = "X-Request-ID"
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
SAFE = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def register(app: Flask) -> None:
    """Give every request an id, the client's own if it sends a plain one, and every answer these headers."""

    @app.before_request
    def name_request() -> None:
        sent = request.headers.get(REQUEST_ID, "")
        g.request_id = sent if _ID.fullmatch(sent) else uuid.uuid4().hex

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers[REQUEST_ID] = g.request_id
        for name, value in SAFE.items():
            response.headers.setdefault(name, value)
        return response
