"""Log lines of service and worker: a sentence plus fixed fields, one JSON object a line, without the root logger."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

LOGGERS = ("selfie3d_jobs", "selfie3d_service", "selfie3d_web", "selfie3d_worker", "uvicorn", "celery", "kombu")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FORMATS = ("json", "text")
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data"}
_FIELDS: ContextVar[dict[str, Any]] = ContextVar("selfie3d_log_fields", default={})  # noqa: B039 - never changed in place


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add the fields, e.g. job_id, to every line logged inside."""
    token = _FIELDS.set({**_FIELDS.get(), **fields})
    try:
        yield
    finally:
        _FIELDS.reset(token)


def configure(level: str, form: str) -> None:
    """Log to stderr from our loggers. `form`: json or text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else logging.Formatter(_TEXT))
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(level if name.startswith("selfie3d") else logging.WARNING)


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, the bound fields, the call's own `extra`, and the traceback of an error."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_FIELDS.get(),
            **{name: value for name, value in vars(record).items() if name not in STANDARD},
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


_TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
