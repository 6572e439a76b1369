"""Who may ask for predictions, where the service has keys."""

import hmac
from collections.abc import Collection

from flask import Flask, request

from service.problems import Problem

HEADER = "X-API-Key"
GUARDED = "/predict_traffic_sign"  # and what lies below; state, card and metrics are open


def register(app: Flask, keys: Collection[str]) -> None:
    """Let only requests with one of the keys get predictions; without keys, everybody."""
    if not keys:
        return

    @app.before_request
    def check_key() -> None:
        if not request.path.startswith(GUARDED):
            return
        sent = request.headers.get(HEADER, "").encode()
        # Every key is compared, each in constant time, so that the time tells nothing of them.
        if not sum(hmac.compare_digest(sent, key.encode()) for key in keys):
            raise Problem("unauthorised", f"Send a key of this service in the header {HEADER}.")
