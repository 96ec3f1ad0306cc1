"""The texts of flags as values. Each raises ValueError, whose message says what was expected."""

from pathlib import Path
from urllib.parse import urlsplit

from unstuck.config.settings import AUTO_PORT, Engine, Front, GoldenRows, LogFormat, LogRequests, OnSkew, VersionPolicy
from unstuck.core.allowance import MemoryCheck
from unstuck.core.batching import Merging

PORTS = range(1 << 16)


def read_bool(text: str) -> bool:
    """Raises ValueError where ``text`` is not true, false, 1 or 0."""
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise ValueError("expected true or false")


def read_switch(text: str) -> bool:
    """Raises ValueError where ``text`` is not on or off."""
    if text not in ("on", "off"):
        raise ValueError("expected on or off")
    return text == "on"


def read_port(text: str) -> int:
    if text.lower() == "auto":
        return AUTO_PORT
    if not text.isascii() or not text.isdigit() or int(text) not in PORTS:
        raise ValueError("expected a port from 0 to 65535 (0 disables it), or auto")
    return int(text)


def read_int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("expected a whole number") from None


def read_positive(text: str) -> int:
    value = read_int(text)
    if value <= 0:
        raise ValueError("expected a number above 0")
    return value


def read_not_negative(text: str) -> int:
    value = read_int(text)
    if value < 0:
        raise ValueError("expected 0 or more")
    return value


def read_policy(text: str) -> VersionPolicy:
    if text not in ("availability_preserving", "resource_preserving"):
        raise ValueError("expected availability_preserving or resource_preserving")
    return text


def read_front(text: str) -> Front:
    if text not in ("auto", "native", "grpcio"):
        raise ValueError("expected native, grpcio or auto")
    return text


def read_on_skew(text: str) -> OnSkew:
    if text not in ("ignore", "count", "warn", "reject"):
        raise ValueError("expected ignore, count, warn or reject")
    return text


def read_merging(text: str) -> Merging:
    if text not in ("off", "auto", "on"):
        raise ValueError("expected off, auto or on")
    return text


def read_engine(text: str) -> Engine:
    if text not in ("tensorflow", "auto", "onnx"):
        raise ValueError("expected tensorflow, auto or onnx")
    return text


def read_golden_rows(text: str) -> GoldenRows:
    if text not in ("check", "warn", "off"):
        raise ValueError("expected check, warn or off")
    return text


def read_memory_check(text: str) -> MemoryCheck:
    if text not in ("refuse", "warn", "off"):
        raise ValueError("expected refuse, warn or off")
    return text


def read_rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise ValueError("expected a rate from 0 to 1")
    return value


def read_names(text: str) -> frozenset[str]:
    return frozenset(filter(None, (name.strip() for name in text.split(","))))


def read_log_requests(text: str) -> LogRequests:
    if text not in ("off", "errors", "slow", "all"):
        raise ValueError("expected off, errors, slow or all")
    return text


def read_log_format(text: str) -> LogFormat:
    if text not in ("text", "json"):
        raise ValueError("expected text or json")
    return text


def read_http_url(text: str) -> str:
    if not text.startswith(("http://", "https://")) or not urlsplit(text).hostname:
        raise ValueError("expected the URL of a collector: http://HOST:PORT")
    return text


def read_mixed_precision(text: str) -> str:
    if text not in ("", "bfloat16"):
        raise ValueError("expected bfloat16")
    return text


def read_path(text: str) -> Path | None:
    return Path(text).absolute() if text else None


def read_named_file(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or "/" in name:
        name, path = "", text
    elif not name:
        path = ""
    if not path:
        raise ValueError("expected FILE or NAME=FILE")
    return name, Path(path).absolute()


def read_arguments(text: str) -> dict[str, int | str]:
    arguments: dict[str, int | str] = {}
    for argument in filter(None, (each.strip() for each in text.split(","))):
        key, equals, value = argument.partition("=")
        if not equals or not key:
            raise ValueError(f"expected KEY=VALUE, got {argument!r}")
        arguments[key] = int(value) if value.lstrip("-").isdigit() else value
    return arguments


def read_tags(text: str) -> tuple[str, ...]:
    return tuple(tag.strip() for tag in text.split(",") if tag.strip()) or ("serve",)


def read_op_library(text: str) -> str:
    if not text:
        raise ValueError("expected a module or a .so file")
    return text


def read_pause(text: str) -> float:
    return 0.0 if text == "0" else read_seconds(text)


def read_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError("expected a number of seconds above 0")
    return seconds
