"""The URLs of the REST API.

Source: the two regular expressions of tensorflow_serving/model_servers/http_rest_api_util.cc. They ignore case, so
``/V1/Models/m`` is a path, while the verb and ``metadata`` are compared as written afterwards.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from unstuck.core.models import ModelSpec
from unstuck.errors import InvalidRequest, MalformedPath, VersionOverflow

_MODEL = r"/v1/models/([^/:]+)(?:/versions/([0-9]+)|/labels/([^/:]+))?"
_CALL = re.compile(_MODEL + ":(classify|regress|predict)", re.IGNORECASE)
_STATUS = re.compile(_MODEL + r"(?:/(metadata))?", re.IGNORECASE)
_PREFIX = re.compile("/v1/models/", re.IGNORECASE)
_ALL_MODELS = re.compile(r"/v1/models(?:/versions/[0-9]+|/labels/[^/:]+)?(?:/metadata)?", re.IGNORECASE)
_MAX_VERSION = 2**63 - 1
MAX_VERSION_DIGITS = 19


class Action(Enum):
    """What a URL asks of a model."""

    PREDICT = "predict"
    CLASSIFY = "classify"
    REGRESS = "regress"
    METADATA = "metadata"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Route:
    """A parsed URL."""

    action: Action
    spec: ModelSpec


def parse_among(method: str, path: str, names: Iterable[str]) -> Route:
    """As ``parse``, but knows the names served, so that one with a slash or a colon in it can be told from the rest.

    The front end decodes the whole path, so ``/v1/models/a%2Fb:predict`` arrives as ``/v1/models/a/b:predict``.
    """
    prefix = _PREFIX.match(path)
    rest = path[prefix.end() :] if prefix else ""
    for name in sorted(names, key=len, reverse=True):
        if ("/" in name or ":" in name) and rest.startswith(name) and rest[len(name) :][:1] in ("", "/", ":"):
            route = parse(method, f"/v1/models/_{rest[len(name) :]}")
            return Route(route.action, replace(route.spec, name=name))
    return parse(method, path)


def parse(method: str, path: str) -> Route:
    """The route of a path under ``/v1/``, already percent-decoded, as the front end gives it.

    Raises:
        MalformedPath: no such path for this method.
        VersionOverflow: a version that is not a 64-bit number.
    """
    if method == "POST" and (match := _CALL.fullmatch(path)):
        verb = match[4]
        if verb in ("predict", "classify", "regress"):
            return Route(Action(verb), _spec(match))
    elif method == "GET" and (match := _STATUS.fullmatch(path)):
        return Route(Action.METADATA if match[4] == "metadata" else Action.STATUS, _spec(match))
    elif method == "GET" and _ALL_MODELS.fullmatch(path):
        raise InvalidRequest(
            "Missing model name in request.", hint="Ask for GET /v1/models/NAME; /readyz lists the models served."
        )
    raise MalformedPath(method, path)


def _spec(match: re.Match[str]) -> ModelSpec:
    version = None
    if match[2] is not None:
        digits = match[2].lstrip("0") or "0"
        if len(digits) > MAX_VERSION_DIGITS or int(digits) > _MAX_VERSION:
            raise VersionOverflow(match[2])
        version = int(digits)
    return ModelSpec(match[1], version, match[3])
