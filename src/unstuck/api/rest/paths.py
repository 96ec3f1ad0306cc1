"""The URLs of the REST API.

Source: the two regular expressions of tensorflow_serving/model_servers/http_rest_api_util.cc. They ignore case, so
``/V1/Models/m`` is a path, while the verb and ``metadata`` are compared as written afterwards.
"""

import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote

from unstuck.core.models import ModelSpec
from unstuck.errors import InvalidRequest, MalformedPath, VersionOverflow

_MODEL = r"/v1/models/([^/:]+)(?:/versions/([0-9]+)|/labels/([^/:]+))?"
_CALL = re.compile(_MODEL + ":(classify|regress|predict)", re.IGNORECASE)
_STATUS = re.compile(_MODEL + r"(?:/(metadata))?", re.IGNORECASE)
_ALL_MODELS = re.compile(r"/v1/models(?:/versions/[0-9]+|/labels/[^/:]+)?(?:/metadata)?", re.IGNORECASE)
_MAX_VERSION = 2**63 - 1


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


def parse(method: str, path: str) -> Route:
    """The route of a path under ``/v1/``, its name and label percent-decoded.

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
    version = None if match[2] is None else int(match[2][:40])
    if version is not None and version > _MAX_VERSION:
        raise VersionOverflow(match[2])
    return ModelSpec(unquote(match[1]), version, None if match[3] is None else unquote(match[3]))
