"""How the server's log is written: lines for people, or one JSON object a line."""

import json
import logging
import os
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO, cast

import orjson

from unstuck.errors import printable
from unstuck.monitor.line_writer import missing, writer_to

console = logging.getLogger("unstuck.console")  # what the server says to whoever started it

LogFormat = Literal["text", "json"]
FIELDS = "fields"  # in a record's ``extra``: what JSON has besides the message


def _escaped(text: str) -> str:
    """JSON text with what steers a terminal, or ends a line for some readers, as JSON's escapes."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


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
        text = orjson.dumps(line, default=str).decode()
        return text if text.isprintable() else _escaped(text)


class _Stream(logging.Handler):
    """Writes to stdout or stderr."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._writer = writer_to(stream)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - a message that does not fit its arguments is no caller's trouble
            self.handleError(record)
        else:
            self._writer.write(line, self._missing)

    def _missing(self, why: str) -> str:
        return self.format(_missing_record(why))


def missing_as_json(why: str) -> str:
    """``missing`` as a line of a log in JSON."""
    return JsonFormatter().format(_missing_record(why))


def _missing_record(why: str) -> logging.LogRecord:
    return logging.LogRecord("unstuck", logging.WARNING, __file__, 0, missing(why), None, None)


class TextFormatter(logging.Formatter):
    """One line a record, which nothing in a message ends; a traceback's lines follow, each behind a mark."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  | {printable(line)}" for line in lines)


class _Console(logging.Handler):
    """For people: errors to stderr, all else to stdout, with nothing before it."""

    def __init__(self) -> None:
        super().__init__()
        self._out, self._err = _Stream(sys.stdout), _Stream(sys.stderr)
        self._err.setFormatter(logging.Formatter("unstuck: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        (self._err if record.levelno >= logging.ERROR else self._out).emit(record)


def write_log_as(log_format: LogFormat) -> None:
    """Writes what is logged in this process to stderr; as JSON, what the console shows, warnings and deaths as well."""
    handler = _Stream(sys.stderr)
    console.setLevel(logging.INFO)
    if log_format == "json":
        handler.setFormatter(JsonFormatter())
        logging.captureWarnings(True)
        threading.excepthook = _log_death
    else:
        handler.setFormatter(TextFormatter())
        console.addHandler(_Console())
        console.propagate = False
    logging.basicConfig(handlers=[handler])


def flush() -> None:
    """Writes what the streams still hold, before a process ends; what they do not take then is lost."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # the interpreter would try again, and end with a status of its own
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _log_death(died: threading.ExceptHookArgs) -> None:
    name = died.thread.name if died.thread else "unknown"
    if died.exc_value is not None:
        logging.getLogger("unstuck").error(
            "Thread %s died", name, exc_info=(died.exc_type, died.exc_value, died.exc_traceback)
        )
