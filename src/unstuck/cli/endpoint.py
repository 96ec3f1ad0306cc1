"""Inspects a model by the metadata that its server gives over REST: ours, or a stock TensorFlow Serving."""

import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import orjson

from unstuck.cli.api_key import request
from unstuck.core import dtypes
from unstuck.core.inspection import Inspection
from unstuck.core.signatures import METHOD_NAMES, Signature, TensorSpec
from unstuck.errors import SetupError, did_you_mean

TIMEOUT_S = 30
MAX_BYTES = 64 << 20
_URL = re.compile(
    r"(?P<server>https?://[^/]+)/v1/models/(?P<model>[^/:]+)(?P<version>/versions/\d+|/labels/[^/:]+)?(?:/metadata)?/?"
)


def is_served(where: str) -> bool:
    """Whether ``where`` is, or should be, the URL of a served model, and not a path, local or remote."""
    return where.startswith(("http://", "https://", "grpc://", "grpcs://"))


class Endpoint:
    """A model's URL, taken apart: ``http://host:8501/v1/models/m``, with ``/versions/1`` or ``/labels/stable``."""

    def __init__(self, url: str, api_key: str = "") -> None:
        """Raises SetupError where ``url`` is not a model's."""
        found = _URL.fullmatch(url.split("?", maxsplit=1)[0])
        if found is None:
            raise SetupError(
                f"{url} is not a model's URL.", hint="Expected http://HOST:8501/v1/models/NAME[/versions/N|/labels/L]."
            )
        self.server, self.model = found["server"], urllib.parse.unquote(found["model"])
        self._key = api_key
        self.url = f"{self.server}/v1/models/{found['model']}{found['version'] or ''}"

    def inspect(self) -> tuple[Inspection, int]:
        """The inspection, and the version that answered.

        Raises:
            SetupError: no such server, no such model, or an answer that is not metadata.
        """
        document = _get(f"{self.url}/metadata", self._key)
        try:
            version = int(document["model_spec"]["version"])
            definitions = document["metadata"]["signature_def"]["signature_def"]
            signatures = {name: _signature(name, each) for name, each in sorted(definitions.items())}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SetupError(f"{self.url}/metadata answers no signatures: {type(error).__name__} {error}.") from error
        signatures.pop("__saved_model_init_op", None)
        versions = _get(self.url, self._key).get("model_version_status", [])
        states = ", ".join(f"{each.get('version')} {each.get('state')}" for each in versions)
        return Inspection("endpoint", signatures, {"versions": states}), version


def _get(url: str, key: str) -> Any:
    try:
        with urllib.request.urlopen(request(url, key), timeout=TIMEOUT_S) as answer:
            return orjson.loads(answer.read(MAX_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(1000).decode(errors="replace").strip()
        raise SetupError(f"{url} answers {error.code}: {said or error.reason}", hint=_known(url, key)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SetupError(f"{url} cannot be read: {reason}.", hint="Is it the address of the REST API?") from None


def _known(url: str, key: str) -> str:
    """The nearest name that the server does serve, where it is ours and says."""
    found = _URL.fullmatch(url)
    if found is None:
        return ""
    try:
        with urllib.request.urlopen(request(f"{found['server']}/readyz", key), timeout=TIMEOUT_S) as answer:
            return did_you_mean(found["model"], orjson.loads(answer.read(MAX_BYTES))["models"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _signature(name: str, definition: Mapping[str, Any]) -> Signature:
    inputs, outputs = (
        {alias: _spec(alias, info) for alias, info in sorted(definition.get(side, {}).items())}
        for side in ("inputs", "outputs")
    )
    method = str(definition.get("method_name", ""))
    # What the graph parses cannot be seen from here; who classifies or regresses strings takes tf.Examples.
    of_examples = method in (METHOD_NAMES["classify"], METHOD_NAMES["regress"])
    strings = [spec for spec in inputs.values() if spec.dtype.is_string]
    return Signature(name, inputs, outputs, method, of_examples and len(strings) == len(inputs) == 1)


def _spec(alias: str, info: Mapping[str, Any]) -> TensorSpec:
    shape = info.get("tensor_shape")
    sizes = None
    if shape is not None and not shape.get("unknown_rank"):
        sizes = tuple(None if int(dim["size"]) < 0 else int(dim["size"]) for dim in shape.get("dim", []))
    return TensorSpec(
        alias,
        str(info.get("name", "")),
        dtypes.from_proto_name(info["dtype"]) or dtypes.INVALID,
        sizes,
        shape is not None,
    )
