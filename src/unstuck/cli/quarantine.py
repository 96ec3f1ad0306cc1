"""``unstuck quarantine``: takes a version of a running server out of service, or has it back."""

import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import quote, urlsplit

import orjson

from unstuck.cli.api_key import API_KEY_FILE, api_key, request
from unstuck.config import flags
from unstuck.config.flag_values import read_bool, read_not_negative, read_seconds
from unstuck.config.flags import Flag, FlagError
from unstuck.errors import SetupError

USAGE = """\
Usage: unstuck quarantine URL MODEL --version=N [--reason=TEXT | --release] [--timeout=SECONDS] [--api_key_file=FILE]

Takes a version of a model out of service: requests for it are answered 503 (UNAVAILABLE) with the reason, and the
server is not ready. With several workers it is out of service in all of them once this command ends. It lasts until
--release, or until the server is started again. --release also has a version loaded again at once that the server
itself has found broken.

URL is http(s)://HOST:PORT of the REST API. The server takes this from its own machine; from elsewhere it must have been
started with --allow_remote_admin, or with keys. For a server that wants a key, FILE or the environment variable
UNSTUCK_API_KEY holds one with the right admin.

Exit status: 0 done, 1 not done."""

MAX_BYTES = 1 << 20

VERSION = Flag("version", read_not_negative, 0, "N", "which version of it")
REASON = Flag("reason", str, "", "TEXT", "what its callers are told")
RELEASE = Flag("release", read_bool, False, "", "have it back", boolean=True)
TIMEOUT = Flag("timeout", read_seconds, 60.0, "SECONDS", "for the server to answer")
FLAGS = cast("tuple[Flag[object], ...]", (VERSION, REASON, RELEASE, TIMEOUT, API_KEY_FILE, flags.HELP))


def run(arguments: Sequence[str]) -> int:
    """Returns 0 once it is done. Raises SetupError where it is not."""
    given = flags.parse(arguments, FLAGS)
    if given.get(flags.HELP):
        print(USAGE)
        return 0
    if len(given.positional) != 2 or not given.has(VERSION):
        raise FlagError("Expected URL MODEL --version=N.", hint="unstuck quarantine --help says more.")
    release = given.get(RELEASE)
    if release and given.has(REASON):
        raise FlagError("--release takes no --reason.")
    url, model = given.positional
    version, verb = given.get(VERSION), "release" if release else "quarantine"
    server = _server(url)
    path = f"/v1/admin/models/{quote(model, safe='')}/versions/{version}:{verb}"
    body = {} if release else {"reason": given.get(REASON)}
    _post(f"{server}{path}", body, given.get(TIMEOUT), api_key(given))
    if release:
        print(f"Model {model!r} version {version} is released; unstuck status {server} says when it serves.")
    else:
        print(f"Model {model!r} version {version} is in quarantine, until it is released.")
    return 0


def _server(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SetupError(f"{url} is not a server's URL.", hint="Expected http://HOST:8501.")
    return f"{parts.scheme}://{parts.netloc}"


def _post(url: str, body: dict[str, Any], timeout_s: float, key: str) -> None:
    try:
        with urllib.request.urlopen(request(url, key, orjson.dumps(body)), timeout=timeout_s) as answer:
            answer.read(MAX_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            raise SetupError(f"The server answers {error.code}: {_said(error.read(MAX_BYTES))}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SetupError(f"{url} cannot be asked: {reason}.", hint="Is it the address of the REST API?") from None


def _said(body: bytes) -> str:
    """The message of an error, without what would command the terminal."""
    try:
        text = str(orjson.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        text = body.decode(errors="replace").strip()
    return text if text.isprintable() else ascii(text)[1:-1]
