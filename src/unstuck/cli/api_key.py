"""The key that commands show to a server: of a file or the environment; not of the command line, which others see."""

import os
import urllib.request
from pathlib import Path

from unstuck.config.flag_values import read_path
from unstuck.config.flags import Flag, Flags
from unstuck.core.key_headers import key_headers
from unstuck.errors import SetupError

VARIABLE = "UNSTUCK_API_KEY"
API_KEY_FILE = Flag("api_key_file", read_path, None, "FILE", f"holds the server's API key (else ${VARIABLE})")


def api_key(given: Flags) -> str:
    """The key; empty where there is none. Raises SetupError: the file cannot be read."""
    path: Path | None = given.get(API_KEY_FILE)
    if path is None:
        return os.environ.get(VARIABLE, "").strip()
    try:
        key = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"--{API_KEY_FILE.name}={path} cannot be read: {error}.") from None
    if not key:
        raise SetupError(f"--{API_KEY_FILE.name}={path} is empty.")
    return key


def request(url: str, key: str, body: bytes | None = None) -> urllib.request.Request:
    """A request that shows ``key`` to the server at ``url``, and to nobody whom that server names instead."""
    made = urllib.request.Request(url, body, {"content-type": "application/json"} if body is not None else {})
    for name, value in key_headers(key).items():
        made.add_unredirected_header(name, value)
    return made
