"""``unstuck status``: is a server well, and if not, what is wrong; its own, or a stock TensorFlow Serving."""

import re
import sys
import traceback
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any, Literal, cast
from urllib.parse import quote, unquote

import orjson
from rich.console import Console

from unstuck import __version__
from unstuck.cli import output
from unstuck.cli.api_key import API_KEY_FILE, api_key, request
from unstuck.cli.status_text import as_text
from unstuck.cli.troubles import Trouble, notes_of, table, troubles_of
from unstuck.config import flags
from unstuck.config.flag_values import read_seconds
from unstuck.config.flags import Flag, FlagError
from unstuck.errors import SetupError, UnstuckError, did_you_mean

USAGE = """\
Usage: unstuck status URL [--format text|json] [--timeout SECONDS] [--api_key_file FILE]

Says of a running server which models and versions it serves, since when and how, and what is wrong: versions that
cannot be served and why, and answers that do not depend on the requests any more.

URL is http(s)://HOST:PORT for everything, http(s)://HOST:PORT/v1/models/NAME for one model. TensorFlow Serving
knows only the latter, and only versions and states. For a server that wants a key, FILE or the environment variable
UNSTUCK_API_KEY holds one with the right status of all models.

Exit status: 0 all is well, 1 something is wrong, 2 the server could not be asked."""

SCHEMA = 1
KEYS_WANTED = (401, 403)
MAX_BYTES = 64 << 20
WIDTH = 120
Format = Literal["text", "json"]
_URL = re.compile(r"(?P<server>https?://[^/]+)(?:/(?:statusz|v1/models/(?P<model>[^/:]+)(?:/.*)?)?)?")


def _format(text: str) -> Format:
    if text not in ("text", "json"):
        raise ValueError("expected text or json")
    return text


FORMAT: Flag[Format] = Flag("format", _format, "text", "text|json", "the report's form")
TIMEOUT = Flag("timeout", read_seconds, 10.0, "SECONDS", "for each request")
FLAGS = cast("tuple[Flag[object], ...]", (FORMAT, TIMEOUT, API_KEY_FILE, flags.HELP))


def run(arguments: Sequence[str]) -> int:
    """Prints the status; returns 0 where all is well, 1 where something is wrong, 2 where nobody could be asked."""
    try:
        return _run(arguments)
    except UnstuckError as error:
        print(f"unstuck status: {error}", file=sys.stderr)
        return 2
    except Exception:  # noqa: BLE001 - Python would end with 1, which says that something is wrong with the server
        traceback.print_exc()
        return 2


def _run(arguments: Sequence[str]) -> int:
    given = flags.parse(arguments, FLAGS)
    if given.get(flags.HELP):
        print(USAGE)
        return 0
    if len(given.positional) != 1:
        raise FlagError(f"Expected one URL, got {len(given.positional)}.", hint="unstuck status --help says more.")
    (url,) = given.positional
    server, name = _parts(url)
    status = ask(server, name, given.get(TIMEOUT), api_key(given))
    troubles, notes = troubles_of(status, of_one_model=bool(name), url=server), notes_of(status)
    if given.get(FORMAT) == "json":
        output.write(_as_json(status, troubles, notes))
    else:
        terminal = Console()
        width = terminal.width if terminal.is_terminal else WIDTH
        output.write(as_text(status, troubles, notes, width, colour=terminal.is_terminal and not terminal.no_color))
    return 1 if troubles else 0


def _as_json(status: dict[str, Any], troubles: Sequence[Trouble], notes: Sequence[Trouble]) -> str:
    report = {
        "well": not troubles,
        "troubles": [each.as_json() for each in troubles],
        "notes": [each.as_json() for each in notes],
        **status,
    }
    return orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _parts(url: str) -> tuple[str, str]:
    """The server's address, and the model's name or nothing."""
    found = _URL.fullmatch(url)
    if found is None:
        raise SetupError(
            f"{url} is not a server's URL.", hint="Expected http://HOST:8501, or http://HOST:8501/v1/models/NAME."
        )
    return found["server"], unquote(found["model"]) if found["model"] else ""


def ask(server: str, name: str, timeout_s: float, key: str = "") -> dict[str, Any]:
    """What a server says of itself, in the shape of ``/statusz``; of a stock server what it knows, "server" null.

    Args:
        server: its address.
        name: of the only model that is asked for; empty for all.
        timeout_s: for each request.
        key: for a server that wants one.

    Raises:
        SetupError: nobody answers, or no such model.
    """
    status = _get(f"{server}/statusz", timeout_s, key)
    if isinstance(status, _Refused):
        if status.code in KEYS_WANTED:
            hint = "unstuck status --help says how to give it a key."
            raise SetupError(f"{server}/statusz answers {status.said}.", hint=hint)
        return _ask_stock(server, name, timeout_s, key)
    status = table(status)
    if status.get("schema") != SCHEMA:
        raise SetupError(f"{server}/statusz answers something else than a status of Unstuck {__version__}.")
    models = table(status["models"])
    if name and name not in models:
        raise SetupError(
            f"{server} serves no model {name!r}; it serves {', '.join(map(repr, models)) or 'none'}.",
            hint=did_you_mean(name, models),
        )
    if name:
        status["models"] = {name: models[name]}
        status["events"] = [each for each in status["events"] if each["model"] == name]
    return status


class _Refused:
    """That a server answered, but with an error."""

    def __init__(self, code: int, said: str) -> None:
        self.code = code
        self.said = f"{code}: {said}"


def _ask_stock(server: str, name: str, timeout_s: float, key: str) -> dict[str, Any]:
    if not name:
        raise SetupError(
            f"{server} has no /statusz, so it is not Unstuck, and TensorFlow Serving does not list its models.",
            hint=f"Name one: unstuck status {server}/v1/models/NAME",
        )
    url = f"{server}/v1/models/{quote(name, safe='')}"
    answer = _get(url, timeout_s, key)
    if isinstance(answer, _Refused):
        raise SetupError(f"{url} answers {answer.said}.")
    try:
        versions = {
            str(each["version"]): {
                "state": str(each["state"]),
                "error": str(table(each.get("status")).get("error_message", "")),
            }
            for each in answer["model_version_status"]
        }
    except (KeyError, TypeError, AttributeError):
        raise SetupError(f"{url} answers something else than a model's status.") from None
    return {"server": None, "models": {name: {"versions": dict(sorted(versions.items(), key=_number))}}, "events": []}


def _number(version: tuple[str, object]) -> tuple[int, str]:
    return (int(version[0]) if version[0].isdigit() else 0, version[0])


def _get(url: str, timeout_s: float, key: str) -> Any:
    try:
        with urllib.request.urlopen(request(url, key), timeout=timeout_s) as answer:
            return orjson.loads(answer.read(MAX_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(1000).decode(errors="replace").strip()
        return _Refused(error.code, said or error.reason)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SetupError(f"{url} cannot be read: {reason}.", hint="Is it the address of the REST API?") from None
