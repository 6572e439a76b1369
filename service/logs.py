"""The log: one line per event, as JSON for programs or as text for people."""

import json
import logging
import logging.config
import warnings
from datetime import UTC, datetime
from typing import Any, Final

from gunicorn import glogging

from service.settings import read_settings

FIELDS: Final = ("request_id", "method", "path", "status", "duration_ms")
_requests = logging.getLogger("service.requests")


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object: time in UTC, level, logger, message, and the fields of the request."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class Logger(glogging.Logger):
    """gunicorn's logger with our format; it logs no requests, because `log_request` does."""

    access_log_enabled = False

    def setup(self, cfg: Any) -> None:
        """Configure the log according to the settings."""
        super().setup(cfg)
        logging.config.dictConfig(_configuration(read_settings().log_format))
        # Warnings of libraries, about a damaged photo for example, are events like others.
        warnings.formatwarning = _as_line
        logging.captureWarnings(True)


def _as_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Return a warning as one line, without the source code that Python would add."""
    del line
    text = " ".join(str(message).split())
    return f"{category.__name__}: {text} ({filename}:{lineno})"


def _configuration(style: str) -> dict[str, Any]:
    """Return the configuration of `logging` for a format, `json` or `text`; everything goes to standard error."""
    formatter = (
        {"()": "service.logs.JsonFormatter"} if style == "json" else {"format": "%(asctime)s %(levelname)s %(message)s"}
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": "INFO", "handlers": ["stderr"]},
        "loggers": {"gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True}},
    }


def log_request(request_id: str, method: str, path: str, status: int, seconds: float) -> None:
    """Log an answer, as an error if its status is 500."""
    _requests.log(
        logging.ERROR if status == 500 else logging.INFO,
        "%s %s: %d in %.1f ms, %s",
        method,
        path,
        status,
        1000 * seconds,
        request_id,
        extra={
            "request_id": request_id,
            "method": method,
            "path": path,
            "status": status,
            "duration_ms": round(1000 * seconds, 3),
        },
    )
