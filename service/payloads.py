"""Reads the pictures in a request: raw, in a form or in JSON."""

import base64
import json
import re

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from data.images import MAX_BYTES, MEDIA_TYPES, has_known_start
from service.components import components
from service.problems import Problem

JSON = "application/json"
RAW_TYPES = frozenset({*MEDIA_TYPES, "image/jpg", "application/octet-stream"})
FORM = "multipart/form-data"
# Base64 adds a third, and line breaks in it a twentieth; the rest is for the JSON or multipart around the picture.
MAX_BODY_BYTES = MAX_BYTES * 7 // 5 + 64 * 1024
MAX_URL_BODY_BYTES = 16 * 1024  # of a JSON body with a URL
MAX_BATCH = 256
MAX_BATCH_BYTES = 64 * 1024**2
BATCH_TOO_LARGE = f"A batch may have at most {MAX_BATCH} pictures and {MAX_BATCH_BYTES:,} bytes in all."
MAX_BATCH_PIXELS = 512_000_000  # some seconds of decoding
_BASE64 = bytes.maketrans(b"-_", b"+/")  # the letters of base64url (RFC 4648, section 5)
_WHITE_SPACE = b" \t\r\n\f\v"
_DATA_URL = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)


def read_picture(*, by_url: bool = True) -> bytes:
    """Return the bytes of the one picture in the request: raw, in a form or in JSON.

    Args:
        by_url: whether the JSON may contain the URL of the picture instead.

    Raises:
        Problem: there is no picture, it is too large, or it was sent in an unsupported way.
    """
    if request.mimetype == FORM:
        return _from_form()
    body: bytes = request.get_data(cache=False)
    if request.mimetype == JSON:
        return _from_json(body, by_url)
    if request.mimetype in RAW_TYPES or has_known_start(body):
        return body
    if body.lstrip(_WHITE_SPACE).startswith(b"{"):  # as some clients send JSON
        return _from_json(body, by_url)
    if not request.mimetype and not body:
        raise Problem("nothing_sent", "The request has no body.")
    accepted = ", ".join(sorted(RAW_TYPES | {FORM, JSON}))
    sent = request.mimetype or "no content type"
    raise Problem("unsupported_type", f"Send one of {accepted}; this request has {sent}.")


def read_pictures() -> list[tuple[str, bytes]]:
    """Return file name and bytes of each picture in a form, in the order of its fields `image`.

    Raises:
        Problem: it is not a form, has no pictures, or more than `MAX_BATCH` or `MAX_BATCH_BYTES`.
    """
    request.max_content_length = request.max_form_memory_size = MAX_BATCH_BYTES
    request.max_form_parts = MAX_BATCH + 1
    if request.mimetype != FORM:
        raise Problem("unsupported_type", f"Send {FORM} with one field `image` for each picture.")
    try:
        files = request.files.getlist("image")
    except RequestEntityTooLarge as error:
        raise Problem("too_large", BATCH_TOO_LARGE) from error
    if "image" in request.form:
        raise Problem("bad_request", "Each field `image` must be a file with a file name.")
    if not files:
        raise Problem("nothing_sent", "The form has no file in the field `image`.")
    if len(files) > MAX_BATCH:
        raise Problem("too_large", f"A batch may have at most {MAX_BATCH} pictures, not {len(files)}.")
    return [(file.filename or "", file.read()) for file in files]


def url_in(body: bytes) -> str | None:
    """Return the URL of the picture in a JSON body, or None if it has none or is too long.

    Raises:
        Problem: it is not valid JSON for a picture.
    """
    if len(body) > MAX_URL_BODY_BYTES:
        return None
    name, value = _read_json(body)
    return value if name == "url" else None


def _read_json(body: bytes, *, by_url: bool = True) -> tuple[str, str]:
    """Return the one member of a JSON body, `image` or `url`, and its value.

    Raises:
        Problem: it is not such JSON.
    """
    ways = {"image": '{"image": "<base64>"}', **({"url": '{"url": "<URL>"}'} if by_url else {})}
    try:
        found = json.loads(body)
    except RecursionError as error:
        raise Problem("bad_request", "The JSON is nested too deeply.") from error
    except ValueError as error:
        raise Problem("bad_request", "The body is not JSON.") from error
    if not isinstance(found, dict) or len(found.keys() & ways.keys()) != 1:
        raise Problem("bad_request", f"The JSON must be {' or '.join(ways.values())}.")
    [(name, value)] = [(name, found[name]) for name in ways if name in found]
    if not isinstance(value, str):
        raise Problem("bad_request", f"`{name}` must be a string.")
    return name, value


def _from_form() -> bytes:
    files = [(name, file) for name, values in request.files.lists() for file in values]
    if len(files) > 1:
        raise Problem(
            "bad_request",
            f"The form has {len(files)} files, but this route takes one picture; send several to "
            "/predict/{task}/batch.",
        )
    if not files or files[0][0] != "image":
        raise Problem("nothing_sent", "The form has no file in the field `image`.")
    payload: bytes = files[0][1].read()
    return payload


def _from_json(body: bytes, by_url: bool) -> bytes:
    name, value = _read_json(body, by_url=by_url)
    if name == "image":
        return _from_base64(value)
    if not components().settings.allow_urls:
        raise Problem("not_implemented", "Fetching images by URL is disabled; send the image itself.")
    if request.mimetype != JSON:
        raise Problem("unsupported_type", f"A body with a URL needs the content type {JSON}.")
    # If it was fetched, this function is not called.
    raise Problem("bad_request", f"A body with a URL may have at most {MAX_URL_BODY_BYTES:,} bytes.")


def _from_base64(text: str) -> bytes:
    """Decode base64 or base64url, with or without padding, line breaks and the start of a data URL.

    Raises:
        Problem: it is something else.
    """
    if start := _DATA_URL.match(text):
        text = text[start.end() :]
    elif text[:5].lower() == "data:":
        raise Problem("bad_request", "`image` is a data URL that is not base64; encode it as `data:…;base64,…`.")
    try:
        letters = text.encode("ascii").translate(_BASE64, _WHITE_SPACE).rstrip(b"=")
        return base64.b64decode(letters + b"=" * (-len(letters) % 4), validate=True)
    except ValueError as error:
        raise Problem("bad_request", f"`image` is not base64: {error}.") from error
