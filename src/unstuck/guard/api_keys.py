"""API keys: random, handed out once, and kept as SHA-256 in a YAML file that is read again when it changes.

    - name: dashboard
      hash: sha256:9f86d081…
      models: [churn, "fraud-*"]
      methods: [predict, status]
      expires: 2027-01-31

A key is 256 random bits, so there is nothing that a slow hash would keep from being guessed; scrypt would cost a server
50 ms for every wrong key that somebody sends (docs/adr/0022).
"""

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Any, cast

import yaml

from unstuck.errors import SetupError, did_you_mean
from unstuck.guard.access import RIGHTS, Grant
from unstuck.guard.reread import Reread

PREFIX = "unstuck_"  # by which secret scanners and people know it
RANDOM_BYTES = 32
HASH = "sha256:"
POLL_S = 2.0
_FIELDS = ("name", "hash", "models", "methods", "expires")
_HEX = frozenset("0123456789abcdef")


def new_key() -> str:
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def hash_of(key: str) -> str:
    return HASH + sha256(key.encode()).hexdigest()


class KeyFile:
    """See ``access.Verifier``. Thread-safe."""

    kind = "an API key"

    def __init__(self, path: Path, changed: Callable[[], None] = lambda: None) -> None:
        """Reads ``path``; calls ``changed`` whenever other keys are in force. Raises SetupError."""
        self._path = path
        self._changed = changed
        self._keys: Sequence[tuple[bytes, Grant]] = ()
        self.watch = Reread(f"--api_keys_file={path}", lambda: _content(path), self._use, POLL_S, POLL_S)
        self.watch.first()

    def verify(self, credential: str) -> Grant | None:
        if not credential.startswith(PREFIX):
            return None
        digest = hash_of(credential).encode()
        found: Grant | None = None
        for known, grant in self._keys:  # all of them: how long it takes says nothing
            if compare_digest(known, digest):
                found = grant
        return found

    def _use(self, content: bytes) -> None:
        self._keys = parse(content, str(self._path))
        self._changed()


def parse(content: bytes, where: str) -> list[tuple[bytes, Grant]]:
    """The hash and the grant of each entry. Raises SetupError, which names the entry and the field."""
    entries = _entries(content, where)
    keys = [_key(entry, f"{where}: entry {number}") for number, entry in enumerate(entries, 1)]
    names = [grant.name for _, grant in keys]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SetupError(f"{where}: two keys are called {twice[0]!r}.", hint="Give each a name of its own.")
    return keys


def entry_text(name: str, key: str, models: Sequence[str], methods: Sequence[str], expires: str) -> str:
    """The entry of ``key`` in the file."""
    entry: dict[str, object] = {"name": name, "hash": hash_of(key), "models": [*models], "methods": [*methods]}
    if expires:
        entry["expires"] = expires
    return yaml.safe_dump([entry], sort_keys=False, default_flow_style=None, width=1000)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SetupError(f"--api_keys_file={path} cannot be read: {error.strerror}.") from None


def _entries(content: bytes, where: str) -> list[object]:
    try:
        found = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f" (line {mark.line + 1})" if mark else ""
        raise SetupError(f"{where} is not YAML{at}.") from None  # the error would quote the file
    if found is None:
        return []
    if not isinstance(found, list):
        raise SetupError(f"{where}: expected a list of keys, got {type(found).__name__}.", hint="- name: …")
    return cast("list[object]", found)


def _key(entry: object, where: str) -> tuple[bytes, Grant]:
    if not isinstance(entry, dict):
        raise SetupError(f"{where}: expected name, hash, models and methods, got {type(entry).__name__}.")
    given = cast("Mapping[str, Any]", entry)
    for name in given:
        if name not in _FIELDS:
            raise SetupError(f"{where}: there is no field {name!r}.", hint=did_you_mean(str(name), _FIELDS))
    name = given.get("name")
    if not isinstance(name, str) or not name:
        raise SetupError(f"{where}: name: expected text, got {name!r}.")
    where = f"{where} ({name!r})"
    models, methods = _texts(given, "models", where), _texts(given, "methods", where)
    for method in methods:
        if method not in RIGHTS:
            known = ", ".join(RIGHTS)
            raise SetupError(f"{where}: methods: expected some of {known}, got {method!r}.")
    grant = Grant(name, dict.fromkeys(methods, models), expiry(given.get("expires"), where))
    return _hash(given.get("hash"), where), grant


def _hash(value: object, where: str) -> bytes:
    digits = value.removeprefix(HASH) if isinstance(value, str) else ""
    if not isinstance(value, str) or len(digits) != 2 * sha256().digest_size or not set(digits) <= _HEX:
        raise SetupError(  # without what is there: it may be a key
            f"{where}: hash: expected {HASH} and 64 hexadecimal digits.", hint="unstuck make-key writes entries."
        )
    return (HASH + digits).encode()


def _texts(given: Mapping[str, Any], field: str, where: str) -> tuple[str, ...]:
    value: Any = given.get(field)
    texts = cast("list[object]", value) if isinstance(value, list) else []
    if not texts or not all(isinstance(each, str) and each for each in texts):
        raise SetupError(f"{where}: {field}: expected a list of texts, got {value!r}.")
    return tuple(map(str, texts))


def expiry(value: object, where: str) -> float:
    """The seconds since 1970 at the end of the date or at the time ``value``, of UTC unless it says otherwise.

    Raises:
        SetupError: it is neither.
    """
    if value is None:
        return math.inf
    if isinstance(value, str):
        with suppress(ValueError):
            value = date.fromisoformat(value) if len(value) == len("2027-01-31") else datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        midnight = datetime(value.year, value.month, value.day, tzinfo=UTC)
        return (midnight + timedelta(days=1)).timestamp()
    raise SetupError(f"{where}: expires: expected a date or a time such as 2027-01-31T12:00:00Z, got {value!r}.")
