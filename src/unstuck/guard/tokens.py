"""JSON web tokens of an OIDC issuer, read by PyJWT, which is imported only where they are asked for.

issuer: https://login.example.com/
audience: unstuck
jwks: keys.json          # a file, or a URL; without it, the issuer's own by its openid-configuration
algorithms: [RS256]      # (RS256, PS256, ES256, EdDSA)
leeway_seconds: 30
scope_claim: scope       # its words say what the holder may: predict:NAME, status:*, admin
"""

import ipaddress
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import jwt
import yaml

from unstuck.errors import SetupError, Unauthenticated, did_you_mean
from unstuck.guard.access import ALL_MODELS, RIGHTS, Grant
from unstuck.guard.reread import Reread

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
DEFAULT_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
DISCOVERY = "/.well-known/openid-configuration"
LEEWAY_S, MOST_LEEWAY_S = 30, 600
FILE_POLL_S, URL_POLL_S, RETRY_S = 2.0, 300.0, 10.0
FETCH_TIMEOUT_S = 10.0
LONGEST_TOKEN = 16_384
LARGEST_KEY_SET = 1 << 20
_FIELDS = ("issuer", "audience", "jwks", "algorithms", "leeway_seconds", "scope_claim")
_SHARED_SECRETS = "oct"  # the type of keys with which whoever checks a token could make one

log = logging.getLogger("unstuck.access")

Keys = Mapping[str, jwt.PyJWK]


@dataclass(frozen=True, slots=True)
class TokenConfig:
    """What the file says; see the module's docstring."""

    issuer: str
    audience: str
    jwks: str = ""
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    leeway_s: float = LEEWAY_S
    scope_claim: str = "scope"


class Tokens:
    """See ``access.Verifier``. Thread-safe."""

    kind = "a token of the issuer"

    def __init__(self, path: Path, changed: Callable[[], None] = lambda: None) -> None:
        """Reads ``path``, and the keys if they are in a file; those of a URL come once ``watch`` is started.

        Raises:
            SetupError: mistakes in it, or in the file of keys.
        """
        self._config = config = read_config(path)
        self._changed = changed
        self._keys: Keys = {}
        self._is_remote = _is_url(config.jwks) or not config.jwks
        if self._is_remote:
            url = config.jwks or config.issuer
            self.watch = Reread(f"The key set of {url}", self._fetched, self._use, URL_POLL_S, RETRY_S)
        else:
            file = path.parent / config.jwks
            self.watch = Reread(f"The key set {file}", lambda: _content(file), self._use, FILE_POLL_S, FILE_POLL_S)
            self.watch.first()

    def verify(self, credential: str) -> Grant | None:
        if credential.count(".") != 2 or len(credential) > LONGEST_TOKEN:
            return None
        config = self._config
        try:
            key = self._key(jwt.get_unverified_header(credential))
            claims: Mapping[str, Any] = jwt.decode(
                credential,
                key,
                algorithms=list(config.algorithms),
                issuer=config.issuer,
                audience=config.audience,
                leeway=config.leeway_s,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:  # the latter of hostile headers
            raise Unauthenticated(f"The token is not valid: {_why(error)}.") from None
        name = claims.get("sub") or claims.get("client_id") or "a token without sub"
        expires_at = float(claims["exp"]) + config.leeway_s
        return Grant(str(name)[:100], rights_in(claims.get(config.scope_claim)), expires_at)

    def _key(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        keys, kid = self._keys, header.get("kid")
        if header.get("alg") not in self._config.algorithms:
            raise jwt.InvalidAlgorithmError
        if not isinstance(kid, str) and len(keys) == 1:
            return next(iter(keys.values()))
        found = keys.get(kid) if isinstance(kid, str) else None
        if found is None:
            self.watch.hurry()  # the issuer may have a new one
            raise jwt.InvalidKeyError
        return found

    def _use(self, content: bytes) -> None:
        self._keys = read_keys(content, self._config.jwks or self._config.issuer)
        self._changed()

    def _fetched(self) -> bytes:
        url = self._config.jwks
        if not url:
            page = _fetch(self._config.issuer.rstrip("/") + DISCOVERY)
            try:
                document = json.loads(page)
                url, issuer = str(document["jwks_uri"]), document["issuer"]
            except (ValueError, KeyError, TypeError):
                raise SetupError(f"{self._config.issuer}: its openid-configuration names no jwks_uri.") from None
            if issuer != self._config.issuer:
                raise SetupError(f"{self._config.issuer}: its openid-configuration is of another issuer.")
        return _fetch(url)


def rights_in(claim: object) -> dict[str, tuple[str, ...]]:
    """``predict:a predict:b* status`` as models by right: a right without a name is of all; other words say nothing."""
    words = claim.split() if isinstance(claim, str) else cast("list[object]", claim) if isinstance(claim, list) else []
    rights: dict[str, tuple[str, ...]] = {}
    for word in words:
        right, colon, model = str(word).partition(":")
        if right in RIGHTS and (model or not colon):
            rights[right] = (*rights.get(right, ()), model or ALL_MODELS)
    return rights


def read_keys(content: bytes, where: str) -> Keys:
    """The public keys of a JSON Web Key Set, by ``kid``. Raises SetupError: it is none, or has none of use."""
    try:
        entries = json.loads(content)["keys"]
    except (ValueError, KeyError, TypeError):
        raise SetupError(f"{where} is no JSON Web Key Set: expected an object with keys.") from None
    keys: dict[str, jwt.PyJWK] = {}
    for number, entry in enumerate(cast("list[Any]", entries) if isinstance(entries, list) else []):
        if not isinstance(entry, dict) or cast("Any", entry).get("use", "sig") != "sig":
            continue
        given = cast("dict[str, Any]", entry)
        if given.get("kty") == _SHARED_SECRETS:
            log.warning("%s: keys[%d] is a shared secret, with which tokens could be made: not used.", where, number)
            continue
        try:
            keys[str(given.get("kid", number))] = jwt.PyJWK(given)
        except jwt.PyJWTError:
            log.warning("%s: keys[%d] cannot be read: not used.", where, number)
    if not keys:
        raise SetupError(f"{where} has no key that signatures can be checked with.")
    return keys


def read_config(path: Path) -> TokenConfig:
    """Raises SetupError, which names the field."""
    where = f"--jwt_config_file={path}"
    try:
        found = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise SetupError(f"{where} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SetupError(f"{where} is not YAML: {error}.") from None
    if not isinstance(found, dict):
        raise SetupError(f"{where}: expected issuer and audience, got {type(found).__name__}.")
    given = cast("dict[str, Any]", found)
    for name in given:
        if name not in _FIELDS:
            raise SetupError(f"{where}: there is no field {name!r}.", hint=did_you_mean(str(name), _FIELDS))
    for name, default in (("issuer", ""), ("audience", ""), ("jwks", "none"), ("scope_claim", "scope")):
        if not isinstance(given.get(name, default), str) or not given.get(name, default):
            raise SetupError(f"{where}: {name}: expected text, got {given.get(name)!r}.")
    leeway = given.get("leeway_seconds", LEEWAY_S)
    if not isinstance(leeway, int | float) or not 0 <= leeway <= MOST_LEEWAY_S:
        raise SetupError(f"{where}: leeway_seconds: expected 0 to {MOST_LEEWAY_S}, got {leeway!r}.")
    jwks = given.get("jwks", "")
    for url in [each for each in (jwks, given["issuer"] if not jwks else "") if _is_url(each)]:
        _check_url(url, where)
    if not jwks and not _is_url(given["issuer"]):
        raise SetupError(
            f"{where}: jwks is not given, and the issuer {given['issuer']!r} is no URL.", hint="Name a file of keys."
        )
    return TokenConfig(
        given["issuer"],
        given["audience"],
        jwks,
        _algorithms(given.get("algorithms", list(DEFAULT_ALGORITHMS)), where),
        leeway,
        given.get("scope_claim", "scope"),
    )


def _algorithms(value: object, where: str) -> tuple[str, ...]:
    listed: Sequence[object] = cast("list[object]", value) if isinstance(value, list) else ()
    if not listed or any(each not in ALGORITHMS for each in listed):
        raise SetupError(
            f"{where}: algorithms: expected some of {', '.join(ALGORITHMS)}, got {value!r}.",
            hint="Others are refused: 'none' signs nothing, and HS256's key could make tokens as well.",
        )
    return tuple(map(str, listed))


def _why(error: Exception) -> str:
    reasons: dict[type[jwt.PyJWTError], str] = {
        jwt.ExpiredSignatureError: "it has expired",
        jwt.ImmatureSignatureError: "it is of a later time",
        jwt.InvalidIssuerError: "it is of another issuer",
        jwt.InvalidAudienceError: "it is for another audience",
        jwt.MissingRequiredClaimError: "it lacks one of exp, iss and aud",
        jwt.InvalidAlgorithmError: "its algorithm is not allowed here",
        jwt.InvalidKeyError: "it names a key that the issuer's set does not have, or not yet",
        jwt.InvalidSignatureError: "its signature is wrong",
        jwt.DecodeError: "it cannot be read",
    }
    return next((reason for kind, reason in reasons.items() if isinstance(error, kind)), "it cannot be used")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}.") from None


def _fetch(url: str) -> bytes:
    """What ``url`` answers, without following it elsewhere. Raises SetupError."""
    import httpx  # here, as it is slow to import

    _check_url(url, "The key set")
    body = bytearray()
    try:
        with httpx.stream("GET", url, timeout=FETCH_TIMEOUT_S, follow_redirects=False) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > LARGEST_KEY_SET:
                    raise SetupError(f"{url} answers more than {LARGEST_KEY_SET:,} bytes.")
    except httpx.HTTPError as error:
        raise SetupError(f"{url} cannot be read: {error or type(error).__name__}.") from None
    if not response.is_success:
        raise SetupError(f"{url} answers {response.status_code}.")
    return bytes(body)


def _is_url(text: str) -> bool:
    return "://" in text


def _check_url(url: str, where: str) -> None:
    """Raises SetupError: whoever is in between could put keys of their own there."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        raise SetupError(f"{where}: expected a URL that begins with https://, got {url}.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
