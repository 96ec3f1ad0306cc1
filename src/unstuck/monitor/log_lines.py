"""How the server's log is written: lines for people, or one JSON object a line."""

import logging
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, cast

import orjson

console = logging.getLogger("unstuck.console")  # what the server says to whoever started it

LogFormat = Literal["text", "json"]
FIELDS = "fields"  # in a record's ``extra``: what JSON has besides the message


class JsonFormatter(logging.Formatter):
    """One object a line, whatever is in the message."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **cast("Mapping[str, Any]", getattr(record, FIELDS, {})),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class _Console(logging.Handler):
    """For people: errors to stderr, all else to stdout, with nothing before it."""

    def emit(self, record: logging.LogRecord) -> None:
        is_error = record.levelno >= logging.ERROR
        text = f"unstuck: {record.getMessage()}" if is_error else record.getMessage()
        print(text, file=sys.stderr if is_error else sys.stdout, flush=True)


def write_log_as(log_format: LogFormat) -> None:
    """Writes what is logged in this process to stderr; as JSON, what the console shows, warnings and deaths as well."""
    handler = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.INFO)
    if log_format == "json":
        handler.setFormatter(JsonFormatter())
        logging.captureWarnings(True)
        threading.excepthook = _log_death
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        console.addHandler(_Console())
        console.propagate = False
    logging.basicConfig(handlers=[handler])


def _log_death(died: threading.ExceptHookArgs) -> None:
    name = died.thread.name if died.thread else "unknown"
    if died.exc_value is not None:
        logging.getLogger("unstuck").error(
            "Thread %s died", name, exc_info=(died.exc_type, died.exc_value, died.exc_traceback)
        )
